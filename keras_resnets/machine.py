"""Failures of the machine, told from those of what it was asked to do."""

from __future__ import annotations

import errno
import os

from keras_resnets.errors import MachineError

__all__ = ["machine_failure"]

_REASONS = tuple(
    os.strerror(number)
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG)
)
"""What libraries without `OSError` (HDF5, TensorFlow) quote in their messages."""

_TENSORFLOW = ("DataLossError", "NotFoundError", "PermissionDeniedError", "UnavailableError")


def machine_failure(error: BaseException) -> str | None:
    """Return one line about the machine's failure behind an error, None where there is none.

    A full or broken disk, a file or a permission that is gone: the same work may succeed later.
    Memory is not counted: a network that does not fit has only itself to blame.

    Args:
        error: The error; what caused it, and what it was raised in the handling of, is looked at.

    Example:
        >>> machine_failure(OSError(28, "No space left on device", "model.keras"))
        "[Errno 28] No space left on device: 'model.keras'"
    """
    is_cause = True
    while error is not None:
        own = isinstance(error, OSError | MachineError) or type(error).__name__ in _TENSORFLOW
        if (own and is_cause) or any(reason in str(error) for reason in _REASONS):
            return " ".join(str(error).split())[:300] or type(error).__name__
        is_cause = error.__cause__ is not None
        error = error.__cause__ if is_cause else error.__context__
    return None
