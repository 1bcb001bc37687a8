"""A moving average of all weights, statistics included, that is evaluated and saved."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from keras_resnets.files import replacing

__all__ = ["Averages"]


class Averages(keras.callbacks.Callback):
    """Averages the weights over the steps, and evaluates the averages in the weights' place.

    Batch normalisation's statistics are averaged with the weights they belong to, which Keras' own
    averages (``use_ema``) leave out: averaged weights under the statistics of others answer at
    random. In the first steps the momentum is less, ``(1 + n) / (10 + n)`` behind `n` of them, so
    that a short run does not drag its beginning along. Every few steps are taken at once.

    Args:
        momentum: Momentum a step.
        steps: Calls of the training function behind one step of the optimizer.

    Attributes:
        weights: The averages, in the order of ``model.get_weights()``; None before the first.

    Reference:
        Polyak and Juditsky 1992; the first steps as in TensorFlow's ``ExponentialMovingAverage``.
    """

    EVERY = 8
    """Steps between two looks at the weights."""

    def __init__(self, momentum: float, steps: int = 1):
        super().__init__()
        self.momentum = momentum
        self.steps = steps
        self.weights: list[np.ndarray] | None = None
        self._count = 0
        self._kept = None

    def on_epoch_begin(self, epoch, logs=None):
        """Count from the epoch's first step."""
        self._seen = 0

    def on_train_batch_end(self, batch, logs=None):
        """Take the weights into the averages, or not yet."""
        over = batch + 1 == self.params["steps"]
        behind = (batch + 1) // self.steps - self._seen
        if behind and (behind >= self.EVERY or over):
            self._take(behind)

    def _take(self, behind: int) -> None:
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()
        self._seen += behind
        self._count += behind
        weights = self.model.get_weights()
        if self.weights is None:
            self.weights = [np.array(weight) for weight in weights]
            return
        momentum = min(self.momentum, (1 + self._count) / (10 + self._count)) ** behind
        for average, weight in zip(self.weights, weights, strict=True):
            average += np.asarray((1 - momentum) * (weight - average), average.dtype)

    def on_test_begin(self, logs=None):
        """Put the averages in the weights' place."""
        if self.weights is not None:
            self._kept = self.model.get_weights()
            self.model.set_weights(self.weights)

    def on_test_end(self, logs=None):
        """Put the weights back."""
        if self._kept is not None:
            self.model.set_weights(self._kept)
            self._kept = None

    def save(self, path: Path) -> None:
        """Write the averages, whole or not at all."""
        with replacing(path) as beside, beside.open("wb") as file:
            np.savez(file, np.array(self._count), *(self.weights or []))

    def load(self, path: Path) -> None:
        """Go on with averages that were written."""
        with np.load(path) as arrays:
            count, *weights = (arrays[name] for name in arrays.files)
        self._count = int(count)
        self.weights = weights or None
