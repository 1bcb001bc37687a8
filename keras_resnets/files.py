"""Writing files so that an interruption never damages a good one: write beside, then rename.

A power loss is an interruption too: contents reach the disk before the new name does, and the name
before the function returns.
"""

import contextlib
import csv
import errno
import io
import json
import numbers
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from keras_resnets.words import printable

__all__ = [
    "checking_writes",
    "csv_text",
    "flat",
    "is_temporary",
    "plain_cell",
    "replacing",
    "replacing_folder",
    "sync",
    "write_json",
    "write_text",
]

_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""How cells begin that spreadsheets compute, full-width letters included (OWASP, "CSV Injection");
or those that were quoted before, so that reading is the inverse of writing."""

_checks: list[Callable[[Path], None]] = []


@contextlib.contextmanager
def checking_writes(check: Callable[[Path], None]) -> Iterator[None]:
    """Call `check` with each path before this process replaces it, as long as the block runs.

    Args:
        check: Raises where the path must not be written.
    """
    _checks.append(check)
    try:
        yield
    finally:
        _checks.remove(check)


def sync(path: str | Path) -> None:
    """Wait until a file's contents, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems have no such thing for folders.
        if not (os.path.isdir(path) and error.errno in (errno.EINVAL, errno.ENOTSUP)):
            raise
    finally:
        os.close(descriptor)


def is_temporary(name: str) -> bool:
    """Say whether a file of this name is what an interrupted `replacing` leaves.

    Example:
        >>> is_temporary(".model.tmp.keras"), is_temporary("model.keras")
        (True, False)
    """
    return name.startswith(".") and Path(name).stem.endswith(".tmp")


def _begin(path: Path) -> None:
    """Check that a path may be written, and make the folder it lies in."""
    for check in _checks:
        check(path)
    _make_folder(path.parent)


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync(folder.parent)


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a path to write to; it becomes `path` when the block ends without an error.

    Example:
        >>> with replacing("model.keras") as path:
        ...     model.save(path)
    """
    path = Path(path)
    _begin(path)
    beside = path.with_name(f".{path.stem}.tmp{path.suffix}")
    try:
        yield beside
        sync(beside)
        os.replace(beside, path)
        sync(path.parent)
    except OSError as error:
        if error.filename is None and error.errno is not None:  # a full disk names no file
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        beside.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """Give a folder to write into; it becomes `path` when the block ends without an error.

    Folders, unlike files, cannot be replaced in one step: the old one stands aside for a moment. An
    interruption in that moment is made good by the next call.

    Raises:
        NotADirectoryError: `path` is a file.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f"{str(path)!r} is a file, not a folder to replace")
    _begin(path)
    beside = path.with_name(f".{path.name}.tmp")
    old = path.with_name(f".{path.name}.old")
    _put_back(old, path)
    shutil.rmtree(beside, ignore_errors=True)
    try:
        yield beside
        for folder, _, names in os.walk(beside):
            for name in (*names, "."):
                sync(Path(folder, name))
        if path.exists():
            os.replace(path, old)
        os.replace(beside, path)
        sync(path.parent)
    finally:
        _put_back(old, path)
        shutil.rmtree(beside, ignore_errors=True)


def _put_back(old: Path, path: Path) -> None:
    """Return a folder that stood aside to its place, or remove it where it has been replaced."""
    if old.exists() and not path.exists():
        os.replace(old, path)
    shutil.rmtree(old, ignore_errors=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write a JSON file whole or not at all."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def csv_text(rows: list[dict], columns) -> str:
    """Return rows as a CSV text with a header.

    Texts that a spreadsheet would compute, such as a class named ``=1+2`` or ``-3``, begin with an
    apostrophe, which says "this is text"; `plain_cell` takes it away. Python's numbers stay as they
    are. Characters that terminals obey or that hide what a text says are written as `printable`
    writes them, line ends too: each row is one line.

    Args:
        rows: The rows; what is in no column is left out.
        columns: The columns' names.
    """
    cells = [[row.get(name, "") for name in columns] for row in rows]
    return "".join(_csv_line([_quoted(cell) for cell in line]) for line in [columns, *cells])


def plain_cell(cell: str) -> str:
    """Return the text that `csv_text` wrote into a cell.

    Example:
        >>> plain_cell("'=1+2"), plain_cell("'tis")
        ('=1+2', "'tis")
    """
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _csv_line(cells: list) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)  # cells with either letter are quoted
    return text.getvalue().removesuffix("\r\n") + "\n"


def _quoted(value: Any) -> Any:
    if value is None or isinstance(value, numbers.Number):
        return value
    value = printable(str(value))
    return f"'{value}" if _FORMULA.match(value) else value


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return values with those of tables inside under ``table.name``."""
    found = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found
