"""The errors that mean "the input is wrong", and what to say about names nearly right."""

import difflib
from collections.abc import Iterable

__all__ = [
    "ConfigError",
    "DataError",
    "ExportMismatchError",
    "InputError",
    "MachineError",
    "RunError",
    "RunFolderError",
    "nearest",
    "shortened",
]


_LONGEST = 4000
"""Characters of a message after which its middle is left out."""


def shortened(message: str) -> str:
    """Return a message without its middle where what it quotes, of a damaged file, is very long.

    Example:
        >>> len(shortened("x" * 100_000)) < 4100
        True
    """
    if len(message) <= _LONGEST:
        return message
    return f"{message[: _LONGEST - 300]} ... {message[-300:]}"


class InputError(ValueError):
    """Something the user gave cannot be used; the message says what, and what is expected.

    The command line prints the message on one line and exits with code 2.
    """

    def __str__(self):
        return shortened(super().__str__())


class ConfigError(InputError):
    """A network configuration that no network can have."""


class DataError(InputError):
    """A data set that is unknown, unreadable or unusable for classification."""


class RunFolderError(InputError):
    """A run folder that cannot be written or belongs to another command."""


class RunError(RuntimeError):
    """A command that failed although its input was right; the message says what happened.

    The command line prints the message on one line and exits with code 1.
    """

    def __str__(self):
        return shortened(super().__str__())


class MachineError(RunError):
    """A failure of the machine, such as a full disk: the same command can succeed later."""


class ExportMismatchError(RunError):
    """An exported model whose answers differ from the model it came from."""


def nearest(name: str, names: Iterable[str], count: int = 3) -> str:
    """Return ``"; nearest: a, b"`` for the names most like `name`, or an empty string."""
    known = [known for known in names if known]
    matches = difflib.get_close_matches(name.lower(), known, n=count, cutoff=0.6)
    return f"; nearest: {', '.join(matches)}" if matches else ""
