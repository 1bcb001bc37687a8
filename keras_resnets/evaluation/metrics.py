"""Numbers that say how good a classifier's probabilities are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_resnets.errors import InputError
from keras_resnets.evaluation.confusion import Confusion

__all__ = [
    "BINS",
    "Metrics",
    "brier_score",
    "calibration_bins",
    "classification_metrics",
    "expected_calibration_error",
    "metrics_of",
    "negative_log_likelihood",
    "outcomes",
]

BINS = 15
"""Bins of the confidence (Guo 2017, section 2)."""


@dataclass(frozen=True)
class Metrics:
    """How good a classifier is on a set of images.

    Attributes:
        images: Number of images.
        top1: Part of the images whose most probable class is the true one.
        top5: Part whose true class is among the five most probable; None for five classes or fewer.
        balanced_accuracy: Mean recall of the classes that have images: every class counts the same,
            however few its images are.
        nll: Mean negative logarithm of the true class's probability.
        brier: Mean squared distance of the probabilities from the truth, 0 to 2.
        ece: Expected calibration error, 0 to 1.
        per_class: For each class ``class``, ``images``, ``recall``, ``precision``, ``f1``,
            ``confused_with`` (the class that its images are most often taken for) and
            ``confusions`` (how often); None where a ratio is not defined.
        confusion: Number of images by true class and predicted class; `numpy.asarray` makes it the
            matrix, of true classes (rows) and predicted ones (columns).
        bins: The confidence's bins, as `calibration_bins` returns them.
    """

    images: int
    top1: float
    top5: float | None
    balanced_accuracy: float
    nll: float
    brier: float
    ece: float
    per_class: list[dict[str, Any]]
    confusion: Confusion
    bins: list[dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """Return the metrics as JSON-ready values."""
        return {**vars(self), "confusion": self.confusion.to_dict()}


def classification_metrics(
    probabilities, labels, class_names: Sequence[str] | None = None, *, floor: float | None = None
) -> Metrics:
    """Return all metrics of a classifier on a set of images.

    Args:
        probabilities: ``(images, classes)``, each row's sum 1.
        labels: The true classes, ``(images,)``.
        class_names: A name for each class; their numbers by default.
        floor: Least probability in the negative log-likelihood; see `negative_log_likelihood`.

    Raises:
        InputError: The shapes disagree, there are no images, or a label is no class.

    Example:
        >>> classification_metrics([[0.9, 0.1], [0.2, 0.8]], [0, 0]).top1
        0.5
    """
    probabilities, labels = _checked(probabilities, labels)
    classes = probabilities.shape[1]
    names = [str(i) for i in range(classes)] if class_names is None else list(class_names)
    if len(names) != classes:
        raise InputError(f"`class_names` must name {classes} classes. Received: {len(names)} names")
    return metrics_of(outcomes(probabilities, labels), labels, names, floor=floor)


def outcomes(probabilities, labels) -> dict[str, np.ndarray]:
    """Return of each image what its metrics are made of: a few numbers for any number of classes.

    Args:
        probabilities: ``(images, classes)``.
        labels: The true classes, ``(images,)``.

    Returns:
        Arrays ``(images,)``: ``predicted``, the most probable class; ``confidence``, its
        probability; ``true``, that of the true class; ``top5``, whether the true class is among the
        five most probable (of equal ones, the later classes); and ``squares``, the sum of the
        squared probabilities.

    Raises:
        InputError: The shapes disagree, there are no images, or a label is no class.

    Example:
        >>> outcomes([[0.9, 0.1]], [0])["confidence"]
        array([0.9])
    """
    probabilities, labels = _checked(probabilities, labels)
    true = np.take_along_axis(probabilities, labels[:, None], -1)
    later = np.arange(probabilities.shape[1]) > labels[:, None]
    before = (probabilities > true) | ((probabilities == true) & later)
    return {
        "predicted": probabilities.argmax(-1),
        "confidence": probabilities.max(-1),
        "true": true[:, 0],
        "top5": before.sum(-1) < 5,
        "squares": (probabilities**2).sum(-1),
    }


def metrics_of(
    found: dict[str, np.ndarray], labels, class_names: Sequence[str], *, floor: float | None = None
) -> Metrics:
    """Return all metrics, from what `outcomes` returns.

    Args:
        found: The outcomes, of all images.
        labels: The true classes, ``(images,)``.
        class_names: A name for each class.
        floor: As for `classification_metrics`.

    Example:
        >>> metrics_of(outcomes(probabilities, labels), labels, ["cat", "dog"]).top1
        0.5
    """
    labels = np.asarray(labels, np.int64)
    right = found["predicted"] == labels
    confusion = Confusion.of(labels, found["predicted"], len(class_names))
    bins = _bins(found["confidence"], right, BINS)
    per_class = _per_class(confusion, class_names)
    recalls = [row["recall"] for row in per_class if row["images"]]
    return Metrics(
        images=len(labels),
        top1=float(np.mean(right)),
        top5=float(np.mean(found["top5"])) if len(class_names) > 5 else None,
        balanced_accuracy=float(np.mean(recalls)),
        nll=_log_loss(found["true"], floor),
        brier=float(np.mean(found["squares"] - 2 * found["true"] + 1)),
        ece=expected_calibration_error(bins),
        per_class=per_class,
        confusion=confusion,
        bins=bins,
    )


def calibration_bins(probabilities, labels, bins: int = BINS) -> list[dict[str, Any]]:
    """Return how often the model is right by how sure it is (Guo 2017, equations 1 and 2).

    The confidence is the largest probability. Bins are equally wide; bin m of M holds confidences
    in ((m - 1) / M, m / M].

    Args:
        probabilities: ``(images, classes)``.
        labels: The true classes, ``(images,)``.
        bins: Number of bins.

    Returns:
        For each bin ``low``, ``high``, ``images``, ``confidence`` and ``accuracy``: the bounds, the
        number of images, their mean confidence and the part of them that is right (None without
        images).

    Raises:
        InputError: The shapes disagree, there are no images, or a label is no class.

    Example:
        >>> calibration_bins([[0.9, 0.1]], [0], bins=2)[1]
        {'low': 0.5, 'high': 1.0, 'images': 1, 'confidence': 0.9, 'accuracy': 1.0}
    """
    probabilities, labels = _checked(probabilities, labels)
    return _bins(probabilities.max(-1), probabilities.argmax(-1) == labels, bins)


def _bins(confidence, right, bins: int) -> list[dict[str, Any]]:
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    rows = []
    for number in range(bins):
        inside = place == number
        some = bool(inside.any())
        rows.append(
            {
                "low": float(edges[number]),
                "high": float(edges[number + 1]),
                "images": int(inside.sum()),
                "confidence": float(confidence[inside].mean()) if some else None,
                "accuracy": float(right[inside].mean()) if some else None,
            }
        )
    return rows


def expected_calibration_error(bins: list[dict[str, Any]]) -> float:
    """Return the mean gap between confidence and accuracy (Guo 2017, equation 3).

    Args:
        bins: What `calibration_bins` returns. Bins weigh as many images as they hold.

    Example:
        >>> expected_calibration_error(calibration_bins([[0.75, 0.25]], [0]))
        0.25
    """
    total = sum(row["images"] for row in bins)
    gaps = (
        row["images"] * abs(row["accuracy"] - row["confidence"]) for row in bins if row["images"]
    )
    return float(sum(gaps) / total)


def negative_log_likelihood(probabilities, labels, *, floor: float | None = None) -> float:
    """Return the mean of -log of the true class's probability, in nats.

    Args:
        probabilities: ``(images, classes)``.
        labels: The true classes, ``(images,)``.
        floor: Least probability to take the logarithm of, so that one probability that was rounded
            to zero does not make the mean infinite. By default the smallest normal float32 number.

    Raises:
        InputError: The shapes disagree, there are no images, or a label is no class.

    Example:
        >>> negative_log_likelihood([[0.5, 0.5]], [1])
        0.6931471805599453
    """
    probabilities, labels = _checked(probabilities, labels)
    return _log_loss(np.take_along_axis(probabilities, labels[:, None], -1), floor)


def _log_loss(true, floor: float | None) -> float:
    floor = float(np.finfo(np.float32).tiny) if floor is None else floor
    return float(-np.log(np.maximum(true, floor)).mean())


def brier_score(probabilities, labels) -> float:
    """Return the mean squared distance of probabilities from the one-hot truth (Brier 1950).

    Summed over the classes: 0 for certainty that is right, 2 for certainty that is wrong.

    Args:
        probabilities: ``(images, classes)``.
        labels: The true classes, ``(images,)``.

    Raises:
        InputError: The shapes disagree, there are no images, or a label is no class.

    Example:
        >>> brier_score([[0.5, 0.5]], [1])
        0.5
    """
    probabilities, labels = _checked(probabilities, labels)
    true = np.take_along_axis(probabilities, labels[:, None], -1)[:, 0]
    return float(np.mean((probabilities**2).sum(-1) - 2 * true + 1))


def _checked(probabilities, labels) -> tuple[np.ndarray, np.ndarray]:
    probabilities, labels = np.asarray(probabilities, np.float64), np.asarray(labels)
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1] or not len(labels):
        raise InputError(
            "`probabilities` must be (images, classes) and `labels` (images,), for one image or "
            f"more. Received: shapes {probabilities.shape} and {labels.shape}"
        )
    if labels.min() < 0 or labels.max() >= probabilities.shape[1]:
        raise InputError(
            f"`labels` must be from 0 to {probabilities.shape[1] - 1}. Received: {labels.min()} to "
            f"{labels.max()}"
        )
    return probabilities, labels.astype(np.int64)


def _per_class(confusion: Confusion, names) -> list[dict[str, Any]]:
    images, predicted, right = confusion.row_sums(), confusion.column_sums(), confusion.diagonal()
    confused = confusion.most_confused()
    rows = []
    for number, name in enumerate(names):
        of_class, answers, hits = (int(counts[number]) for counts in (images, predicted, right))
        other, count = confused.get(number, (None, 0))
        rows.append(
            {
                "class": name,
                "images": of_class,
                "recall": hits / of_class if of_class else None,
                "precision": hits / answers if answers else None,
                "f1": 2 * hits / (of_class + answers) if of_class + answers else None,
                "confused_with": names[other] if count else None,
                "confusions": count,
            }
        )
    return rows
