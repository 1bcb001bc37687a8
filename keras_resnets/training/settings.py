"""How a network is trained, as one immutable value."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from keras_resnets.errors import ConfigError

__all__ = ["PRECISIONS", "TrainingSettings", "check_execution"]

PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")


def check_execution(precision: str, xla: bool | None) -> None:
    """Raise `ConfigError` for a precision that is unknown or an `xla` that is no choice."""
    if precision not in PRECISIONS:
        raise ConfigError(
            f"`precision` must be one of {', '.join(PRECISIONS)}. Received: precision={precision!r}"
        )
    if xla is not None and not isinstance(xla, bool):
        raise ConfigError(f"`xla` must be None or a bool. Received: xla={xla!r}")


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """SGD with Nesterov momentum under a warm-up and a cosine.

    Args:
        epochs: Epochs of the whole schedule.
        batch_size: Images a step.
        learning_rate: Peak of the schedule.
        momentum: Nesterov momentum.
        weight_decay: Decoupled weight decay of all weights, relative to the learning rate.
        warmup: Part of the steps in which the learning rate rises from zero.
        augment: Whether images are shifted, and mirrored where the data set allows it.
        precision: Dtype policy to train under, ``"auto"`` for what is fastest on the device
            (float32 on a CPU, see `choose_execution`).
        xla: Whether XLA compiles the training steps, None for what is fastest on the device.
        seed: Fixes the weights, the order of the data, the augmentation and stochastic depth.

    Raises:
        ConfigError: A value is illegal; the message names it.

    Example:
        >>> TrainingSettings(epochs=10).learning_rate
        0.1
    """

    epochs: int = 30
    batch_size: int = 64
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup: float = 0.15
    augment: bool = True
    precision: str = "auto"
    xla: bool | None = None
    seed: int = 0

    def __post_init__(self):
        checks = (
            ("epochs", "a positive integer", lambda v: isinstance(v, int) and v > 0),
            ("batch_size", "a positive integer", lambda v: isinstance(v, int) and v > 0),
            ("learning_rate", "a positive number", lambda v: 0 < v < math.inf),
            ("momentum", "a number in [0, 1)", lambda v: 0 <= v < 1),
            ("weight_decay", "a number of at least 0", lambda v: 0 <= v < math.inf),
            ("warmup", "a number in [0, 1)", lambda v: 0 <= v < 1),
            ("seed", "an integer in [0, 2**31)", lambda v: isinstance(v, int) and 0 <= v < 2**31),
        )
        if not isinstance(self.augment, bool):
            raise ConfigError(f"`augment` must be a bool. Received: augment={self.augment!r}")
        check_execution(self.precision, self.xla)
        for name, expected, legal in checks:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not legal(value):
                raise ConfigError(f"`{name}` must be {expected}. Received: {name}={value!r}")

    def replace(self, **changes) -> TrainingSettings:
        """Return a copy with some values changed, checked like any new settings."""
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON-ready values."""
        return dataclasses.asdict(self)
