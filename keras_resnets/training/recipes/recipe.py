"""What a recipe says, checked."""

from __future__ import annotations

from typing import Any, Literal, Self

import pydantic
from pydantic import Field

from keras_resnets.data.augmentation import Augmentation
from keras_resnets.errors import ConfigError
from keras_resnets.schema import Numbers, Schema

__all__ = ["Loss", "Optimizer", "Recipe", "Schedule", "Transfer", "displaced"]

_DISPLACES = {
    "epochs": {"min_steps": 0},
    "iterations": {"min_steps": 0},
    "batch_size": {"min_epoch_steps": 0},
    "ema": {"ema_memory": None},
    "ema_memory": {"ema": None},
}
"""What a setting puts out of force in the recipe below it: a number that is given holds."""


class Optimizer(Schema):
    """The ``[optimizer]`` table: Keras' optimizer and the weights' decay.

    Attributes:
        name: ``"sgd"``, ``"adamw"`` or ``"lamb"``.
        learning_rate: Peak of the schedule, for batches of the recipe's size.
        scaling: What becomes of the peak with another batch size: ``"none"``, nothing;
            ``"linear"``, it is multiplied by the ratio of the sizes (Goyal 2017); ``"sqrt"``, by
            the ratio's root (Krizhevsky 2014).
        momentum: Of SGD.
        nesterov: Whether SGD's momentum is Nesterov's.
        beta_1: Of AdamW and LAMB, like the next two.
        beta_2: See there.
        epsilon: See there.
        weight_decay: Decay of the weights.
        decay: ``"l2"``, added to the gradient, as the papers' code does; ``"decoupled"``, the
            weights shrink by the decay times the learning rate (Loshchilov 2017). LAMB's is
            inside its trust ratio (You 2019, algorithm 2).
        decayed: ``"all"`` weights, or ``"kernels"`` alone: no BN scales and offsets, no biases.
        clip_norm: Largest norm of the whole gradient, None for any.
    """

    name: Literal["sgd", "adamw", "lamb"] = "sgd"
    learning_rate: float = Field(0.1, gt=0)
    scaling: Literal["none", "linear", "sqrt"] = "none"
    momentum: float = Field(0.9, ge=0, lt=1)
    nesterov: bool = False
    beta_1: float = Field(0.9, ge=0, lt=1)
    beta_2: float = Field(0.999, ge=0, lt=1)
    epsilon: float = Field(1e-6, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    decay: Literal["l2", "decoupled"] = "l2"
    decayed: Literal["all", "kernels"] = "all"
    clip_norm: float | None = Field(None, gt=0)

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if self.nesterov and not self.momentum:
            raise ValueError(
                "`optimizer.nesterov` needs a `momentum`. Received: nesterov=True, momentum=0.0"
            )
        return self


class Schedule(Schema):
    """The ``[schedule]`` table: the learning rate over a run, relative to its peak.

    Milestones and warm-up are in the recipe's unit: in epochs where it has ``epochs``, in steps
    where it has ``iterations``. A run of another length keeps their fractions of it.

    Attributes:
        kind: ``"constant"``; ``"step"``, times `factor` at each of the `milestones`; ``"cosine"``,
            half a cosine down to `final` (Loshchilov 2016); ``"one_cycle"``, up to the peak at
            `peak_at` and down to `final`, in straight lines (Smith 2017); ``"plateau"``, times
            `factor` where the validation error has not fallen for `patience` epochs.
        milestones: Of ``"step"``.
        factor: Of ``"step"`` and ``"plateau"``.
        final: Last learning rate of ``"cosine"`` and ``"one_cycle"``.
        peak_at: Part of the run before the peak of ``"one_cycle"``.
        patience: Epochs, of ``"plateau"``.
        warmup: Length of the warm-up.
        warmup_steps: The same in steps, whatever the recipe's unit.
        warmup_from: First learning rate of a warm-up.
        warmup_shape: ``"linear"`` or ``"constant"``.
        warmup_error: A warm-up at `warmup_from` until the training error is below this: He 2015,
            section 4.2, for 110 layers.
    """

    kind: Literal["constant", "step", "cosine", "one_cycle", "plateau"] = "cosine"
    milestones: Numbers = ()
    factor: float = Field(0.1, gt=0, lt=1)
    final: float = Field(0.0, ge=0, lt=1)
    peak_at: float = Field(0.3, gt=0, lt=1)
    patience: int = Field(5, ge=1)
    warmup: float = Field(0.0, ge=0)
    warmup_steps: int = Field(0, ge=0)
    warmup_from: float = Field(0.0, ge=0, le=1)
    warmup_shape: Literal["linear", "constant"] = "linear"
    warmup_error: float | None = Field(None, gt=0, lt=1)

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        steps = self.milestones
        if (self.kind == "step") != bool(steps):
            raise ValueError(
                "`schedule.milestones` belong to `kind`='step', which needs them. "
                f"Received: kind={self.kind!r}, milestones={list(steps)}"
            )
        if any(a >= b for a, b in zip((0, *steps), steps, strict=False)):
            raise ValueError(
                f"`schedule.milestones` must rise, from above 0. Received: {list(steps)}"
            )
        ways = [bool(self.warmup), bool(self.warmup_steps), self.warmup_error is not None]
        if sum(ways) > 1 or (any(ways) and self.kind == "one_cycle"):
            raise ValueError(
                "`schedule` has one of `warmup`, `warmup_steps` and `warmup_error`, and none with "
                f"`kind`='one_cycle', which rises itself. Received: kind={self.kind!r}, "
                f"warmup={self.warmup:g}, warmup_steps={self.warmup_steps}, "
                f"warmup_error={self.warmup_error}"
            )
        if self.warmup_error is not None and self.kind == "plateau":
            raise ValueError(
                "`schedule.warmup_error` and a plateau both follow the training's course: one of "
                "them is enough. Received: kind='plateau', "
                f"warmup_error={self.warmup_error}"
            )
        if self.warmup_error is not None and not self.warmup_from:
            raise ValueError(
                "`schedule.warmup_error` needs a `warmup_from` above 0. Received: warmup_from=0.0"
            )
        return self


class Loss(Schema):
    """The ``[loss]`` table.

    Attributes:
        kind: ``"cross_entropy"``, or ``"bce"``: a binary one for each class (Wightman 2021).
        label_smoothing: Part of the label spread over all classes (Szegedy 2015).
    """

    kind: Literal["cross_entropy", "bce"] = "cross_entropy"
    label_smoothing: float = Field(0.0, ge=0, lt=1)


class Transfer(Schema):
    """The ``[transfer]`` table, for trainings that begin with another model's weights.

    Attributes:
        unfreeze: Part of the run after which one more part of the network is trained too: first
            the head alone, then the last stage with it, and so on to the stem (Howard 2018). 0
            trains all from the start.
        rate_decay: Learning rate of each part relative to that behind it, from the head at 1.
    """

    unfreeze: float = Field(0.0, ge=0, lt=1)
    rate_decay: float = Field(1.0, gt=0, le=1)


class Recipe(Schema):
    """How a network is trained: what a paper's section on training says.

    Attributes:
        name: Name, that of its file.
        description: One line.
        source: Where it is from.
        published: What its authors report with it.
        notes: Where it departs from the source, and why.
        epochs: Length in epochs; a recipe has this or `iterations`.
        iterations: Length in training steps.
        batch_size: Images a step.
        min_epoch_steps: Fewest steps of an epoch: on small sets the batch is halved until an epoch
            has as many, but not below 8 images. 0 leaves the batch as it is.
        min_steps: Fewest steps of a run: on small sets it has more epochs. 0 leaves the length as
            it is; a length in `iterations` is never changed.
        ema: Momentum, a step, of an average of the weights that is evaluated and saved in place of
            them (Polyak 1992); None for the weights themselves.
        ema_memory: In place of `ema`: how far back the average reaches, as a fraction of the run's
            steps. The momentum is ``1 - 1 / (fraction * steps)``.
        sizes: ``[[begin, size], ...]``: from this part of the run on, images are resized to this
            part of their size (progressive resizing; or training at a lower resolution).
        network: Options of the network to set: ``{final_survival = 0.95}``.
        optimizer: The optimizer.
        schedule: The learning rate.
        loss: The loss.
        augmentation: What is done to the training images.
        transfer: How a training begins with another model's weights.

    Raises:
        ConfigError: A value is illegal; the message names it.

    Example:
        >>> load_recipe("wrn-cifar").schedule.milestones
        (60.0, 120.0, 160.0)
    """

    name: str = "custom"
    description: str = ""
    source: str = ""
    published: str = ""
    notes: str = ""
    epochs: int | None = Field(None, ge=1)
    iterations: int | None = Field(None, ge=1)
    batch_size: int = Field(128, ge=1)
    min_epoch_steps: int = Field(16, ge=0)
    min_steps: int = Field(0, ge=0)
    ema: float | None = Field(None, gt=0, lt=1)
    ema_memory: float | None = Field(None, gt=0, lt=1)
    sizes: tuple[tuple[float, float], ...] = ((0.0, 1.0),)
    network: dict[str, Any] = Field(default_factory=dict)
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    loss: Loss = Loss()
    augmentation: Augmentation = Augmentation()
    transfer: Transfer = Transfer()

    @pydantic.field_validator("sizes", mode="before")
    @classmethod
    def _tuples(cls, value):
        pairs = isinstance(value, list | tuple) and all(
            isinstance(pair, list | tuple) for pair in value
        )
        return tuple(map(tuple, value)) if pairs else value

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if (self.epochs is None) == (self.iterations is None):
            raise ValueError(
                "a recipe has either `epochs` or `iterations`. "
                f"Received: epochs={self.epochs}, iterations={self.iterations}"
            )
        if self.ema is not None and self.ema_memory is not None:
            raise ValueError(
                "a recipe has either `ema` or `ema_memory`. "
                f"Received: ema={self.ema}, ema_memory={self.ema_memory}"
            )
        begins = [begin for begin, _ in self.sizes]
        rising = all(a < b for a, b in zip(begins, [*begins[1:], 1], strict=True))
        if not begins or begins[0] != 0 or not rising or any(s <= 0 for _, s in self.sizes):
            raise ValueError(
                "`sizes` must be pairs of a part of the run, rising from 0, and a positive part of "
                f"the images' size. Received: {[list(pair) for pair in self.sizes]}"
            )
        for name in ("milestones", "warmup"):
            value = getattr(self.schedule, name)
            last = value if name == "warmup" else max(value, default=0)
            if last >= self.length:
                raise ValueError(
                    f"`schedule.{name}` must lie within the {self.length} {self.unit} of the "
                    f"recipe. Received: {name}={value}"
                )
        return self

    @property
    def length(self) -> int:
        """Length in the recipe's unit."""
        return self.epochs or self.iterations

    @property
    def unit(self) -> str:
        """``"epochs"`` or ``"iterations"``: the unit of the schedule's milestones and warm-up."""
        return "epochs" if self.epochs else "iterations"

    def set(self, **values) -> Recipe:
        """Return a copy with some settings changed, by name.

        Args:
            **values: Settings by name. A name may be that of a setting in any table, where no two
                tables have it (``learning_rate``, or ``lr``; with a table, in a dict, it is
                ``**{"optimizer.learning_rate": 0.05}``).

        Raises:
            ConfigError: A name is unknown or ambiguous, or a value illegal.

        Example:
            >>> load_recipe("quick").set(lr=0.05, mixup=0.2).optimizer.learning_rate
            0.05
        """
        from keras_resnets.training.recipes.names import resolve

        content = self.to_dict()
        paths = {name: resolve(name) for name in values}
        content |= displaced({path[0] for path in paths.values()})
        for name, value in values.items():
            *tables, last = paths[name]
            place = content
            for table in tables:
                place = place[table]
            if tables != ["network"] and last not in place:
                raise ConfigError(f"`{name}` is not a setting of a recipe")
            place[last] = value
            if (*tables, last) == ("schedule", "kind") and value != "step":
                content["schedule"]["milestones"] = []
        if {"epochs", "iterations"} & values.keys():
            other = "iterations" if values.get("epochs") else "epochs"
            content[other] = None
        return Recipe.parse(content, "")


def displaced(given: set[str]) -> dict[str, Any]:
    """Return the settings that other settings put out of force, unless they are given too.

    Args:
        given: Names of top settings that a user, or a file, gives on top of a recipe.

    Example:
        >>> displaced({"epochs", "ema"})
        {'min_steps': 0, 'ema_memory': None}
    """
    values = {k: v for name, gone in _DISPLACES.items() if name in given for k, v in gone.items()}
    return {name: value for name, value in values.items() if name not in given}
