"""Where the time of a training step goes: the pipeline, and each kind of operation."""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import keras
import tensorflow as tf

from keras_resnets.data.load import ImageData
from keras_resnets.errors import RunError
from keras_resnets.files import csv_text, write_text
from keras_resnets.models.config import NetworkConfig
from keras_resnets.training.fit import build_for_training
from keras_resnets.training.losses import needs_one_hot
from keras_resnets.training.settings import TrainingSettings

__all__ = ["OperationTime", "TrainingProfile", "operation_times", "profile_training"]

KINDS = (
    ("convolution", ("Conv2D", "convolution", "fprop", "dgrad", "wgrad", "implicit_gemm")),
    ("normalisation", ("BatchNorm", "batchnorm", "batch-norm")),
    ("pooling", ("Pool", "pool")),
    ("classifier", ("MatMul", "Softmax", "gemm", "CrossEntropy")),
    ("update of the weights", ("Assign", "ResourceApply")),
)
"""Kinds of operations by what their names contain; the first that fits; all others are
``elementwise and other``."""

OTHER = "elementwise and other"

_SECONDS = 4.0
"""Most seconds of an epoch measured."""


@dataclass(frozen=True, kw_only=True)
class OperationTime:
    """The time of one type of operation.

    Attributes:
        kind: What it does, of `KINDS`.
        operation: TensorFlow's name of its type, or XLA's of the kernel.
        milliseconds: Time of all calls in a training step, added over the threads.
        calls: Calls in a step.
        share: Part of the time of all operations.
    """

    kind: str
    operation: str
    milliseconds: float
    calls: float
    share: float


@dataclass(frozen=True)
class TrainingProfile:
    """Where the time of a training goes.

    Attributes:
        pipeline: Images a second of the input pipeline alone.
        memory: Images a second of training on one batch that lies in memory.
        training: Images a second of training from the pipeline.
        operations: An `OperationTime` each, the longest first.
    """

    pipeline: float
    memory: float
    training: float
    operations: list[OperationTime]

    @property
    def kinds(self) -> dict[str, float]:
        """Share of the operations' time by kind, the greatest first."""
        shares = Counter()
        for row in self.operations:
            shares[row.kind] += row.share
        return dict(shares.most_common())

    def lines(self) -> list[str]:
        """Return the profile in two lines of text."""
        kinds = ", ".join(f"{kind} {share:.0%}" for kind, share in self.kinds.items())
        return [
            f"profile: {self.training:,.0f} images/s, {self.training / self.memory:.0%} of "
            f"{self.memory:,.0f} from a batch in memory; the pipeline alone "
            f"{self.pipeline:,.0f} images/s",
            f"         operations: {kinds}",
        ]

    def write(self, path: str | Path) -> None:
        """Write the operations as CSV."""
        rows = [vars(row) for row in self.operations]
        write_text(path, csv_text(rows, list(OperationTime.__dataclass_fields__)))


def profile_training(
    config: NetworkConfig,
    data: ImageData,
    settings: TrainingSettings,
    *,
    steps: int = 30,
    rounds: int = 3,
) -> TrainingProfile:
    """Measure where the time of a training would go, on a network that is thrown away.

    Training from the pipeline and from memory take turns, so that the ratio of the two means
    something on a machine with other work.

    Args:
        config: What would be trained.
        data: On what.
        settings: How.
        steps: Most training steps of an epoch measured; fewer where they take over 4 seconds.
        rounds: Epochs of `steps` measured in each of two turns; the median counts.

    Raises:
        RunError: TensorFlow recorded no operations.

    Example:
        >>> data = load_data()
        >>> config = data.adapt(model_config("resnet8_cifar"))
        >>> print(profile_training(config, data, TrainingSettings()).kinds)
    """
    settings = settings.fit_to(data.sizes["train"])
    plan = settings.plan(data.sizes["train"])
    batch_size = min(settings.batch_size // settings.accumulate, data.sizes["train"])
    batches = data.training_batches(
        batch_size,
        settings.seed,
        augmentation=settings.recipe.augmentation,
        one_hot=needs_one_hot(settings.recipe),
    )
    fixed = tf.data.Dataset.from_tensors(next(iter(batches))).repeat()
    model = build_for_training(config, settings, plan)

    def rates(source):
        """Return the images a second of each epoch but the first, which traces."""
        clock = _Clock()
        model.fit(
            source,
            steps_per_epoch=steps,
            epochs=rounds + 1,
            callbacks=[clock],
            shuffle=False,
            verbose=0,
        )
        return [steps * batch_size / seconds for seconds in clock.seconds[1:]]

    at_once = model.steps_per_execution
    steps, wanted = at_once, steps
    # As many steps as take no more than some seconds.
    seconds = at_once * batch_size / statistics.median(rates(fixed))
    steps = at_once * max(1, min(wanted // at_once, int(_SECONDS / seconds)))
    memory, training = [], []
    for _ in range(2):
        memory += rates(fixed)
        training += rates(batches)
    return TrainingProfile(
        pipeline=_pipeline_rate(batches, batch_size, steps),
        memory=statistics.median(memory),
        training=statistics.median(training),
        operations=operation_times(
            lambda: model.fit(fixed, steps_per_epoch=steps, shuffle=False, verbose=0), steps
        ),
    )


class _Clock(keras.callbacks.Callback):
    """Takes the seconds of every epoch."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self._began)


def _pipeline_rate(batches, batch_size, steps) -> float:
    iterator = iter(batches)
    for _ in range(5):  # what was fetched ahead
        next(iterator)
    began = time.perf_counter()
    for _ in range(4 * steps):
        next(iterator)
    return 4 * steps * batch_size / (time.perf_counter() - began)


def operation_times(run, steps: int = 1) -> list[OperationTime]:
    """Record a function's TensorFlow operations and return their times.

    Args:
        run: Called once.
        steps: Times are divided by this number.

    Raises:
        RunError: Nothing was recorded.
    """
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        try:
            run()
        finally:
            tf.profiler.experimental.stop()
        events = Counter()
        calls = Counter()
        for name, picoseconds in _operations(folder):
            events[name] += picoseconds
            calls[name] += 1
    if not events:
        raise RunError("TensorFlow's profiler recorded no operations")
    total = events.total()
    return [
        OperationTime(
            kind=_kind(name),
            operation=name,
            milliseconds=round(picoseconds / 1e9 / steps, 4),
            calls=round(calls[name] / steps, 2),
            share=round(picoseconds / total, 5),
        )
        for name, picoseconds in events.most_common()
    ]


def _operations(folder: str):
    """Yield name and picoseconds of every operation in a profile."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace()
    for path in Path(folder).rglob("*.xplane.pb"):
        space.MergeFromString(path.read_bytes())
    on_gpu = any(plane.name.startswith("/device:GPU") for plane in space.planes)
    for plane in space.planes:
        if not plane.name.startswith("/device:GPU" if on_gpu else "/host:CPU"):
            continue
        names = {key: entry.name for key, entry in plane.event_metadata.items()}
        for event in itertools.chain.from_iterable(line.events for line in plane.lines):
            name = names[event.metadata_id]
            if on_gpu:
                yield name, event.duration_ps
            elif "::" not in name and ":" in name and _type(name).isidentifier():
                # "path/of/the/node:Type"; the executor's own are "Class::Method" and ": call".
                yield _type(name), event.duration_ps


def _type(name: str) -> str:
    return name.rpartition(":")[2]


def _kind(operation: str) -> str:
    for kind, parts in KINDS:
        if any(part in operation for part in parts):
            return kind
    return OTHER
