"""A bar that shows how far a training is, how fast, and how long still; for terminals."""

from __future__ import annotations

import time

import keras
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from keras_resnets.words import clock, compact, printable

__all__ = ["ProgressBar", "clock"]


class ProgressBar(keras.callbacks.Callback):
    """Shows the steps of an epoch, the images a second, and the time left of the whole run.

    Lines printed while it is shown go through `print_fn`, above the bar.

    Args:
        epochs: Epochs of the run.
        batch_size: Images a step.
        console: Where to; standard output by default.

    Example:
        >>> with ProgressBar(epochs=10, batch_size=128) as bar:
        ...     train(config, data, settings, callbacks=[bar])
    """

    def __init__(self, epochs: int, batch_size: int, console: Console | None = None):
        super().__init__()
        self.epochs = epochs
        self.batch_size = batch_size
        self._progress = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f}  {task.fields[numbers]}"),
            console=console or Console(),
            transient=True,
        )
        self._task = None
        self._began = None
        self._steps = 0

    def __enter__(self):
        self._progress.start()
        return self

    def __exit__(self, *exception):
        self._progress.stop()

    def print_fn(self, line: str) -> None:
        """Print a line above the bar."""
        self._progress.console.print(printable(line, lines=True), markup=False, highlight=False)

    def on_epoch_begin(self, epoch, logs=None):
        """Begin a bar."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(
            "", total=self.params["steps"], epoch=f"{epoch + 1}/{self.epochs}", numbers=""
        )
        self._epoch = epoch
        self._began = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        """Move it."""
        steps = self.params["steps"]
        seconds = (time.monotonic() - self._began) / (batch + 1)
        left = (steps - batch - 1 + (self.epochs - self._epoch - 1) * steps) * seconds
        self._progress.update(
            self._task,
            completed=batch + 1,
            numbers=(
                f"loss {logs['loss']:.4f}  acc {logs['accuracy']:.2%}  "
                f"{compact(self.batch_size / seconds)} images/s  {clock(left)} left"
            ),
        )
