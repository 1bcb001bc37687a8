"""The bridge from keras-tuner's hyperparameters to a compiled network."""

from __future__ import annotations

import keras_tuner

from keras_resnets.models.builder import create_model
from keras_resnets.models.cost import complexity
from keras_resnets.models.families import ResNetConfig
from keras_resnets.training.execution import execution_for
from keras_resnets.training.fit import compile_for_training
from keras_resnets.training.settings import TrainingPlan, TrainingSettings
from keras_resnets.tuning.space import Budget, SearchSpace

__all__ = ["ResNetHyperModel"]


class ResNetHyperModel(keras_tuner.HyperModel):
    """Residual networks of searched depth, width, block, activation order and stochastic depth.

    Works with any keras-tuner `Tuner`: under a budget the structures within it are declared as one
    choice, ``structure``, so that nothing a tuner draws is refused.

    Args:
        input_shape: ``(height, width, channels)`` of one image.
        classes: Number of classes.
        space: The choices; `SearchSpace()` by default.
        max_params: Most trainable parameters of a candidate.
        max_macs: Most multiply-adds of a candidate for one image.
        settings: How candidates are trained; the learning rate is searched. By default
            the recipe ``search``.
        steps_per_epoch: Steps of an epoch, which the learning rate's schedule needs; the learning
            rate is constant without.
        **config: Further fields of `ResNetConfig`: ``shortcut``, ``input_mean``, ``input_std``, ...

    Raises:
        ConfigError: An argument is illegal, or no candidate is within the budget.

    Example:
        >>> hypermodel = ResNetHyperModel((32, 32, 3), classes=10, max_params=100_000)
        >>> tuner = keras_tuner.RandomSearch(hypermodel, objective="val_accuracy", max_trials=5)
        >>> tuner.search(x, y, validation_split=0.2, epochs=3)
    """

    def __init__(
        self,
        input_shape,
        classes,
        *,
        space: SearchSpace | None = None,
        max_params: int | None = None,
        max_macs: int | None = None,
        settings: TrainingSettings | None = None,
        steps_per_epoch: int | None = None,
        **config,
    ):
        super().__init__(name="residual_network")
        self.space = space or SearchSpace()
        self.budget = Budget(max_params, max_macs)
        self.base = ResNetConfig(input_shape=input_shape, classes=classes, **config)
        self.settings = settings or TrainingSettings(recipe="search")
        self.steps_per_epoch = steps_per_epoch
        self._structures = self.space.within(self.budget, self.base)

    def declare_hyperparameters(self, hp):
        """Register the choices, so that a tuner knows the space before it builds."""
        self._declare(hp)

    def _declare(self, hp):
        if self.budget == Budget():
            return self.space.declare(hp)
        return self.space.declare_within(hp, self._structures)

    def config(self, hp) -> ResNetConfig:
        """Return the configuration that `hp` stands for, without building it."""
        return self.space.config(self._declare(hp), self.base)

    def build(self, hp):
        """Return the compiled model that `hp` stands for.

        Raises:
            keras_tuner.errors.FailedTrialError: It is over the budget: `hp` was declared elsewhere.
        """
        values = self._declare(hp)
        config = self.space.config(values, self.base)
        excess = self.budget.excess(complexity(config))
        if excess is not None:
            raise keras_tuner.errors.FailedTrialError(f"refused unbuilt: {excess}")
        settings = self.settings.set(learning_rate=values["learning_rate"])
        model = create_model(config, dtype=execution_for(settings, self.steps_per_epoch).dtype)
        compile_for_training(model, settings, self._plan(settings))
        return model

    def _plan(self, settings: TrainingSettings) -> TrainingPlan | None:
        if self.steps_per_epoch is None:
            return None
        # The steps are known already: nothing is left to fit to the data.
        batch_size = settings.batch_size or settings.recipe.batch_size
        settings = settings.replace(
            batch_size=batch_size, epochs=settings.epochs or settings.recipe.epochs
        )
        return settings.plan(self.steps_per_epoch * batch_size)
