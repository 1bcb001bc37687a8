"""Which exceptions are answers, and which are bugs: exit code and line of the first.

Commands raise `InputError` and `RunError` where they know what went wrong. What files, disks and
memory can do at any line, and in any library, is recognised here by its kind. Everything else is a
bug of this package, and keeps its traceback.
"""

from __future__ import annotations

import errno
import os
import re
import sys

import click

from keras_resnets.errors import InputError, RunError, shortened
from keras_resnets.reading import reason

__all__ = ["BUG", "failure"]

BUG = "this is a bug in keras-resnets: please report it with the lines above"

_OF_FILES_AND_MEMORY = (
    "DataLossError",
    "PermissionDeniedError",
    "ResourceExhaustedError",
    "UnavailableError",
)
"""TensorFlow's errors that no program of ours can cause by itself."""

_IN_WORDS = re.compile(
    "|".join(os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)),
    re.IGNORECASE,
)
"""What a disk says through a library whose errors have no number: HDF5's, TensorFlow's."""


def failure(error: BaseException) -> tuple[int, str] | None:
    """Return the exit code and the line that an exception is answered with, None for a bug.

    Args:
        error: What a command raised.

    Example:
        >>> failure(OSError(28, "No space left on device", "model.keras"))
        (1, "'model.keras': No space left on device")
    """
    found = _answer(error)
    return found and (found[0], shortened(found[1]))


def _answer(error: BaseException) -> tuple[int, str] | None:
    if isinstance(error, click.ClickException):
        return 2, error.format_message()
    if isinstance(error, InputError):
        return 2, str(error)
    if isinstance(error, RunError):
        return 1, str(error)
    if isinstance(error, OSError):
        return 1, _of_system(error)
    if isinstance(error, MemoryError):
        return 1, f"not enough memory: {reason(error)}".removesuffix(": MemoryError")
    if (words := _IN_WORDS.search(str(error))) is not None:
        return 1, words[0]
    if _is_of_tensorflow(error):
        return 1, reason(error)
    return None


def _of_system(error: OSError) -> str:
    if error.strerror is None:
        found = _IN_WORDS.search(str(error))  # h5py's have the number in their words
        return found[0] if found else reason(error)
    return f"{error.filename!r}: {error.strerror}" if error.filename else error.strerror


def _is_of_tensorflow(error: BaseException) -> bool:
    tensorflow = sys.modules.get("tensorflow")  # what was never imported has not failed
    if tensorflow is None:
        return False
    kinds = tuple(getattr(tensorflow.errors, name) for name in _OF_FILES_AND_MEMORY)
    return isinstance(error, kinds)
