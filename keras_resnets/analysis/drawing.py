"""A network drawn by stages, from its configuration."""

from __future__ import annotations

import math

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from keras_resnets.analysis.description import block_kind
from keras_resnets.analysis.figures import INK, PALETTE
from keras_resnets.models.chain_config import ChainSpec
from keras_resnets.models.config import NetworkConfig
from keras_resnets.models.cost import complexity
from keras_resnets.models.densenet_config import DenseSpec
from keras_resnets.models.resnet_config import BlockSpec
from keras_resnets.words import count

__all__ = ["draw_network"]

_SHOWN = 4
"""Blocks of a stage that are drawn; of a longer stage the first ones and the last."""


_NARROW = 3.6
"""Width in inches of a narrow drawing: what a telephone shows at its natural size."""

_UNIT = 0.38
"""Inches between two blocks of a narrow drawing."""

_LINE_UNITS = 1.3 * 9 / 72 / _UNIT
"""Height of a line of its labels, in units."""


def draw_network(config: NetworkConfig, *, narrow: bool = False) -> Figure:
    """Draw a network: a row of blocks, taller for larger feature maps, coloured by stage.

    Lines above the blocks are the shortcuts, dashed where they change the shape; in a dense network
    they are what each layer passes on beside its own output. White boxes are its transitions. Of a
    long stage the first blocks and the last are drawn.

    Args:
        config: The configuration, with a known input size.
        narrow: Whether to draw a row for each stage, one below the other and 3.6 inches wide with
            letters of 9 points, for a page that a telephone shows; else all in one row.

    Returns:
        The figure.

    Example:
        >>> draw_network(model_config("resnet20_cifar")).savefig("resnet20.png")
    """
    parts = {part.name: part for part in complexity(config).parts}
    boxes = _boxes(config, parts)
    return (_draw_rows if narrow else _draw_row)(config, boxes, parts)


def _boxes(config: NetworkConfig, parts) -> list[tuple]:
    """Return title, text, colour, block and height of what is drawn, from the image to the head."""
    boxes = [("image", _shape(config.input_shape), "#f1f1ef", None, config.input_shape[0])]
    boxes.append(("stem", _stem(config), "#dddddd", None, parts["stem"].output_shape[0]))
    specs = config.block_specs()
    for stage in range(1, len(config.blocks) + 1):
        blocks = [s for s in specs if s.stage == stage and not _is_transition(s)]
        color = PALETTE[(stage - 1) % len(PALETTE)]
        for spec in _shown(blocks):
            height = parts[(spec or blocks[-1]).name].output_shape[0]
            boxes.append(("", "", color, spec if spec else "...", height))
        for spec in (s for s in specs if s.stage == stage and _is_transition(s)):
            boxes.append(("", "", "#ffffff", spec, parts[spec.name].output_shape[0]))
    head = count(config.classes, "class") if config.include_top else "features"
    if config.include_top:
        pool = "pool" if config.head_pooling == "avg" else f"{config.head_pooling} pool"
        head = f"{pool}, {head}"
    boxes.append(("head", head, "#f1f1ef", None, 1))
    return boxes


def _is_transition(spec) -> bool:
    return isinstance(spec, DenseSpec) and spec.transition


def _stem(config: NetworkConfig) -> str:
    lines = [
        f"conv {conv.kernel_size}x{conv.kernel_size}{'/2' if conv.strides == 2 else ''}, "
        f"{conv.filters}"
        for conv in config.stem_convolutions()
    ]
    pool = {"max": ["max pool /2"], "blur": ["max pool, blur /2"]}.get(config.stem_pool, [])
    return "\n".join(lines + pool)


def _shown(specs: list) -> list:
    if len(specs) <= _SHOWN:
        return list(specs)
    return [*specs[: _SHOWN - 2], None, specs[-1]]


def _shape(shape) -> str:
    return " x ".join(map(str, shape))


def _draw_row(config, boxes, parts) -> Figure:
    figure = Figure(figsize=(max(9, 0.95 * len(boxes)), 3.6), layout="constrained")
    ax = figure.subplots()
    largest = max(box[4] for box in boxes)
    spans: dict[int, list] = {}
    for x, (title, text, color, spec, size) in enumerate(boxes):
        _draw_part(ax, x, 0, _height(size, largest), color, spec)
        if title:
            label = f"{title}\n{text}"
            ax.text(x, -1.05, label, ha="center", va="top", fontsize=8, color=INK)
        if _is_block(spec):
            spans.setdefault(spec.stage, []).append((x, spec))
        if x:
            ax.add_patch(_arrow(x))
    for blocks in spans.values():
        _label_stage(ax, config, parts, blocks)
    ax.set_xlim(-0.8, len(boxes) - 0.2)
    ax.set_ylim(-1.75, 1.6)
    ax.axis("off")
    return figure


def _draw_rows(config, boxes, parts) -> Figure:
    rows = _rows(boxes)
    largest = max(box[4] for box in boxes)
    longest = max(map(len, rows))
    labels = [_row_label(config, parts, row, longest > _SHOWN) for row in rows]
    middles, bottom = [], 0.0
    for row, label in zip(rows, labels, strict=True):
        above = max(_height(box[4], largest) for box in row) / 2
        lines = (label.count("\n") + 1) * _LINE_UNITS / 2
        middles.append(bottom - max(above + 0.4, lines))
        bottom = middles[-1] - max(above + 0.2, lines)
    figure = Figure(figsize=(_NARROW, -bottom * _UNIT))
    ax = figure.add_axes((0, 0, 1, 1))
    for row, label, y in zip(rows, labels, middles, strict=True):
        for x, (_, _, color, spec, size) in enumerate(row):
            _draw_part(ax, x, y, _height(size, largest), color, spec)
            if x or row is not rows[0]:
                ax.add_patch(_arrow(x, y))
        ax.text(longest - 0.3, y, label, va="center", fontsize=9, color=INK)
    ax.set_xlim(-0.8, _NARROW / _UNIT - 0.8)
    ax.set_ylim(bottom, 0)
    ax.axis("off")
    return figure


def _rows(boxes) -> list[list[tuple]]:
    """Return the boxes a row for each stage, and rows of their own for image, stem and head."""
    rows: list[list[tuple]] = []
    for box in boxes:
        if box[0] or rows[-1][0][0] or _stage(box) not in (None, _stage(rows[-1][0])):
            rows.append([])
        rows[-1].append(box)
    return rows


def _stage(box) -> int | None:
    return getattr(box[3], "stage", None)


def _row_label(config, parts, row, long) -> str:
    title, text, _, _, _ = row[0]
    if title:
        return f"{title}\n{text}"
    specs = [spec for _, _, _, spec, _ in row if _is_block(spec)]
    label = _stage_label(config, parts, specs)
    return label.replace(": ", ":\n", 1) if long else label


def _height(size, largest) -> float:
    return 0.5 + 1.1 * math.sqrt(size / largest)


def _is_block(spec) -> bool:
    return isinstance(spec, BlockSpec | ChainSpec | DenseSpec) and not _is_transition(spec)


def _draw_part(ax, x, y, height, color, spec) -> None:
    if spec == "...":
        ax.text(x, y, "...", ha="center", va="center", fontsize=16, color=color)
        return
    ax.add_patch(_box(x, y, height, color))
    if _is_block(spec) and getattr(spec, "shortcut", "concatenated") != "none":
        _bypass(ax, x, y, height, dashed=getattr(spec, "changes_shape", False))


def _box(x, y, height, color):
    return FancyBboxPatch(
        (x - 0.28, y - height / 2),
        0.56,
        height,
        boxstyle="round,pad=0,rounding_size=0.06",
        facecolor=color,
        edgecolor=INK,
        linewidth=0.8,
    )


def _arrow(x, y=0):
    return FancyArrowPatch(
        (x - 0.72, y), (x - 0.28, y), arrowstyle="-|>", mutation_scale=8, color=INK, linewidth=0.8
    )


def _bypass(ax, x, y, height, dashed):
    top = y + height / 2 + 0.16
    ax.plot(
        [x - 0.43, x - 0.43, x + 0.43, x + 0.43],
        [y, top, top, y],
        color=INK,
        linewidth=1.1,
        linestyle="--" if dashed else "-",
        solid_joinstyle="round",
    )


def _stage_label(config, parts, specs) -> str:
    stage = specs[-1].stage
    shape = _shape(parts[specs[-1].name].output_shape)
    text = f"stage {stage}: {config.blocks[stage - 1]} x {block_kind(config)}\n{shape}"
    if getattr(config, "final_survival", 1) < 1:
        ends = specs[:1] if len(specs) == 1 else specs[:: len(specs) - 1]
        text += "\nsurvival " + " to ".join(f"{spec.survival:.2f}" for spec in ends)
    return text


def _label_stage(ax, config, parts, blocks):
    first, last = blocks[0][0], blocks[-1][0]
    text = _stage_label(config, parts, [spec for _, spec in blocks])
    ax.plot([first - 0.3, last + 0.3], [-0.95, -0.95], color=INK, linewidth=0.8)
    ax.text((first + last) / 2, -1.05, text, ha="center", va="top", fontsize=8, color=INK)
