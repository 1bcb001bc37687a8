"""The program behind ``keras-resnets train``: one network, one data set, one run folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_resnets.data.load import load_data
from keras_resnets.errors import InputError
from keras_resnets.files import write_json, write_text
from keras_resnets.models.catalog import model_config
from keras_resnets.models.cost import complexity
from keras_resnets.run_folder import RunFolder
from keras_resnets.training.execution import execution_for
from keras_resnets.training.fit import prepare_device, train
from keras_resnets.training.results import accuracy, write_history, write_model
from keras_resnets.training.settings import TrainingSettings

__all__ = ["run_training"]


def run_training(
    model: str,
    data: dict[str, Any],
    settings: TrainingSettings,
    run_dir: str | Path,
    say: Callable[[str], None] = print,
    profile: bool = False,
) -> dict[str, Any]:
    """Train a named network on a data set; go on where an interrupted run ended.

    Args:
        model: Catalog name.
        data: Arguments of `load_data`.
        settings: How to train.
        run_dir: Folder for ``model.keras``, ``config.json``, ``history.csv``, ``summary.json`` and
            ``profile.csv``.
        say: Called with every line of progress.
        profile: Whether to measure first where a training step's time goes, into ``profile.csv``.

    Returns:
        The summary, as ``summary.json`` holds it.

    Raises:
        InputError: A name, a setting or the folder is wrong; nothing is written.
    """
    config = model_config(model)
    identity = {
        "model": model,
        **{key: value for key, value in data.items() if key != "data_dir"},
        **settings.to_dict(),
    }
    folder = RunFolder(run_dir, "train", identity)
    images = load_data(**data)
    config = images.adapt(config)
    cost = complexity(config)
    with folder:
        if (folder / "summary.json").is_file():
            say(f"{folder.path} is finished" + "; nothing is left to profile" * profile)
            return json.loads((folder / "summary.json").read_text())
        folder.pin("data set", images.fingerprint)
        prepare_device(settings)
        execution = execution_for(settings, images.steps_per_epoch(settings.batch_size))
        say(
            f"{model} ({cost.trainable_params:,} parameters, {cost.macs:,} MACs) on {images.name}: "
            f"{settings.epochs} epochs of {images.sizes['train']} images, into {folder.path}"
        )
        say(f"on {execution}")
        if profile:
            _profile(config, images, settings, folder / "profile.csv", say)
        result = train(
            config,
            images,
            settings,
            checkpoint=folder / "checkpoint.keras",
            on_epoch=lambda row, history: say(epoch_line(row, history, settings, images)),
        )
        if result.diverged:
            raise InputError(
                f"training diverged in epoch {len(result.history)} (the loss is not a number) at "
                f"`learning_rate`={settings.learning_rate:g}: use a lower one"
            )
        summary = {
            "model": model,
            "settings": identity,
            "params": cost.trainable_params,
            "macs": cost.macs,
            "val_accuracy": result.history[-1]["val_accuracy"],
            "test_accuracy": accuracy(result.model, images, "test"),
            "seconds": round(result.seconds, 1),
            "data": {**data, "images": images.sizes, "classes": list(images.class_names)},
        }
        write_model(result.model, folder / "model.keras")
        write_text(folder / "config.json", result.model.config.to_json() + "\n")
        write_history(result.history, folder / "history.csv")
        write_json(folder / "summary.json", summary)  # its presence means "finished"
        for name in ("checkpoint.keras", "checkpoint.json"):
            (folder / name).unlink(missing_ok=True)
        say(f"test accuracy {summary['test_accuracy']:.2%}; wrote {folder / 'model.keras'}")
        return summary


def _profile(config, images, settings, path, say) -> None:
    from keras_resnets.training.profiling import profile_training

    say("profiling, for a minute or so")
    profile = profile_training(config, images, settings)
    profile.write(path)
    for line in profile.lines():
        say(line)


def epoch_line(row, history, settings: TrainingSettings, images) -> str:
    """Return one line about an epoch: how far, how good, how fast, how long still."""
    left = (settings.epochs - row["epoch"]) * sum(r["seconds"] for r in history[-3:])
    left /= len(history[-3:])
    return (
        f"epoch {row['epoch']}/{settings.epochs}  loss {row['loss']:.4f}  "
        f"accuracy {row['accuracy']:.2%}  validation {row['val_accuracy']:.2%}  "
        f"{images.sizes['train'] / row['seconds']:,.0f} images/s  {clock(left)} left"
    )


def clock(seconds: float) -> str:
    """Return a duration as ``1:02:03`` or ``2:03``."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
