"""How a network is trained, as one immutable value: a recipe, and what a run makes of it."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_resnets.errors import ConfigError
from keras_resnets.training.class_weights import check_class_weights
from keras_resnets.training.recipes.files import load_recipe
from keras_resnets.training.recipes.recipe import Recipe

__all__ = ["PRECISIONS", "STRATEGIES", "TrainingPlan", "TrainingSettings", "check_execution"]

PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")

STRATEGIES = ("none", "auto", "mirrored", "multiworker", "tpu")


_LEAST_BATCH = 8
"""Least batch on small sets: batch normalisation estimates its statistics from it."""


def check_execution(precision: str, xla: bool | None) -> None:
    """Raise `ConfigError` for a precision that is unknown or an `xla` that is no choice."""
    if precision not in PRECISIONS:
        raise ConfigError(
            f"`precision` must be one of {', '.join(PRECISIONS)}. Received: precision={precision!r}"
        )
    if xla is not None and not isinstance(xla, bool):
        raise ConfigError(f"`xla` must be None or a bool. Received: xla={xla!r}")


@dataclass(frozen=True)
class TrainingPlan:
    """A run in steps.

    Attributes:
        steps_per_epoch: Training steps of an epoch.
        steps: Training steps of the whole run.
        epochs: Epochs begun; the last one ends early where `steps` says so.
    """

    steps_per_epoch: int
    steps: int

    @property
    def epochs(self) -> int:
        """Number of epochs begun."""
        return math.ceil(self.steps / self.steps_per_epoch)

    def epoch_at(self, part: float) -> int:
        """Return the epoch, from 0, that begins nearest to a part of the run."""
        return round(part * self.steps / self.steps_per_epoch)


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """A recipe and what a run makes of it.

    Args:
        recipe: A recipe, its name, its file, or its values in a dict.
        epochs: Length of the run, to which the recipe's schedule is scaled; by default the
            recipe's, or more on small sets: see `fit_to`.
        batch_size: Images a step, over all devices; by default the recipe's, or less on small
            sets. What it does to the learning rate is the recipe's ``optimizer.scaling``.
        accumulate: Parts that a batch is computed in, one after another, where memory is short;
            batch normalisation sees each part alone.
        patience: Epochs without a better validation accuracy after which training stops, with the
            weights of the best epoch; None to go to the end.
        all_data: Whether the validation images are trained on too, as the papers do. There are no
            validation figures then.
        init: A ``.keras`` file to take the weights from; its head is kept where the classes are as
            many.
        strategy: How several devices share the work, of `STRATEGIES`.
        sync_batch_norm: Whether batch normalisation's statistics are those of the batch of all
            devices.
        precision: Dtype policy to train under, ``"auto"`` for what is fastest on the device
            (float32 on a CPU, see `choose_execution`).
        xla: Whether XLA compiles the training steps, None for what is fastest on the device.
        class_weights: What an image of a class counts in the loss: None for the same for all,
            ``"balanced"`` for as much for each class as a whole, or a weight for each class by its
            name; see `keras_resnets.training.class_weights`.
        seed: Fixes the weights, the order of the data, the augmentation and stochastic depth.

    Raises:
        ConfigError: A value is illegal; the message names it.

    Example:
        >>> settings = TrainingSettings(recipe="wrn-cifar", epochs=20)
        >>> settings.plan(50_000).epochs
        20
    """

    recipe: Recipe | str | Path | dict[str, Any] = "quick"
    epochs: int | None = None
    batch_size: int | None = None
    accumulate: int = 1
    patience: int | None = None
    all_data: bool = False
    init: str | None = None
    strategy: str = "none"
    sync_batch_norm: bool = False
    precision: str = "auto"
    xla: bool | None = None
    class_weights: str | dict[str, float] | None = None
    seed: int = 0

    def __post_init__(self):
        object.__setattr__(self, "recipe", _recipe(self.recipe))
        check_class_weights(self.class_weights)
        for name, optional in (
            ("epochs", True),
            ("batch_size", True),
            ("accumulate", False),
            ("patience", True),
        ):
            _check_count(name, getattr(self, name), optional)
        for name in ("all_data", "sync_batch_norm"):
            value = getattr(self, name)
            if not isinstance(value, bool):
                raise ConfigError(f"`{name}` must be a bool. Received: {name}={value!r}")
        self._check_rest()

    def _check_rest(self) -> None:
        check_execution(self.precision, self.xla)
        seed = self.seed
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**31:
            raise ConfigError(f"`seed` must be an integer in [0, 2**31). Received: seed={seed!r}")
        if self.strategy not in STRATEGIES:
            raise ConfigError(
                f"`strategy` must be one of {', '.join(STRATEGIES)}. "
                f"Received: strategy={self.strategy!r}"
            )
        if self._whole_batch % self.accumulate:
            raise ConfigError(
                "`accumulate` must divide `batch_size`. "
                f"Received: accumulate={self.accumulate}, batch_size={self._whole_batch}"
            )
        if self.all_data and (self.patience or self.recipe.schedule.kind == "plateau"):
            raise ConfigError(
                "`all_data` leaves no validation images, which `patience` and a schedule of kind "
                "'plateau' need. Received: all_data=True"
            )

    @property
    def _whole_batch(self) -> int:
        """The batch of a set that is not small."""
        return self.batch_size or self.recipe.batch_size

    @property
    def learning_rate(self) -> float:
        """Peak learning rate, for this batch size."""
        table = self.recipe.optimizer
        ratio = self._whole_batch / self.recipe.batch_size
        power = {"none": 0.0, "linear": 1.0, "sqrt": 0.5}[table.scaling]
        return table.learning_rate * ratio**power

    def plan(self, images: int) -> TrainingPlan:
        """Return the run in steps, for this many training images.

        An epoch's incomplete last batch is left out.

        Raises:
            ConfigError: As for `fit_to`.
        """
        return self.fit_to(images)._plan(images)

    def _plan(self, images: int) -> TrainingPlan:
        per_epoch = max(1, images // self.batch_size)
        if self.epochs is None and self.recipe.iterations is not None:
            return TrainingPlan(per_epoch, self.recipe.iterations)
        return TrainingPlan(per_epoch, per_epoch * (self.epochs or self.recipe.epochs))

    def fit_to(self, images: int, replicas: int = 1) -> TrainingSettings:
        """Return the settings with every number that depends on the data.

        What was given stays as it is. Else the recipe's batch is halved until an epoch has the
        recipe's ``min_epoch_steps``, but not below 8 images; its epochs grow until the run has
        ``min_steps``; and ``ema_memory`` becomes an ``ema`` of the run.

        Args:
            images: Training images.
            replicas: Devices that share a batch equally.

        Raises:
            ConfigError: The batch that was given is larger than the data, or none can be shared.

        Example:
            >>> settings = TrainingSettings().fit_to(245)
            >>> settings.batch_size, settings.epochs
            (8, 20)
        """
        settings = self.replace(batch_size=self._fitting_batch(images, replicas))
        recipe, plan = settings.recipe, settings._plan(images)
        if settings.epochs is None and plan.steps < recipe.min_steps and recipe.epochs:
            epochs = math.ceil(recipe.min_steps / plan.steps_per_epoch)
            settings = settings.replace(epochs=epochs)
        if recipe.ema_memory is not None:
            memory = recipe.ema_memory * settings._plan(images).steps
            ema = 1 - 1 / memory if memory > 1 else None
            settings = settings.replace(recipe=recipe.replace(ema=ema, ema_memory=None))
        return settings

    def _fitting_batch(self, images: int, replicas: int) -> int:
        """Return the batch that was given, or the recipe's, halved for small sets."""
        batch, share = self._whole_batch, self.accumulate * replicas
        even = 2 * share  # TensorFlow's kernels for odd batches are slower, and some were broken
        fewest = self.recipe.min_epoch_steps
        if self.batch_size is None and fewest and batch % share == 0:
            least = max(_LEAST_BATCH, even)
            while images // batch < fewest and batch // 2 >= least and batch % (2 * even) == 0:
                batch //= 2
            if batch > images:
                batch = images // even * even or share
        if batch > images:
            raise ConfigError(
                "`batch_size` must be at most the number of training images. "
                f"Received: batch_size={batch} for {images} images"
            )
        return batch

    def replace(self, **changes) -> TrainingSettings:
        """Return a copy with some values changed, checked like any new settings."""
        return dataclasses.replace(self, **changes)

    def set(self, **values) -> TrainingSettings:
        """Return a copy with some of the recipe's settings changed, as `Recipe.set` does."""
        return self.replace(recipe=self.recipe.set(**values))

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON-ready values."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**values, "recipe": self.recipe.to_dict()}


def _recipe(value) -> Recipe:
    if isinstance(value, Recipe):
        return value
    if isinstance(value, dict):
        return Recipe.parse(value, "recipe")
    if isinstance(value, str | Path):
        return load_recipe(value)
    raise ConfigError(f"`recipe` must be a recipe or its name. Received: recipe={value!r}")


def _check_count(name: str, value, optional: bool) -> None:
    if value is None and optional:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"`{name}` must be a positive integer. Received: {name}={value!r}")
