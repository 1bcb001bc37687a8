"""What happens around the steps of `fit`: coins, rates, a guard, averages, the history, files."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from keras_resnets.errors import MachineError, RunError
from keras_resnets.files import replacing
from keras_resnets.training.averages import Averages
from keras_resnets.training.distribution import Devices
from keras_resnets.training.generations import averages_path, next_model, turn_over
from keras_resnets.training.optimizers import inner
from keras_resnets.training.recipes.recipe import Schedule

__all__ = [
    "HISTORY",
    "Checkpoints",
    "Coins",
    "Divergence",
    "Guard",
    "Log",
    "Patience",
    "Rates",
    "best_epoch",
    "plateaus",
]

HISTORY = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds")
"""Columns of a training history."""


class Coins(keras.callbacks.Callback):
    """Makes the coins of an epoch depend on the seed and on the epoch's number alone.

    Keras saves no state of dropout and stochastic depth: a model that was loaded would go on with
    other coins.
    """

    def __init__(self, seed: int):
        super().__init__()
        self.seed = seed

    def on_epoch_begin(self, epoch, logs=None):
        """Set every layer's coins."""
        states = [v for v in self.model.variables if v.name == "seed_generator_state"]
        for number, state in enumerate(states):
            seed = np.random.SeedSequence([self.seed, epoch, number])
            state.assign(seed.generate_state(2, np.uint32))


class Rates(keras.callbacks.Callback):
    """Moves the learning rate as the training's course asks for: see `Schedule`.

    It sets the optimizer's ``rate_scale``, which checkpoints hold.
    """

    STEPS = 50
    """Steps of an epoch before its training error, a mean over them, is believed."""

    def __init__(self, schedule: Schedule, history: list[dict]):
        super().__init__()
        self.schedule = schedule
        self.history = history
        self._warming = False

    def on_epoch_begin(self, epoch, logs=None):
        """See whether the warm-up goes on."""
        if self.schedule.warmup_error is None:
            return
        if epoch == 0:
            self._scale.assign(self.schedule.warmup_from)
        self._warming = float(self._scale) < 1

    def on_train_batch_end(self, batch, logs=None):
        """End the warm-up where the error is low enough."""
        if self._warming and batch + 1 >= self.STEPS:
            self._warm(logs)

    def on_epoch_end(self, epoch, logs=None):
        """End the warm-up, or lower the rate on a plateau. The history has the epoch already."""
        if self._warming:
            self._warm(logs)
        if self.schedule.kind == "plateau":
            self._scale.assign(self.schedule.factor ** plateaus(self.history, self.schedule))

    def _warm(self, logs):
        if 1 - logs["accuracy"] < self.schedule.warmup_error:
            self._scale.assign(1.0)
            self._warming = False

    @property
    def _scale(self):
        return inner(self.model.optimizer).rate_scale


def plateaus(history: list[dict], schedule: Schedule) -> int:
    """Return how often the validation error has stayed for the schedule's patience.

    Example:
        >>> rows = [{"val_accuracy": a} for a in (0.5, 0.6, 0.6, 0.6)]
        >>> plateaus(rows, Schedule(kind="plateau", patience=2))
        1
    """
    best, waited, count = -math.inf, 0, 0
    for row in history:
        if row["val_accuracy"] > best:
            best, waited = row["val_accuracy"], 0
            continue
        waited += 1
        if waited == schedule.patience:
            waited, count = 0, count + 1
    return count


@dataclass(frozen=True)
class Divergence:
    """Where a training lost its way.

    Attributes:
        step: Training step, from 1, by which the loss was no number or absurd.
        epoch: Its epoch, from 1.
        learning_rate: Learning rate there.
        loss: The loss, a mean over the epoch so far.
    """

    step: int
    epoch: int
    learning_rate: float
    loss: float

    def __str__(self):
        what = f"is {self.loss:.3g}" if math.isfinite(self.loss) else "is not a number"
        return (
            f"the loss {what} at step {self.step} (epoch {self.epoch}), at a learning rate of "
            f"{self.learning_rate:.3g}"
        )


class Guard(keras.callbacks.Callback):
    """Stops a training whose loss is no number, or over an epoch ten times that of guessing."""

    def __init__(self, classes: int):
        super().__init__()
        self.limit = 10 * math.log(max(classes, 2))
        self.divergence: Divergence | None = None

    def on_epoch_begin(self, epoch, logs=None):
        """Keep the number."""
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        """Look at the loss so far."""
        if not math.isfinite(logs["loss"]):
            self._stop(logs["loss"])

    def on_epoch_end(self, epoch, logs=None):
        """Look at the epoch's losses, and at the weights that its last step has left."""
        if self.divergence is not None:
            return
        if not logs["loss"] < self.limit:
            self._stop(logs["loss"])
        elif not math.isfinite(logs.get("val_loss", 0.0)) or not self._finite():
            self._stop(math.nan)

    def _finite(self) -> bool:
        return all(np.isfinite(weight).all() for weight in self.model.get_weights())

    def _stop(self, loss):
        optimizer = self.model.optimizer
        self.divergence = Divergence(
            int(optimizer.iterations), self._epoch + 1, float(optimizer.learning_rate), float(loss)
        )
        self.model.stop_training = True


class Log(keras.callbacks.Callback):
    """Adds a row to the history after every epoch."""

    def __init__(self, history: list[dict]):
        super().__init__()
        self.history = history

    def on_epoch_begin(self, epoch, logs=None):
        """Take the time."""
        self._began = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        """Add the row."""
        known = {
            "epoch": epoch + 1,
            "learning_rate": float(self.model.optimizer.learning_rate),
            "seconds": round(time.monotonic() - self._began, 3),
            **(logs or {}),
        }
        self.history.append({name: known.get(name) for name in HISTORY})


def best_epoch(history: list[dict]) -> int | None:
    """Return the number of the first epoch of the highest validation accuracy, None without any.

    Example:
        >>> best_epoch([{"epoch": 1, "val_accuracy": 0.5}, {"epoch": 2, "val_accuracy": 0.5}])
        1
    """
    rows = [row for row in history if row["val_accuracy"] is not None]
    return max(rows, key=lambda row: row["val_accuracy"])["epoch"] if rows else None


class Patience(keras.callbacks.Callback):
    """Stops where the validation accuracy has not risen for some epochs."""

    def __init__(self, epochs: int, history: list[dict], weights: Callable[[], list]):
        super().__init__()
        self.epochs = epochs
        self.history = history
        self.stopped = False
        self.weights: list | None = None
        self._current = weights

    def on_epoch_end(self, epoch, logs=None):
        """Count; keep the weights of the best epoch."""
        if best_epoch(self.history) == epoch + 1:
            self.weights = [np.array(weight) for weight in self._current()]
        if self.is_over():
            self.stopped = True
            self.model.stop_training = True

    def is_over(self) -> bool:
        """Say whether the history has had patience enough."""
        best = best_epoch(self.history)
        return best is not None and self.history[-1]["epoch"] - best >= self.epochs


class Checkpoints(keras.callbacks.Callback):
    """Writes the last state, and the best epoch's model, beside and renamed.

    After every epoch, as long as that takes less than a tenth of the time; in any case after the
    last one. The state before it is kept: see `keras_resnets.training.generations`.

    Args:
        path: ``.keras`` file of the state.
        best: ``.keras`` file of the best epoch's model, None for none.
        deliver: Function from weights to the model to write there.
        history: Rows of the epochs.
        last: Number of the last epoch.
        guard: Nothing is written once it has stopped the training.
        averages: Averages to write too; None for none.
        weights: Function that returns the weights that were evaluated.
        devices: Those of the training: every worker writes, the chief's are kept.
    """

    def __init__(
        self,
        path: str | Path,
        best: Path | None,
        deliver: Callable,
        history: list[dict],
        last: int,
        guard: Guard,
        averages: Averages | None,
        weights: Callable[[], list],
        devices: Devices,
    ):
        super().__init__()
        self.path = Path(path)
        self.best = None if best is None else Path(best)
        self.deliver = deliver
        self.history = history
        self.last = last
        self.guard = guard
        self.averages = averages
        self.weights = weights
        self.devices = devices
        self._unsaved_best = None
        self._saved_at = time.monotonic()
        self._save_took = 0.0

    def on_epoch_end(self, epoch, logs=None):
        """Write, or not."""
        if self.guard.divergence is not None:
            return
        if self.best is not None and best_epoch(self.history) == epoch + 1:
            self._unsaved_best = [np.array(weight) for weight in self.weights()]
        over = epoch + 1 >= self.last or self.model.stop_training
        due = time.monotonic() - self._saved_at > 10 * self._save_took
        if over or self.devices.from_chief(due):
            self._save()

    def _save(self) -> None:
        began = time.monotonic()
        try:
            self._write()
        except RunError:
            raise
        except (OSError, RuntimeError) as error:  # HDF5 tells of a full disk by either
            kept = self.path.is_file()
            raise MachineError(
                f"checkpoint {str(self.path)!r} cannot be written after epoch "
                f"{len(self.history)}: {' '.join(str(error).split())[:200]}; "
                + ("the same command goes on from the one before" if kept else "there is none yet")
            ) from error
        self._saved_at = time.monotonic()
        self._save_took = self._saved_at - began

    def _write(self) -> None:
        """Write what belongs to the state, then the state, which makes the rest count."""
        if self.devices.is_chief:
            if self._unsaved_best is not None:
                with replacing(self.best) as beside:
                    self.deliver(self._unsaved_best).save(beside)
                self._unsaved_best = None
            if self.averages is not None:
                self.averages.save(averages_path(self.path, len(self.history)))
        with self.devices.writing(next_model(self.path)) as beside, _all_trainable(self.model):
            self.model.save(beside)
        if self.devices.is_chief:
            steps = int(self.model.optimizer.iterations)
            turn_over(self.path, self.history, steps, self.averages is not None)


@contextlib.contextmanager
def _all_trainable(model):
    """Show Keras every weight as trainable: the optimizer has slots for all of them."""
    frozen = [layer for layer in model._flatten_layers(include_self=False) if not layer.trainable]
    for layer in frozen:
        layer.trainable = True
    try:
        yield
    finally:
        for layer in frozen:
            layer.trainable = False
