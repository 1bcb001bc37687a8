"""Files that others wrote, read so that nothing in them hangs, floods or shows a library's insides.

What cannot be read is an `OSError` whose ``strerror`` says why in words, or a `ValueError`: callers
turn both into an error of their own that names the file.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import tomllib
from pathlib import Path
from typing import Any

from keras_resnets.words import printable

__all__ = [
    "MOST_TEXT",
    "check_regular",
    "irregular",
    "kind_of",
    "parse_json",
    "read_bytes",
    "read_json",
    "read_text",
    "read_toml",
    "reason",
    "size_in_words",
]

MOST_TEXT = 1 << 30
"""Most bytes of a text, a table or a JSON file."""

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}

_NOISE = re.compile(
    r"^$|^Graph execution error|^Detected at node|^<stack traces|^(\S+ )?File |^\d+ root|^\d+ succ|"
    r"^\d+ derived|^At:$|^Traceback|^\[\[|^List of objects|^=+$|^\^+$|^Example error message|"
    r"^A total of \d+ objects"
)
"""Lines in which TensorFlow and Keras speak of themselves."""

_INSIDES = (
    (re.compile(r"\{\{.*?\}\}|\[\[.*?\]\]|\[Op:\w+\](\s*name:.*)?"), ""),
    (re.compile(r"\(\d+\) [A-Z_]+: +"), ""),
    (re.compile(r"Error in user-defined function passed to .*? with iterator: \S+: "), ""),
    (re.compile(r"^assertion failed: \[(.*?)\].*"), r"\1"),
    (re.compile(r"\S*(site|dist)-packages/\S+"), "..."),
    (re.compile(r" at 0x[0-9a-f]+"), ""),
    (re.compile(r"\s+"), " "),
)
"""Their parts within a line, and what stands there instead."""


def irregular(path: str | Path) -> str | None:
    """Return what a path is that cannot be read as a file, in words; None for files.

    Raises:
        OSError: There is nothing at the path.

    Example:
        >>> irregular("/dev/null")
        'it is a device, not a file'
    """
    return _irregular(os.stat(path).st_mode)


def kind_of(path: str | Path) -> str | None:
    """Return what lies at a path that is not a file: ``"a named pipe"``; None for files.

    Raises:
        OSError: There is nothing at the path, or a link that leads nowhere.
    """
    return _kind(os.stat(path).st_mode)


def _kind(mode: int) -> str | None:
    return _KINDS.get(stat.S_IFMT(mode))


def _irregular(mode: int) -> str | None:
    kind = _kind(mode)
    return None if kind is None else f"it is {kind}, not a file"


def check_regular(path: str | Path) -> None:
    """Raise `OSError` for what is not a file: reading from a named pipe would wait for ever."""
    found = irregular(path)
    if found is not None:
        raise OSError(errno.EINVAL, found, str(path))


def read_bytes(path: str | Path, most: int = MOST_TEXT) -> bytes:
    """Return a file's content.

    Args:
        path: The file.
        most: Bytes that it may have.

    Raises:
        OSError: There is no such file, it is not a file but a pipe or a device, or it is larger.

    Example:
        >>> read_bytes("labels.csv")[:5]
        b'file,'
    """
    # Opened without waiting, then looked at: the path may have changed since it was checked.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if (kind := _irregular(found.st_mode)) is not None:
            raise OSError(errno.EINVAL, kind, str(path))
        if found.st_size > most:
            raise OSError(
                errno.EFBIG,
                f"it has {size_in_words(found.st_size)}; at most {size_in_words(most)} are read",
                str(path),
            )
        return file.read()


def read_text(path: str | Path, most: int = MOST_TEXT) -> str:
    """Return a UTF-8 file's text, with or without a byte order mark.

    Raises:
        OSError: As for `read_bytes`.
        ValueError: It is not UTF-8.
    """
    try:
        return read_bytes(path, most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 text: byte {error.start} is damaged") from error


def read_json(path: str | Path) -> Any:
    """Return what a JSON file holds.

    Raises:
        OSError: As for `read_bytes`.
        ValueError: It is not JSON, or nested too deep.
    """
    return parse_json(read_text(path))


def parse_json(text: str | bytes, **options) -> Any:
    """Return what a JSON text holds; options are those of `json.loads`.

    Raises:
        ValueError: It is not JSON, or nested too deep.
    """
    return _parsed(json.loads, text, **options)


def read_toml(path: str | Path) -> dict[str, Any]:
    """Return what a TOML file holds.

    Raises:
        OSError: As for `read_bytes`.
        ValueError: It is not TOML, or nested too deep.
    """
    return _parsed(tomllib.loads, read_text(path))


def _parsed(parse, text, **options):
    try:
        return parse(text, **options)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def size_in_words(size: int) -> str:
    """Return a number of bytes in the largest unit of 1,000: ``12.3 MB``."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:,.1f} {unit}"
    return f"{size} bytes"


def reason(error: BaseException, longest: int = 200) -> str:
    """Return why something failed in one line, without the insides of the library that says it.

    TensorFlow's messages are several lines of operations, nodes and source files around the one
    that matters; Keras' begin with a sentence on objects.

    Args:
        error: What was raised.
        longest: Most characters.

    Example:
        >>> reason(tf.errors.DataLossError(None, None, "{{node Next}} corrupted record at 12"))
        'corrupted record at 12'
    """
    text = getattr(error, "strerror", None) or getattr(error, "message", None) or str(error)
    if isinstance(error, RecursionError):
        text = "it is nested too deep"
    if isinstance(error, KeyError):
        text = f"{error} is missing"
    lines = (line.strip() for line in str(text).splitlines())
    for line in lines:
        for pattern, instead in _INSIDES:
            line = pattern.sub(instead, line).strip()
        if line and not _NOISE.match(line):
            return printable(line)[:longest].rstrip(" :;,")
    return type(error).__name__
