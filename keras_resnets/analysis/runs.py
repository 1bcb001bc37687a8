"""What run folders of ``train`` and ``search`` hold, finished or not, without TensorFlow."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_resnets.analysis.ranking import ranked
from keras_resnets.errors import InputError
from keras_resnets.files import flat, plain_cell
from keras_resnets.models.files import archived_config
from keras_resnets.reading import read_json, read_text, reason

__all__ = ["Run", "read_run", "read_runs", "trial_files"]

_COMMANDS = ("train", "search")

_WORDS_ONLY = ("recipe.description", "recipe.notes", "recipe.published", "recipe.source")
"""Settings that change nothing."""


@dataclass(frozen=True)
class Run:
    """A training, or a search and its best network.

    Attributes:
        path: The run folder.
        label: Its name, as long as is needed to tell it from the others.
        command: ``"train"`` or ``"search"``.
        finished: Whether it has ended.
        settings: Its settings, those of tables inside as ``table.name``.
        model: The network: of a search the winner, or the best trial so far.
        params: Trainable parameters; None if nothing says them yet.
        macs: Multiply-adds for one image; None if nothing says them yet.
        history: A dict for each epoch of that network's training.
        planned_epochs: How many epochs it was to have; None where that is not known.
        test_accuracy: Of a finished run.
        seconds: Of the training, or of the whole search.
    """

    path: Path
    label: str
    command: str
    finished: bool
    settings: dict[str, Any]
    model: str
    params: int | None
    macs: int | None
    history: list[dict[str, float | None]]
    planned_epochs: int | None
    test_accuracy: float | None
    seconds: float

    @property
    def epochs(self) -> int:
        """Epochs done."""
        return len(self.history)

    @property
    def best_val_accuracy(self) -> float | None:
        """The highest validation accuracy of an epoch; None if none was measured."""
        return max(self.measured("val_accuracy"), default=None)

    @property
    def last_val_accuracy(self) -> float | None:
        """The validation accuracy after the last epoch; None if it was not measured."""
        return self.history[-1].get("val_accuracy") if self.history else None

    def measured(self, key: str) -> list[float]:
        """Return the finite values of a column of the history."""
        values = (row.get(key) for row in self.history)
        return [value for value in values if value is not None and math.isfinite(value)]


def read_runs(paths: Sequence[str | Path]) -> list[Run]:
    """Return what some run folders hold.

    Args:
        paths: At least two different run folders.

    Raises:
        InputError: There are fewer, one is given twice, or `read_run` refuses one.

    Example:
        >>> [run.label for run in read_runs(["runs/first", "runs/second"])]
        ['first', 'second']
    """
    paths = [Path(path).expanduser() for path in paths]
    if len(paths) < 2:
        raise InputError(f"`RUN` must be at least two run folders. Received: {len(paths)}")
    places = [path.resolve() for path in paths]
    for index, place in enumerate(places):
        if place in places[:index]:
            raise InputError(f"`RUN` must be different run folders. Received twice: {paths[index]}")
    return [
        read_run(path, label) for path, label in zip(paths, _shortest_names(places), strict=True)
    ]


def read_run(path: str | Path, label: str | None = None) -> Run:
    """Return what a run folder holds.

    Args:
        path: The folder, of ``train`` or ``search``, finished or not.
        label: The run's name; by default the folder's.

    Raises:
        InputError: It is not a run folder, or a file in it cannot be read.
    """
    path = Path(path).expanduser()
    identity = _read_identity(path)
    read = _read_training if identity["command"] == "train" else _read_search
    summary = path / "summary.json"
    try:
        # With the lengths that followed from the data, where they were not given.
        settings = {**identity["settings"], **identity.get("planned", {})}
        found = read(path, settings, _read_json(summary) if summary.exists() else None)
        _check_types(found)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"run folder {str(path)!r} is damaged: its files lack {error}"
            if isinstance(error, KeyError)
            else f"run folder {str(path)!r} is damaged: {error}"
        ) from error
    return Run(
        path=path,
        label=label or path.resolve().name,
        command=identity["command"],
        finished=summary.exists(),
        settings=_comparable(identity["settings"]),
        **found,
    )


_NUMBERS = ("params", "macs", "planned_epochs", "test_accuracy", "seconds")


def _check_types(found: dict[str, Any]) -> None:
    """Raise `TypeError` for what files say that cannot be printed or drawn."""
    for name in _NUMBERS:
        _check_number(name, found[name])
    if found["seconds"] is None or not math.isfinite(found["seconds"]):
        raise TypeError("`seconds` is not a number")
    for row in found["history"]:
        for name, value in row.items():
            _check_number(name, value)
        if not isinstance(row["epoch"], int):
            raise TypeError("`epoch` is not a whole number")


def _check_number(name: str, value) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise TypeError(f"`{name}` is not a number: {value!r:.40}")


def trial_files(run_dir: Path) -> list[Path]:
    """Return the files of a search's trials by their names; what else lies there is passed over."""
    folder = run_dir / "trials"
    beside = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in beside if re.fullmatch(r"\d+\.json", path.name) and path.is_file()]


def _read_identity(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        what = "a file" if path.exists() else "missing"
        raise InputError(f"`RUN` must be a run folder. Received: {path}, which is {what}")
    if not (path / "run.json").is_file():
        raise InputError(f"`RUN` must be a run folder. Received: {path}, which has no run.json")
    identity = _read_json(path / "run.json")
    if identity.get("command") not in _COMMANDS or not isinstance(identity.get("settings"), dict):
        raise InputError(f"{str(path / 'run.json')!r} is not of a training or a search")
    return identity


def _read_training(path: Path, settings, summary) -> dict[str, Any]:
    history = _read_history(path / "history.csv")
    name = settings["model"] if isinstance(settings["model"], str) else "network"
    if summary is None:
        params, macs = _cost(path)
        test, seconds = None, sum(row["seconds"] for row in history)
    else:
        params, macs = summary["params"], summary["macs"]
        test, seconds = summary["test_accuracy"], summary["seconds"]
    recipe = settings["recipe"]
    planned = None if recipe.get("iterations") else recipe.get("epochs")
    return {
        "model": name,
        "params": params,
        "macs": macs,
        "history": history,
        "planned_epochs": settings.get("epochs") or planned,
        "test_accuracy": test,
        "seconds": seconds,
    }


def _read_search(path: Path, settings, summary) -> dict[str, Any]:
    if summary is not None:
        best, planned = summary["winner"], settings["final_epochs"]
        history = _read_history(path / "history.csv")
        test, seconds = best["test_accuracy"], summary["seconds"]
    else:
        trials = [_read_json(file) for file in trial_files(path)]
        best = next((t for t in ranked(trials) if t["status"] == "ok"), {})
        history, planned = best.get("history", []), best.get("epochs", settings["epochs"])
        test, seconds = None, sum(trial["seconds"] for trial in trials)
    return {
        "model": f"depth {best['depth']}, width {best['width']}" if best else "no trial yet",
        "params": best.get("params"),
        "macs": best.get("macs"),
        "history": history,
        "planned_epochs": planned,
        "test_accuracy": test,
        "seconds": seconds,
    }


def _cost(path: Path) -> tuple[int | None, int | None]:
    """Return parameters and multiply-adds of the network in a training's checkpoint."""
    from keras_resnets.models.config import config_from_dict
    from keras_resnets.models.cost import complexity

    for name in ("checkpoint.keras", "checkpoint-previous.keras", "best.keras"):
        try:
            network = archived_config(path / name)["config"]["network"]
        except FileNotFoundError:
            continue
        except (OSError, InputError, KeyError, TypeError) as error:
            raise InputError(f"{str(path / name)!r} is not a model of a training") from error
        cost = complexity(config_from_dict(network))
        return cost.trainable_params, cost.macs
    return None, None


def _read_history(path: Path) -> list[dict[str, float | None]]:
    if not path.exists():
        return []
    try:
        rows = list(csv.DictReader(read_text(path).splitlines()))
        history = [
            {plain_cell(key): None if value == "" else float(value) for key, value in row.items()}
            for row in rows
        ]
        if not all(float(row["epoch"]).is_integer() for row in history):
            raise ValueError("an epoch is not a whole number")
    except (OSError, ValueError, TypeError, KeyError, AttributeError, csv.Error) as error:
        raise InputError(f"{str(path)!r} is not a history of epochs: {reason(error)}") from error
    return [{**row, "epoch": int(row["epoch"])} for row in history]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = read_json(path)
    except (OSError, ValueError) as error:  # of no permission, not a file, not UTF-8, not JSON
        raise InputError(f"{str(path)!r} cannot be read: {reason(error)}") from error
    if not isinstance(values, dict):
        raise InputError(f"{str(path)!r} cannot be read: it is not a table of names and values")
    return values


def _comparable(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings with one name for the same thing in both commands."""
    values = {name: value for name, value in flat(settings).items() if name not in _WORDS_ONLY}
    if "name" in values:
        values["dataset"] = values.pop("name")
    return values


def _shortest_names(paths: Sequence[Path]) -> list[str]:
    """Return the last parts of paths, as many of each as tell them apart."""
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]
