"""What a network costs, from its configuration alone: pure arithmetic, nothing is built."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import partial

from keras_resnets.errors import ConfigError
from keras_resnets.layers.geometry import NORMALIZING_ORDERS, ConvSpec, folding_convolution
from keras_resnets.models.catalog import model_config
from keras_resnets.models.chain_config import ChainConfig, ChainSpec
from keras_resnets.models.config import NetworkConfig
from keras_resnets.models.densenet_config import DenseNetConfig, DenseSpec
from keras_resnets.models.resnet_config import BlockSpec, ResNetConfig

__all__ = ["Complexity", "Cost", "complexity"]

_BYTES = 4
"""Bytes of a value: activations are counted in float32."""


@dataclass(frozen=True)
class Cost:
    """Cost of one part of a network, for one image.

    Attributes:
        name: ``stem``, a block's or transition's name, or ``head``.
        output_shape: ``(height, width, channels)`` of what comes out.
        trainable_params: Weights that training changes.
        non_trainable_params: Moving statistics.
        macs: Multiply-adds of convolutions and dense layers.
        all_macs: These and the rest: one for each value that normalisation, addition, scaling and
            biases put out, one for each pixel of a window that pooling and blurring look at.
        total_activation_bytes: Bytes of everything that convolutions, normalisations (with their
            ReLU), poolings, merges and dense layers put out, in float32: what training keeps.
        peak_activation_bytes: Most bytes held at once while inference runs the part layer by layer.
        receptive_field: Pixels of the image, in one direction, that one output pixel depends on;
            squeeze-and-excitation and global pooling left out.
    """

    name: str
    output_shape: tuple[int, int, int]
    trainable_params: int
    non_trainable_params: int
    macs: int
    all_macs: int
    total_activation_bytes: int
    peak_activation_bytes: int
    receptive_field: int


@dataclass(frozen=True)
class Complexity:
    """Cost of a network for one image, whole and by part.

    Attributes:
        trainable_params: Weights that training changes (the papers' count, BN included).
        total_params: Trainable weights and BN's moving statistics.
        macs: Multiply-adds of convolutions and dense layers (the papers' count).
        all_macs: Those of all layers, as `Cost` counts them.
        total_activation_bytes: Bytes that the layers put out, in float32.
        peak_activation_bytes: Most bytes held at once in inference.
        receptive_field: Pixels, in one direction, that a pixel of the last feature map depends on.
        depth: Layers with weights on the longest path.
        parts: Stem, blocks and head.
    """

    trainable_params: int
    total_params: int
    macs: int
    all_macs: int
    total_activation_bytes: int
    peak_activation_bytes: int
    receptive_field: int
    depth: int
    parts: tuple[Cost, ...]

    def stages(self) -> list[Cost]:
        """Return the parts with each stage's blocks added up under the stage's name.

        A transition belongs to the stage that it ends.
        """
        stages: list[Cost] = []
        for part in self.parts:
            name = part.name.split("_")[0].replace("transition", "stage")
            part = dataclasses.replace(part, name=name)
            if stages and stages[-1].name == name:
                part = _together(stages.pop(), part)
            stages.append(part)
        return stages


def _together(first: Cost, second: Cost) -> Cost:
    """Return the cost of two parts that follow each other."""
    added = (
        "trainable_params",
        "non_trainable_params",
        "macs",
        "all_macs",
        "total_activation_bytes",
    )
    return dataclasses.replace(
        second,
        peak_activation_bytes=max(first.peak_activation_bytes, second.peak_activation_bytes),
        **{name: getattr(first, name) + getattr(second, name) for name in added},
    )


class _Tally:
    """Adds up the layers of one part while a feature map passes through them.

    Args:
        shape: ``(height, width, channels)`` that comes in.
        field: Receptive field of what comes in, and distance of its pixels in the image.
        normalization: ``"batch"`` or ``"group"``.
    """

    def __init__(self, shape, field=(1, 1), normalization="batch"):
        self.height, self.width, self.channels = shape
        self.field, self.jump = field
        self.batch_statistics = normalization == "batch"
        self.trainable = self.fixed = self.macs = self.other = self.bytes = self.peak = 0
        self.held = 0

    @property
    def shape(self):
        return self.height, self.width, self.channels

    @shape.setter
    def shape(self, shape):
        self.height, self.width, self.channels = shape

    @property
    def values(self) -> int:
        return self.height * self.width * self.channels

    def emit(self, before: int) -> None:
        """Account for a map put out while `before` values and those held are in memory."""
        self.bytes += _BYTES * self.values
        self.peak = max(self.peak, _BYTES * (before + self.values + self.held))

    def _stride(self, strides: int) -> None:
        self.height = -(-self.height // strides)
        self.width = -(-self.width // strides)

    def _reach(self, size: int, strides: int, dilation: int = 1) -> None:
        self.field += (size - 1) * dilation * self.jump
        self.jump *= strides

    def convolution(self, spec: ConvSpec, bias: bool = False) -> None:
        if spec.blur > 1:
            self.pool(3, spec.blur)
        before = self.values
        self._stride(spec.strides)
        self._reach(spec.kernel_size, spec.strides, spec.dilation)
        weights = spec.kernel_size**2 * (self.channels // spec.groups) * spec.filters
        self.macs += weights * self.height * self.width
        self.channels = spec.filters
        self.trainable += weights
        if bias:
            self.trainable += self.channels
            self.other += self.values
        self.emit(before)

    def normalize(self) -> None:
        self.trainable += 2 * self.channels
        self.fixed += 2 * self.channels * self.batch_statistics
        self.other += self.values
        self.emit(self.values)

    def convolution_and_norm(self, spec: ConvSpec, folded: bool) -> None:
        """Account for a convolution and its normalisation, which may be folded into it."""
        self.convolution(spec, bias=folded)
        if not folded:
            self.normalize()

    def activate(self) -> None:
        """Account for a ReLU that follows no normalisation."""
        self.emit(self.values)

    def pool(self, size: int, strides: int, dilation: int = 1) -> None:
        before = self.values
        self._stride(strides)
        self._reach(size, strides, dilation)
        self.other += size * size * self.values
        self.emit(before)

    def pad(self, channels: int, strides: int) -> None:
        """Account for subsampling and appended zeros."""
        before = self.values
        self._stride(strides)
        self._reach(1, strides)
        self.channels = channels
        self.emit(before)

    def global_pool(self, kind: str) -> None:
        """Account for a pooling to a vector, one of `POOLINGS`."""
        before, channels = self.values, self.channels
        count = 1 if kind in ("avg", "max") else 2
        self.other += count * before
        self.shape = (1, 1, count * channels)
        self.emit(before)
        if kind == "avgmax":
            self.shape = (1, 1, channels)
            self.merge()

    def merge(self, operations: int = 1) -> None:
        """Account for an addition, of so many operations a value, to a map of the same shape."""
        self.other += operations * self.values
        self.emit(self.values)

    def dense(self, units: int) -> None:
        before = self.channels
        self.trainable += (self.channels + 1) * units
        self.macs += self.channels * units
        self.other += units
        self.shape = (1, 1, units)
        self.emit(before)

    def squeeze_excite(self, squeezed: int) -> None:
        shape, channels = self.shape, self.channels
        self.other += self.values
        self.held += self.values
        self.shape = (1, 1, channels)
        self.emit(0)
        self.dense(squeezed)
        self.dense(channels)
        self.shape = shape
        self.held -= self.values
        self.other += self.values
        self.emit(self.values)

    def cost(self, name: str) -> Cost:
        return Cost(
            name=name,
            output_shape=self.shape,
            trainable_params=self.trainable,
            non_trainable_params=self.fixed,
            macs=self.macs,
            all_macs=self.macs + self.other,
            total_activation_bytes=self.bytes,
            peak_activation_bytes=self.peak,
            receptive_field=self.field,
        )


def complexity(
    config: NetworkConfig | str, input_shape: tuple[int, int, int] | None = None
) -> Complexity:
    """Return the cost of a network, without building it.

    Args:
        config: The configuration, or the name of one.
        input_shape: ``(height, width, channels)`` of one image; the configuration's by default.

    Raises:
        ConfigError: The name is unknown, or height or width is, in the argument or the
            configuration.

    Example:
        >>> complexity("resnet20_cifar").trainable_params
        269722
    """
    if not isinstance(config, NetworkConfig):
        config = model_config(config)
    if input_shape is not None:
        config = config.replace(input_shape=input_shape)
    if None in config.input_shape:
        raise ConfigError(
            "`input_shape` must have a known height and width to count multiply-adds. "
            f"Received: input_shape={config.input_shape}"
        )
    parts = _Walk(config).parts()
    whole = parts[0]
    for part in parts[1:]:
        whole = _together(whole, part)
    return Complexity(
        trainable_params=whole.trainable_params,
        total_params=whole.trainable_params + whole.non_trainable_params,
        macs=whole.macs,
        all_macs=whole.all_macs,
        total_activation_bytes=whole.total_activation_bytes,
        peak_activation_bytes=whole.peak_activation_bytes,
        receptive_field=parts[-1].receptive_field,
        depth=config.depth,
        parts=tuple(parts),
    )


class _Walk:
    """Walks through a network, part by part; equal blocks are counted once."""

    def __init__(self, config: NetworkConfig):
        self.config = config
        self._known: dict = {}

    def parts(self) -> list[Cost]:
        parts = [self._stem()]
        cost = {DenseNetConfig: self._dense, ChainConfig: self._chain}
        cost = cost.get(type(self.config), self._residual)
        for spec in self.config.block_specs():
            parts.append(self._block(cost, spec, parts[-1].output_shape))
        parts.append(self._head(parts[-1].output_shape))
        return parts

    def _tally(self, shape) -> _Tally:
        return _Tally(shape, self._field, self.config.normalization)

    def _block(self, cost, spec, shape) -> Cost:
        """Return the cost of a block; only its name and place are its own."""
        key = (_SAME[type(spec)](spec), shape, self._field[1])
        if key not in self._known:
            tally = self._tally(shape)
            cost(tally, spec)
            self._known[key] = (tally.cost(""), tally.field - self._field[0], tally.jump)
        part, reach, jump = self._known[key]
        self._field = (self._field[0] + reach, jump)
        return dataclasses.replace(part, name=spec.name, receptive_field=self._field[0])

    def _stem(self) -> Cost:
        config = self.config
        tally = _Tally(config.input_shape, (1, 1), config.normalization)
        if config.takes_raw_images:
            tally.other += tally.values
            tally.activate()
        for conv in config.stem_convolutions():
            spec = ConvSpec(conv.kernel_size, conv.filters, conv.strides)
            if conv.activation == "none":
                tally.convolution(spec)
            else:
                tally.convolution_and_norm(spec, config.folded)
        if config.stem_pool in ("max", "blur"):
            tally.pool(3, 2 if config.stem_pool == "max" else 1)
        if config.stem_pool == "blur":
            tally.pool(3, 2)
        self._field = (tally.field, tally.jump)
        return tally.cost("stem")

    def _head(self, shape) -> Cost:
        config = self.config
        tally = self._tally(shape)
        default = "post" if isinstance(config, ChainConfig) else "pre"  # as a DenseNet is
        order = getattr(config, "activation_order", default)
        if order == "pre":
            tally.normalize()
        elif order == "relu_only":
            tally.activate()
        pooling = config.head_pooling if config.include_top else config.pooling
        if pooling is not None:
            tally.global_pool(pooling)
        if config.include_top:
            tally.dense(config.classes)
        return tally.cost("head")

    def _dense(self, tally: _Tally, spec: DenseSpec) -> None:
        config = self.config
        tally.normalize()
        if spec.transition:
            tally.convolution(ConvSpec(1, spec.out_width))
            tally.pool(2, spec.step.strides, spec.step.before)
            return
        shape = tally.shape
        tally.held = tally.values
        if config.bottleneck:
            tally.convolution_and_norm(ConvSpec(1, 4 * config.growth_rate), config.folded)
        tally.convolution(ConvSpec(3, config.growth_rate, dilation=spec.step.after))
        tally.held = 0
        tally.shape = (*shape[:2], spec.out_width)
        tally.emit(tally.values)

    def _chain(self, tally: _Tally, spec: ChainSpec) -> None:
        tally.convolution(spec.conv, bias=True)
        if spec.reduction is not None:
            sizes = {"average": spec.reduction.pool_size, "blur": 3}
            size = max(sizes.get(how, 1) for _, how in spec.reduction.parts)
            tally.pool(size, spec.reduction.strides, spec.reduction.dilation)

    def _residual(self, tally: _Tally, spec: BlockSpec) -> None:
        config: ResNetConfig = self.config
        inputs = tally.shape
        order = config.activation_order
        if order == "pre" and spec.preactivation != "none":
            tally.normalize()
        elif order == "relu_only" and spec.preactivation != "none":
            tally.activate()
        field = tally.field, tally.jump
        shortcut = self._shortcut(tally, spec)
        through = tally.field, tally.jump
        tally.shape = inputs
        tally.field, tally.jump = field
        tally.held = shortcut
        specs = config.branch(spec)
        for i, conv in enumerate(specs):
            if any(folding_convolution(order, n, len(specs)) == i for n in range(len(specs))):
                tally.convolution_and_norm(conv, config.folded)
            else:
                tally.convolution(conv)
        if config.attention == "se":
            tally.squeeze_excite(config.squeezed_width(spec))
        tally.held = 0
        tally.field, tally.jump = max((tally.field, tally.jump), through)
        self._merge(tally, spec, inputs)
        if order == "bn_after_addition":
            tally.normalize()

    def _shortcut(self, tally: _Tally, spec: BlockSpec) -> int:
        """Account for the shortcut; return the values it holds while the branch runs."""
        config = self.config
        if spec.shortcut == "none":
            return 0
        if spec.shortcut == "identity":
            return tally.values
        average = spec.shortcut.startswith("pool_")
        strides = spec.strides
        if average and spec.step.nominal > 1:
            tally.pool(spec.step.nominal, strides, spec.step.before)
            strides = 1
        elif config.antialias and strides > 1:
            tally.pool(3, strides)
            strides = 1
        if spec.shortcut.endswith("projection"):
            projection = ConvSpec(1, spec.out_width, strides)
            if config.activation_order in NORMALIZING_ORDERS:
                tally.convolution_and_norm(projection, config.folded)
            else:
                tally.convolution(projection)
        else:
            tally.pad(spec.out_width, strides)
        return tally.values

    def _merge(self, tally: _Tally, spec: BlockSpec, inputs) -> None:
        config = self.config
        if spec.shortcut == "none":
            return
        if config.shortcut_gate is not None:
            field, shape = (tally.field, tally.jump), tally.shape
            tally.shape = inputs
            tally.convolution(ConvSpec(1, spec.out_width, spec.strides), bias=True)
            tally.shape = shape
            tally.field, tally.jump = field
            tally.merge(3 if config.shortcut_gate == "exclusive" else 2)
        else:
            scaled = (config.shortcut_scale, config.branch_scale) != (1, 1)
            tally.merge(3 if scaled else 1)


_SAME = {
    BlockSpec: partial(dataclasses.replace, name="", survival=1.0, stage=0),
    DenseSpec: partial(dataclasses.replace, name="", stage=0),
    ChainSpec: lambda spec: spec._replace(name=""),
}
"""Removes what differs between blocks of one cost."""
