"""Classes, and splits, of the images of a folder from a table: ``file,label[,split]``."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from pathlib import Path

from keras_resnets.data.formats import SUFFIXES
from keras_resnets.data.layout import Layout, find_images, split_of
from keras_resnets.errors import DataError, nearest
from keras_resnets.files import plain_cell
from keras_resnets.reading import read_bytes, reason
from keras_resnets.words import count, cut

__all__ = ["read_labels"]

_COLUMNS = {
    "file": (
        *("file", "filename", "file_name", "path", "filepath", "file_path", "image"),
        *("image_id", "id"),
    ),
    "label": ("label", "class", "category", "target", "labels", "class_name"),
    "split": ("split", "set", "subset", "partition"),
}
"""Headings by what they mean, the clearest first."""

_SHOWN = 20
"""Files named in a message before the rest is counted."""


def read_labels(root: str | Path, table: str | Path) -> Layout:
    """Read a table of image files and their classes.

    The first row may name the columns (file, label, split, or names like them); without it the
    order is file, label, split. Commas, semicolons and tabs separate; quotes, a byte order mark
    and any line ends are read. Files are relative to the folder, or to the table.

    Args:
        root: Folder of the images.
        table: The CSV file.

    Raises:
        DataError: The table cannot be read, names files that do not exist, splits that are
            unknown, or two classes for one file; or there are fewer than two classes.

    Example:
        >>> read_labels("photos", "photos/labels.csv").class_names
        ['cat', 'dog']
    """
    root, table = Path(root), Path(table)
    rows = _rows(table)
    columns = _columns(rows[0])
    first = 1
    if columns is None:
        columns, first = {"file": 0, "label": 1, "split": 2}, 0
    elif not {"file", "label"} <= columns.keys():
        raise DataError(
            f"labels {str(table)!r} must have the columns file and label, and may have split. "
            f"Received: {', '.join(rows[0])}"
        )
    entries = [
        _entry(table, number, row, columns) for number, row in enumerate(rows, 1) if number > first
    ]
    if not entries:
        raise DataError(f"labels {str(table)!r} name no files")
    return _layout(root, table, _located(root, table, entries))


def _rows(table: Path) -> list[list[str]]:
    if table.is_dir() or not table.exists():
        what = "is a folder, not a CSV file" if table.is_dir() else "does not exist"
        raise DataError(f"labels file {str(table)!r} {what}")
    try:
        data = read_bytes(table)
    except OSError as error:
        raise DataError(f"labels {str(table)!r} cannot be read: {reason(error)}") from error
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        rows = _separated(data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n"))
        if rows and len(rows[0]) < 3 and rows[0][0].casefold().startswith("sep="):
            rows = rows[1:]  # a spreadsheet's hint
    except UnicodeError as error:
        raise DataError(
            f"labels {str(table)!r} are not UTF-8 text: save them as 'CSV UTF-8'"
        ) from error
    except csv.Error as error:
        raise DataError(f"labels {str(table)!r} cannot be read as a CSV file: {error}") from error
    if not rows:
        raise DataError(f"labels {str(table)!r} are empty")
    return rows


def _separated(text: str) -> list[list[str]]:
    """Return the rows of a text by the separator that gives each of them two cells or more."""
    failure = None
    for separator in (",", ";", "\t"):
        lines = io.StringIO(text)
        try:
            rows = list(csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True))
        except csv.Error as error:
            failure = failure or error
            continue
        rows = [[cell.strip() for cell in row] for row in rows if any(map(str.strip, row))]
        if all(len(row) > 1 for row in rows):
            return rows
    if failure is not None:
        raise failure
    return [line.split(",") for line in text.splitlines() if line.strip()]


def _columns(head: list[str]) -> dict[str, int] | None:
    """Return where each column is, None if the first row is not a heading."""
    cells = [re.sub(r"[ -]+", "_", cell.casefold()) for cell in head]
    found = {}
    for name, known in _COLUMNS.items():
        places = [cells.index(heading) for heading in known if heading in cells]
        if places:
            found[name] = places[0]
    return found or None


def _entry(table: Path, number: int, row: list[str], columns) -> tuple[str, str, str | None]:
    cells = {name: row[place] for name, place in columns.items() if place < len(row)}
    if not cells.get("file") or not cells.get("label"):
        raise DataError(
            f"row {number} of labels {str(table)!r} must have a file and a label. "
            f"Received: {','.join(row)}"
        )
    split = cells.get("split")
    if split and split_of(split) is None:
        known = nearest(split, ("train", "validation", "test"))
        raise DataError(
            f"row {number} of labels {str(table)!r} must name a split: train, validation or "
            f"test{known}. Received: {split}"
        )
    return cells["file"], plain_cell(cells["label"]), split_of(split) if split else None


def _located(root: Path, table: Path, entries) -> dict[Path, tuple[str, str | None]]:
    """Return the class and split of each file by its path."""
    located: dict[Path, tuple[str, str | None]] = {}
    missing = []
    for name, label, split in entries:
        spellings = dict.fromkeys((name, plain_cell(name)))
        relatives = [Path(spelling.replace("\\", "/")) for spelling in spellings]
        places = (folder / relative for relative in relatives for folder in (root, table.parent))
        path = next(filter(None, map(_find, places)), None)
        if path is None:
            missing.append(name)
        elif located.setdefault(path, (label, split)) != (label, split):
            raise DataError(
                f"labels {str(table)!r} give {name!r} twice: {located[path][0]!r} and {label!r}"
                if located[path][0] != label
                else f"labels {str(table)!r} give {name!r} to two splits"
            )
    if missing:
        shown, more = cut(missing, _SHOWN)
        raise DataError(
            f"labels {str(table)!r} name {count(len(missing), 'file')} not in {str(root)!r}: "
            f"{' '.join(filter(None, [', '.join(shown), more]))}"
        )
    return located


def _find(path: Path) -> Path | None:
    """Return an image file that is named with or without its ending, or None."""
    try:
        if path.is_file():
            return path
        endings = () if path.suffix or not path.name else SUFFIXES
        return next((p for p in map(path.with_suffix, endings) if p.is_file()), None)
    except OSError:  # a name too long for any file
        return None


def _layout(root: Path, table: Path, located) -> Layout:
    splits = {split for _, split in located.values()}
    if splits != {None} and "train" not in splits:
        raise DataError(f"labels {str(table)!r} have no train split")
    default = None if splits == {None} else "train"
    training = {label for label, split in located.values() if (split or "train") == "train"}
    names = sorted(training)
    if len(names) < 2:
        raise DataError(
            f"labels {str(table)!r} must have at least two classes. "
            f"Received: {len(names)} ({', '.join(names) or 'none'})"
        )
    left_out: Counter = Counter()
    files: dict[str, list[tuple[Path, int]]] = {}
    for path, (label, split) in located.items():
        if label not in training:
            left_out[f"{split} images of {label}, which has none to train on"] += 1
            continue
        files.setdefault(split or default or "train", []).append((path, names.index(label)))
    there, others = find_images(root)
    known = {path.resolve() for path in located}
    left_out["images that the labels do not name"] = sum(p.resolve() not in known for p in there)
    others.subtract({"other files (.csv)": int(table.parent == root)})
    return Layout(root, f"labels from {table.name}", names, files, +(left_out + others))
