"""The fit loop around `model.fit`: resumable to the bit, and the same for the same seed."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from keras_resnets.data.load import ImageData
from keras_resnets.files import replacing, write_json
from keras_resnets.models.builder import create_model
from keras_resnets.models.config import NetworkConfig
from keras_resnets.models.network import Network
from keras_resnets.training.execution import compile_for, execution_for
from keras_resnets.training.settings import TrainingSettings

__all__ = [
    "TrainingResult",
    "build_for_training",
    "compile_for_training",
    "prepare_device",
    "train",
]

HISTORY = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds")
"""Columns of a training history."""

_DETERMINISTIC_XLA = "--xla_gpu_deterministic_ops=true"


@dataclass(frozen=True)
class TrainingResult:
    """What a training gives back.

    Attributes:
        model: The trained model, compiled with its optimizer.
        history: A dict for each epoch, with the keys of `HISTORY`.
        diverged: Whether training stopped because the loss was no longer a number.
    """

    model: Network
    history: list[dict]
    diverged: bool

    @property
    def seconds(self) -> float:
        """Seconds of all epochs, those before an interruption included."""
        return sum(row["seconds"] for row in self.history)


def prepare_device(settings: TrainingSettings | None = None) -> None:
    """Make trainings deterministic for the process: TensorFlow's operations, or XLA's.

    Keras runs nothing by XLA once TensorFlow's own determinism is on, so that where training is
    compiled XLA's takes its place.
    """
    import tensorflow as tf

    settings = settings or TrainingSettings()
    execution = execution_for(settings)
    if not execution.jit_compile:
        tf.config.experimental.enable_op_determinism()
    elif execution.device != "CPU":
        flags = os.environ.get("XLA_FLAGS", "").split()
        if _DETERMINISTIC_XLA not in flags:
            os.environ["XLA_FLAGS"] = " ".join([*flags, _DETERMINISTIC_XLA])


def compile_for_training(
    model: Network, settings: TrainingSettings, steps: int | None = None
) -> None:
    """Compile `model` as `settings` say, for epochs of `steps` steps.

    The learning rate follows the settings' warm-up and cosine; without `steps` it is constant. XLA
    and the steps a call are the settings', or what is fastest on the device.
    """
    optimizer = keras.optimizers.SGD(
        float(settings.learning_rate) if steps is None else _schedule(settings, steps),
        momentum=float(settings.momentum),
        nesterov=settings.momentum > 0,
        weight_decay=settings.weight_decay or None,
    )
    compile_for(
        model,
        optimizer=optimizer,
        loss=keras.losses.SparseCategoricalCrossentropy(
            from_logits=model.config.classifier_activation in (None, "linear")
        ),
        metrics=["accuracy"],
        steps_per_epoch=steps,
        jit_compile="auto" if settings.xla is None else settings.xla,
        say=None,
    )


def _schedule(settings: TrainingSettings, steps: int):
    total = settings.epochs * steps
    warmup = math.ceil(settings.warmup * total)
    return keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else settings.learning_rate,
        decay_steps=max(1, total - warmup),
        warmup_target=settings.learning_rate if warmup else None,
        warmup_steps=warmup,
    )


def build_for_training(config: NetworkConfig, settings: TrainingSettings, steps: int) -> Network:
    """Return a new network, compiled as `settings` say, for epochs of `steps` steps."""
    execution = execution_for(settings, steps)
    # Decay is the settings' here: both would count it twice.
    model = create_model(
        config.replace(weight_decay=0.0),
        dtype=execution.dtype,
        data_format=execution.data_format,
    )
    compile_for_training(model, settings, steps)
    return model


def train(
    config: NetworkConfig,
    data: ImageData,
    settings: TrainingSettings,
    *,
    checkpoint: str | Path | None = None,
    until: int | None = None,
    on_epoch: Callable[[dict, list[dict]], None] | None = None,
) -> TrainingResult:
    """Train a network from its configuration, or go on where a checkpoint ends.

    Args:
        config: What to build; `ImageData.adapt` makes one fit a data set. Its weight decay gives
            way to the settings'.
        data: The data set; its training split is trained on, its validation split measured.
        settings: How to train.
        checkpoint: A ``.keras`` file to write checkpoints to (beside, then renamed) after each
            epoch, as long as that takes less than a tenth of the time, and to go on from if it
            exists. It must belong to the same configuration, data and settings.
        until: Epoch after which to stop, of the schedule's ``settings.epochs``; all by default.
        on_epoch: Called after every epoch with its row and all rows so far.

    Returns:
        The trained model and its history; bit for bit the same after an interruption.

    Example:
        >>> data = load_data()
        >>> config = data.adapt(model_config("resnet8_cifar"))
        >>> result = train(config, data, TrainingSettings(epochs=10))
    """
    keras.utils.set_random_seed(settings.seed)
    until = settings.epochs if until is None else min(until, settings.epochs)
    steps = data.steps_per_epoch(settings.batch_size)
    if checkpoint is not None and Path(checkpoint).is_file():
        model, history = _load_checkpoint(Path(checkpoint), steps)
    else:
        model, history = build_for_training(config, settings, steps), []
    log = _Log(history, checkpoint, on_epoch)
    coins = _Coins(settings.seed)
    if len(history) < until:
        model.fit(
            data.training_batches(
                settings.batch_size,
                settings.seed,
                augment=settings.augment,
                first_epoch=len(history),
            ),
            initial_epoch=len(history),
            epochs=until,
            steps_per_epoch=steps,
            validation_data=data.evaluation_batches("validation", max(256, settings.batch_size)),
            callbacks=[coins, log],
            shuffle=False,
            verbose=0,
        )
    return TrainingResult(model, history, log.diverged)


def _load_checkpoint(checkpoint: Path, steps: int) -> tuple[Network, list[dict]]:
    """Return the model and the history up to the epoch that the model has seen.

    The history is written before the model: what a crash between the two leaves is too long.
    """
    model = keras.saving.load_model(checkpoint)
    history = json.loads(checkpoint.with_suffix(".json").read_text())
    # Rounded up, since loss scaling skips steps without counting them.
    return model, history[: math.ceil(int(model.optimizer.iterations) / steps)]


class _Coins(keras.callbacks.Callback):
    """Makes the coins of an epoch depend on the seed and on the epoch's number alone.

    Keras saves no state of dropout and stochastic depth: a model that was loaded would go on with
    other coins.
    """

    def __init__(self, seed):
        super().__init__()
        self.seed = seed

    def on_epoch_begin(self, epoch, logs=None):
        states = [v for v in self.model.variables if v.name == "seed_generator_state"]
        for number, state in enumerate(states):
            seed = np.random.SeedSequence([self.seed, epoch, number])
            state.assign(seed.generate_state(2, np.uint32))


class _Log(keras.callbacks.Callback):
    """Keeps the history, stops at a loss that is no number, writes checkpoints."""

    def __init__(self, history, checkpoint, on_epoch):
        super().__init__()
        self.history = history
        self.checkpoint = None if checkpoint is None else Path(checkpoint)
        self.on_epoch = on_epoch
        self.diverged = False
        self._saved_at = time.monotonic()
        self._save_took = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        known = {
            "epoch": epoch + 1,
            "learning_rate": float(self.model.optimizer.learning_rate),
            "seconds": round(time.monotonic() - self._began, 3),
            **(logs or {}),
        }
        row = {name: known.get(name) for name in HISTORY}
        self.history.append(row)
        if self.on_epoch is not None:
            self.on_epoch(row, self.history)
        if not math.isfinite(row["loss"]):
            self.diverged = True
            self.model.stop_training = True
        elif time.monotonic() - self._saved_at > 10 * self._save_took:
            self._save()

    def on_train_end(self, logs=None):
        if not self.diverged:
            self._save()

    def _save(self):
        if self.checkpoint is None:
            return
        began = time.monotonic()
        write_json(self.checkpoint.with_suffix(".json"), self.history)
        with replacing(self.checkpoint) as path:
            self.model.save(path)
        self._saved_at = time.monotonic()
        self._save_took = self._saved_at - began
