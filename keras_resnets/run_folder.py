"""The folder that a command writes: it knows its command, and only one process writes to it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from keras_resnets.errors import RunFolderError
from keras_resnets.files import write_json

__all__ = ["RunFolder"]

_IDENTITY = "run.json"


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
        self.path = Path(path).expanduser()
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
        write_json(self / _IDENTITY, self._identity)
        return self

    def __exit__(self, *exception) -> None:
        self._lock.release()

    def _check(self) -> None:
        if self.path.is_dir() and (self / _IDENTITY).is_file():
            self._check_identity(json.loads((self / _IDENTITY).read_text()))
        elif self.path.is_dir() and any(path.name != ".lock" for path in self.path.iterdir()):
            raise RunFolderError(
                f"run folder {str(self.path)!r} is not empty and holds no run of this program"
            )
        nearest = self.path
        while not nearest.exists():
            nearest = nearest.parent
        if not nearest.is_dir():
            raise self._unwritable(f"{str(nearest)!r} is not a folder")
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise self._unwritable("permission denied")

    def _check_identity(self, found: dict[str, Any]) -> None:
        if found["command"] != self._identity["command"]:
            raise RunFolderError(
                f"run folder {str(self.path)!r} belongs to another command, {found['command']!r}: "
                "use another --run-dir"
            )
        here, there = self._identity["settings"], found["settings"]
        for name in sorted(here.keys() | there.keys()):
            if here.get(name) != there.get(name):
                raise RunFolderError(
                    f"run folder {str(self.path)!r} belongs to another {found['command']}: there "
                    f"{name}={there.get(name)!r}, here {name}={here.get(name)!r}: "
                    "use another --run-dir"
                )

    def _unwritable(self, reason: str) -> RunFolderError:
        return RunFolderError(f"run folder {str(self.path)!r} cannot be written: {reason}")
