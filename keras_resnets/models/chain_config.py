"""The configuration of chains: one convolution after another, nothing beside them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from keras_resnets.layers.geometry import ConvSpec
from keras_resnets.models.checks import MOST, check, check_choice, is_int
from keras_resnets.models.config import NetworkConfig, config_from_dict

__all__ = ["ChainConfig", "ChainSpec", "Reduction"]

HOWS = ("subsample", "average", "blur")


class Reduction(NamedTuple):
    """Fewer pixels behind a convolution of a chain, by other means for some of its channels.

    Attributes:
        parts: ``(channels, how)`` of each group of channels, in order; ``how`` is ``"subsample"``,
            ``"average"`` or ``"blur"``.
        strides: Stride.
        pool_size: Side of the window of the averages.
        dilation: Distance of the averaged pixels.
    """

    parts: tuple[tuple[int, str], ...]
    strides: int
    pool_size: int = 2
    dilation: int = 1


class ChainSpec(NamedTuple):
    """One convolution of a chain, with a bias, and what follows it.

    Attributes:
        name: Name of the layer, ``stage1_block1_conv1``.
        kernel_size: Height and width of the kernel.
        filters: Channels that come out.
        strides: Stride.
        dilation: Distance of the kernel's taps.
        groups: Groups of channels that do not see each other.
        relu: Whether a ReLU follows.
        reduction: `Reduction` behind it, or None.
    """

    name: str
    kernel_size: int
    filters: int
    strides: int = 1
    dilation: int = 1
    groups: int = 1
    relu: bool = True
    reduction: Reduction | None = None

    @property
    def stage(self) -> int:
        """Stage number, from 1; 0 for what belongs to the stem."""
        number = self.name.partition("_")[0].removeprefix("stage")
        return int(number) if number.isdecimal() else 0

    @property
    def shortcut(self) -> str:
        """``"none"``: nothing lies beside a convolution."""
        return "none"

    @property
    def conv(self) -> ConvSpec:
        """The convolution alone."""
        return ConvSpec(self.kernel_size, self.filters, self.strides, self.dilation, self.groups)


@dataclass(frozen=True, kw_only=True)
class ChainConfig(NetworkConfig):
    """A plain chain of biased convolutions and ReLUs between a stem and a classifier.

    What `keras_resnets.surgery.to_plain` turns residual networks into: no addition, no shortcut.

    Args:
        convolutions: The convolutions behind the stem, a sequence of `ChainSpec` (or of their
            fields).
        stem_end: What follows the stem's last convolution: ``"norm_relu"``, ``"norm"`` or
            ``"none"``.
        origin: Configuration of the residual network that the chain was made from, or None.
        **others: `NetworkConfig`'s.

    Raises:
        ConfigError: A field is illegal; the message names it.

    Example:
        >>> rows = [("stage1_block1_conv1", 3, 32), ("stage1_block1_conv2", 3, 16)]
        >>> ChainConfig(convolutions=rows).depth
        4

    Reference:
        Meng 2021, arXiv:2111.00687 (residual networks without residuals).
    """

    family: ClassVar[str] = "chain"

    convolutions: tuple[ChainSpec, ...] = ()
    stem_end: str = "norm_relu"
    origin: NetworkConfig | None = None

    def __post_init__(self):
        super().__post_init__()
        expected = "'relu' in a chain, whose convolutions hand channels on through it"
        check(self.activation == "relu", "activation", expected, self.activation)
        check_choice("stem_end", self.stem_end, ("norm_relu", "norm", "none"))
        ok = isinstance(self.convolutions, list | tuple)
        check(ok, "convolutions", "a sequence of ChainSpec", self.convolutions)
        self._set(convolutions=tuple(map(_spec, self.convolutions)))
        names = [spec.name for spec in self.convolutions]
        check(len({*names}) == len(names), "convolutions", "of different names", names)
        width = self.stem_width
        for spec in self.convolutions:
            expected = f"groups that divide {width} and {spec.filters} channels"
            legal = width % spec.groups == 0 and spec.filters % spec.groups == 0
            check(legal, "convolutions", expected, spec)
            width = spec.filters
        if isinstance(self.origin, dict):
            self._set(origin=config_from_dict(self.origin))
        ok = self.origin is None or isinstance(self.origin, NetworkConfig)
        check(ok, "origin", "None or a configuration", self.origin)

    @property
    def depth(self) -> int:
        """Layers with weights: stem, convolutions, classifier."""
        return 2 + len(self.convolutions)

    @property
    def stage_strides(self) -> tuple[int, ...]:
        """Stride of each stage, as a whole."""
        strides: dict[int, int] = {}
        for spec in self.convolutions:
            step = spec.strides * (spec.reduction.strides if spec.reduction else 1)
            strides[spec.stage] = strides.get(spec.stage, 1) * step
        return tuple(stride for stage, stride in strides.items() if stage)

    @property
    def blocks(self) -> tuple[int, ...]:
        """Number of convolutions of each stage."""
        counts = Counter(spec.stage for spec in self.convolutions)
        return tuple(count for stage, count in counts.items() if stage)

    @property
    def stem_activation(self) -> str:
        """What follows the stem's last convolution."""
        return self.stem_end

    def block_specs(self) -> list[ChainSpec]:
        """Return every convolution behind the stem, first to last."""
        return list(self.convolutions)

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as JSON-ready values."""
        origin = None if self.origin is None else self.origin.to_dict()
        return {**super().to_dict(), "origin": origin}


def _spec(value) -> ChainSpec:
    """Return one convolution, checked."""
    expected = "ChainSpec, or their fields in order"
    least, most = 3, len(ChainSpec._fields)
    ok = isinstance(value, list | tuple) and least <= len(value) <= most
    check(ok, "convolutions", expected, value)
    spec = ChainSpec(*value)
    counts = (spec.kernel_size, spec.filters, spec.strides, spec.dilation, spec.groups)
    ok = isinstance(spec.name, str) and all(is_int(n) and n <= MOST for n in counts)
    ok = ok and spec.kernel_size % 2 == 1 and isinstance(spec.relu, bool)
    check(ok, "convolutions", f"{expected}: a name, an odd size, counts and a bool", value)
    if spec.reduction is None:
        return spec
    reduction = Reduction(*spec.reduction)
    parts = tuple((int(channels), how) for channels, how in reduction.parts)
    ok = sum(channels for channels, _ in parts) == spec.filters
    ok = ok and all(how in HOWS for _, how in parts)
    check(ok, "convolutions", f"reductions of all filters, each one of {', '.join(HOWS)}", value)
    return spec._replace(reduction=reduction._replace(parts=parts))
