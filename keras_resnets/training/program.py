"""The program behind ``keras-resnets train``: one network, one data set, one run folder."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_resnets.data.load import ImageData, load_data, missing_download
from keras_resnets.data.settings import DataSettings
from keras_resnets.environment import run_environment
from keras_resnets.errors import InputError
from keras_resnets.files import write_json, write_text
from keras_resnets.models.catalog import model_config
from keras_resnets.models.config import NetworkConfig
from keras_resnets.models.cost import complexity
from keras_resnets.run_folder import RunFolder
from keras_resnets.state import write_state
from keras_resnets.training import transfer
from keras_resnets.training.callbacks import best_epoch
from keras_resnets.training.checks import check_training, network_size, run_identity
from keras_resnets.training.curves import write_curves
from keras_resnets.training.distribution import open_strategy
from keras_resnets.training.execution import execution_for
from keras_resnets.training.fit import (
    check_augmentation,
    class_weights_for,
    config_for_training,
    prepare_device,
    train,
    training_data,
)
from keras_resnets.training.generations import find_generations, remove_checkpoint
from keras_resnets.training.health import Subject, at_chance, one_class_warning, only_class
from keras_resnets.training.length import can_grow, epochs_done, training_length
from keras_resnets.training.planning import check_image_size, plan_lines
from keras_resnets.training.progress import ProgressBar, clock
from keras_resnets.training.rehearsal import DRY, rehearse, say_missing
from keras_resnets.training.results import (
    predictions,
    write_history,
    write_model,
)
from keras_resnets.training.settings import TrainingPlan, TrainingSettings
from keras_resnets.verbosity import Printer
from keras_resnets.words import LINE, compact, count, wrap

__all__ = ["epoch_line", "run_training"]

_CURVES_EVERY = 60
"""Seconds between two pictures of the curves, which take half a second."""


def run_training(
    model: str | NetworkConfig,
    data: dict[str, Any],
    settings: TrainingSettings,
    run_dir: str | Path,
    print_fn: Callable[[str], None] = print,
    *,
    profile: bool = False,
    tensorboard: bool = False,
    verbose: int = 1,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Train a network on a data set; go on where an interrupted run ended.

    Args:
        model: Catalog name, or a configuration.
        data: Arguments of `load_data`.
        settings: How to train. More epochs than a folder was begun with lengthen its run, where no
            setting depends on the length.
        run_dir: Folder for ``model.keras`` (takes raw images), ``best.keras`` (of the epoch of the
            highest validation accuracy), ``config.json``, ``recipe.json``, ``history.csv``,
            ``curves.png``, ``summary.json``, and ``profile.csv`` and ``tensorboard/`` on request.
        print_fn: Called with every line of progress.
        profile: Whether to measure first where a training step's time goes, into ``profile.csv``.
        tensorboard: Whether to write logs for TensorBoard.
        verbose: 0 for nothing, 1 for lines and, on a terminal, a bar, 2 for lines alone.
        dry_run: Whether to check everything, say what would be done, and estimate its time from
            three timed steps. Nothing is written, and nothing but the embedded digits prepared.

    Returns:
        The summary, as ``summary.json`` holds it. Of a dry run: ``epochs`` and ``steps`` to do,
        and, unless that is none, ``seconds_per_step`` at the recipe's first size and ``seconds``.

    Raises:
        InputError: A name, a setting or the folder is wrong (nothing is written), or the training
            has diverged.
        RunError: A checkpoint cannot be written.
    """
    print_fn = Printer(print_fn, verbose)
    name = model if isinstance(model, str) else "network"
    config = model_config(model) if isinstance(model, str) else model
    identity = run_identity(model, data, settings)
    folder = check_training(model, data, settings, run_dir)
    if dry_run and (line := missing_download(DataSettings.from_arguments(**data))):
        say_missing(line, print_fn)
        return {}
    devices = open_strategy(settings.strategy)
    if dry_run and devices.workers > 1:
        raise InputError(
            "`dry_run` works on one machine. Received: dry_run=True with strategy='multiworker' on "
            f"{devices.workers} workers"
        )
    with print_fn.counting("files") as progress:
        images = load_data(
            **data, network_size=network_size(config), progress=progress, print_fn=print_fn
        )
    if devices.workers == 1 and not dry_run and (folder / "summary.json").is_file():
        _settle(folder, images, settings)
        if folder.is_finished:  # before the images are looked at, which takes long for many
            with folder:
                return _finished(folder, print_fn, profile)
    config = config_for_training(images.adapt(config), settings)
    begin = ""
    if settings.init is not None:
        start = transfer.read_start(settings.init).config
        config = transfer.transfer_config(config, start)
        head = "with its head" if start.classes == config.classes else "under a new head"
        begin = f"begins with the weights of {settings.init}, {head}"
    run = _Program(name, config, images, data, settings, identity, print_fn, devices)
    if dry_run:
        _settle(folder, images, settings)
        folder.check()
        if folder.is_finished:
            print_fn(wrap(f"{folder.path} is finished: nothing would be done"))
            return {"epochs": 0, "steps": 0}
        prepare_device(settings)
        return run.rehearse(folder, devices, begin)
    with contextlib.ExitStack() as stack:
        if _is_finished(folder, devices, images, settings, stack):
            return _finished(folder, print_fn, profile) if devices.is_chief else {}
        prepare_device(settings)
        if not devices.is_chief:
            run.train(folder, devices, tensorboard=False)
            return {}
        run.introduce(folder, devices, begin)
        if profile:
            run.profile(folder / "profile.csv")
        result = run.train(folder, devices, tensorboard)
        return run.deliver(result, folder)


def _finished(folder: RunFolder, print_fn, profile: bool) -> dict[str, Any]:
    """Return the summary of a run that is finished, and say so."""
    print_fn(wrap(f"{folder.path} is finished" + "; nothing is left to profile" * profile))
    return folder.summary()


def _settle(folder: RunFolder, images: ImageData, settings: TrainingSettings) -> None:
    """Tell the folder what the run is, now that the data is known."""
    plan = settings.plan(training_data(images, settings).sizes["train"])
    folder.pin("data set", images.fingerprint)
    folder.pin("number of steps an epoch", plan.steps_per_epoch)
    folder.length = training_length(settings, plan)


def _is_finished(folder: RunFolder, devices, images, settings, stack) -> bool:
    """Enter the folder, which is the chief's; tell every worker whether there is work to do."""
    error, outcome = None, "go"
    if devices.is_chief:
        try:
            _settle(folder, images, settings)
            stack.enter_context(folder)
            folder.lengthen()
            if folder.is_finished:
                outcome = "finished"
        except (InputError, OSError) as caught:
            error, outcome = caught, "refused"
    outcome = devices.from_chief(outcome)
    if error is not None:
        raise error
    if outcome == "refused":
        raise InputError("the chief cannot use the run folder")
    return outcome == "finished"


class _Program:
    """What a run is made of, and its steps."""

    def __init__(self, name, config, images: ImageData, data, given, identity, print_fn, devices):
        self.trained_on = training_data(images, given)
        number = self.trained_on.sizes["train"]
        settings = given.fit_to(number, devices.replicas)
        self.plan_lines = plan_lines(given, settings, number)
        self.name = name
        self.config = config
        self.images = images
        self.data = data
        self.given = given
        self.settings = settings
        self.identity = identity
        self.print_fn = print_fn
        self.cost = complexity(config)
        self.plan: TrainingPlan = settings.plan(number)
        check_image_size(config, settings)
        check_augmentation(self.trained_on, settings)
        class_weights_for(self.trained_on, settings)
        self._drawn = time.monotonic()

    def introduce(self, folder: RunFolder, devices, begin: str) -> None:
        """Say what is trained, on what, how and how long, and what of it is done."""
        recipe = self.settings.recipe
        execution = execution_for(self.settings, self.plan.steps_per_epoch)
        shared = f"; {devices}" if self.settings.strategy != "none" else ""
        lines = [
            f"{self.name} ({count(self.cost.trainable_params, 'parameter')}, "
            f"{count(self.cost.macs, 'MAC')}) on {self.images.name}: "
            f"{count(self.plan.epochs, 'epoch')} of "
            f"{count(self.trained_on.sizes['train'], 'image')} by the recipe {recipe.name}, "
            f"into {folder.path}",
            *self.images.notes,
            *self.plan_lines,
            f"on {execution}{shared}",
            *folder.damage,
        ]
        done = epochs_done(folder.path)
        if done:
            verb = "is" if done == 1 else "are"
            lines.append(f"{count(done, 'epoch')} {verb} done; {self.plan.epochs - done} more")
        for line in [*lines, *filter(None, [begin])]:
            self.print_fn(wrap(line))

    def rehearse(self, folder: RunFolder, devices, begin: str) -> dict[str, Any]:
        """Say what would be done, and estimate its time."""
        self.introduce(folder, devices, begin)
        done = epochs_done(folder.path)
        rehearsal = rehearse(self.config, self.images, self.settings, devices)
        for line in [*rehearsal.lines(done), DRY]:
            self.print_fn(line)
        return {
            "epochs": self.plan.epochs - done,
            "steps": rehearsal.steps_left(done),
            "seconds_per_step": rehearsal.steps[0][1],
            "seconds": rehearsal.seconds(done),
        }

    def profile(self, path: Path) -> None:
        from keras_resnets.training.profiling import profile_training

        self.print_fn("profiling, for a minute or so")
        profile = profile_training(self.config, self.images, self.settings)
        profile.write(path)
        for line in profile.lines():
            self.print_fn(wrap(line, indent=9))

    def train(self, folder: RunFolder, devices, tensorboard: bool):
        callbacks = [_tensorboard(folder / "tensorboard")] if tensorboard else []
        shown = devices.is_chief and self.print_fn.shows_bar
        with _bar(self.plan, self.settings, shown) as bar:
            print_fn = self.print_fn if bar is None else bar.print_fn

            def on_epoch(row, history):
                print_fn(epoch_line(row, history, self.plan, self.settings.batch_size))
                write_history(history, folder / "history.csv")
                if time.monotonic() - self._drawn > _CURVES_EVERY:
                    write_curves(history, folder / "curves.png", self._title)
                    self._drawn = time.monotonic()

            result = train(
                self.config,
                self.images,
                self.settings,
                checkpoint=folder / "checkpoint.keras",
                best=folder / "best.keras",
                on_epoch=on_epoch if devices.is_chief else None,
                callbacks=[*callbacks, *filter(None, [bar])],
                devices=devices,
                on_warning=print_fn if devices.is_chief else None,
                on_damage=lambda line: print_fn(wrap(line)),
            )
        if result.diverged:
            raise InputError(self._divergence(result, folder / "checkpoint.keras"))
        return result

    def deliver(self, result, folder: RunFolder) -> dict[str, Any]:
        history = result.history
        labels, predicted = predictions(result.model, self.images, "test")
        summary = {
            "model": self.name,
            "recipe": self.settings.recipe.name,
            "settings": self.identity,
            "params": self.cost.trainable_params,
            "macs": self.cost.macs,
            "epochs": len(history),
            "batch_size": self.settings.batch_size,
            "learning_rate": self.settings.learning_rate,
            "steps": min(self.plan.steps, len(history) * self.plan.steps_per_epoch),
            "out_of_patience": result.out_of_patience,
            "val_accuracy": history[-1]["val_accuracy"],
            "best_epoch": _best(history),
            "test_accuracy": float((labels == predicted).mean()),
            "warnings": self._warnings(result, predicted),
            "seconds": round(result.seconds, 1),
            "data": {
                **self.data,
                "image_size": list(self.images.image_shape[:2]),
                "image_shape": list(self.images.image_shape),
                "images": self.images.sizes,
                "classes": list(self.images.class_names),
                "fingerprint": self.images.fingerprint,
            },
            "environment": run_environment(execution_for(self.settings).device),
        }
        write_model(result.model, folder / "model.keras")
        write_text(folder / "config.json", result.model.config.to_json() + "\n")
        write_json(folder / "recipe.json", self.settings.recipe.to_dict())
        write_history(history, folder / "history.csv")
        write_curves(history, folder / "curves.png", self._title)
        write_state(folder / "summary.json", summary)  # its presence means "finished"
        if result.out_of_patience or not can_grow(self.given, self.plan):
            remove_checkpoint(folder / "checkpoint.keras")
        if result.out_of_patience:
            line = f"no better for {count(self.settings.patience, 'epoch')}: the model is that of "
            self.print_fn(wrap(f"{line}epoch {summary['best_epoch']['epoch']}"))
        line = f"test accuracy {summary['test_accuracy']:.2%}; wrote {folder / 'model.keras'}"
        self.print_fn(wrap(line))
        return summary

    def _warnings(self, result, predicted) -> list[str]:
        """Say where the finished model has learned nothing; return it as texts."""
        subject = Subject.of(self.images, self.settings)
        only = only_class(predicted)
        lines = []
        if only is not None and self.images.classes > 1:
            lines = one_class_warning(subject, result.history, only, "test")
            for line in lines:
                self.print_fn(line)
        elif not self.settings.all_data:
            lines = at_chance(subject, result.history)  # said during the training
        return [" ".join(line.strip() for line in lines)] if lines else []

    @property
    def _title(self) -> str:
        return f"{self.name} on {self.images.name}, recipe {self.settings.recipe.name}"

    def _divergence(self, result, checkpoint: Path) -> str:
        good = "there is no checkpoint of a good epoch"
        if epochs := find_generations(checkpoint).epochs:
            good = f"{str(checkpoint)!r} holds epoch {epochs}, the last good one"
        return (
            f"training diverged: {result.divergence}; {good}. Begin in another --run-dir with a "
            f"lower `learning_rate` than {self.settings.learning_rate:g} (--lr) or a longer warm-up"
        )


def _best(history: list[dict]) -> dict[str, Any] | None:
    number = best_epoch(history)
    if number is None:
        return None
    return {"epoch": number, "val_accuracy": history[number - 1]["val_accuracy"]}


def _tensorboard(folder: Path):
    import keras

    return keras.callbacks.TensorBoard(folder, write_graph=False)


@contextlib.contextmanager
def _bar(plan: TrainingPlan, settings: TrainingSettings, shown: bool):
    """Show a bar on the chief's terminal, none elsewhere."""
    if not shown:
        yield None
        return
    with ProgressBar(plan.epochs, settings.batch_size // settings.accumulate) as bar:
        yield bar


def epoch_line(row, history, plan: TrainingPlan, batch_size: int) -> str:
    """Return one line about an epoch: how far, how good, how fast, how long still."""
    recent = [r["seconds"] for r in history[-3:]]
    left = (plan.epochs - row["epoch"]) * sum(recent) / len(recent)
    steps = min(plan.steps_per_epoch, plan.steps - (row["epoch"] - 1) * plan.steps_per_epoch)
    loss = f"{row['loss']:.4f}" if row["loss"] < 10 else f"{row['loss']:.5g}"
    measured = row["val_accuracy"] is not None
    rate = steps * batch_size / row["seconds"]
    for measure, speed, gap in (  # the first that fits the terminal
        ("accuracy", f"{rate:,.0f}", "  "),
        ("acc", compact(rate), "  "),
        ("acc", compact(rate), " "),
    ):
        line = gap.join(
            [
                f"epoch {row['epoch']:>{len(str(plan.epochs))}}/{plan.epochs}",
                f"loss {loss}",
                f"{measure} {row['accuracy']:.2%}",
                *([f"val {row['val_accuracy']:.2%}"] if measured else []),
                f"{speed} images/s",
                f"{clock(left)} left",
            ]
        )
        if len(line) <= LINE:
            break
    return line
