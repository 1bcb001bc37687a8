"""The folder that a command writes: it knows its command, and only one process writes to it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from keras_resnets.errors import InputError, MachineError, RunError, RunFolderError
from keras_resnets.files import checking_writes, flat, is_temporary
from keras_resnets.machine import machine_failure
from keras_resnets.outputs import why_not_writable
from keras_resnets.scratch import scratch
from keras_resnets.state import DamagedError, read_state, write_state

__all__ = ["SCRATCH", "Length", "RunFolder", "while_there"]

_IDENTITY = "run.json"
_TWIN = ".run.json"
"""A second copy, for the day that the first one is damaged: without it nothing can be resumed."""

_SUMMARY = "summary.json"
"""Written last by every command: its presence means that the run is finished."""

SCRATCH = ".tmp"
"""Folder for temporary files, which is there as long as the command runs."""

_IN_THE_WAY = (IsADirectoryError, NotADirectoryError, FileExistsError)
"""Errors that come again until a user does something."""

_NO_CONTENTS = {".lock", SCRATCH, _TWIN, ".DS_Store", "Thumbs.db", "desktop.ini", ".directory"}
"""What an interruption leaves before the identity is written, and what file managers write."""


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
        files: Names of the files that the command writes, those of folders with a slash behind: in
            their place nothing else may lie.

    Attributes:
        damage: A line for each damaged file that was found, and what that means.

    Raises:
        RunFolderError: The folder belongs to other settings, holds other things, is in use, or
            cannot be written. Nothing is written then.
        RunError: Of the block: the folder was deleted under way, or the machine failed.

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
        files: Iterable[str] = (),
    ):
        try:
            self.path = Path(path).expanduser()
        except RuntimeError as error:  # "~name" of no user
            raise RunFolderError(f"run folder {str(path)!r} cannot be written: {error}") from error
        self._identity = {"command": command, "settings": json.loads(json.dumps(settings))}
        self.length = length
        self._files = (*files, _IDENTITY, _TWIN, _SUMMARY)
        self.damage: list[str] = []
        self._facts: dict[str, Any] = {}
        self._check()
        # Of before the first format of state files: without checksums and a second copy.
        self._is_older = (self / _IDENTITY).exists() and not (self / _TWIN).exists()
        self._lock = FileLock(self.path / ".lock")
        self._inside = contextlib.ExitStack()

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
            self._remove_temporary()
            self._keep_identity()
            self._keep_facts()
            self._inside.enter_context(while_there(self.path))
            self._inside.enter_context(scratch(self / SCRATCH))
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, kind, error, traceback) -> None:
        self._inside.close()
        self._lock.release()
        if not isinstance(error, Exception) or isinstance(error, InputError):
            return
        if not (self / _IDENTITY).is_file():
            raise _gone(self.path) from error
        reason = None if isinstance(error, RunError) else machine_failure(error)
        if reason is not None:
            first = "once that is moved away, " if isinstance(error, _IN_THE_WAY) else ""
            raise MachineError(f"{reason}; {first}the same command resumes where it was") from error

    @property
    def is_finished(self) -> bool:
        """Whether the folder holds the summary of a run of this length."""
        return self.summary() is not None and not self._is_other_length(self._read())

    def summary(self) -> dict[str, Any] | None:
        """Return what ``summary.json`` holds, None where there is none that can be trusted."""
        try:
            return read_state(self / _SUMMARY, {"data": dict} if self._is_older else None)
        except FileNotFoundError:
            return None
        except DamagedError as error:
            self._note(f"{_SUMMARY} is damaged ({error}): the run is taken for unfinished")
            return None

    def lengthen(self) -> None:
        """Make the run in the folder one of this length; call it once nothing can be refused.

        A finished run is unfinished then: its summary is removed, first, so that the command of
        either length resumes after an interruption.
        """
        found = self._read()
        if self._is_other_length(found):
            (self / _SUMMARY).unlink(missing_ok=True)
            self._write({**found, **self._here})

    def keep(self, name: str, value: Any) -> Any:
        """Return a fact about the run's beginning: `value`, if it begins now."""
        found = self._read()
        if name not in found:
            self._write({**found, name: value})
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

    def _keep_identity(self) -> None:
        """Write the identity where it, or its copy, is not there, damaged or behind."""
        try:
            found = self._read()
        except FileNotFoundError:
            found = self._here
        for name in (_IDENTITY, _TWIN):
            with contextlib.suppress(DamagedError, FileNotFoundError):
                if read_state(self / name) == found:
                    continue
            write_state(self / name, found)

    def _read(self) -> dict[str, Any]:
        try:
            return read_state(self / _IDENTITY, {"command": str, "settings": dict})
        except (DamagedError, FileNotFoundError) as error:
            with contextlib.suppress(DamagedError, FileNotFoundError):
                found = read_state(self / _TWIN)
                reason = "is missing" if isinstance(error, OSError) else f"is damaged ({error})"
                self._note(f"{_IDENTITY} {reason}: its copy {_TWIN} takes its place")
                return found
            raise

    def _write(self, values: dict[str, Any]) -> None:
        write_state(self / _IDENTITY, values)
        write_state(self / _TWIN, values)

    def _note(self, line: str) -> None:
        if line not in self.damage:
            self.damage.append(line)

    def _remove_temporary(self) -> None:
        """Remove what killed processes were writing."""
        for path in (*self.path.glob(".*"), *self.path.glob("*/.*")):
            if is_temporary(path.name) and path.is_file() and not path.is_symlink():
                path.unlink(missing_ok=True)

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
        for name in self._files:
            path = self / name
            wanted, found = ("folder", "file") if name.endswith("/") else ("file", "folder")
            if path.is_file() if wanted == "folder" else path.is_dir():
                raise RunFolderError(
                    f"run folder {str(self.path)!r} has a {found} where the {wanted} "
                    f"{name.rstrip('/')!r} belongs: move it away"
                )
        try:
            found = self._read()
            self._check_identity(found["command"], found["settings"], "planned" in found)
            self._check_facts(found)
            is_other_length = self._is_other_length(found)
        except FileNotFoundError:
            names = {path.name for path in self.path.iterdir()} - _NO_CONTENTS
            if not all(is_temporary(name) for name in names):
                raise self._foreign(None) from None
        except (DamagedError, ValueError, TypeError, KeyError, AttributeError) as error:
            if isinstance(error, RunFolderError):
                raise
            raise self._foreign(error) from error
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

    def _foreign(self, error: Exception | None) -> RunFolderError:
        reason = f" ({_IDENTITY}: {error})" if isinstance(error, DamagedError) else ""
        return RunFolderError(
            f"run folder {str(self.path)!r} is not empty and holds no run of this program{reason}"
        )

    def _unwritable(self, reason: str) -> RunFolderError:
        return RunFolderError(f"run folder {str(self.path)!r} cannot be written: {reason}")


@contextlib.contextmanager
def while_there(path: str | Path) -> Iterator[None]:
    """Refuse to write into a run folder that is deleted while the block runs.

    Writing makes the folders of a path: it would leave a part of a run that looks like a whole one.

    Raises:
        RunError: Of the block: it would have written.
    """
    folder = Path(path).absolute()

    def check(written: Path) -> None:
        if folder in written.absolute().parents and not (folder / _IDENTITY).is_file():
            raise _gone(path)

    with checking_writes(check):
        yield


def _gone(path: str | Path) -> RunError:
    return RunError(
        f"run folder {str(path)!r} was deleted while the command wrote to it: what it held is "
        "lost; the same command begins again"
    )
