"""What a model's classes are called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydantic

from keras_resnets.data.options import check_dataset
from keras_resnets.data.settings import DataSettings
from keras_resnets.errors import InputError
from keras_resnets.reading import read_json, read_text, reason

__all__ = ["class_names", "training_summary"]


def training_summary(path: str | Path) -> dict[str, Any]:
    """Return the ``summary.json`` that a training left beside a model; empty if there is none.

    Args:
        path: The model's file or folder.

    Raises:
        InputError: The file is there and cannot be read.
    """
    summary = Path(path).parent / "summary.json"
    if not summary.exists():
        return {}
    values = _read_json(summary)
    try:
        found = _Summary.model_validate(values)
        if found.data is not None:
            DataSettings.from_arguments(**values["data"])
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(
            f"{str(summary)!r} is not a summary of a training"
            + (f": {where}: {first['msg'].lower()}" if where else "")
        ) from error
    except InputError as error:
        raise InputError(f"{str(summary)!r} is not a summary of a training: {error}") from error
    return values


class _Data(pydantic.BaseModel):
    """What a summary says of its data, as far as it is used."""

    model_config = pydantic.ConfigDict(strict=True)

    name: str
    data_dir: str | None = None
    background: str = "white"
    fit: str = "crop"
    layout: str = "auto"
    labels: str | None = None
    flip: bool | None = None
    skip_unreadable: bool = False
    download: bool = True
    classes: list[str | int] | None = None


class _Summary(pydantic.BaseModel):
    data: _Data = None  # may be missing, not null


def class_names(
    path: str | Path,
    source: str | Path | None = None,
    data_dir: str | Path | None = None,
    download: bool = True,
    print_fn: Callable[[str], None] = print,
) -> list[str] | None:
    """Return the names of a model's classes, or None if nothing says them.

    Args:
        path: The model's file or folder; ``summary.json`` beside it says what it was trained on.
        source: What says the names instead: a text file with a name a line, a ``summary.json`` or
            the folder it lies in, a folder of class folders, or a TensorFlow Datasets name.
        data_dir: Where TensorFlow Datasets keeps its data.
        download: As for `load_data`, like the next one.
        print_fn: See there.

    Raises:
        InputError: `source` says no names.

    Example:
        >>> class_names("runs/first/model.tflite")
        ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck']
    """
    if source is None:
        names = training_summary(path).get("data", {}).get("classes")
        return None if names is None else [str(name) for name in names]
    place = Path(source).expanduser()
    if place.is_dir() and (place / "summary.json").is_file():
        place = place / "summary.json"
    if place.is_file() and place.suffix == ".json":
        return _of_json(place)
    if place.is_file():
        return _of_text(place)
    check_dataset(source, data_dir, download)
    from keras_resnets.data.load import load_data  # after the check: TensorFlow is slow

    data = load_data(str(source), data_dir, download=download, print_fn=print_fn)
    return list(data.class_names)


def _of_json(path: Path) -> list[str]:
    values = _read_json(path)
    if isinstance(values, dict):
        data = values.get("data")
        values = data.get("classes") if isinstance(data, dict) else None
    names = isinstance(values, list) and all(isinstance(name, str | int) for name in values)
    if not names or not values:
        raise InputError(f"{str(path)!r} names no classes: it must be a list, or a summary.json")
    return [str(name) for name in values]


def _of_text(path: Path) -> list[str]:
    try:
        names = [line.strip() for line in read_text(path).splitlines()]
    except ValueError as error:
        raise InputError(f"{str(path)!r} must be a text of one class name a line") from error
    while names and not names[-1]:
        names.pop()
    if not names:
        raise InputError(f"{str(path)!r} names no classes")
    return names


def _read_json(path: Path) -> Any:
    try:
        return read_json(path)
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read: {reason(error)}") from error
    except ValueError as error:
        raise InputError(f"{str(path)!r} is not JSON: {error}") from error
