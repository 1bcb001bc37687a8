"""Which channel of a network of other widths comes from which channel of this one.

Every layer reads a row of channels and writes one. Layers that a shortcut or a concatenation joins
share theirs: a residual stream has one row for all its writers and readers. `Walk` goes through two
networks side by side and says of every layer of the second which channels of the first its own
stand for; `moved` makes its weights from that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from keras_resnets.errors import InputError
from keras_resnets.layers.geometry import NORMALIZING_ORDERS
from keras_resnets.models.families import DenseNetConfig, ResNetConfig
from keras_resnets.models.resnet_config import BlockSpec
from keras_resnets.surgery.networks import Weights, identity_affine

__all__ = ["FRESH", "Choose", "Move", "Walk", "appended", "moved", "received", "splits"]

FRESH = -1
"""In the place of a channel of the first network: a new channel, which stands for none."""

Choose = Callable[[str, int, int, int], np.ndarray]
"""``choose(space, old, new, groups)``: for each of `new` channels, which of `old` it stands for."""


@dataclass
class Move:
    """Where the weights of a layer come from.

    Attributes:
        read: For each channel that the layer reads, the old one, or `FRESH`; None for a
            normalisation.
        write: The same for each channel that it writes.
        groups: Groups of a convolution.
        values: Weights to take in the place of the old layer's, by name.
    """

    read: np.ndarray | None
    write: np.ndarray
    groups: int = 1
    values: Weights | None = None


def appended(first: np.ndarray, width: int, second: np.ndarray) -> np.ndarray:
    """Return the row of two rows of channels in a line, the first one old of `width` channels."""
    return np.concatenate([first, np.where(second == FRESH, FRESH, second + width)])


@dataclass
class Walk:
    """A walk through two networks of the same layers, of other widths.

    Args:
        old: Configuration of the first; a dense one may have fewer layers a stage.
        new: Configuration of the second.
        choose: Says which channels stand for which, wherever that is free.
        append: Puts two rows in a line; `appended` by default.
    """

    old: ResNetConfig | DenseNetConfig
    new: ResNetConfig | DenseNetConfig
    choose: Choose
    append: Callable = appended
    moves: dict[str, Move] = field(default_factory=dict)

    def run(self) -> dict[str, Move]:
        """Return what becomes of each layer with channels, by its path in the second network."""
        stream = self._stem()
        if isinstance(self.new, DenseNetConfig):
            stream = self._dense(stream)
        else:
            for old, new in zip(self.old.block_specs(), self.new.block_specs(), strict=True):
                stream = self._block(old, new, stream)
        if getattr(self.new, "activation_order", "pre") == "pre":
            self._norm("final_bn", stream)
        if self.new.include_top:
            read = stream
            if self.new.head_pooling == "catavgmax":
                width = self.old.feature_info[-1].channels
                read = np.concatenate([stream, np.where(stream == FRESH, FRESH, stream + width)])
            self.moves["predictions"] = Move(read, np.arange(self.new.classes))
        return self.moves

    def _norm(self, path: str, channels: np.ndarray, values: Weights | None = None):
        if self.new.normalization == "group":
            parent, _, name = path.rpartition("/")
            path = f"{parent}/{name.replace('bn', 'gn')}".lstrip("/")
        self.moves[path] = Move(None, channels, values=values)

    def _stem(self) -> np.ndarray:
        row = np.arange(self.new.input_shape[2])
        old, new = self.old.stem_convolutions(), self.new.stem_convolutions()
        for i, (before, after) in enumerate(zip(old, new, strict=True), start=1):
            suffix = str(i) if len(new) > 1 else ""
            name = f"stem_conv{suffix}"
            write = self.choose(name, before.filters, after.filters, 1)
            self.moves[name] = Move(row, write)
            if after.activation != "none":
                self._norm(f"stem_bn{suffix}", write)
            row = write
        return row

    def _block(self, old: BlockSpec, new: BlockSpec, stream: np.ndarray) -> np.ndarray:
        config = self.new
        outputs = self._outputs(old, new, stream)
        before, after = self.old.branch(old), config.branch(new)
        read = stream
        for i, (b, a) in enumerate(zip(before, after, strict=True), start=1):
            path = f"{new.name}/conv{i}"
            groups = after[i].groups if i < len(after) else 1
            # What a grouped convolution reads and writes stays within its groups.
            groups = max(groups, a.groups)
            last = i == len(after)
            write = outputs if last else self.choose(path, b.filters, a.filters, groups)
            self.moves[path] = Move(read, write, a.groups)
            if config.activation_order != "pre":
                self._norm(f"{new.name}/bn{i}", write)
            elif i > 1 or new.preactivation != "none":
                self._norm(f"{new.name}/bn{i}", read)
            read = write
        if config.attention is not None:
            path = f"{new.name}/attention"
            squeezed = self.old.squeezed_width(old), config.squeezed_width(new)
            middle = self.choose(f"{path}/reduce", *squeezed, 1)
            self.moves[f"{path}/reduce"] = Move(outputs, middle)
            self.moves[f"{path}/expand"] = Move(middle, outputs)
        if config.shortcut_gate is not None:
            self.moves[f"{new.name}/merge/gate"] = Move(stream, outputs)
        return outputs

    def _outputs(self, old: BlockSpec, new: BlockSpec, stream: np.ndarray) -> np.ndarray:
        """Return the row that a block puts out, and say what becomes of its shortcut."""
        if new.shortcut == "identity" == old.shortcut:
            return stream
        same_input = old.preactivation == new.preactivation
        if (
            new.shortcut.endswith("pad")
            and same_input
            and old.shortcut in (new.shortcut, "identity")
        ):
            rest = [spec.out_width - spec.in_width for spec in (old, new)]
            return self.append(stream, old.in_width, self.choose(f"{new.name}/pad", *rest, 1))
        row = self.choose(f"{new.name}/conv{len(self.new.branch(new))}",
                          old.out_width, new.out_width, 1)  # fmt: skip
        if new.shortcut == old.shortcut == "none":
            return row
        path = f"{new.name}/shortcut"
        if new.shortcut == old.shortcut:
            self.moves[f"{path}/conv"] = Move(stream, row)
            values = None
        elif old.shortcut == "identity" and new.preactivation == "branch":
            eye = np.eye(old.in_width)[None, None]
            zeros = np.zeros(old.in_width)
            self.moves[f"{path}/conv"] = Move(
                stream, row, values={f"{path}/conv/kernel": eye, f"{path}/conv/bias": zeros}
            )
            values = identity_affine(f"{path}/bn", old.in_width, self.new.bn_epsilon)
            if self.new.normalization == "group":
                raise self._changed(old, new)
        else:
            raise self._changed(old, new)
        if self.new.activation_order in NORMALIZING_ORDERS:
            self._norm(f"{path}/bn", row, values)
        return row

    def _changed(self, old, new):
        return InputError(
            f"`to` must leave the shortcuts what they are, but that of {new.name} would become "
            f"{new.shortcut!r} in the place of {old.shortcut!r}: change `stem_width` and `widths` "
            f"alike. Received: stem_width={self.new.stem_width}, widths={self.new.widths}"
        )

    def _dense(self, stream: np.ndarray) -> np.ndarray:
        known = {spec.name: spec for spec in self.old.block_specs()}
        single = not self.new.bottleneck
        old_width = self.old.stem_width
        for new in self.new.block_specs():
            old = known.get(new.name)
            if new.transition:
                self._norm(f"{new.name}/bn", stream)
                row = self.choose(f"{new.name}/conv", old.out_width, new.out_width, 1)
                self.moves[f"{new.name}/conv"] = Move(stream, row)
                stream, old_width = row, old.out_width
                continue
            growths = [0 if old is None else self.old.growth_rate, self.new.growth_rate]
            read = stream
            self._norm(f"{new.name}/bn{'' if single else 1}", read)
            last = f"{new.name}/conv"
            if not single:
                last = f"{new.name}/conv2"
                row = self.choose(f"{new.name}/conv1", *(4 * growth for growth in growths), 1)
                self.moves[f"{new.name}/conv1"] = Move(read, row)
                self._norm(f"{new.name}/bn2", row)
                read = row
            row = self.choose(last, *growths, 1)
            self.moves[last] = Move(read, row)
            stream = self.append(stream, old_width, row)
            old_width += growths[0]
        return stream


def received(space: str, old: int, new: int) -> str:
    """Return the end of a message on a number of channels that is out of place."""
    block, _, part = space.partition("/")
    if part == "pad":
        where = f"appended by the shortcut of {block} (the difference of two stages' widths)"
    else:
        where = f"in {space}"
    return f"Received: {new} channels {where}, where the model has {old}"


def splits(read: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return factors of the channels that a layer reads: those of one old channel add up to one.

    Unequal ones, so that copies of a channel get other gradients and grow apart (Chen 2016,
    arXiv:1511.05641, section 2.3).
    """
    shares = rng.uniform(0.5, 1.5, len(read))
    total = np.zeros(read.max(initial=FRESH) + 1)
    known = read != FRESH
    np.add.at(total, read[known], shares[known])
    factors = np.zeros(len(read))
    factors[known] = shares[known] / total[read[known]]
    return factors


def moved(
    moves: dict[str, Move], old: Weights, new: Weights, factors: dict[str, np.ndarray] | None = None
) -> Weights:
    """Return the weights of the second network, from those of the first.

    Args:
        moves: What `Walk` says.
        old: Weights of the first network.
        new: Weights of the second, newly made: fresh channels keep theirs.
        factors: Factors of the channels that each layer reads, by its path; 1 by default.
    """
    weights = dict(new)
    for path, value in new.items():
        layer, _, name = path.rpartition("/")
        move = moves.get(layer)
        if move is None:
            same = path in old and old[path].shape == value.shape
            weights[path] = old[path] if same else value
            continue
        source = (move.values or old).get(path)
        if source is None:  # a layer that is new
            continue
        if name == "kernel":
            scale = np.ones(len(move.read)) if factors is None else factors[layer]
            weights[path] = _kernel(source, value, move, scale)
        else:
            known = move.write != FRESH
            weights[path] = value.copy()
            weights[path][known] = source[move.write[known]]
    return weights


def _kernel(source, fresh, move: Move, scale):
    """Return a kernel, its rows and columns those of another one."""
    kernel = fresh.copy()
    known = move.write != FRESH
    columns = move.write[known]
    if move.groups == 1:
        rows = source[..., np.maximum(move.read, 0), :][..., columns]
        weight = np.where(move.read == FRESH, 0.0, scale)
        kernel[..., known] = rows * weight[:, None]
        return kernel
    # Rows of a grouped kernel count from the beginning of each group.
    depth_old, depth = source.shape[-2], kernel.shape[-2]
    own = np.arange(len(move.write)) // (len(move.write) // move.groups)
    rows = move.read.reshape(move.groups, depth) - depth_old * np.arange(move.groups)[:, None]
    scale = scale.reshape(move.groups, depth)
    for column in np.flatnonzero(known):
        group = own[column]
        taken = source[..., rows[group], move.write[column]]
        kernel[..., column] = taken * scale[group]
    return kernel
