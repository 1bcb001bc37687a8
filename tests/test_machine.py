"""A failure of the machine is told from one of the work that it did."""

import errno

import pytest

from keras_resnets.errors import MachineError
from keras_resnets.machine import machine_failure


class ResourceExhaustedError(Exception):
    """TensorFlow's, for a full disk and for a full GPU."""


class NotFoundError(Exception):
    """TensorFlow's."""


def _caused(error, cause):
    error.__cause__ = cause
    return error


def _handling(error, other):
    error.__context__ = other
    return error


FULL = OSError(errno.ENOSPC, "No space left on device", "model.keras")


@pytest.mark.parametrize(
    "error",
    [
        FULL,
        OSError(errno.EIO, "Input/output error"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        OSError(errno.EROFS, "Read-only file system"),
        FileNotFoundError(2, "No such file or directory", "photos/1.png"),
        RuntimeError("Unable to write: errno = 28, error message = 'No space left on device'"),
        ResourceExhaustedError("run/x.json; No space left on device"),
        NotFoundError("photos/1.png; No such file or directory"),
        MachineError("checkpoint 'a' cannot be written"),
        _caused(RuntimeError("no checkpoint"), FULL),
        _handling(KeyError("on the way"), FULL),
    ],
    ids=str,
)
def test_of_the_machine(error):
    line = machine_failure(error)
    assert line
    assert "\n" not in line


@pytest.mark.parametrize(
    "error",
    [
        ValueError("illegal"),
        MemoryError(),
        ResourceExhaustedError("OOM when allocating tensor with shape [4096, 4096]"),
        # A library that looked for a file and did without.
        _handling(ValueError("illegal"), FileNotFoundError(2, "No such file", "cache")),
    ],
    ids=repr,
)
def test_of_the_work(error):
    assert machine_failure(error) is None
