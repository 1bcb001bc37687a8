"""The folder that a command writes: it knows its command, and only one process writes to it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from keras_resnets.errors import RunFolderError
from keras_resnets.files import flat, write_json

__all__ = ["RunFolder"]

_IDENTITY = "run.json"
_BEFORE_IDENTITY = {".lock", ".run.tmp.json"}
"""What an interruption can leave before the identity is written."""


class RunFolder:
    """A folder for the results of one command with one set of settings.

    The same command with the same settings goes on in it; another is refused. Use as a context
    manager: entering makes the folder and locks it.

    Args:
        path: The folder.
        command: Name of the command, ``search`` or ``train``.
        settings: JSON-ready settings that make the results what they are.

    Raises:
        RunFolderError: The folder belongs to other settings, holds other things, is in use, or
            cannot be written. Nothing is written then.

    Example:
        >>> with RunFolder("runs/first", "train", {"seed": 0}) as folder:
        ...     (folder / "notes.txt").write_text("hello")
    """

    def __init__(self, path: str | Path, command: str, settings: dict[str, Any]):
        try:
            self.path = Path(path).expanduser()
        except RuntimeError as error:  # "~name" of no user
            raise RunFolderError(f"run folder {str(path)!r} cannot be written: {error}") from error
        self._identity = {"command": command, "settings": json.loads(json.dumps(settings))}
        self._check()
        self._lock = FileLock(self.path / ".lock")

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def __enter__(self) -> Self:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise RunFolderError(
                f"run folder {str(self.path)!r} is in use by another process"
            ) from error
        except OSError as error:
            raise self._unwritable(error.strerror) from error
        try:
            self._check()  # again: another process may have used the folder in the meantime
            if not (self / _IDENTITY).is_file():
                write_json(self / _IDENTITY, self._identity)
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *exception) -> None:
        self._lock.release()

    def pin(self, name: str, value: str) -> None:
        """Keep a fact about the run, or check that it is still what it was at the run's beginning.

        Raises:
            RunFolderError: The fact has changed.
        """
        identity = json.loads((self / _IDENTITY).read_text())
        if name not in identity:
            write_json(self / _IDENTITY, {**identity, name: value})
        elif identity[name] != value:
            raise RunFolderError(
                f"run folder {str(self.path)!r} was begun with another {name}, which has changed "
                "since: use another --run-dir"
            )

    def _check(self) -> None:
        try:
            self._check_writable()
            if self.path.is_dir():
                self._check_contents()
        except OSError as error:  # a name too long, a folder that cannot be looked into
            raise self._unwritable(error.strerror) from error

    def _check_writable(self) -> None:
        nearest = self.path
        while not nearest.exists():
            nearest = nearest.parent
        if not nearest.is_dir():
            raise self._unwritable(f"{str(nearest)!r} is not a folder")
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise self._unwritable("permission denied")

    def _check_contents(self) -> None:
        try:
            found = json.loads((self / _IDENTITY).read_text())
            self._check_identity(found["command"], found["settings"])
        except FileNotFoundError:
            if {path.name for path in self.path.iterdir()} - _BEFORE_IDENTITY:
                raise self._foreign() from None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            if isinstance(error, RunFolderError):
                raise
            raise self._foreign() from error

    def _check_identity(self, command: str, there: dict[str, Any]) -> None:
        if command != self._identity["command"]:
            raise RunFolderError(
                f"run folder {str(self.path)!r} belongs to another command, {command!r}: "
                "use another --run-dir"
            )
        here, there = flat(self._identity["settings"]), flat(there)
        for name in sorted(here.keys() | there.keys()):
            if here.get(name) != there.get(name):
                raise RunFolderError(
                    f"run folder {str(self.path)!r} belongs to another {command}: there "
                    f"{name}={there.get(name)!r}, here {name}={here.get(name)!r}: "
                    "use another --run-dir"
                )

    def _foreign(self) -> RunFolderError:
        return RunFolderError(
            f"run folder {str(self.path)!r} is not empty and holds no run of this program"
        )

    def _unwritable(self, reason: str) -> RunFolderError:
        return RunFolderError(f"run folder {str(self.path)!r} cannot be written: {reason}")
