"""Places to write to, checked before any work is done."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from keras_resnets.errors import InputError

__all__ = ["check_file", "check_folder", "why_not_writable"]


def check_folder(path: str | Path, argument: str) -> None:
    """Check that a folder can be written into, or made.

    Args:
        path: The folder.
        argument: What the user calls it.

    Raises:
        InputError: It is a file, or it, or the folder it would lie in, cannot be written.

    Example:
        >>> check_folder("README.md", "output")
        InputError: `output` must be a folder that can be written. Received: README.md
    """
    absolute = Path(path).absolute()
    nearest = next(place for place in (absolute, *absolute.parents) if place.exists())
    if not nearest.is_dir() or why_not_writable(nearest) is not None:
        raise InputError(f"`{argument}` must be a folder that can be written. Received: {path}")


def why_not_writable(folder: Path) -> str | None:
    """Return why nothing can be written into an existing folder, None where it can.

    A file without a name is made and is gone at once: permissions alone do not tell of places such
    as ``/proc``, or of a disk that is mounted read-only.
    """
    if not os.access(folder, os.W_OK | os.X_OK):
        return "permission denied"
    try:
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError:
        return f"no file can be made in {str(folder)!r}"


def check_file(path: str | Path, argument: str, suffixes: Sequence[str]) -> None:
    """Check that a file of one of some kinds can be written.

    Args:
        path: The file.
        argument: What the user calls it.
        suffixes: How its name may end.

    Raises:
        InputError: It ends otherwise, is a folder, or its folder cannot be written or made.

    Example:
        >>> check_file("sheet.gif", "sheet", (".png",))
        InputError: `sheet` must end in .png. Received: sheet.gif
    """
    place = Path(path)
    if place.suffix not in suffixes:
        raise InputError(f"`{argument}` must end in {' or '.join(suffixes)}. Received: {path}")
    try:
        check_folder(place.absolute().parent, argument)
        writable = place.is_file() or not place.exists()  # no folder, no device, no pipe
    except InputError:
        writable = False
    if not writable:
        raise InputError(f"`{argument}` must lie in a folder that can be written. Received: {path}")
