"""Outputs of a classifier over a set of images, collected, and made probabilities at the end."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from keras_resnets.errors import RunError

__all__ = ["Scores", "softmax"]

_TOLERANCE = 1e-2
"""How far from 1 the sum of an image's probabilities may be: 16-bit softmax rounds that much."""

_QUANTISED_SOFTMAX = 1 / 256
"""The step that TFLite prescribes for the output of an 8-bit softmax."""


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return the probabilities of each row of logits.

    Example:
        >>> softmax(np.zeros((1, 2)))
        array([[0.5, 0.5]])
    """
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


class Scores:
    """What a classifier answers to a set of images, as probabilities.

    Whether outputs are probabilities already (none negative, each image's sum 1) is decided on the
    whole set: they are logits if one image's are, and softmax is then applied to all. An 8-bit
    softmax is known by its step of 1/256, since its rounded values do not sum to 1; they are
    divided by their sum. An image seen in several views gets the weighted mean of its views'
    probabilities.

    Args:
        resolution: Step of a quantised output, 0 for others.

    Example:
        >>> scores = Scores()
        >>> scores.add([(1.0, model(images))])
        >>> scores.probabilities().sum(-1)
        array([1., 1., 1.])
    """

    def __init__(self, resolution: float = 0.0):
        self.resolution = resolution
        self.are_probabilities = True
        self._as_they_are: list[np.ndarray] = []
        self._softmax: list[np.ndarray] = []

    def add(self, views: Iterable[tuple[float, np.ndarray]]) -> None:
        """Add the next images.

        Args:
            views: For each view of the images its weight and the outputs ``(images, classes)``; the
                weights sum to 1.

        Raises:
            RunError: An output is not finite.
        """
        plain = logits = 0.0
        for weight, outputs in views:
            if not np.isfinite(outputs).all():
                raise RunError("the model answers with values that are not finite")
            self.are_probabilities &= self._look_like_probabilities(outputs)
            plain = plain + weight * outputs
            logits = logits + weight * softmax(outputs)
        self._as_they_are.append(plain)
        self._softmax.append(logits)

    def probabilities(self) -> np.ndarray:
        """Return the probabilities of all images, ``(images, classes)``, each row's sum 1."""
        if not self.are_probabilities:
            return np.concatenate(self._softmax)
        values = np.concatenate(self._as_they_are)
        sums = values.sum(-1, keepdims=True)
        # All classes can be rounded to zero: then nothing is known.
        return np.where(sums > 0, values / np.where(sums > 0, sums, 1), 1 / values.shape[1])

    @property
    def floor(self) -> float:
        """Least probability that the outputs can tell from zero."""
        rounded = self.resolution / 2 if self.are_probabilities else 0.0
        return max(rounded, float(np.finfo(np.float32).tiny))

    def _look_like_probabilities(self, outputs) -> bool:
        if outputs.min() < 0:
            return False
        if np.isclose(self.resolution, _QUANTISED_SOFTMAX, rtol=1e-3):
            return bool(outputs.max() <= 1)
        return bool(np.abs(outputs.sum(-1) - 1).max() <= _TOLERANCE + self.resolution)
