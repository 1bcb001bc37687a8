"""The configuration: one immutable value that says what a network is.

Pure Python: nothing here imports Keras, so configurations can be made, checked, compared and
costed before a framework is loaded. This module holds what every family shares; the families are
in `resnet_config` and `densenet_config`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

from keras_resnets.errors import ConfigError, nearest
from keras_resnets.layers.style import (
    ACTIVATIONS,
    ALIASES,
    DECAYS,
    INITIALIZERS,
    NORMALIZATIONS,
    Style,
)
from keras_resnets.models.checks import (
    MOST,
    check,
    check_choice,
    disagree,
    int_tuple,
    is_int,
    is_number,
)
from keras_resnets.models.heads import POOLINGS, plain_activation

__all__ = [
    "FAMILIES",
    "STEMS",
    "FeatureInfo",
    "NetworkConfig",
    "StageStep",
    "StemConv",
    "config_from_dict",
]

STEMS = ("cifar", "imagenet", "deep", "tiered")
"""``cifar``: a 3x3 convolution. ``imagenet``: 7x7 with stride 2. ``deep``: three 3x3 convolutions,
the first with stride 2, the first two half as wide (He 2018's ResNet-C). ``tiered``: the same, the
first three eighths as wide (timm's "t")."""

STEM_POOLS = ("none", "max", "conv", "blur")

FAMILIES: dict[str, type[NetworkConfig]] = {}
"""The configuration class of each family."""


class StemConv(NamedTuple):
    """One convolution of a stem, and what follows it.

    Attributes:
        kernel_size: Height and width of the kernel.
        filters: Channels that come out.
        strides: Stride.
        activation: ``"norm_relu"`` (normalisation and the network's activation), ``"norm"`` or
            ``"none"``.
    """

    kernel_size: int
    filters: int
    strides: int
    activation: str


class FeatureInfo(NamedTuple):
    """The feature map that a stage puts out.

    Attributes:
        name: Name of the stage, as in `Network.stages`.
        channels: Its channels (timm's ``num_chs``).
        stride: Height of the image divided by the map's (timm's ``reduction``).
    """

    name: str
    channels: int
    stride: int


class StageStep(NamedTuple):
    """How a stage begins: its stride, and the dilation before and behind that stride.

    Attributes:
        strides: Stride of the first block; 1 where `output_stride` has turned it into dilation.
        nominal: Stride that the stage would have without dilation.
        before: Dilation of what comes before the (former) stride.
        after: Dilation behind it.
    """

    strides: int
    nominal: int
    before: int
    after: int


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """What every family shares: images, stem, classifier, and how the layers are made.

    Args:
        input_shape: ``(height, width, channels)`` of one image; height and width may be None.
            Always channels last, whatever the data format of the built model.
        input_mean: Mean of each channel of raw images, on the scale of the images (0 to 255), or
            None. When it is given the model takes raw images, of uint8 or of floats, and normalises
            them itself.
        input_std: Standard deviation of each channel; given if and only if `input_mean` is.
        include_top: Whether the network ends in a classifier.
        classes: Number of classes.
        classifier_activation: Activation of the classifier: None for logits, the name of a Keras
            activation, or a function or layer without weights that Keras can save; kept as its
            name, or as Keras serialises it.
        pooling: Without a classifier: None, or one of `POOLINGS`: ``"avg"``, ``"max"``,
            ``"avgmax"`` (the mean of the two), ``"catavgmax"`` (both, one behind the other).
        head_pooling: The pooling in front of a classifier, one of the same.
        head_dropout: Rate of the dropout between that pooling and the classifier.
        stem: One of `STEMS`.
        stem_width: Channels that leave the stem.
        stem_pool: What follows the stem's convolutions: ``"none"``, ``"max"`` (3x3, stride 2),
            ``"conv"`` (3x3 with stride 2, ResNet-RS) or ``"blur"`` (maximum, then blur, Zhang
            2019). By default ``"none"`` for the CIFAR stem, ``"max"`` for the others.
        output_stride: Input height divided by the height of the last feature map: the strides
            beyond it become dilations (dense prediction). By default no stride does.
        dropout: Rate of the dropout: in front of every convolution of a residual branch but the
            first, behind every convolution of a dense layer.
        activation: What follows normalisations in stem, blocks and at the end: one of
            `ACTIVATIONS`, ``"relu"`` (the papers'), ``"silu"``, ``"gelu"``, ``"leaky_relu"``, ...;
            Keras' other names, ``"swish"``, are understood.
        normalization: ``"batch"`` or ``"group"``.
        norm_groups: Groups of group normalisation.
        bn_momentum: Momentum of batch normalisation's moving statistics, in Keras' sense.
        bn_epsilon: Added to variances in normalisation.
        weight_standardization: Whether kernels are used with mean 0 and variance 1 over each output
            channel (Qiao 2019).
        initializer: He-normal convolution kernels by ``"fan_in"`` or ``"fan_out"``.
        weight_decay: Decay of the trainable weights, as ``weight_decay / 2`` times their squared
            norm in the model's losses. Set it to 0 to leave decay to the optimizer; see
            `weight_decay_mask`.
        decay: Which weights decay: ``"all"`` (He 2015 and most after it), or ``"kernels"``, which
            spares normalisation and biases (He 2018).
        folded: Whether each batch normalisation that directly follows a convolution is folded into
            it, which has a bias instead: networks for inference, as
            `keras_resnets.surgery.fold_batch_norm` makes them.

    Raises:
        ConfigError: An argument is illegal, or two disagree; the message names them.
    """

    family: ClassVar[str] = "network"

    input_shape: tuple[int | None, int | None, int] = (32, 32, 3)
    input_mean: tuple[float, ...] | None = None
    input_std: tuple[float, ...] | None = None
    include_top: bool = True
    classes: int = 10
    classifier_activation: str | dict | Callable | None = "softmax"
    pooling: str | None = None
    head_pooling: str = "avg"
    head_dropout: float = 0.0
    stem: str = "cifar"
    stem_width: int = 16
    stem_pool: str | None = None
    output_stride: int | None = None
    dropout: float = 0.0
    activation: str = "relu"
    normalization: str = "batch"
    norm_groups: int = 32
    bn_momentum: float = 0.9
    bn_epsilon: float = 1e-5
    weight_standardization: bool = False
    initializer: str = "fan_in"
    weight_decay: float = 0.0
    decay: str = "all"
    folded: bool = False

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        FAMILIES[cls.family] = cls

    def __post_init__(self):
        shape = self.input_shape
        ok = (
            isinstance(shape, list | tuple)
            and len(shape) == 3
            and all(size is None or is_int(size) for size in shape[:2])
            and is_int(shape[2])
        )
        expected = "(height, width, channels), positive integers; height and width may be None"
        check(ok, "input_shape", expected, shape)
        self._set(input_shape=tuple(None if size is None else int(size) for size in shape))
        self._check_input_statistics()
        self._check_count("classes", self.classes)
        for name in ("include_top", "weight_standardization", "folded"):
            check(isinstance(getattr(self, name), bool), name, "a bool", getattr(self, name))
        self._check_names()
        self._check_numbers()
        self._check_head()
        self._check_stem()
        if self.folded and self.normalization != "batch":
            why = "only batch normalisation is the same function of every image"
            raise disagree("folded", "normalization", vars(self), why)

    def _check_input_statistics(self):
        if self.input_mean is None and self.input_std is None:
            return
        channels = self.input_shape[2]
        for argument in ("input_mean", "input_std"):
            values = getattr(self, argument)
            values = values.tolist() if hasattr(values, "tolist") else values
            ok = isinstance(values, list | tuple) and all(is_number(v) for v in values)
            ok = ok and len(values) == channels
            check(ok, argument, f"{channels} numbers, one a channel of input_shape", values)
            self._set(**{argument: tuple(float(v) for v in values)})
        check(min(self.input_std) > 0, "input_std", "positive in every channel", self.input_std)

    def _check_names(self):
        if isinstance(self.activation, str):
            self._set(activation=ALIASES.get(self.activation, self.activation))
        for argument, legal in (
            ("pooling", (*POOLINGS, None)),
            ("head_pooling", POOLINGS),
            ("stem", STEMS),
            ("stem_pool", (*STEM_POOLS, None)),
            ("activation", ACTIVATIONS),
            ("normalization", NORMALIZATIONS),
            ("initializer", INITIALIZERS),
            ("decay", DECAYS),
        ):
            check_choice(argument, getattr(self, argument), legal)

    def _check_numbers(self):
        rate = "a number in [0, 1)"
        for argument, expected, legal in (
            ("dropout", rate, lambda v: 0 <= v < 1),
            ("head_dropout", rate, lambda v: 0 <= v < 1),
            ("bn_momentum", rate, lambda v: 0 <= v < 1),
            ("bn_epsilon", "a positive number", lambda v: v > 0),
            ("weight_decay", "a number of at least 0", lambda v: v >= 0),
        ):
            self._check_number(argument, expected, legal)
        self._check_count("norm_groups", self.norm_groups)

    def _check_head(self):
        activation = plain_activation("classifier_activation", self.classifier_activation)
        self._set(classifier_activation=activation)
        if self.include_top:
            if self.pooling not in (None, "avg"):  # "avg", which keras.applications' users write
                why = "it is the pooling of a network without a classifier; see head_pooling"
                raise disagree("pooling", "include_top", vars(self), why)
            return
        for name, neutral in (("head_pooling", "avg"), ("head_dropout", 0.0)):
            if getattr(self, name) != neutral:
                raise disagree(name, "include_top", vars(self), "there is no classifier")

    def _check_count(self, argument, value):
        expected = f"a positive integer of at most {MOST:,}"
        check(is_int(value) and value <= MOST, argument, expected, value)
        self._set(**{argument: int(value)})

    def _check_number(self, argument, expected, legal):
        value = getattr(self, argument)
        check(is_number(value) and legal(value), argument, expected, value)
        self._set(**{argument: float(value)})

    def _check_stem(self):
        self._check_count("stem_width", self.stem_width)
        least = {"deep": 2, "tiered": 8}.get(self.stem, 1)
        if self.stem_width % least:
            raise ConfigError(
                f"`stem_width` must be a multiple of {least} with `stem`={self.stem!r}. "
                f"Received: stem_width={self.stem_width!r}"
            )
        if self.stem_pool is None:
            self._set(stem_pool="none" if self.stem == "cifar" else "max")

    def _check_output_stride(self):
        """Check `output_stride` against the strides of stem and stages."""
        if self.output_stride is None:
            return
        legal = [self.stem_stride]
        for stride in self.stage_strides:
            legal.append(legal[-1] * stride)
        legal = sorted(set(legal))
        if self.output_stride not in legal or isinstance(self.output_stride, bool):
            raise ConfigError(
                f"`output_stride` must be one of {', '.join(map(str, legal))}, what `stem` and "
                f"the stages behind it reach. Received: output_stride={self.output_stride!r}, "
                f"stem={self.stem!r}, stages of strides {self.stage_strides}"
            )
        self._set(output_stride=int(self.output_stride))

    def _check_groups(self, widths):
        """Check that every width that is normalised has whole groups."""
        if self.normalization != "group":
            return
        for what, width in widths:
            if width % self.norm_groups:
                raise ConfigError(
                    f"`norm_groups` and `{what}` disagree: group normalisation needs whole groups, "
                    f"but {width} channels come from {what}. "
                    f"Received: norm_groups={self.norm_groups}, {what}={getattr(self, what)!r}"
                )

    def _set(self, **values):
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def takes_raw_images(self) -> bool:
        """Whether the model takes raw images and normalises them itself."""
        return self.input_mean is not None

    @property
    def style(self) -> Style:
        """How the network's convolutions and normalisations are made."""
        return Style(
            normalization=self.normalization,
            momentum=self.bn_momentum,
            epsilon=self.bn_epsilon,
            groups=self.norm_groups,
            weight_standardization=self.weight_standardization,
            initializer=self.initializer,
            weight_decay=self.weight_decay,
            decay=self.decay,
            folded=self.folded,
            activation=self.activation,
        )

    @property
    def depth(self) -> int:
        """Layers with weights on the longest path."""
        raise TypeError(f"{type(self).__name__} is no family of networks")

    @property
    def stage_strides(self) -> tuple[int, ...]:
        """Stride at the beginning of each stage, before any becomes dilation."""
        raise TypeError(f"{type(self).__name__} is no family of networks")

    @property
    def stem_activation(self) -> str:
        """What follows the stem's last convolution: ``norm_relu``, ``norm`` or ``none``."""
        return "norm_relu"

    def stem_convolutions(self) -> list[StemConv]:
        """Return the stem's convolutions, first to last."""
        width = self.stem_width
        rows = {
            "cifar": [(3, width, 1)],
            "imagenet": [(7, width, 2)],
            "deep": [(3, width // 2, 2), (3, width // 2, 1), (3, width, 1)],
            "tiered": [(3, 3 * width // 8, 2), (3, width // 2, 1), (3, width, 1)],
        }[self.stem]
        if self.stem_pool == "conv":
            rows = [*rows, (3, width, 2)]
        last = len(rows) - 1
        return [
            StemConv(*row, activation=self.stem_activation if i == last else "norm_relu")
            for i, row in enumerate(rows)
        ]

    @property
    def stem_stride(self) -> int:
        """Input height divided by the height of what leaves the stem."""
        stride = 2 if self.stem_pool in ("max", "blur") else 1
        for conv in self.stem_convolutions():
            stride *= conv.strides
        return stride

    def stage_steps(self) -> list[StageStep]:
        """Return each stage's stride and dilations (`output_stride`)."""
        steps = []
        reached, dilation = self.stem_stride, 1
        for stride in self.stage_strides:
            if self.output_stride is None or reached * stride <= self.output_stride:
                reached *= stride
                steps.append(StageStep(stride, stride, dilation, dilation))
            else:
                steps.append(StageStep(1, stride, dilation, dilation * stride))
                dilation *= stride
        return steps

    @property
    def total_stride(self) -> int:
        """Input height divided by the height of the last feature map."""
        stride = self.stem_stride
        for step in self.stage_steps():
            stride *= step.strides
        return stride

    @property
    def feature_info(self) -> tuple[FeatureInfo, ...]:
        """Channels and stride of each stage's feature map, without building the network.

        Example:
            >>> ResNetConfig().feature_info[-1]
            FeatureInfo(name='stage3', channels=64, stride=4)
        """
        channels = {}
        for spec in self.block_specs():
            if spec.stage and not getattr(spec, "transition", False):
                channels[spec.stage] = getattr(spec, "out_width", None) or spec.filters
        stride, found = self.stem_stride, []
        for (stage, count), step in zip(channels.items(), self.stage_steps(), strict=True):
            stride *= step.strides
            found.append(FeatureInfo(f"stage{stage}", count, stride))
        return tuple(found)

    def replace(self, **changes) -> Self:
        """Return a copy with some fields changed, checked like any new configuration.

        Raises:
            ConfigError: A field does not exist (the nearest names are given) or is illegal.

        Example:
            >>> ResNetConfig(blocks=(3, 3, 3)).replace(classes=100).classes
            100
        """
        self._check_fields(changes)
        return dataclasses.replace(self, **changes)

    @classmethod
    def _check_fields(cls, names):
        known = [field.name for field in dataclasses.fields(cls)]
        for name in names:
            if name not in known:
                raise ConfigError(f"{cls.__name__} has no field {name!r}{nearest(name, known)}")

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as JSON-ready values; `config_from_dict` reads it back."""
        values = {"family": self.family}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            values[field.name] = _json_ready(value)
        return values

    def to_json(self, indent: int | None = 2) -> str:
        """Return the configuration as a JSON text."""
        return json.dumps(self.to_dict(), indent=indent)


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
    import keras_resnets.models.families  # noqa: F401  the classes register themselves

    if not isinstance(values, dict):
        raise ConfigError(f"a configuration must be a dict. Received: {values!r}")
    values = dict(values)
    family = values.pop("family", None)
    if not isinstance(family, str) or family not in FAMILIES:
        raise ConfigError(f"`family` must be one of {', '.join(FAMILIES)}. Received: {family!r}")
    cls = FAMILIES[family]
    cls._check_fields(values)
    return cls(**_of_today(values))


def _of_today(values: dict[str, Any]) -> dict[str, Any]:
    """Return fields as they are written today.

    Before `head_pooling` was a field, a `pooling` beside a classifier was kept and of no effect.
    """
    names = {field.name for field in dataclasses.fields(NetworkConfig)}
    whole = names - values.keys() <= _LATER  # what `to_dict` wrote, not a user
    if whole and "head_pooling" not in values and values["include_top"]:
        return values | {"pooling": None}
    return values


_LATER = {"head_pooling", "head_dropout", "activation"}
"""Fields that came after configurations had been saved in files."""


def _json_ready(value):
    if isinstance(value, dict):
        return json.loads(json.dumps(value))
    return list(value) if isinstance(value, tuple) else value


def stage_sequence(argument: str, value: Any, stages: int) -> tuple[int, ...]:
    """Return `value` as a tuple of one positive integer a stage.

    Raises:
        ConfigError: It is none, or has another length than `blocks`.
    """
    value = int_tuple(argument, value)
    if len(value) != stages:
        raise ConfigError(
            f"`{argument}` and `blocks` must have one entry a stage each. "
            f"Received: {argument}={value} for {stages} stages"
        )
    return value
