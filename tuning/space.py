"""What is searched, and what a candidate may cost.

Pure Python: no candidate is built to judge it.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from dataclasses import dataclass
from typing import Any

from keras_resnets.errors import ConfigError
from keras_resnets.models.checks import check, is_int
from keras_resnets.models.cost import Complexity, complexity
from keras_resnets.models.families import ResNetConfig

__all__ = ["Budget", "SearchSpace"]

_STRUCTURE = ("block", "activation_order", "blocks_per_stage", "width")
"""Choices that change a candidate's cost."""


@dataclass(frozen=True)
class Budget:
    """The most that a candidate may cost.

    Args:
        max_params: Trainable parameters, or None for any number.
        max_macs: Multiply-adds for one image, or None.

    Raises:
        ConfigError: A limit is not a positive integer.
    """

    max_params: int | None = None
    max_macs: int | None = None

    def __post_init__(self):
        for name in ("max_params", "max_macs"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value is True or value < 1):
                raise ConfigError(
                    f"`{name}` must be a positive integer or None. Received: {name}={value!r}"
                )

    def excess(self, cost: Complexity) -> str | None:
        """Say which limit a cost exceeds, or None."""
        if self.max_params is not None and cost.trainable_params > self.max_params:
            return f"{cost.trainable_params:,} parameters, more than max_params={self.max_params:,}"
        if self.max_macs is not None and cost.macs > self.max_macs:
            return f"{cost.macs:,} multiply-adds, more than max_macs={self.max_macs:,}"
        return None


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """The candidates: every combination of these choices.

    Args:
        blocks: Kinds of block.
        activation_orders: Activation orders.
        blocks_per_stage: Blocks in each of the stages; the depth follows.
        widths: Channels of the first stage; each further stage doubles them.
        final_survivals: Survival probabilities of the last block (1: no stochastic depth).
        learning_rates: Lowest and highest peak learning rate, searched on a logarithmic scale.
        stages: Number of stages.

    Raises:
        ConfigError: A choice is empty or illegal.
    """

    blocks: tuple[str, ...] = ("basic", "bottleneck")
    activation_orders: tuple[str, ...] = ("post", "pre")
    blocks_per_stage: tuple[int, ...] = (1, 2, 3)
    widths: tuple[int, ...] = (8, 16, 32, 48)
    final_survivals: tuple[float, ...] = (1.0, 0.9, 0.8, 0.5)
    learning_rates: tuple[float, float] = (0.03, 0.3)
    stages: int = 3

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name == "stages":
                continue
            if not isinstance(value, list | tuple) or not value:
                raise ConfigError(
                    f"`{field.name}` must be a non-empty sequence. Received: {value!r}"
                )
            object.__setattr__(self, field.name, tuple(value))
            if field.name in ("blocks_per_stage", "widths"):
                check(all(map(is_int, value)), field.name, "positive integers", value)
            if field.name != "learning_rates" and any(value.count(v) > 1 for v in value):
                raise ConfigError(f"`{field.name}` must not repeat a choice. Received: {value!r}")
        if not isinstance(self.stages, int) or self.stages < 1:
            raise ConfigError(f"`stages` must be a positive integer. Received: {self.stages!r}")
        self._check_learning_rates()
        for values in self.structures():  # refuses an illegal choice by the configuration's words
            for survival in self.final_survivals:
                self.config(values | {"final_survival": survival})
        # keras-tuner wants all choices of one type: 1 beside 0.5 is 1.0.
        object.__setattr__(self, "final_survivals", tuple(map(float, self.final_survivals)))

    def _check_learning_rates(self):
        rates = self.learning_rates
        ok = len(rates) == 2 and all(isinstance(rate, int | float) for rate in rates)
        if not ok or not 0 < rates[0] <= rates[1] < math.inf:
            raise ConfigError(
                f"`learning_rates` must be (lowest, highest), both positive. Received: {rates}"
            )

    def declare(self, hp) -> dict[str, Any]:
        """Register the choices with a `keras_tuner.HyperParameters`; return the chosen values."""
        return {
            "block": hp.Choice("block", list(self.blocks)),
            "activation_order": hp.Choice("activation_order", list(self.activation_orders)),
            "blocks_per_stage": hp.Choice("blocks_per_stage", list(self.blocks_per_stage)),
            "width": hp.Choice("width", list(self.widths)),
            **self._declare_rest(hp),
        }

    def _declare_rest(self, hp) -> dict[str, Any]:
        low, high = self.learning_rates
        return {
            "final_survival": hp.Choice("final_survival", list(self.final_survivals)),
            "learning_rate": (
                hp.Fixed("learning_rate", low)
                if low == high
                else hp.Float("learning_rate", low, high, sampling="log")
            ),
        }

    def declare_within(self, hp, structures: list[dict[str, Any]]) -> dict[str, Any]:
        """Register only these structures, as one choice named ``structure``; return the values.

        For tuners that know no budget: whatever they draw is one of the structures. (Conditional
        choices of one name would say it too, but keras-tuner drops the values of such.)

        Args:
            hp: A `keras_tuner.HyperParameters`.
            structures: Some of `structures`, not empty.
        """
        names = {" ".join(str(s[name]) for name in _STRUCTURE): s for s in structures}
        return {**names[hp.Choice("structure", list(names))], **self._declare_rest(hp)}

    def config(self, values: dict[str, Any], base: ResNetConfig | None = None) -> ResNetConfig:
        """Return the configuration that chosen values stand for.

        Args:
            values: The value of each choice, as `declare` names them; others are ignored.
            base: Configuration that gives the rest: input, classes, shortcut.

        Raises:
            ConfigError: A value is illegal.
        """
        base = ResNetConfig() if base is None else base
        width = values["width"]
        return base.replace(
            block=values["block"],
            activation_order=values["activation_order"],
            blocks=(values["blocks_per_stage"],) * self.stages,
            widths=tuple(width * 2**stage for stage in range(self.stages)),
            strides=None,
            stem_width=width,
            final_survival=values["final_survival"],
        )

    def structures(self) -> list[dict[str, Any]]:
        """Return every combination of the choices that change a candidate's cost."""
        choices = (self.blocks, self.activation_orders, self.blocks_per_stage, self.widths)
        return [
            dict(zip(_STRUCTURE, combination, strict=True))
            for combination in itertools.product(*choices)
        ]

    def within(self, budget: Budget, base: ResNetConfig) -> list[dict[str, Any]]:
        """Return the structures whose cost is within a budget.

        Raises:
            ConfigError: None is; the message says what the cheapest would cost.
        """
        costs = self._costs(base)
        fitting = [values for values, cost in costs if budget.excess(cost) is None]
        if not fitting:
            params, macs = self.cheapest(base)
            raise ConfigError(
                f"no candidate is within the budget (max_params={budget.max_params}, "
                f"max_macs={budget.max_macs}): the smallest has {params:,} parameters, the "
                f"cheapest {macs:,} multiply-adds"
            )
        return fitting

    def cheapest(self, base: ResNetConfig) -> tuple[int, int]:
        """Return the parameters of the smallest candidate, and the multiply-adds of the cheapest.

        Example:
            >>> SearchSpace().cheapest(ResNetConfig(input_shape=(8, 8, 1), classes=10))
        """
        costs = [cost for _, cost in self._costs(base)]
        return min(c.trainable_params for c in costs), min(c.macs for c in costs)

    def _costs(self, base: ResNetConfig) -> list[tuple[dict[str, Any], Complexity]]:
        # Free of cost, but not every base can have one.
        survival = {"final_survival": min(self.final_survivals)}
        return [
            (values, complexity(self.config(values | survival, base)))
            for values in self.structures()
        ]
