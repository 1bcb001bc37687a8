"""Folders for temporary files that go when their process does, at the latest with the next one.

TensorFlow writes a file for each function it converts, TensorFlow Datasets and the converters make
folders: whatever a killed process leaves would stay in the system's temporary folder.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

__all__ = ["command_scratch", "scratch"]

_PREFIX = "keras-resnets-"


@contextlib.contextmanager
def scratch(folder: str | Path) -> Iterator[Path]:
    """Have temporary files of this process and its children made in a folder of their own.

    Args:
        folder: The folder; what a killed process has left in it is removed first, and all of it at
            the block's end. The folder it lies in must exist.

    Example:
        >>> with scratch("runs/first/.tmp") as folder:
        ...     tempfile.gettempdir() == str(folder)
        True
    """
    folder = Path(folder).absolute()
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    with _temporary_files_in(folder):
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def command_scratch() -> Iterator[None]:
    """Have temporary files of a command made in a folder; the next one removes what is left of it.

    The folder lies in the system's temporary folder. Where none can be made, nothing changes.
    """
    _remove_left_behind()
    try:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        lock = FileLock(folder / ".lock")
        lock.acquire(timeout=0)
    except (OSError, Timeout):
        yield
        return
    try:
        with _temporary_files_in(folder):
            yield
    finally:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def _remove_left_behind() -> None:
    """Remove the folders of commands that have ended: nobody holds their lock."""
    with contextlib.suppress(OSError):
        for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
            lock = folder / ".lock"
            if folder.is_symlink() or folder.stat().st_uid != os.getuid() or not lock.is_file():
                continue
            with contextlib.suppress(Timeout), FileLock(lock, timeout=0):
                shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    before, variable = tempfile.tempdir, os.environ.get("TMPDIR")
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
        if variable is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = variable
