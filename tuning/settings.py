"""Everything that makes a search what it is, as one immutable value."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from keras_resnets.data.settings import DataSettings
from keras_resnets.errors import ConfigError
from keras_resnets.training.class_weights import check_class_weights
from keras_resnets.training.recipes import load_recipe
from keras_resnets.training.settings import TrainingSettings, check_execution
from keras_resnets.tuning.space import Budget, SearchSpace

__all__ = ["LENGTHS", "NETWORK_SIZE", "RECIPE", "SearchSettings"]

RECIPE = "search"
"""Name of the recipe that candidates and the winner are trained by."""

LENGTHS = {"epochs": (12, 200), "final_epochs": (40, 600)}
"""Epochs of a candidate's training and of the winner's, and the fewest steps that they make."""

NETWORK_SIZE = (64, 64)
"""Size of images that come in many, or in larger ones: searched networks have no strided stem."""


@dataclass(frozen=True, kw_only=True)
class SearchSettings(DataSettings):
    """What is searched, on what, and how long.

    Args:
        dataset: TensorFlow Datasets name or folder of images; with it come all other arguments of
            `DataSettings`, on how the images are read.
        tuner: ``"random"``, ``"hyperband"`` or ``"bayesian"``.
        trials: Number of candidates (Hyperband derives its own from `epochs`).
        epochs: Epochs of a candidate's training; by default 12, or more for few images, see
            `fit_to`.
        final_epochs: Epochs of the winner's; by default 40, or more for few images.
        batch_size: Images a step; by default 64, or less for few images, as
            `TrainingSettings.fit_to` has it.
        max_params: Most trainable parameters of a candidate.
        max_macs: Most multiply-adds of a candidate for one image.
        precision: As for `TrainingSettings`, like the next two.
        xla: See there.
        class_weights: See there.
        seed: Fixes proposals, weights, data order and augmentation.
        space: The choices.

    Raises:
        ConfigError: A value is illegal.
    """

    tuner: str = "random"
    trials: int = 10
    epochs: int | None = None
    final_epochs: int | None = None
    batch_size: int | None = None
    max_params: int | None = None
    max_macs: int | None = None
    precision: str = "auto"
    xla: bool | None = None
    class_weights: str | dict[str, float] | None = None
    seed: int = 0
    space: SearchSpace = field(default_factory=SearchSpace)

    def __post_init__(self):
        super().__post_init__()
        check_class_weights(self.class_weights)
        for name in ("trials", "epochs", "final_epochs", "batch_size"):
            value = getattr(self, name)
            if name != "trials" and value is None:
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigError(
                    f"`{name}` must be a positive integer. Received: {name}={value!r}"
                )
        if not isinstance(self.seed, int) or not 0 <= self.seed < 2**31 - 1:
            raise ConfigError(
                f"`seed` must be an integer in [0, 2**31 - 1). Received: seed={self.seed!r}"
            )
        if self.tuner not in ("random", "hyperband", "bayesian"):
            raise ConfigError(
                "`tuner` must be 'random', 'hyperband' or 'bayesian'. "
                f"Received: tuner={self.tuner!r}"
            )
        check_execution(self.precision, self.xla)
        Budget(self.max_params, self.max_macs)

    @property
    def data(self) -> dict[str, Any]:
        """Arguments of `load_data`."""
        return self.arguments

    def fit_to(self, images: int) -> SearchSettings:
        """Return the settings with every number that depends on the data.

        What was given stays as it is. Else batch and epochs follow from the data by the rule of
        `TrainingSettings.fit_to`: a candidate's training has at least 200 steps, the winner's 600.

        Args:
            images: Training images.

        Raises:
            ConfigError: The batch that was given is larger than the data.

        Example:
            >>> settings = SearchSettings().fit_to(60)
            >>> settings.batch_size, settings.epochs, settings.final_epochs
            (8, 29, 86)
        """
        recipe = load_recipe(RECIPE)
        fitted = {}
        for name, (epochs, steps) in LENGTHS.items():
            training = TrainingSettings(
                recipe=recipe.set(epochs=epochs, min_steps=steps), batch_size=self.batch_size
            ).fit_to(images)
            fitted["batch_size"] = training.batch_size
            fitted[name] = getattr(self, name) or training.epochs or epochs
        return dataclasses.replace(self, **fitted)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON-ready values, the place of the data left out."""
        values = dataclasses.asdict(self)
        del values["data_dir"], values["download"]
        return values
