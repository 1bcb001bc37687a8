"""Outputs of a classifier over a set of images, collected, and made probabilities at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable

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

    Only what `reduce` makes of the probabilities is kept, so that memory grows with the images, not
    with images times classes.

    Args:
        resolution: Step of a quantised output, 0 for others.
        reduce: Function from the probabilities of some images, and what else was given to `add`, to
            a dict of arrays with a row for each image; by default ``probabilities`` as they are.

    Example:
        >>> scores = Scores()
        >>> scores.add([(1.0, model(images))])
        >>> scores.probabilities().sum(-1)
        array([1., 1., 1.])
    """

    def __init__(self, resolution: float = 0.0, reduce: Callable[..., dict] | None = None):
        self.resolution = resolution
        self.are_probabilities = True
        self._reduce = reduce or (lambda probabilities: {"probabilities": probabilities})
        self._as_they_are: list[dict[str, np.ndarray]] = []
        self._softmax: list[dict[str, np.ndarray]] = []

    def add(self, views: Iterable[tuple[float, np.ndarray]], *details) -> None:
        """Add the next images.

        Args:
            views: For each view of the images its weight and the outputs ``(images, classes)``; the
                weights sum to 1.
            *details: What `reduce` is given beside the probabilities: labels.

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
        if self.are_probabilities:
            self._as_they_are.append(self._reduce(_divided_by_sum(plain), *details))
        else:  # one image was enough
            self._as_they_are.clear()
        self._softmax.append(self._reduce(logits, *details))

    def results(self) -> dict[str, np.ndarray]:
        """Return what `reduce` made of the probabilities of all images."""
        parts = self._as_they_are if self.are_probabilities else self._softmax
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def probabilities(self) -> np.ndarray:
        """Return the probabilities of all images, ``(images, classes)``, each row's sum 1."""
        return self.results()["probabilities"]

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


def _divided_by_sum(values) -> np.ndarray:
    sums = values.sum(-1, keepdims=True)
    # All classes can be rounded to zero: then nothing is known.
    return np.where(sums > 0, values / np.where(sums > 0, sums, 1), 1 / values.shape[1])
