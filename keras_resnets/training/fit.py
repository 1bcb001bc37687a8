"""Training around `model.fit`: resumable to the bit, and the same for the same seed."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from keras_resnets.backends import require_backend
from keras_resnets.data.load import ImageData
from keras_resnets.errors import ConfigError, RunError
from keras_resnets.models.builder import create_model
from keras_resnets.models.config import NetworkConfig
from keras_resnets.models.heads import gives_logits
from keras_resnets.models.integrity import check_own_weights
from keras_resnets.models.network import Network
from keras_resnets.training import callbacks as around
from keras_resnets.training import transfer
from keras_resnets.training.averages import Averages
from keras_resnets.training.callbacks import HISTORY, Divergence
from keras_resnets.training.class_weights import class_weight_vector
from keras_resnets.training.distribution import Devices, open_strategy, synchronize_batch_norm
from keras_resnets.training.execution import compile_for, execution_for
from keras_resnets.training.generations import (
    Generation,
    averages_path,
    find_generations,
    is_whole_model,
    settle,
)
from keras_resnets.training.health import HealthWatch, Subject
from keras_resnets.training.losses import compile_for_evaluation, make_loss, needs_one_hot
from keras_resnets.training.optimizers import make_optimizer
from keras_resnets.training.planning import check_image_size
from keras_resnets.training.schedules import make_schedule
from keras_resnets.training.settings import TrainingPlan, TrainingSettings

__all__ = [
    "HISTORY",
    "TrainingResult",
    "build_for_training",
    "check_augmentation",
    "class_weights_for",
    "compile_for_training",
    "config_for_training",
    "prepare_device",
    "train",
    "training_data",
    "validation_batch_size",
    "weighted",
]

_DETERMINISTIC_XLA = "--xla_gpu_deterministic_ops=true"


@dataclass(frozen=True)
class TrainingResult:
    """What a training gives back.

    Attributes:
        model: The trained model, compiled for `evaluate`: the last epoch's, with averaged weights
            where the recipe averages; the best epoch's where patience has ended the training.
        history: A dict for each epoch, with the keys of `HISTORY`.
        optimizer: The optimizer, with its state.
        divergence: Where the training lost its way, None if it did not.
        out_of_patience: Whether it was stopped because the validation accuracy no longer rose.
    """

    model: Network
    history: list[dict]
    optimizer: keras.optimizers.Optimizer
    divergence: Divergence | None = None
    out_of_patience: bool = False

    @property
    def diverged(self) -> bool:
        """Whether training stopped because the loss was no number, or absurd."""
        return self.divergence is not None

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


def config_for_training(config: NetworkConfig, settings: TrainingSettings) -> NetworkConfig:
    """Return the configuration that a training ends with.

    The recipe's ``network`` options are set; decay is the recipe's: both would count it twice.

    Raises:
        ConfigError: The network has no such option, or its value is illegal.
    """
    options = settings.recipe.network
    for name in options:
        if not hasattr(config, name):
            raise ConfigError(
                f"recipe {settings.recipe.name!r} sets `network.{name}`, which a "
                f"{type(config).__name__} does not have: choose another recipe or network"
            )
    config = config.replace(**options, weight_decay=0.0)
    gives_logits(config)  # or raises
    return config


def _config_in_training(config: NetworkConfig, settings: TrainingSettings) -> NetworkConfig:
    """Return what is built: free in the images' size, or with logits, where the recipe needs it."""
    if any(size != 1 for _, size in settings.recipe.sizes):
        height, width, channels = config.input_shape
        if height != width:
            raise ConfigError(
                f"a recipe with `sizes` needs square images. Received: images of {height} x {width}"
            )
        config = config.replace(input_shape=(None, None, channels))
    if settings.recipe.loss.kind == "bce":
        config = config.replace(classifier_activation=None)
    return config


def image_size(data: ImageData, part: float) -> int | None:
    """Return the side of the images at a part of their size, None for their own."""
    return None if part == 1 else max(1, round(part * data.image_shape[0]))


def check_augmentation(data: ImageData, settings: TrainingSettings) -> None:
    """Raise `ConfigError` where a recipe's augmentation does not fit the images."""
    for _, part in settings.recipe.sizes:
        data.augmenter(
            settings.recipe.augmentation,
            settings.seed,
            one_hot=needs_one_hot(settings.recipe),
            size=image_size(data, part),
        )


def training_data(data: ImageData, settings: TrainingSettings) -> ImageData:
    """Return the data set with the images that are trained on, as the settings say."""
    return data.without_validation() if settings.all_data else data


def validation_batch_size(settings: TrainingSettings) -> int:
    """Return how many validation images are classified at once."""
    return max(256, settings.batch_size // settings.accumulate)


def class_weights_for(data: ImageData, settings: TrainingSettings) -> list[float] | None:
    """Return the weight of each class in the loss, None for the same for all.

    Args:
        data: The data set with the images that are trained on.
        settings: How to train.

    Raises:
        ConfigError: The settings' weights are not of these classes.
    """
    if settings.class_weights is None:
        return None
    counts = data.class_counts("train")
    return class_weight_vector(settings.class_weights, data.class_names, counts)


def weighted(batches, weights: Sequence[float]):
    """Return training batches with a weight for each image, that of its class.

    A mixed image weighs what the classes do that it is a mixture of.

    Args:
        batches: `tf.data.Dataset` of (images, labels): numbers, or one-hot vectors.
        weights: Weight of each class.

    Returns:
        `tf.data.Dataset` of (images, labels, float32 weights), as `keras.Model.fit` takes it.
    """
    import tensorflow as tf

    table = tf.constant(weights, tf.float32)

    def weigh(images, labels):
        if labels.shape.rank == 2:
            return images, labels, tf.linalg.matvec(labels, table)
        return images, labels, tf.gather(table, labels)

    weighed = batches.map(weigh, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return weighed.prefetch(tf.data.AUTOTUNE)


def compile_for_training(
    model: Network,
    settings: TrainingSettings,
    plan: TrainingPlan | None = None,
    devices: Devices | None = None,
) -> None:
    """Compile `model` as `settings` say, for a run of these steps.

    Without a `plan` the learning rate is constant. XLA and the steps a call are the settings', or
    what is fastest on the device.
    """
    recipe = settings.recipe
    rate = settings.learning_rate
    optimizer = make_optimizer(
        recipe.optimizer,
        rate if plan is None else make_schedule(recipe, rate, plan.steps, plan.steps_per_epoch),
        gradient_accumulation_steps=settings.accumulate if settings.accumulate > 1 else None,
        rate_multipliers=transfer.rate_multipliers(model, recipe.transfer.rate_decay)
        if settings.init
        else None,
    )
    _compile(model, settings, optimizer, plan, devices or Devices())


def _compile(model, settings, optimizer, plan: TrainingPlan | None, devices: Devices) -> None:
    logits = gives_logits(model.config)
    compile_for(
        model,
        optimizer=optimizer,
        loss=make_loss(settings.recipe.loss, needs_one_hot(settings.recipe), logits),
        metrics=["accuracy"],
        steps_per_epoch=None if plan is None else _steps_of_every_epoch(plan) * settings.accumulate,
        print_fn=None,
        **{"jit_compile": "auto" if settings.xla is None else settings.xla}
        | devices.compile_options(),
    )


def _steps_of_every_epoch(plan: TrainingPlan) -> int:
    """Return the steps that every epoch has a multiple of: the last one may be shorter."""
    return math.gcd(plan.steps_per_epoch, plan.steps)


def build_for_training(
    config: NetworkConfig,
    settings: TrainingSettings,
    plan: TrainingPlan | None,
    devices: Devices | None = None,
) -> Network:
    """Return a new network, compiled as `settings` say, for a run of these steps."""
    execution = execution_for(settings, None if plan is None else _steps_of_every_epoch(plan))
    model = create_model(
        _config_in_training(config_for_training(config, settings), settings),
        dtype=execution.dtype,
        data_format=execution.data_format,
    )
    if settings.init is not None:
        transfer.copy_weights(model, transfer.read_start(settings.init))
    if settings.sync_batch_norm:
        synchronize_batch_norm(model)
    compile_for_training(model, settings, plan, devices)
    return model


def train(
    config: NetworkConfig,
    data: ImageData,
    settings: TrainingSettings,
    *,
    checkpoint: str | Path | None = None,
    best: str | Path | None = None,
    until: int | None = None,
    on_epoch: Callable[[dict, list[dict]], None] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    devices: Devices | None = None,
    on_warning: Callable[[str], None] | None = None,
    on_damage: Callable[[str], None] | None = None,
) -> TrainingResult:
    """Train a network from its configuration, or go on where a checkpoint ends.

    Args:
        config: What to build; `ImageData.adapt` makes one fit a data set. Its weight decay gives
            way to the recipe's.
        data: The data set; its training split is trained on, its validation split measured.
        settings: How to train.
        checkpoint: A ``.keras`` file to write checkpoints to (beside, then renamed) after each
            epoch, as long as that takes less than a tenth of the time, and to go on from if it
            exists. It must belong to the same configuration, data and settings. One that is damaged
            gives way to the one before it, and without that the training begins again.
        best: A ``.keras`` file to write the model of the best epoch to, with each checkpoint.
        until: Epoch after which to stop, of the run's epochs; all by default.
        on_epoch: Called after every epoch with its row and all rows so far.
        callbacks: Keras callbacks to call too.
        devices: The devices, if they are open already; the settings' strategy is opened otherwise.
        on_warning: Called with each line about a training that does not learn: validation that
            stays at chance, one class predicted for every image. None to say nothing.
        on_damage: Called with a line on what is damaged of the checkpoint, and lost.

    Returns:
        The trained model and its history; bit for bit the same after an interruption.

    Raises:
        ConfigError: Settings, network and data disagree.
        RunError: A checkpoint cannot be written, or not be read by this version of Keras.

    Example:
        >>> data = load_data()
        >>> config = data.adapt(model_config("resnet8_cifar"))
        >>> result = train(config, data, TrainingSettings(epochs=10))
    """
    require_backend("`train`", "tensorflow", "jax")
    keras.utils.set_random_seed(settings.seed)
    devices = devices or open_strategy(settings.strategy)
    data = training_data(data, settings)
    settings = settings.fit_to(data.sizes["train"], devices.replicas)
    config = config_for_training(config, settings)
    check_image_size(config, settings)
    _check_devices(devices, settings, config)
    plan = settings.plan(data.sizes["train"])
    until = plan.epochs if until is None else min(until, plan.epochs)
    run = _Run(config, data, settings, plan, devices)
    checkpoint = None if checkpoint is None else Path(checkpoint)
    if best is None and settings.patience is not None and checkpoint is not None:
        best = checkpoint.with_name(f"{checkpoint.stem}-best.keras")
    best = None if best is None or settings.all_data else Path(best)
    if checkpoint is None or not run.load(checkpoint, best, on_damage or (lambda line: None)):
        run.build()
    if on_warning is not None and not settings.all_data:
        callbacks = [*callbacks, run.watch(on_warning)]
    run.fit(until, checkpoint, best, on_epoch, callbacks)
    return run.result(best)


def _check_devices(devices: Devices, settings: TrainingSettings, config: NetworkConfig) -> None:
    devices.check_batch(settings.batch_size // settings.accumulate)
    devices.check_supported(
        accumulate=settings.accumulate,
        clip_norm=settings.recipe.optimizer.clip_norm,
        xla=settings.xla,
        config=config,
        sync_batch_norm=settings.sync_batch_norm,
    )


@dataclass(frozen=True)
class _Phase:
    """Epochs of one `fit`: the same size of images, parts trained and steps an epoch."""

    first: int
    last: int
    size: float
    thawed: int | None
    steps: int


class _Run:
    """One training: its model, its history, its calls of `fit`."""

    def __init__(self, config, data, settings, plan, devices):
        self.config = config
        self.data = data
        self.settings = settings
        self.plan = plan
        self.devices = devices
        self.model: Network | None = None
        self.history: list[dict] = []
        self.guard = around.Guard(config.classes)
        self.patience: around.Patience | None = None
        ema = settings.recipe.ema
        self.averages = None if ema is None else Averages(ema, settings.accumulate)
        self.class_weights = class_weights_for(data, settings)

    def build(self) -> None:
        with self.devices.scope():
            self.model = build_for_training(self.config, self.settings, self.plan, self.devices)

    def load(self, checkpoint: Path, best: Path | None, on_damage: Callable[[str], None]) -> bool:
        """Take the newest generation of a checkpoint that can be trusted.

        Returns:
            Whether there is one.
        """
        chief = self.devices.is_chief
        found = self._find(checkpoint, best) if chief else None
        while self.devices.from_chief(chief and found.newest is not None):
            reason = self._read(found.newest if chief else None, checkpoint)
            if reason is None:
                break
            if chief:
                found = found.without_newest(reason)
            self.model, self.history = None, []
        if chief:
            if (line := found.line()) is not None:
                on_damage(line)
            settle(checkpoint, found)
        return self.model is not None

    def _find(self, checkpoint: Path, best: Path | None):
        found = find_generations(checkpoint)
        number = around.best_epoch(found.newest.history) if found.whole else None
        if best is None or number is None or is_whole_model(best):
            return found
        what = "damaged" if best.is_file() else "missing"
        return found.without_all(f"{best.name}, the model of epoch {number}, is {what}")

    def _read(self, generation: Generation | None, checkpoint: Path) -> str | None:
        """Take the chief's generation; return why it is of no use, None where it is taken."""
        facts = generation and [generation.iterations, generation.averages is not None]
        iterations, averaged = self.devices.from_chief(facts)
        self._read_model(generation.model if generation else checkpoint)
        if self.settings.sync_batch_norm:
            synchronize_batch_norm(self.model)
        self.history = self.devices.from_chief(generation and generation.history)
        # Rounded up, since loss scaling skips steps without counting them.
        least = math.ceil(iterations / self.plan.steps_per_epoch)
        if int(self.model.optimizer.iterations) != iterations or least > len(self.history):
            return f"history and optimizer disagree after epoch {len(self.history)}"
        if averaged != (self.averages is not None):
            return "the averages are missing"
        if averaged:
            with self.devices.reading(averages_path(checkpoint, len(self.history))) as path:
                self.averages.load(path)
        return None

    def _read_model(self, model: Path) -> None:
        with self.devices.reading(model) as path:
            try:
                with self.devices.scope():
                    self.model = keras.saving.load_model(path)
            except (ValueError, TypeError, KeyError) as error:  # of another version of Keras
                reason = " ".join(str(error).split())[:200]
                raise RunError(f"checkpoint {str(model)!r} cannot be read: {reason}") from error

    def fit(self, until, checkpoint, best, on_epoch, callbacks) -> None:
        every = self._callbacks(until, checkpoint, best, on_epoch, callbacks)
        for phase in self._phases():
            first, last = max(phase.first, len(self.history)), min(phase.last, until)
            if first < last and not self._over:
                self._fit_phase(phase, first, last, every)

    @property
    def _over(self) -> bool:
        out = self.patience is not None and self.patience.stopped
        return out or self.guard.divergence is not None

    def _callbacks(self, until, checkpoint, best, on_epoch, callbacks):
        """Return the callbacks, each of which may rely on what those before it have done."""
        settings, history = self.settings, self.history
        every = [around.Coins(settings.seed), self.guard, around.Log(history)]
        every.append(around.Rates(settings.recipe.schedule, history))
        if self.averages is not None:
            every.append(self.averages)
        if settings.patience is not None:
            self.patience = around.Patience(settings.patience, history, self._weights)
            self.patience.stopped = self.patience.is_over()
            every.append(self.patience)
        if checkpoint is not None:
            every.append(
                around.Checkpoints(
                    checkpoint,
                    best,
                    self._delivered,
                    history,
                    until,
                    self.guard,
                    self.averages,
                    self._weights,
                    self.devices,
                )
            )
        if on_epoch is not None:
            tell = lambda epoch, logs: on_epoch(history[-1], history)  # noqa: E731
            every.append(keras.callbacks.LambdaCallback(on_epoch_end=tell))
        return [*every, *callbacks]

    def watch(self, on_warning: Callable[[str], None]) -> HealthWatch:
        """Return a callback that says where the training does not learn."""

        def predictions():
            model = self._delivered(self._weights())
            batches = self.data.evaluation_batches("validation", 256)
            answers = [np.asarray(model(images, training=False)) for images, _ in batches]
            return np.concatenate(answers).argmax(-1)

        subject = Subject.of(self.data, self.settings)
        return HealthWatch(subject, self.history, predictions, on_warning)

    def _phases(self) -> list[_Phase]:
        """Return the run's calls of `fit`."""
        plan, recipe = self.plan, self.settings.recipe
        sizes = {plan.epoch_at(begin): size for begin, size in recipe.sizes}
        thawed = {0: None}
        if self.settings.init is not None and recipe.transfer.unfreeze:
            count = len(transfer.parts(self.model))
            thawed = {
                plan.epoch_at(part * recipe.transfer.unfreeze): part + 1 for part in range(count)
            }
        whole = plan.steps // plan.steps_per_epoch
        cuts = sorted({*sizes, *thawed, *([whole] if whole < plan.epochs else [])} | {plan.epochs})
        cuts = [cut for cut in cuts if cut <= plan.epochs]
        phases = []
        for first, last in itertools.pairwise(cuts):
            steps = plan.steps_per_epoch if last <= whole else plan.steps % plan.steps_per_epoch
            size = sizes[max(cut for cut in sizes if cut <= first)]
            part = thawed[max(cut for cut in thawed if cut <= first)]
            phases.append(_Phase(first, last, size, part, steps))
        return phases

    def _fit_phase(self, phase: _Phase, first: int, last: int, callbacks) -> None:
        settings, model, data = self.settings, self.model, self.data
        if phase.thawed is not None:
            transfer.thaw(model, phase.thawed)
            with self.devices.scope():
                _compile(model, settings, model.optimizer, self.plan, self.devices)
        one_hot = needs_one_hot(settings.recipe)
        batches = data.training_batches(
            settings.batch_size // settings.accumulate,
            settings.seed,
            augmentation=settings.recipe.augmentation,
            one_hot=one_hot,
            size=image_size(data, phase.size),
            first_epoch=first,
            steps=self.plan.steps_per_epoch * settings.accumulate,
        )
        if self.class_weights is not None:
            batches = weighted(batches, self.class_weights)
        validation = None
        if not settings.all_data:
            batch_size = validation_batch_size(settings)
            validation = self.devices.evaluation(
                data.evaluation_batches("validation", batch_size, one_hot=one_hot)
            )
        with data.reading_errors("train"):
            model.fit(
                self.devices.training(batches),
                initial_epoch=first,
                epochs=last,
                steps_per_epoch=phase.steps * settings.accumulate,
                validation_data=validation,
                callbacks=callbacks,
                shuffle=False,
                verbose=0,
            )

    def _delivered(self, weights) -> Network:
        """Return the model that the training ends with, with these weights."""
        execution = execution_for(self.settings)
        model = create_model(self.config, dtype=execution.dtype, data_format=execution.data_format)
        model.set_weights(weights)
        compile_for_evaluation(model)
        return model

    def result(self, best: Path | None) -> TrainingResult:
        model, optimizer = self.model, self.model.optimizer
        check_own_weights(model, "the trained model")
        out_of_patience = self.patience is not None and self.patience.stopped
        shared = self.settings.sync_batch_norm or self.devices.replicas > 1
        if out_of_patience and best is not None and best.is_file():
            model = keras.saving.load_model(best)
        elif out_of_patience and self.patience.weights is not None:
            model = self._delivered(self.patience.weights)
        elif self.averages is not None or shared or model.config != self.config:
            model = self._delivered(self._weights())
        else:
            compile_for_evaluation(model)
        return TrainingResult(
            model, self.history, optimizer, self.guard.divergence, out_of_patience
        )

    def _weights(self) -> list:
        """Return the weights that are evaluated: the averages, or the model's."""
        averages = None if self.averages is None else self.averages.weights
        return averages or self.model.get_weights()
