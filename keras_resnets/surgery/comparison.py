"""How the answers of two models compare on the same images."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True)
class Comparison:
    """How the answers of two models compare.

    Attributes:
        images: Number of images.
        largest_difference: Largest difference of an answer, relative to the largest answer.
        agreement: Part of the images whose top class is the same.
        accuracy: Part that the first model classifies right, and that the second does.
    """

    images: int
    largest_difference: float
    agreement: float
    accuracy: tuple[float, float]

    def __str__(self):
        before, after = self.accuracy
        return (
            f"{self.images} test images: largest relative difference "
            f"{self.largest_difference:.1e}, agreement {self.agreement:.2%}, accuracy "
            f"{before:.2%} -> {after:.2%}"
        )


def compare(first: keras.Model, second: keras.Model, images, labels) -> Comparison:
    """Return how two models answer to the same images.

    Args:
        first: A model.
        second: Another one with the same answers' shape.
        images: Batch of images.
        labels: Their classes.

    Example:
        >>> compare(model, to_plain(model), images, labels).agreement
        1.0
    """
    one, two = (np.concatenate(list(_answers(m, images))) for m in (first, second))
    return Comparison(
        len(images),
        float(np.abs(one - two).max() / np.abs(one).max()),
        float(np.mean(one.argmax(-1) == two.argmax(-1))),
        tuple(float(np.mean(a.argmax(-1) == labels)) for a in (one, two)),
    )


def _answers(model, images, batch_size=100):
    for start in range(0, len(images), batch_size):
        answers = model(images[start : start + batch_size], training=False)
        yield keras.ops.convert_to_numpy(keras.ops.cast(answers, "float64"))
