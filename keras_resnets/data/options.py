"""What is said of a data set before it is opened, checked without TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_resnets.data import prepared
from keras_resnets.data.folder import FolderSource
from keras_resnets.data.settings import DataSettings
from keras_resnets.data.sizes import image_size
from keras_resnets.errors import DataError, nearest

__all__ = [
    "NOT_RESULTS",
    "check_data",
    "check_dataset",
    "check_folder_options",
    "check_model_input",
    "image_sides",
    "known_classes",
    "known_image_size",
    "known_shape",
    "unknown_name",
]

NOT_RESULTS = ("data_dir", "download")
"""Arguments of `load_data` that change where the images come from, not which they are."""

_OF_FOLDERS = {"layout": "auto", "labels": None, "skip_unreadable": False}
"""Settings that only folders have, and their values where nothing is said."""


def check_dataset(
    name: str | os.PathLike, data_dir: str | os.PathLike | None = None, download: bool = True
) -> None:
    """Check, before TensorFlow is imported, that a data set can be there.

    Args:
        name: A TensorFlow Datasets name or the path of a folder, as for `load_data`.
        data_dir: As for `load_data`, like the next one.
        download: See there.

    Raises:
        DataError: There is no such folder or data set (the nearest names are given), or it would
            have to be downloaded and must not be.

    Example:
        >>> check_dataset("cifar11")
        DataError: no data set is named 'cifar11', and no folder has this path; nearest: cifar10
    """
    if not isinstance(name, str | os.PathLike) or not os.fspath(name):
        raise DataError(f"`name` must be a data set's name or a folder. Received: name={name!r}")
    text = os.path.expanduser(name)
    place = Path(text)
    if place.is_dir():
        prepared.check_root(data_dir)
        return
    known = prepared.is_known(text, data_dir)
    if place.exists() and not known:
        raise DataError(f"dataset {text!r} is a file, not a folder")
    inside = os.sep in text and not known and place.parent.is_dir()
    if inside or text.startswith((".", os.sep, "~")):
        raise DataError(f"dataset folder {text!r} does not exist")
    if not known and prepared.list_is_complete():
        raise unknown_name(text)
    prepared.check_place(text, data_dir, download)


def check_data(
    data: Mapping[str, Any], progress: Callable[[int, int], None] | None = None
) -> FolderSource | None:
    """Check the arguments of `load_data`, given as a mapping; a folder by its files' headers.

    Args:
        data: The arguments.
        progress: Called with the numbers of a folder's files looked at and of all.

    Returns:
        The folder, None for TensorFlow Datasets.

    Raises:
        DataError: As for `check_dataset`, `DataSettings` and `FolderSource`.
    """
    settings = DataSettings.from_arguments(**data)
    check_dataset(settings.dataset, settings.data_dir, settings.download)
    if Path(settings.dataset).expanduser().is_dir():
        return FolderSource(settings, progress)
    check_folder_options(settings)
    return None


def check_folder_options(settings: DataSettings) -> None:
    """Check that what only folders have is not asked of another data set.

    Raises:
        DataError: It is.
    """
    if Path(settings.dataset).expanduser().is_dir():
        return
    for name, unset in _OF_FOLDERS.items():
        value = getattr(settings, name)
        if value != unset:
            raise DataError(
                f"`{name}` goes with a folder of images. "
                f"Received: {name}={value!r} for {settings.dataset!r}"
            )


def check_model_input(settings: DataSettings, input_shape: Sequence[int | None]) -> None:
    """Check that images are not asked for in another form than a model takes.

    Args:
        settings: How images are read.
        input_shape: The model's, ``(batch, height, width, channels)``; None fits anything.

    Raises:
        DataError: They are; the message names the model's.

    Example:
        >>> check_model_input(DataSettings(image_size=32), (None, 64, 64, 3))
        DataError: `image_size` must be the model's, 64 x 64. Received: image_size=32
    """
    *own, channels = input_shape[1:]
    sides = zip(own, image_sides(settings, 0), strict=True)
    if settings.image_size is not None and any(a not in (None, b) for a, b in sides):
        shown = " x ".join("any" if side is None else f"{side}" for side in own)
        raise DataError(
            f"`image_size` must be the model's, {shown}. Received: image_size={settings.image_size}"
        )
    if settings.channels is not None and channels not in (None, settings.channels):
        raise DataError(
            f"`channels` must be the model's, {channels}. Received: channels={settings.channels}"
        )


def unknown_name(name: str, registered: Iterable[str] = ()) -> DataError:
    """Return the error for a name that no data set has, of the library's or of those registered."""
    near = nearest(prepared.base_name(name), {*prepared.known_names(), *registered})
    return DataError(f"no data set is named {name!r}, and no folder has this path{near}")


def known_shape(settings: DataSettings) -> tuple[tuple[int, int, int], int] | None:
    """Return the shape of a data set's images and its number of classes, where they are known.

    Args:
        settings: The data set.

    Example:
        >>> known_shape(DataSettings())
        ((8, 8, 1), 10)
    """
    if settings.dataset != prepared.DIGITS:
        return None
    return (*image_sides(settings, 8), settings.channels or 1), 10


def known_image_size(
    settings: DataSettings, source: FolderSource | None, network: tuple[int, int] | None
) -> tuple[int, int] | None:
    """Return the size that images are brought to, None where only the opened data say it.

    Args:
        settings: The data set.
        source: The folder, None for TensorFlow Datasets.
        network: ``(height, width)`` that the network was made for, None if it takes any.
    """
    if source is None and settings.image_size is None:
        shape = known_shape(settings)
        return None if shape is None else shape[0][:2]
    found = [] if source is None else list(source.image_sizes)
    return image_size(settings.image_size, found, network)[0]


def known_classes(settings: DataSettings, source: FolderSource | None) -> list[str] | None:
    """Return the names of the classes, None where only the opened data say them.

    Args:
        settings: The data set.
        source: The folder, None for TensorFlow Datasets.
    """
    if source is not None:
        return list(source.class_names)
    shape = known_shape(settings)
    return None if shape is None else [str(number) for number in range(shape[1])]


def image_sides(settings: DataSettings, default: int) -> tuple[int, int]:
    """Return the height and width that images are brought to, or the default for both."""
    size = settings.image_size or default
    return size if isinstance(size, tuple) else (size, size)
