"""How the convolutions and normalisations of a network are made: one immutable value.

Pure Python; `keras_resnets.layers.parts` makes layers from it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = ["ACTIVATIONS", "ALIASES", "DECAYS", "INITIALIZERS", "NORMALIZATIONS", "Style"]


class Activation(NamedTuple):
    """What surgery must know of an activation.

    Attributes:
        title: What it is called.
        idempotent: Whether it leaves alone what it has put out.
        homogeneous: Whether a positive factor in front of it is the same behind it.
    """

    title: str
    idempotent: bool = False
    homogeneous: bool = False


ACTIVATIONS = {
    "relu": Activation("ReLU", idempotent=True, homogeneous=True),
    "relu6": Activation("ReLU6", idempotent=True),
    "leaky_relu": Activation("leaky ReLU", homogeneous=True),
    "elu": Activation("ELU"),
    "gelu": Activation("GELU"),
    "silu": Activation("SiLU"),
    "hard_silu": Activation("hard SiLU"),
    "mish": Activation("Mish"),
}
"""Activations of the blocks, by their names in `keras.activations`, with Keras' defaults (a slope
of 0.2 in leaky ReLU, GELU by the error function)."""

ALIASES = {"swish": "silu", "hard_swish": "hard_silu"}
"""Other names that `keras.activations` knows."""

NORMALIZATIONS = {"batch": "bn", "group": "gn"}
"""Kinds of normalisation, and how their layers are named."""

INITIALIZERS = ("fan_in", "fan_out")

DECAYS = ("all", "kernels")


@dataclass(frozen=True, kw_only=True)
class Style:
    """How convolutions and normalisations are made.

    Args:
        normalization: ``"batch"`` (Ioffe 2015) or ``"group"`` (Wu 2018).
        momentum: Momentum of batch normalisation's moving statistics, in Keras' sense.
        epsilon: Added to variances.
        groups: Groups of group normalisation.
        weight_standardization: Whether kernels have mean 0 and variance 1 over each output channel
            whenever they are used (Qiao 2019).
        initializer: He-normal kernels by ``"fan_in"`` or ``"fan_out"`` (He 2015,
            arXiv:1502.01852, eq. 10 and 14).
        weight_decay: Decay of the weights, as ``weight_decay / 2`` times their squared norm in the
            loss.
        decay: Which weights decay: ``"all"``, or ``"kernels"`` alone.
        folded: Whether each normalisation that directly follows a convolution is folded into it,
            which has a bias instead.
        activation: One of `ACTIVATIONS`; squeeze-and-excitation keeps its ReLU, as in its paper and
            in timm.

    Raises:
        ValueError: A value is illegal.

    Example:
        >>> Style(normalization="group").groups
        32
    """

    normalization: str = "batch"
    momentum: float = 0.9
    epsilon: float = 1e-5
    groups: int = 32
    weight_standardization: bool = False
    initializer: str = "fan_in"
    weight_decay: float = 0.0
    decay: str = "all"
    folded: bool = False
    activation: str = "relu"

    def __post_init__(self):
        if isinstance(self.activation, str):
            known = ALIASES.get(self.activation, self.activation)
            object.__setattr__(self, "activation", known)
        for name, legal in (
            ("normalization", NORMALIZATIONS),
            ("initializer", INITIALIZERS),
            ("decay", DECAYS),
            ("activation", ACTIVATIONS),
        ):
            value = getattr(self, name)
            if value not in tuple(legal):
                raise ValueError(
                    f"`{name}` must be one of {', '.join(legal)}. Received: {name}={value!r}"
                )

        for name, expected, legal in (
            ("momentum", "in [0, 1)", lambda v: 0 <= v < 1),
            ("epsilon", "positive", lambda v: v > 0),
            ("groups", "a positive integer", lambda v: isinstance(v, int) and v > 0),
            ("weight_decay", "at least 0", lambda v: v >= 0),
        ):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not legal(value):
                raise ValueError(f"`{name}` must be {expected}. Received: {name}={value!r}")

    @classmethod
    def of(cls, value: Style | dict[str, Any] | None) -> Style:
        """Return a style given as such, as its dict, or as None for the default."""
        if value is None:
            return cls()
        return value if isinstance(value, Style) else cls(**value)

    def to_dict(self) -> dict[str, Any]:
        """Return the style as JSON-ready values."""
        return dataclasses.asdict(self)
