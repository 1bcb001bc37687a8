"""State files: what a run is resumed from, each with a format version and a checksum.

A state file is a JSON table. Its entry ``checksum`` holds the version of the format and a hash of
everything else in it; binary files are vouched for by a hash in such a table (`file_hash`).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from keras_resnets.files import write_json
from keras_resnets.reading import check_regular, irregular, parse_json, read_bytes

__all__ = ["FORMAT", "DamagedError", "file_hash", "read_state", "write_state"]

FORMAT = 1
"""Version of the format that is written, and the newest that is read."""

_CHECKSUM = "checksum"


class DamagedError(Exception):
    """A state file that cannot be trusted; the message says why, and is caught by its reader."""


def write_state(path: str | Path, values: dict[str, Any]) -> None:
    """Write a table of JSON-ready values as a state file, whole or not at all.

    Args:
        path: The file.
        values: The table; it must not have an entry ``checksum``.

    Example:
        >>> write_state("winner.json", {"trial": "03"})
        >>> read_state("winner.json")
        {'trial': '03'}
    """
    write_json(path, {**values, _CHECKSUM: {"format": FORMAT, "sha256": _hash(values)}})


def read_state(path: str | Path, known_by: dict[str, type] | None = None) -> dict[str, Any]:
    """Return the table of a state file, without its checksum.

    Args:
        path: The file.
        known_by: Entries and their types that a table of before the first format, which has no
            checksum, is known by and taken. By default no such table is.

    Raises:
        FileNotFoundError: There is no file.
        DamagedError: It is no file but a folder or a pipe, is not a table, has no checksum or one
            that differs, or is of a newer format.
    """
    if (reason := irregular(path)) is not None:
        raise DamagedError(reason)
    try:
        values = parse_json(read_bytes(path))
    except ValueError as error:
        raise DamagedError("it is not JSON") from error
    if not isinstance(values, dict):
        raise DamagedError("it is not a table of names and values")
    checksum = values.pop(_CHECKSUM, None)
    is_known = all(isinstance(values.get(name), kind) for name, kind in (known_by or {}).items())
    if checksum is None and known_by and is_known:
        return values
    if not isinstance(checksum, dict):
        raise DamagedError("it has no checksum")
    version = checksum.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise DamagedError(f"it was written by a newer version (format {version})")
    if version != FORMAT or checksum.get("sha256") != _hash(values):
        raise DamagedError("its checksum differs")
    return values


def _hash(values: dict[str, Any]) -> str:
    plain = json.loads(json.dumps(values))  # as it is read: names are texts, tuples are lists
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def file_hash(path: str | Path) -> str:
    """Return the SHA-256 hash of a file's contents.

    Raises:
        FileNotFoundError: There is no file.
    """
    check_regular(path)
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
