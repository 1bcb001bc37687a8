"""The folder that a command writes: it knows its command, and only one process writes to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from keras_resnets.errors import RunFolderError
from keras_resnets.files import flat, write_json
from keras_resnets.outputs import why_not_writable

__all__ = ["Length", "RunFolder"]

_IDENTITY = "run.json"
_SUMMARY = "summary.json"
"""Written last by every command: its presence means that the run is finished."""

_BEFORE_IDENTITY = {".lock", ".run.tmp.json"}
"""What an interruption can leave before the identity is written."""


@dataclass(frozen=True)
class Length:
    """How long a run is, and whether one that was begun can still become another length.

    Attributes:
        settings: Names of the settings that say it; they are compared by `planned` alone.
        planned: What they come to, by name (``{"epochs": 13}``). What is not known yet is left out,
            and not compared.
        refuse: Function of the numbers planned in the folder and of the folder's path. It returns
            why that run cannot become one of this length, to be read behind "run folder 'x'", or
            None where it can.

    Example:
        >>> Length(("epochs",), {"epochs": 13}, lambda there, path: None)
    """

    settings: tuple[str, ...]
    planned: dict[str, int]
    refuse: Callable[[dict[str, int], Path], str | None]


class RunFolder:
    """A folder for the results of one command with one set of settings.

    The same command with the same settings resumes in it; another is refused, unless `length`
    allows for another length of the same run. Use as a context manager: entering makes the folder
    and locks it.

    Args:
        path: The folder.
        command: Name of the command, ``search`` or ``train``.
        settings: JSON-ready settings that make the results what they are.
        length: How long the run is; None where that is a setting like any other. It may be set
            again before entering, when more of it is known.

    Raises:
        RunFolderError: The folder belongs to other settings, holds other things, is in use, or
            cannot be written. Nothing is written then.

    Example:
        >>> with RunFolder("runs/first", "train", {"seed": 0}) as folder:
        ...     (folder / "notes.txt").write_text("hello")
    """

    def __init__(
        self,
        path: str | Path,
        command: str,
        settings: dict[str, Any],
        length: Length | None = None,
    ):
        try:
            self.path = Path(path).expanduser()
        except RuntimeError as error:  # "~name" of no user
            raise RunFolderError(f"run folder {str(path)!r} cannot be written: {error}") from error
        self._identity = {"command": command, "settings": json.loads(json.dumps(settings))}
        self.length = length
        self._facts: dict[str, Any] = {}
        self._check()
        self._lock = FileLock(self.path / ".lock")

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def __enter__(self) -> Self:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise self._in_use() from error
        except OSError as error:
            raise self._unwritable(error.strerror) from error
        try:
            self._check()  # again: another process may have used the folder in the meantime
            if not (self / _IDENTITY).is_file():
                write_json(self / _IDENTITY, self._here)
            self._keep_facts()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *exception) -> None:
        self._lock.release()

    @property
    def is_finished(self) -> bool:
        """Whether the folder holds the summary of a run of this length."""
        return (self / _SUMMARY).is_file() and not self._is_other_length(self._read())

    def lengthen(self) -> None:
        """Make the run in the folder one of this length; call it once nothing can be refused.

        A finished run is unfinished then: its summary is removed, first, so that the command of
        either length resumes after an interruption.
        """
        found = self._read()
        if self._is_other_length(found):
            (self / _SUMMARY).unlink(missing_ok=True)
            write_json(self / _IDENTITY, {**found, **self._here})

    def keep(self, name: str, value: Any) -> Any:
        """Return a fact about the run's beginning: `value`, if it begins now."""
        found = self._read()
        if name not in found:
            write_json(self / _IDENTITY, {**found, name: value})
        return found.get(name, value)

    def check(self) -> None:
        """Check all that entering would, and leave the folder as it is.

        Raises:
            RunFolderError: As on entering.
        """
        self._check()
        if self._lock.is_locked or not (self / ".lock").is_file():
            return
        try:
            with FileLock(self / ".lock", timeout=0):
                pass
        except Timeout as error:
            raise self._in_use() from error
        except OSError as error:
            raise self._unwritable(error.strerror) from error

    def pin(self, name: str, value: Any) -> None:
        """Keep a fact about the run, or check that it is still what it was at the run's beginning.

        Before entering it is checked, and kept on entering.

        Raises:
            RunFolderError: The fact has changed.
        """
        self._facts[name] = value
        self._check()
        if self._lock.is_locked:
            self._keep_facts()

    def _keep_facts(self) -> None:
        for name, value in self._facts.items():
            self.keep(name, value)

    def _read(self) -> dict[str, Any]:
        return json.loads((self / _IDENTITY).read_text())

    @property
    def _here(self) -> dict[str, Any]:
        """What `_IDENTITY` holds of a run that begins with these settings."""
        planned = {} if self.length is None else {"planned": self.length.planned}
        return {**self._identity, **planned}

    def _is_other_length(self, found: dict[str, Any]) -> bool:
        there, here = found.get("planned", {}), self._here.get("planned", {})
        return any(here[name] != there[name] for name in here.keys() & there.keys())

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
        if (reason := why_not_writable(nearest)) is not None:
            raise self._unwritable(reason)

    def _check_contents(self) -> None:
        try:
            found = self._read()
            self._check_identity(found["command"], found["settings"], "planned" in found)
            self._check_facts(found)
            is_other_length = self._is_other_length(found)
        except FileNotFoundError:
            if {path.name for path in self.path.iterdir()} - _BEFORE_IDENTITY:
                raise self._foreign() from None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            if isinstance(error, RunFolderError):
                raise
            raise self._foreign() from error
        else:
            if is_other_length:
                self._check_length(found["planned"])

    def _check_facts(self, found: dict[str, Any]) -> None:
        for name, value in self._facts.items():
            if found.get(name, value) != value:
                raise RunFolderError(
                    f"run folder {str(self.path)!r} was begun with another {name}, which has "
                    "changed since: use another --run-dir"
                )

    def _check_length(self, there: dict[str, int]) -> None:
        reason = self.length.refuse(there, self.path)
        if reason is not None:
            raise RunFolderError(f"run folder {str(self.path)!r} {reason}")

    def _check_identity(self, command: str, there: dict[str, Any], has_length: bool) -> None:
        if command != self._identity["command"]:
            raise RunFolderError(
                f"run folder {str(self.path)!r} belongs to another command, {command!r}: "
                "use another --run-dir"
            )
        here, there = flat(self._identity["settings"]), flat(there)
        of_length = self.length.settings if has_length and self.length is not None else ()
        for name in sorted((here.keys() | there.keys()).difference(of_length)):
            if here.get(name) != there.get(name):
                raise RunFolderError(
                    f"run folder {str(self.path)!r} belongs to another {command}: there "
                    f"{name}={there.get(name)!r}, here {name}={here.get(name)!r}: "
                    "use another --run-dir"
                )

    def _in_use(self) -> RunFolderError:
        return RunFolderError(f"run folder {str(self.path)!r} is in use by another process")

    def _foreign(self) -> RunFolderError:
        return RunFolderError(
            f"run folder {str(self.path)!r} is not empty and holds no run of this program"
        )

    def _unwritable(self, reason: str) -> RunFolderError:
        return RunFolderError(f"run folder {str(self.path)!r} cannot be written: {reason}")
