"""The files of a checkpoint: the last state of a training, and the one before it.

A generation is a model with its optimizer, the averages where there are any, and a state file that
vouches for both by their hashes and holds the history up to the same step. Hashes tell which files
belong together, not names: an interruption between two renames leaves no mixture. For
``checkpoint.keras`` the files are ``checkpoint.json`` and ``checkpoint-averages-12.npz``; those of
the generation before have ``-previous`` in their names, one that is being written ``-next``.
"""

from __future__ import annotations

import contextlib
import os
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_resnets.files import replacing, sync
from keras_resnets.state import DamagedError, file_hash, read_state, write_state

__all__ = [
    "Generation",
    "Generations",
    "averages_path",
    "begin_from",
    "find_generations",
    "generation_files",
    "is_whole_model",
    "next_model",
    "remove_checkpoint",
    "settle",
    "turn_over",
]

_NEXT, _CURRENT, _PREVIOUS = "-next", "", "-previous"


@dataclass(frozen=True)
class Generation:
    """One whole state of a training.

    Attributes:
        model: File of the model and its optimizer.
        state: File that vouches for it.
        averages: File of the averages, None without.
        history: Rows of the epochs.
        iterations: Steps that the optimizer has counted.
    """

    model: Path
    state: Path
    averages: Path | None
    history: list[dict[str, Any]]
    iterations: int

    @property
    def epochs(self) -> int:
        """Epochs done."""
        return len(self.history)


@dataclass(frozen=True)
class Generations:
    """What the files of a checkpoint are good for.

    Attributes:
        whole: The generations that can be trusted, the newest first.
        lost: What is wrong with newer ones.
        spare: What is wrong with an older one.
    """

    whole: tuple[Generation, ...] = ()
    lost: tuple[str, ...] = ()
    spare: tuple[str, ...] = ()

    @property
    def newest(self) -> Generation | None:
        """The generation to resume from, None for none."""
        return self.whole[0] if self.whole else None

    @property
    def epochs(self) -> int:
        """Epochs done in it."""
        return self.newest.epochs if self.whole else 0

    def without_newest(self, reason: str) -> Generations:
        """Return the rest, where the newest one turns out to be of no use."""
        return Generations(self.whole[1:], (*self.lost, reason), self.spare)

    def without_all(self, reason: str) -> Generations:
        """Return nothing, for a reason that all share."""
        return Generations((), (*self.lost, reason))

    def line(self) -> str | None:
        """Return one line that says what is damaged and lost; None where nothing is.

        Example:
            >>> find_generations(Path("checkpoint.keras")).line()
            'checkpoint.json is damaged (it is not JSON): what followed on epoch 5 is lost, and is
            trained again'
        """
        reasons = "; ".join(dict.fromkeys(self.lost or self.spare))
        if not reasons:
            return None
        if not self.lost:
            return f"{reasons}: that was a spare copy, nothing is lost"
        if self.whole:
            return f"{reasons}: what followed on epoch {self.epochs} is lost, and is trained again"
        return f"{reasons}: its epochs are lost, the training begins again"


def averages_path(checkpoint: Path, epoch: int) -> Path:
    """Return where the averages that belong to a checkpoint of an epoch are."""
    return checkpoint.with_name(f"{checkpoint.stem}-averages-{epoch}.npz")


def generation_files(checkpoint: str) -> list[str]:
    """Return the names of a checkpoint's models and state files.

    Example:
        >>> generation_files("checkpoint.keras")[:2]
        ['checkpoint-next.keras', 'checkpoint-next.json']
    """
    models = [_named(Path(checkpoint), name) for name in (_NEXT, _CURRENT, _PREVIOUS)]
    return [path.name for model in models for path in (model, _state(model))]


def next_model(checkpoint: Path) -> Path:
    """Return where the model of a new generation is written, before `turn_over`."""
    return _named(checkpoint, _NEXT)


def turn_over(checkpoint: Path, history: list[dict], iterations: int, averaged: bool) -> None:
    """Make the model at `next_model` the newest generation, and the newest one the previous.

    Args:
        checkpoint: The ``.keras`` file of the newest generation.
        history: Rows of the epochs.
        iterations: Steps that the model's optimizer has counted.
        averaged: Whether averages belong to it; they lie at `averages_path`.
    """
    averages = averages_path(checkpoint, len(history))
    state = {
        "history": history,
        "iterations": iterations,
        "model": file_hash(next_model(checkpoint)),
        "averages": file_hash(averages) if averaged else None,
    }
    write_state(_state(next_model(checkpoint)), state)
    for there, name in ((_CURRENT, _PREVIOUS), (_NEXT, _CURRENT)):
        _move(_named(checkpoint, there), _named(checkpoint, name))
    kept = {averages.name}
    with contextlib.suppress(DamagedError, FileNotFoundError, KeyError, TypeError):
        before = read_state(_state(_named(checkpoint, _PREVIOUS)))
        kept.add(averages_path(checkpoint, len(before["history"])).name)
    for path in _averages_beside(checkpoint):
        if path.name not in kept:
            path.unlink(missing_ok=True)


def find_generations(checkpoint: Path) -> Generations:
    """Return the generations of a checkpoint whose files fit each other; nothing is written.

    Args:
        checkpoint: The ``.keras`` file of the newest one.
    """
    models = [_named(checkpoint, name) for name in (_NEXT, _CURRENT, _PREVIOUS)]
    hashes = {path: file_hash(path) for path in models if path.is_file()}
    whole: list[Generation] = []
    lost: list[str] = []
    spare: list[str] = []
    for model in models:
        # A generation before one that is whole is a spare copy.
        reasons = spare if whole else lost
        try:
            whole.append(_generation(checkpoint, _state(model), hashes))
        except FileNotFoundError:
            if model == checkpoint and not whole and _is_begun(checkpoint):
                missing = _state(model) if model.is_file() else model
                reasons.append(f"{missing.name} is missing")
        except _UnfitError as error:
            reasons.append(str(error))
        except (DamagedError, KeyError, TypeError, AttributeError) as error:
            what = error if isinstance(error, DamagedError) else f"it lacks {error}"
            reasons.append(f"{_state(model).name} is damaged or of an older version ({what})")
    return Generations(tuple(whole), tuple(lost), tuple(spare))


class _UnfitError(Exception):
    """A state file whose model or averages are not those that it vouches for."""


def _generation(checkpoint: Path, state: Path, hashes: dict[Path, str]) -> Generation:
    found = read_state(state)
    history, iterations = found["history"], found["iterations"]
    model = next((path for path, value in hashes.items() if value == found["model"]), None)
    if model is None:
        name = state.with_suffix(checkpoint.suffix)
        raise _UnfitError(f"{name.name} is " + ("damaged" if name in hashes else "missing"))
    averages = None
    if found["averages"] is not None:
        averages = averages_path(checkpoint, len(history))
        if not averages.is_file() or file_hash(averages) != found["averages"]:
            what = "damaged" if averages.is_file() else "missing"
            raise _UnfitError(f"{averages.name} is {what}")
    return Generation(model, state, averages, history, iterations)


def _is_begun(checkpoint: Path) -> bool:
    """Say whether there was a newest generation: its model or an older one is there."""
    return checkpoint.is_file() or _state(_named(checkpoint, _PREVIOUS)).is_file()


def settle(checkpoint: Path, found: Generations) -> None:
    """Give the files of whole generations the names that they should have, and remove the others.

    What an interruption has left half renamed is finished; a damaged generation gives way to the
    one before, so that the next one does not replace the only good one.
    """
    if not found.whole:
        remove_checkpoint(checkpoint)
        return
    newest, *before = found.whole
    taken = {newest.model, newest.state}
    previous = _named(checkpoint, _PREVIOUS)
    if before and not taken & {previous, _state(previous)}:
        _put(before[0], previous)
    _put(newest, checkpoint)
    for path in (_state(next_model(checkpoint)), next_model(checkpoint)):
        path.unlink(missing_ok=True)


def _put(generation: Generation, model: Path) -> None:
    """Rename a generation's files; at any moment its state file is there, and finds its model."""
    for there, name in ((generation.model, model), (generation.state, _state(model))):
        if there != name:
            os.replace(there, name)
            sync(name.parent)


def _move(there: Path, model: Path) -> None:
    """Rename a generation's state file and model, where they are there."""
    for path, name in ((_state(there), _state(model)), (there, model)):
        with contextlib.suppress(FileNotFoundError):
            os.replace(path, name)
    sync(model.parent)


def begin_from(start: Path, checkpoint: Path) -> str | None:
    """Give a training that has no checkpoint yet the newest generation of another's.

    Args:
        start: Checkpoint of the other training.
        checkpoint: Checkpoint of this one.

    Returns:
        A line about what of the other one is damaged, None where nothing is.
    """
    if find_generations(checkpoint).whole:
        return None
    found = find_generations(start)
    newest = found.newest
    if newest is not None:
        if newest.averages is not None:
            _copy(newest.averages, averages_path(checkpoint, newest.epochs))
        _copy(newest.model, next_model(checkpoint))
        turn_over(checkpoint, newest.history, newest.iterations, newest.averages is not None)
    return found.line()


def _copy(there: Path, path: Path) -> None:
    with replacing(path) as beside:
        beside.write_bytes(there.read_bytes())


def is_whole_model(path: Path) -> bool:
    """Say whether a ``.keras`` file is there and all of its contents fit their checksums."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
        return False


def remove_checkpoint(checkpoint: Path) -> None:
    """Remove all generations of a checkpoint."""
    for name in (_CURRENT, _PREVIOUS, _NEXT):
        model = _named(checkpoint, name)
        model.unlink(missing_ok=True)
        _state(model).unlink(missing_ok=True)
    for path in _averages_beside(checkpoint):
        path.unlink(missing_ok=True)


def _averages_beside(checkpoint: Path) -> list[Path]:
    pattern = re.compile(re.escape(f"{checkpoint.stem}-averages-") + r"\d+\.npz")
    beside = checkpoint.parent.iterdir() if checkpoint.parent.is_dir() else ()
    return [path for path in beside if pattern.fullmatch(path.name)]


def _named(checkpoint: Path, name: str) -> Path:
    return checkpoint.with_name(f"{checkpoint.stem}{name}{checkpoint.suffix}")


def _state(model: Path) -> Path:
    return model.with_suffix(".json")
