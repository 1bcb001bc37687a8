"""Keras' optimizers with what the papers' recipes need beside them."""

from __future__ import annotations

import keras
from keras import ops

from keras_resnets.training.recipes.recipe import Optimizer

__all__ = ["RecipeAdamW", "RecipeLamb", "RecipeSGD", "inner", "make_optimizer"]


class _Recipe:
    """What the optimizers of recipes have beside Keras'.

    - ``l2``: decay added to the gradient, so that momentum sees it, as in Torch.
    - ``decayed``: ``"all"`` variables, or ``"kernels"``: those of two dimensions and more.
    - ``rate_multipliers``: dict from the beginning of a variable's path to a factor of its learning
      rate; the longest that fits counts.
    - ``rate_scale``: a variable that the learning rate is multiplied by, for what depends on the
      course of a training. It is saved with the slots.
    """

    def __init__(self, *args, l2=0.0, decayed="all", rate_multipliers=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.l2 = l2
        self.decayed = decayed
        self.rate_multipliers = dict(rate_multipliers or {})

    def build(self, variables):
        """Make the slots."""
        if self.built:
            return
        self._multipliers = [self._multiplier(v.path) for v in variables]
        decays = [len(v.shape) > 1 or self.decayed == "all" for v in variables]
        self._l2_of = [self.l2 if does else 0.0 for does in decays]
        self._decays = decays
        super().build(variables)
        self.rate_scale = self.add_variable((), initializer="ones", name="rate_scale")

    def _multiplier(self, path: str) -> float:
        fitting = [start for start in self.rate_multipliers if path.startswith(start)]
        return self.rate_multipliers[max(fitting, key=len)] if fitting else 1.0

    def _get_current_learning_rate(self):
        rate = super()._get_current_learning_rate()
        return rate * self.rate_scale if self.built else rate

    def _apply_weight_decay(self, variables):
        # Keras' knows one rate, which it computes anew for each variable; `_decay` is given the
        # variable's own.
        pass

    def _decay(self, variable, index, learning_rate):
        if self.weight_decay and self._decays[index] and self._use_weight_decay(variable):
            decay = ops.cast(self.weight_decay, variable.dtype)
            self.assign_sub(variable, variable * decay * ops.cast(learning_rate, variable.dtype))

    def update_step(self, gradient, variable, learning_rate):
        """Update a variable."""
        index = self._get_variable_index(variable)
        if self._l2_of[index]:
            decay = ops.cast(self._l2_of[index], variable.dtype)
            gradient = ops.cast(gradient, variable.dtype) + decay * variable
        if self._multipliers[index] != 1:
            learning_rate = learning_rate * self._multipliers[index]
        self._decay(variable, index, learning_rate)
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        """Return the arguments."""
        return {
            **super().get_config(),
            "l2": self.l2,
            "decayed": self.decayed,
            "rate_multipliers": self.rate_multipliers,
        }


@keras.saving.register_keras_serializable(package="keras_resnets")
class RecipeSGD(_Recipe, keras.optimizers.SGD):
    """`keras.optimizers.SGD` with L2 decay, masks and a rate for each part.

    Args:
        *args: As for `keras.optimizers.SGD`.
        l2: Decay that is added to the gradient.
        decayed: ``"all"`` or ``"kernels"``: what decays, by `l2` or ``weight_decay``.
        rate_multipliers: Factors of the learning rate by the beginning of a variable's path.
        **kwargs: As for `keras.optimizers.SGD`.

    Example:
        >>> RecipeSGD(0.1, momentum=0.9, l2=1e-4)
    """


@keras.saving.register_keras_serializable(package="keras_resnets")
class RecipeAdamW(_Recipe, keras.optimizers.AdamW):
    """`keras.optimizers.AdamW` with the same additions as `RecipeSGD`."""


@keras.saving.register_keras_serializable(package="keras_resnets")
class RecipeLamb(_Recipe, keras.optimizers.Lamb):
    """`keras.optimizers.Lamb` with the same additions as `RecipeSGD`.

    Its decoupled decay is that of You 2019 (arXiv:1904.00962, algorithm 2), inside the trust ratio;
    Keras' shrinks the weights beside it. Weights that do not decay have no trust ratio, as in the
    code of the papers that trained by it.

    Args:
        *args: As for `keras.optimizers.Lamb`.
        trust_decay: Decay inside the trust ratio.
        **kwargs: As for `keras.optimizers.Lamb` and `RecipeSGD`.
    """

    def __init__(self, *args, trust_decay=0.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.trust_decay = trust_decay

    def update_step(self, gradient, variable, learning_rate):
        """Update a variable."""
        index = self._get_variable_index(variable)
        dtype = variable.dtype
        rate = ops.cast(learning_rate, dtype) * self._multipliers[index]
        self._decay(variable, index, rate)
        gradient = ops.cast(gradient, dtype)
        if self._l2_of[index]:
            gradient = gradient + self._l2_of[index] * variable
        step = ops.cast(self.iterations + 1, dtype)
        mean, square = self._momentums[index], self._velocities[index]
        self.assign_add(mean, (gradient - mean) * (1 - self.beta_1))
        self.assign_add(square, (ops.square(gradient) - square) * (1 - self.beta_2))
        mean_hat = mean / (1 - ops.power(ops.cast(self.beta_1, dtype), step))
        square_hat = square / (1 - ops.power(ops.cast(self.beta_2, dtype), step))
        update = mean_hat / (ops.sqrt(square_hat) + self.epsilon)
        decays = self._decays[index]
        if decays and self.trust_decay:
            update = update + self.trust_decay * variable
        if decays:
            weight, change = (ops.sqrt(ops.sum(ops.square(x))) for x in (variable, update))
            known = ops.logical_and(weight > 0, change > 0)
            update = update * ops.where(known, weight / ops.where(known, change, 1.0), 1.0)
        self.assign_sub(variable, rate * update)

    def get_config(self):
        """Return the arguments."""
        return {**super().get_config(), "trust_decay": self.trust_decay}


def make_optimizer(table: Optimizer, learning_rate, **kwargs) -> keras.optimizers.Optimizer:
    """Return the optimizer that a recipe's table describes.

    Args:
        table: The table.
        learning_rate: A number or a schedule.
        **kwargs: Further arguments of the optimizer: ``rate_multipliers``, ...

    Example:
        >>> make_optimizer(load_recipe("wrn-cifar").optimizer, 0.1).nesterov
        True
    """
    l2 = table.decay == "l2"
    kwargs = {
        "l2": table.weight_decay if l2 else 0.0,
        "decayed": table.decayed,
        "global_clipnorm": table.clip_norm,
        **kwargs,
    }
    decoupled = 0.0 if l2 else table.weight_decay
    if table.name == "sgd":
        return RecipeSGD(
            learning_rate,
            momentum=table.momentum,
            nesterov=table.nesterov,
            weight_decay=decoupled or None,
            **kwargs,
        )
    kwargs |= {"beta_1": table.beta_1, "beta_2": table.beta_2, "epsilon": table.epsilon}
    if table.name == "lamb":
        return RecipeLamb(learning_rate, trust_decay=decoupled, **kwargs)
    return RecipeAdamW(learning_rate, weight_decay=decoupled, **kwargs)


def inner(optimizer):
    """Return the optimizer inside one that scales the loss, or itself."""
    return getattr(optimizer, "inner_optimizer", optimizer)
