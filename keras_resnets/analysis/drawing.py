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

__all__ = ["draw_network"]

_SHOWN = 4
"""Blocks of a stage that are drawn; of a longer stage the first ones and the last."""


def draw_network(config: NetworkConfig) -> Figure:
    """Draw a network: a row of blocks, taller for larger feature maps, coloured by stage.

    Lines above the blocks are the shortcuts, dashed where they change the shape; in a dense network
    they are what each layer passes on beside its own output. White boxes are its transitions. Of a
    long stage the first blocks and the last are drawn.

    Args:
        config: The configuration, with a known input size.

    Returns:
        The figure.

    Example:
        >>> draw_network(model_config("resnet20_cifar")).savefig("resnet20.png")
    """
    parts = {part.name: part for part in complexity(config).parts}
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
            boxes.append(("", "", "#ffffff", None, parts[spec.name].output_shape[0]))
    head = f"{config.classes} classes" if config.include_top else "features"
    boxes.append(("head", f"pool, {head}" if config.include_top else head, "#f1f1ef", None, 1))
    return _draw(config, boxes, parts)


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


def _draw(config, boxes, parts) -> Figure:
    figure = Figure(figsize=(max(9, 0.95 * len(boxes)), 3.6), layout="constrained")
    ax = figure.subplots()
    largest = max(box[4] for box in boxes)
    spans: dict[int, list] = {}
    for x, (title, text, color, spec, size) in enumerate(boxes):
        height = 0.5 + 1.1 * math.sqrt(size / largest)
        if spec == "...":
            ax.text(x, 0, "...", ha="center", va="center", fontsize=16, color=color)
        else:
            ax.add_patch(_box(x, height, color))
            label = f"{title}\n{text}" if title else ""
            ax.text(x, -1.05, label, ha="center", va="top", fontsize=8, color=INK)
        if isinstance(spec, BlockSpec | ChainSpec | DenseSpec):
            spans.setdefault(spec.stage, []).append((x, spec))
            if getattr(spec, "shortcut", "concatenated") != "none":
                _bypass(ax, x, height, dashed=getattr(spec, "changes_shape", False))
        if x:
            ax.add_patch(_arrow(x))
    for stage, blocks in spans.items():
        _label_stage(ax, config, parts, stage, blocks)
    ax.set_xlim(-0.8, len(boxes) - 0.2)
    ax.set_ylim(-1.75, 1.6)
    ax.axis("off")
    return figure


def _box(x, height, color):
    return FancyBboxPatch(
        (x - 0.28, -height / 2),
        0.56,
        height,
        boxstyle="round,pad=0,rounding_size=0.06",
        facecolor=color,
        edgecolor=INK,
        linewidth=0.8,
    )


def _arrow(x):
    return FancyArrowPatch(
        (x - 0.72, 0), (x - 0.28, 0), arrowstyle="-|>", mutation_scale=8, color=INK, linewidth=0.8
    )


def _bypass(ax, x, height, dashed):
    top = height / 2 + 0.16
    ax.plot(
        [x - 0.43, x - 0.43, x + 0.43, x + 0.43],
        [0, top, top, 0],
        color=INK,
        linewidth=1.1,
        linestyle="--" if dashed else "-",
        solid_joinstyle="round",
    )


def _label_stage(ax, config, parts, stage, blocks):
    first, last = blocks[0][0], blocks[-1][0]
    spec = blocks[-1][1]
    height, width, channels = parts[spec.name].output_shape
    count = f"{config.blocks[stage - 1]} x {block_kind(config)}"
    text = f"stage {stage}: {count}\n{height} x {width} x {channels}"
    if getattr(config, "final_survival", 1) < 1:
        text += "\nsurvival " + " to ".join(
            f"{block.survival:.2f}"
            for _, block in (blocks[:1] if first == last else blocks[:: len(blocks) - 1])
        )
    ax.plot([first - 0.3, last + 0.3], [-0.95, -0.95], color=INK, linewidth=0.8)
    ax.text((first + last) / 2, -1.05, text, ha="center", va="top", fontsize=8, color=INK)
