"""The configuration: one immutable value that says what a network is.

Pure Python: nothing here imports Keras, so configurations can be made, checked, compared and
costed before a framework is loaded.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from keras_resnets.errors import ConfigError, nearest
from keras_resnets.layers.geometry import EXPANSION, ConvSpec, branch_convolutions

__all__ = [
    "ACTIVATION_ORDERS",
    "SHORTCUTS",
    "SURVIVAL_MODES",
    "BlockSpec",
    "NetworkConfig",
    "ResNetConfig",
    "config_from_dict",
]

ACTIVATION_ORDERS = ("post", "pre")
"""``post``: convolution-BN-ReLU, ReLU after the addition (He 2015). ``pre``: BN-ReLU-convolution,
nothing after the addition (He 2016, "full pre-activation")."""

SHORTCUTS = {
    "A": "pad",
    "B": "projection",
    "C": "projection",
    "D": "pool_projection",
    "A_pool": "pool_pad",
    "none": "none",
}
"""Shortcut options and the layer each one uses where the shape changes (He 2015, section 3.3; D is
He 2018's; A_pool is the 2x2 average pooling of Huang 2016). C projects in every block."""

SURVIVAL_MODES = ("batch", "sample")


@dataclass(frozen=True)
class BlockSpec:
    """One residual block of a network, with everything its layer needs.

    Attributes:
        name: Name of the block's node in the model graph, ``stage2_block3``.
        stage: Stage number, from 1.
        in_width: Channels that come in.
        width: Channels of the inner convolutions.
        out_width: Channels that go out.
        strides: Stride of the block.
        shortcut: Kind of the shortcut: ``identity``, ``pad``, ``pool_pad``, ``projection``,
            ``pool_projection`` or ``none``.
        survival: Survival probability of the branch.
    """

    name: str
    stage: int
    in_width: int
    width: int
    out_width: int
    strides: int
    shortcut: str
    survival: float

    @property
    def changes_shape(self) -> bool:
        """Whether the output has another shape than the input."""
        return self.strides != 1 or self.in_width != self.out_width


def _check(condition: bool, argument: str, expected: str, received: Any) -> None:
    if not condition:
        raise ConfigError(f"`{argument}` must be {expected}. Received: {argument}={received!r}")


def _is_int(value: Any, least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _int_tuple(argument: str, value: Any) -> tuple[int, ...]:
    ok = isinstance(value, list | tuple) and len(value) > 0 and all(_is_int(v) for v in value)
    _check(ok, argument, "a non-empty sequence of positive integers, one a stage", value)
    return tuple(value)


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """What every family shares: the images that come in and the classifier that comes out.

    Args:
        input_shape: ``(height, width, channels)`` of one image; height and width may be None.
            Always channels last, whatever the data format of the built model.
        input_mean: Mean of each channel of raw images, on the scale of the images (0 to 255), or
            None. When it is given the model takes raw ``uint8`` images and normalises them itself.
        input_std: Standard deviation of each channel; given if and only if `input_mean` is.
        include_top: Whether the network ends in a classifier.
        classes: Number of classes.
        classifier_activation: Activation of the classifier, ``"softmax"`` or None for logits.
        pooling: Without a classifier: None, ``"avg"`` or ``"max"``.

    Raises:
        ConfigError: An argument is illegal; the message names it and says what is expected.
    """

    family: ClassVar[str] = "network"

    input_shape: tuple[int | None, int | None, int] = (32, 32, 3)
    input_mean: tuple[float, ...] | None = None
    input_std: tuple[float, ...] | None = None
    include_top: bool = True
    classes: int = 10
    classifier_activation: str | None = "softmax"
    pooling: str | None = None

    def __post_init__(self):
        shape = self.input_shape
        ok = (
            isinstance(shape, list | tuple)
            and len(shape) == 3
            and all(size is None or _is_int(size) for size in shape[:2])
            and _is_int(shape[2])
        )
        _check(ok, "input_shape", "(height, width, channels), height and width may be None", shape)
        self._set(input_shape=tuple(shape))
        self._check_normalization()
        _check(isinstance(self.include_top, bool), "include_top", "a bool", self.include_top)
        _check(_is_int(self.classes), "classes", "a positive integer", self.classes)
        activation = self.classifier_activation
        _check(
            activation in (None, "softmax", "sigmoid", "linear"),
            "classifier_activation",
            "'softmax', 'sigmoid', 'linear' or None",
            activation,
        )
        _check(
            self.pooling in (None, "avg", "max"), "pooling", "None, 'avg' or 'max'", self.pooling
        )

    def _check_normalization(self):
        if self.input_mean is None and self.input_std is None:
            return
        channels = self.input_shape[2]
        for argument in ("input_mean", "input_std"):
            values = getattr(self, argument)
            ok = isinstance(values, list | tuple) and all(_is_number(v) for v in values)
            ok = ok and len(values) == channels
            _check(ok, argument, f"{channels} numbers, one a channel of input_shape", values)
            self._set(**{argument: tuple(float(v) for v in values)})
        _check(min(self.input_std) > 0, "input_std", "positive in every channel", self.input_std)

    def _set(self, **values):
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def takes_raw_images(self) -> bool:
        """Whether the model takes raw uint8 images and normalises them itself."""
        return self.input_mean is not None

    def replace(self, **changes) -> Self:
        """Return a copy with some fields changed, checked like any new configuration.

        Raises:
            ConfigError: A field does not exist (the nearest names are given) or is illegal.

        Example:
            >>> ResNetConfig(blocks=(3, 3, 3)).replace(classes=100).classes
            100
        """
        names = [field.name for field in dataclasses.fields(self)]
        for name in changes:
            if name not in names:
                raise ConfigError(
                    f"{type(self).__name__} has no field {name!r}{nearest(name, names)}"
                )
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as JSON-ready values; `config_from_dict` reads it back."""
        values = {"family": self.family}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            values[field.name] = list(value) if isinstance(value, tuple) else value
        return values

    def to_json(self, indent: int | None = 2) -> str:
        """Return the configuration as a JSON text."""
        return json.dumps(self.to_dict(), indent=indent)


@dataclass(frozen=True, kw_only=True)
class ResNetConfig(NetworkConfig):
    """A plain, residual, pre-activation, wide or stochastic-depth network.

    Args:
        blocks: Number of blocks of each stage.
        widths: Channels of each stage's inner convolutions. A basic block puts out as many, a
            bottleneck four times as many.
        strides: Stride of each stage's first block; by default 1, then 2 for every further stage.
        stem_width: Channels of the first convolution.
        block: ``"basic"`` (two 3x3 convolutions) or ``"bottleneck"`` (1x1, 3x3, 1x1).
        bottleneck_stride: Which convolution of a bottleneck has the stride: ``"1x1"`` (the first
            one, v1) or ``"3x3"`` (v1.5).
        activation_order: ``"post"`` (He 2015) or ``"pre"`` (He 2016).
        shortcut: ``"A"`` (subsample, append zero channels), ``"B"`` (1x1 projection where the shape
            changes), ``"C"`` (projection in every block), ``"D"`` (2x2 average pooling, then a 1x1
            projection), ``"A_pool"`` (2x2 average pooling, append zero channels) or ``"none"`` (a
            plain network).
        dropout: Rate of the dropout before a block's last convolution (Zagoruyko 2016).
        final_survival: Survival probability of the last block; the others' follow linearly,
            ``1 - l / L * (1 - final_survival)`` for block l of L, counted from 1 (Huang 2016, eq. 4).
        survival_mode: ``"batch"`` (one coin a block and batch, branch scaled at inference, as in
            the paper) or ``"sample"`` (one coin a sample, branch scaled in training).
        bn_momentum: Momentum of the moving statistics, in Keras' sense.
        bn_epsilon: Added to variances in batch normalisation.

    Raises:
        ConfigError: A field is illegal, or two fields disagree; the message names them.

    Example:
        >>> ResNetConfig(blocks=(3, 3, 3)).depth
        20

    Reference:
        He 2015 (arXiv:1512.03385), He 2016 (arXiv:1603.05027), Zagoruyko 2016 (arXiv:1605.07146),
        Huang 2016 (arXiv:1603.09382).
    """

    family: ClassVar[str] = "resnet"

    blocks: tuple[int, ...] = (3, 3, 3)
    widths: tuple[int, ...] = (16, 32, 64)
    strides: tuple[int, ...] | None = None
    stem_width: int = 16
    block: str = "basic"
    bottleneck_stride: str = "1x1"
    activation_order: str = "post"
    shortcut: str = "B"
    dropout: float = 0.0
    final_survival: float = 1.0
    survival_mode: str = "batch"
    bn_momentum: float = 0.9
    bn_epsilon: float = 1e-5

    def __post_init__(self):
        super().__post_init__()
        self._check_stages()
        self._check_choices()
        self._check_rates()
        if self.shortcut == "none" and self.final_survival < 1:
            raise ConfigError(
                "`final_survival` < 1 needs a shortcut to survive on, but `shortcut` is 'none': use "
                f"another shortcut or final_survival=1. Received: {self.final_survival!r}"
            )
        self._check_pad_grows()

    def _check_stages(self):
        self._set(blocks=_int_tuple("blocks", self.blocks))
        self._set(widths=_int_tuple("widths", self.widths))
        strides = self.strides
        if strides is None:
            strides = (1,) + (2,) * (len(self.blocks) - 1)
        self._set(strides=_int_tuple("strides", strides))
        for argument in ("widths", "strides"):
            values = getattr(self, argument)
            if len(values) != len(self.blocks):
                raise ConfigError(
                    f"`{argument}` and `blocks` must have one entry a stage each. "
                    f"Received: {argument}={values}, blocks={self.blocks}"
                )
        _check(_is_int(self.stem_width), "stem_width", "a positive integer", self.stem_width)

    def _check_choices(self):
        for argument, legal in (
            ("block", EXPANSION),
            ("bottleneck_stride", ("1x1", "3x3")),
            ("activation_order", ACTIVATION_ORDERS),
            ("shortcut", SHORTCUTS),
            ("survival_mode", SURVIVAL_MODES),
        ):
            value = getattr(self, argument)
            _check(value in tuple(legal), argument, f"one of {', '.join(legal)}", value)

    def _check_rates(self):
        for argument, expected, ok in (
            ("dropout", "a number in [0, 1)", lambda v: 0 <= v < 1),
            ("final_survival", "a number in (0, 1]", lambda v: 0 < v <= 1),
            ("bn_momentum", "a number in [0, 1)", lambda v: 0 <= v < 1),
            ("bn_epsilon", "a positive number", lambda v: v > 0),
        ):
            value = getattr(self, argument)
            _check(_is_number(value) and ok(value), argument, expected, value)
            self._set(**{argument: float(value)})

    def _check_pad_grows(self):
        if self.shortcut not in ("A", "A_pool"):
            return
        for spec in self.block_specs():
            if spec.out_width < spec.in_width:
                raise ConfigError(
                    f"`shortcut`={self.shortcut!r} appends channels and cannot remove them, but "
                    f"`widths` and `stem_width` make {spec.name} narrower than its input "
                    f"({spec.in_width} to {spec.out_width} channels): use shortcut 'B' or growing "
                    "widths"
                )

    @property
    def expansion(self) -> int:
        """Output channels of a block divided by its inner channels."""
        return EXPANSION[self.block]

    @property
    def depth(self) -> int:
        """Layers with weights on the longest path: stem, branch convolutions, classifier.

        Projections are not counted (He 2015); Zagoruyko's WRN-d counts three of them, so that
        WRN-16 has depth 14 here.
        """
        return 2 + len(branch_convolutions(self.block, 1)) * sum(self.blocks)

    @property
    def total_stride(self) -> int:
        """Input height divided by the height of the last feature map."""
        stride = 1
        for step in self.strides:
            stride *= step
        return stride

    def survival(self, block: int) -> float:
        """Survival probability of block number `block`, from 1 to the number of blocks."""
        return 1.0 - block / sum(self.blocks) * (1.0 - self.final_survival)

    def branch(self, spec: BlockSpec) -> list[ConvSpec]:
        """Return the convolutions on the branch of a block."""
        return branch_convolutions(self.block, spec.width, spec.strides, self.bottleneck_stride)

    def block_specs(self) -> list[BlockSpec]:
        """Return every block of the network, first to last."""
        specs = []
        in_width = self.stem_width
        for stage, (count, width, stride) in enumerate(
            zip(self.blocks, self.widths, self.strides, strict=True), start=1
        ):
            for index in range(1, count + 1):
                strides = stride if index == 1 else 1
                out_width = width * self.expansion
                specs.append(
                    BlockSpec(
                        name=f"stage{stage}_block{index}",
                        stage=stage,
                        in_width=in_width,
                        width=width,
                        out_width=out_width,
                        strides=strides,
                        shortcut=self._shortcut_kind(strides != 1 or in_width != out_width),
                        survival=self.survival(len(specs) + 1),
                    )
                )
                in_width = out_width
        return specs

    def _shortcut_kind(self, changes_shape: bool) -> str:
        if changes_shape or self.shortcut in ("C", "none"):
            return SHORTCUTS[self.shortcut]
        return "identity"


_FAMILIES: dict[str, type[NetworkConfig]] = {ResNetConfig.family: ResNetConfig}


def config_from_dict(values: dict[str, Any]) -> NetworkConfig:
    """Return the configuration that `NetworkConfig.to_dict` described.

    Args:
        values: The dict, ``family`` and fields; missing fields take their defaults.

    Raises:
        ConfigError: The family or a field is unknown, or a value is illegal.

    Example:
        >>> config_from_dict({"family": "resnet", "blocks": [3, 3, 3]}).depth
        20
    """
    if not isinstance(values, dict):
        raise ConfigError(f"a configuration must be a dict. Received: {values!r}")
    values = dict(values)
    family = values.pop("family", None)
    if family not in _FAMILIES:
        raise ConfigError(f"`family` must be one of {', '.join(_FAMILIES)}. Received: {family!r}")
    cls = _FAMILIES[family]
    names = [field.name for field in dataclasses.fields(cls)]
    for name in values:
        if name not in names:
            raise ConfigError(f"{cls.__name__} has no field {name!r}{nearest(name, names)}")
    return cls(**values)
