"""What a training would take: some of its steps, timed on a network that is thrown away."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import keras
import tensorflow as tf

from keras_resnets.data.load import ImageData
from keras_resnets.models.config import NetworkConfig
from keras_resnets.training.distribution import Devices
from keras_resnets.training.fit import (
    build_for_training,
    class_weights_for,
    image_size,
    training_data,
    validation_batch_size,
    weighted,
)
from keras_resnets.training.losses import needs_one_hot
from keras_resnets.training.settings import TrainingPlan, TrainingSettings
from keras_resnets.words import clock, count, wrap

__all__ = ["DRY", "Rehearsal", "rehearse", "say_missing", "seconds_text"]

DRY = "dry run: nothing has been written"
"""Last line of a dry run."""

_TIMED = 3
"""Training steps that are timed, behind one that warms up."""

_BATCHES = 5
"""Batches of the input pipeline that are timed alone: those of the steps were fetched ahead."""


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """The expected time of a training, from some of its steps.

    Attributes:
        plan: The run in steps.
        start: Seconds of what is done once: the network is built and compiled, the first images
            are read, the first steps traced.
        steps: Seconds a training step, by the part of the images' size that the recipe begins with
            at these parts of the run: ``((0.0, seconds), ...)``.
        validation: Seconds of the validation after an epoch.
    """

    plan: TrainingPlan
    start: float
    steps: tuple[tuple[float, float], ...]
    validation: float

    def epoch_seconds(self, epoch: int) -> float:
        """Return the expected seconds of an epoch, from 0, validation included."""
        step = [s for begin, s in self.steps if self.plan.epoch_at(begin) <= epoch][-1]
        steps = min(self.plan.steps_per_epoch, self.plan.steps - epoch * self.plan.steps_per_epoch)
        return steps * step + self.validation

    def seconds(self, done: int = 0) -> float:
        """Return the expected seconds of a run, of which some epochs are done."""
        return self.start + sum(map(self.epoch_seconds, range(done, self.plan.epochs)))

    def steps_left(self, done: int = 0) -> int:
        """Return the training steps of a run behind some epochs."""
        return max(0, self.plan.steps - done * self.plan.steps_per_epoch)

    def step_lines(self) -> list[str]:
        """Return a line, of at most 80 columns, about what was timed."""
        each = ", then ".join(seconds_text(step) for _, step in self.steps)
        validation = f", validation {seconds_text(self.validation)}" if self.validation else ""
        timed = f"timed   {each} a step (the median of {_TIMED}){validation}"
        return wrap(f"{timed}, start {seconds_text(self.start)}", indent=8).splitlines()

    def lines(self, done: int = 0) -> list[str]:
        """Return lines, of at most 80 columns, about what was timed and what it comes to."""
        epochs = count(self.plan.epochs - done, "epoch")
        steps = self.steps_left(done)
        time_line = (
            f"time    about {clock(self.seconds(done))} for {epochs}, {count(steps, 'step')}: "
            "an estimate, validation included"
        )
        return [*self.step_lines(), *wrap(time_line, indent=8).splitlines()]


def say_missing(line: str, print_fn: Callable[[str], None]) -> None:
    """Say that a data set would be downloaded, and that no more is known without it.

    Args:
        line: What `missing_download` returned.
        print_fn: Called with each line.
    """
    print_fn(f"would begin by {line}")
    print_fn("steps and times are known once it is there")
    print_fn(DRY)


def seconds_text(seconds: float) -> str:
    """Return a duration as ``2:03``, ``1.4 s`` or ``13 ms``."""
    if seconds >= 60:
        return clock(seconds)
    return f"{seconds:.2g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"


def rehearse(
    config: NetworkConfig,
    data: ImageData,
    settings: TrainingSettings,
    devices: Devices | None = None,
) -> Rehearsal:
    """Time three steps of a training, on real batches, and a batch of its validation.

    The network is built and compiled as for the training; nothing is written. A step takes as long
    as its batch, where the input pipeline is slower. Parts that the recipe freezes are trained.

    Args:
        config: What would be trained.
        data: On what.
        settings: How.
        devices: The devices, if they are open already.

    Raises:
        ConfigError: Settings, network and data disagree.

    Example:
        >>> data = load_data()
        >>> config = data.adapt(model_config("resnet8_cifar"))
        >>> rehearse(config, data, TrainingSettings()).seconds()
    """
    began = time.perf_counter()
    keras.utils.set_random_seed(settings.seed)
    devices = devices or Devices()
    data = training_data(data, settings)
    settings = settings.fit_to(data.sizes["train"], devices.replicas)
    plan = settings.plan(data.sizes["train"])
    with devices.scope():
        model = build_for_training(config, settings, plan, devices)
    start, steps = time.perf_counter() - began, []
    for begin, part in settings.recipe.sizes:
        first, step = _time_steps(model, data, settings, devices, plan, part)
        start += first
        steps.append((begin, step))
    validation = 0.0
    if not settings.all_data:
        first, validation = _time_validation(model, data, settings, devices)
        start += first
    return Rehearsal(plan=plan, start=start, steps=tuple(steps), validation=validation)


def _time_steps(model, data, settings, devices, plan, part) -> tuple[float, float]:
    """Return the seconds of the first step, which traces, and of one of those after it."""
    batches = data.training_batches(
        settings.batch_size // settings.accumulate,
        settings.seed,
        augmentation=settings.recipe.augmentation,
        one_hot=needs_one_hot(settings.recipe),
        size=image_size(data, part),
        steps=plan.steps_per_epoch * settings.accumulate,
    )
    weights = class_weights_for(data, settings)
    if weights is not None:
        batches = weighted(batches, weights)
    at_once = model.steps_per_execution
    calls = math.ceil(settings.accumulate / at_once)  # of a training step
    ends = _Ends()
    began = time.perf_counter()
    model.fit(
        devices.training(batches),
        steps_per_epoch=(1 + _TIMED) * calls * at_once,
        callbacks=[ends],
        shuffle=False,
        verbose=0,
    )
    first, *timed = ends.times[calls - 1 :: calls]
    seconds = [end - start for start, end in zip((first, *timed), timed, strict=False)]
    of_batches = statistics.median(seconds) / (calls * at_once)
    each = max(of_batches, _pipeline_seconds(batches))
    return first - began, each * settings.accumulate


class _Ends(keras.callbacks.Callback):
    """Takes the time at the end of every call of the training function."""

    def __init__(self):
        super().__init__()
        self.times = []

    def on_train_batch_end(self, batch, logs=None):
        self.times.append(time.perf_counter())  # Keras has waited for the logs


def _pipeline_seconds(batches) -> float:
    """Return the seconds that the input pipeline alone takes for a batch."""
    iterator = iter(batches)
    next(iterator)
    began = time.perf_counter()
    for _ in range(_BATCHES):
        next(iterator)
    return (time.perf_counter() - began) / _BATCHES


def _time_validation(model, data, settings, devices) -> tuple[float, float]:
    """Return the seconds of the first batch, which traces, and of a validation, by another."""
    batch_size = validation_batch_size(settings)
    one_hot = needs_one_hot(settings.recipe)
    batch = next(iter(data.evaluation_batches("validation", batch_size, one_hot=one_hot)))
    at_once = model.steps_per_execution
    batches = devices.evaluation(tf.data.Dataset.from_tensors(batch).repeat(at_once))
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        model.evaluate(batches, verbose=0)
        seconds.append(time.perf_counter() - began)
    return seconds[0], seconds[1] / at_once * math.ceil(data.sizes["validation"] / batch_size)
