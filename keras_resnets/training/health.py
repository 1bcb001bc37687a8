"""Whether a training learns anything: validation at chance, one class for every image."""

from __future__ import annotations

import functools
import math
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from keras_resnets.training.planning import FEW_STEPS, epochs_for
from keras_resnets.training.settings import TrainingPlan, TrainingSettings

__all__ = ["HealthWatch", "Subject", "at_chance", "one_class_warning", "only_class"]

_PATIENCE = 0.3
"""Fraction of the run that validation may stay at chance: a warm-up lasts as long."""

_LATE = 0.6
"""Fraction of the run from which validation counts alone, whatever the training images say."""

_LEAST_EPOCHS = 3


@dataclass(frozen=True)
class Subject:
    """What a warning speaks of.

    Attributes:
        dataset: The data set, as the command takes it.
        class_names: Its classes.
        count_classes: Function that returns the validation images of each class; it is called once,
            on the first suspicion, since many records take a while to read.
        plan: The run in steps.
        learning_rate: Its peak.
    """

    dataset: str
    class_names: Sequence[str]
    count_classes: Callable[[], Sequence[int]]
    plan: TrainingPlan
    learning_rate: float

    @classmethod
    def of(cls, data, settings: TrainingSettings) -> Subject:
        """Return that of a training on `data` by settings that are fitted to it."""
        plan = settings.plan(data.sizes["train"])
        return cls(
            data.address or data.name,
            data.class_names,
            lambda: data.class_counts("validation").tolist(),
            plan,
            settings.learning_rate,
        )

    @functools.cached_property
    def counts(self) -> Sequence[int]:
        """Validation images of each class."""
        return self.count_classes()

    @property
    def largest(self) -> int:
        """The class with the most validation images."""
        return int(np.argmax(self.counts))

    @property
    def chance(self) -> float:
        """Accuracy of naming the largest class for every validation image."""
        return max(self.counts) / sum(self.counts)


class HealthWatch(keras.callbacks.Callback):
    """Says once, while there is time to stop, that a training does not learn.

    Costs a look at the history an epoch; the validation images are classified once more only where
    the accuracy has been exactly a class's share for some epochs.

    Args:
        subject: What is trained.
        history: Rows of the epochs, the current one included.
        predictions: Function that returns the predicted class of every validation image.
        on_warning: Called with each line.
    """

    def __init__(
        self,
        subject: Subject,
        history: list[dict],
        predictions: Callable[[], np.ndarray],
        on_warning: Callable[[str], None],
    ):
        super().__init__()
        self.subject = subject
        self.history = history
        self.predictions = predictions
        self.on_warning = on_warning
        self.told = False

    def on_epoch_end(self, epoch, logs=None):
        """Look at the history, which has the epoch already."""
        if self.told:
            return
        lines = self._lines()
        for line in lines:
            self.on_warning(line)
        self.told = bool(lines)

    def _lines(self) -> list[str]:
        if _is_a_share(self.history, self.subject):
            only = only_class(self.predictions())
            if only is not None:
                return one_class_warning(self.subject, self.history, only, "validation")
        return at_chance(self.subject, self.history)


def at_chance(subject: Subject, history: list[dict]) -> list[str]:
    """Return lines about a validation that has stayed at chance, none where it has not.

    It has where both its mean over the last 30 % of the run (three epochs at least) and its last
    value are at most half a standard deviation above the largest class's share. In the first 60 %
    of the run the training accuracy must be about there too.

    Args:
        subject: What is trained.
        history: Rows of the epochs so far.
    """
    epochs = max(_LEAST_EPOCHS, math.ceil(_PATIENCE * subject.plan.epochs))
    last = [row["val_accuracy"] for row in history[-epochs:]]
    if len(last) < epochs or None in last or subject.chance == 1:
        return []
    chance = subject.chance
    noise = math.sqrt(chance * (1 - chance) / sum(subject.counts))
    best = max(sum(last) / len(last), last[-1])
    if best > chance + noise / 2 or _is_learning(subject, history):
        return []
    largest = subject.class_names[subject.largest]
    return [
        f"warning: validation has been at chance for {epochs} epochs: {last[-1]:.1%}",
        f"        ({_short(largest)!r} alone is {chance:.1%} of the images)",
        *_remedies(subject, history),
    ]


def only_class(predictions) -> int | None:
    """Return the class that is predicted for every image, None if there are several.

    Example:
        >>> only_class([2, 2, 2]), only_class([2, 1])
        (2, None)
    """
    predictions = np.asarray(predictions)
    return int(predictions[0]) if (predictions == predictions[0]).all() else None


def one_class_warning(subject: Subject, history: list[dict], number: int, split: str) -> list[str]:
    """Return lines about a model that predicts one class for every image of a split."""
    return [
        f"warning: every {split} image is classified as {_short(subject.class_names[number])!r}",
        *_remedies(subject, history),
    ]


def _is_a_share(history: list[dict], subject: Subject) -> bool:
    """Say whether the accuracy has been one class's share, exactly, for some epochs."""
    epochs = max(_LEAST_EPOCHS, math.ceil(_PATIENCE * subject.plan.epochs / 3))
    last = [row["val_accuracy"] for row in history[-epochs:]]
    if len(last) < epochs or None in last or max(last) - min(last) >= 1e-6:
        return False
    if sum(count > 0 for count in subject.counts) < 2:
        return False
    total = sum(subject.counts)
    shares = {count for count in subject.counts if abs(last[-1] * total - count) < 1e-3}
    return bool(shares)


def _is_learning(subject: Subject, history: list[dict]) -> bool:
    """Say whether the training images are learned, and there is time for more."""
    early = len(history) < _LATE * subject.plan.epochs
    return early and history[-1]["accuracy"] > subject.chance + 0.1 * (1 - subject.chance)


def _remedies(subject: Subject, history: list[dict]) -> list[str]:
    """Return the two most likely remedies, by the numbers of the run."""
    plan, learned = subject.plan, history[-1]["accuracy"]
    longer = f"{plan.steps:,} steps are few: try --epochs {epochs_for(plan)}"
    slower = f"the learning rate may be too high: try --lr {subject.learning_rate / 10:.2g}"
    labels = f"the labels may be wrong: keras-resnets check-data {shlex.quote(subject.dataset)}"
    # Training images that are classified well, and validation images that are not, are no matter
    # of the rate.
    ranked = [slower, labels] if learned < (1 + subject.chance) / 2 else [labels, slower]
    if plan.steps < FEW_STEPS:
        ranked.insert(0, longer)
    return [f"        {remedy}" for remedy in ranked[:2]]


def _short(name: str) -> str:
    return name if len(name) <= 24 else f"{name[:23]}…"
