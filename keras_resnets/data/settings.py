"""Which images a command works on and how they are read, as one immutable value."""

from __future__ import annotations

import dataclasses
import os
import re
from dataclasses import dataclass
from typing import Any

from keras_resnets.data.layout import LAYOUTS
from keras_resnets.errors import DataError, InputError
from keras_resnets.models.checks import check, check_choice, is_int

__all__ = ["DIGITS", "FITS", "DataSettings", "parse_color"]

DIGITS = "keras_resnets_digits"
"""Name of the embedded data set."""


FITS = ("crop", "pad", "stretch")
"""How an image is brought to another shape: its centre cut out, borders added, or distorted."""

_COLORS = {"white": (255, 255, 255), "black": (0, 0, 0), "gray": (128, 128, 128)}


def parse_color(text: str) -> tuple[int, int, int]:
    """Return the red, green and blue of a colour.

    Args:
        text: ``"white"``, ``"black"``, ``"gray"`` or ``"#rrggbb"``.

    Raises:
        InputError: It is none of these.

    Example:
        >>> parse_color("#ff8000")
        (255, 128, 0)
    """
    if text in _COLORS:
        return _COLORS[text]
    if not isinstance(text, str) or not re.fullmatch("#[0-9a-fA-F]{6}", text):
        raise InputError(
            f"`background` must be {', '.join(_COLORS)} or #rrggbb. Received: background={text!r}"
        )
    return tuple(int(text[i : i + 2], 16) for i in (1, 3, 5))


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """What `load_data` takes.

    Args:
        dataset: A TensorFlow Datasets name, or the path of a folder of images.
        data_dir: Where TensorFlow Datasets keeps its data.
        image_size: Side in pixels, or ``(height, width)``, to bring images to; None to decide by
            the images and the network.
        channels: 1 for grey images, 3 for colours; None for what the images have.
        fit: What becomes of images of another shape: ``"crop"`` cuts their centre out, ``"pad"``
            adds borders, ``"stretch"`` distorts.
        background: Colour behind transparent images and of borders: ``"white"``, ``"black"``,
            ``"gray"`` or ``"#rrggbb"``.
        flip: Whether training may mirror images; None to decide by the class names.
        layout: How a folder is read: ``"auto"``, ``"classes"`` or ``"splits"``.
        labels: A CSV file that names the class, and the split, of each image of a folder.
        skip_unreadable: Whether files that cannot be decoded are left out, or refused.
        download: Whether a TensorFlow Datasets name that is not prepared may be downloaded.

    Raises:
        DataError: A value is illegal, or two contradict each other.

    Example:
        >>> DataSettings(dataset="./photos", image_size=(96, 128)).arguments["fit"]
        'crop'
    """

    dataset: str = DIGITS
    data_dir: str | None = None
    image_size: int | tuple[int, int] | None = None
    channels: int | None = None
    fit: str = "crop"
    background: str = "white"
    flip: bool | None = None
    layout: str = "auto"
    labels: str | None = None
    skip_unreadable: bool = False
    download: bool = True

    def __post_init__(self):
        for name in ("dataset", "data_dir", "labels"):
            value = getattr(self, name)
            if isinstance(value, os.PathLike):
                object.__setattr__(self, name, os.fspath(value))
        size = self.image_size
        if isinstance(size, list | tuple):
            object.__setattr__(self, "image_size", tuple(size))
            fits = len(size) == 2 and all(map(is_int, size))
        else:
            fits = size is None or is_int(size)
        if not fits:
            raise DataError(
                "`image_size` must be a positive integer or (height, width). "
                f"Received: image_size={size}"
            )
        check(self.channels in (None, 1, 3), "channels", "1, 3 or None", self.channels)
        check_choice("fit", self.fit, FITS)
        check_choice("layout", self.layout, LAYOUTS)
        parse_color(self.background)
        if self.labels is not None and self.layout != "auto":
            raise DataError(
                "`layout` says nothing where `labels` name the classes. "
                f"Received: layout={self.layout!r}, labels={self.labels!r}"
            )

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of `load_data`."""
        values = {name: getattr(self, name) for name in _FIELDS}
        return {"name": values.pop("dataset"), **values}

    @classmethod
    def from_arguments(cls, name=DIGITS, **arguments) -> DataSettings:
        """Return the settings that arguments of `load_data` stand for; unknown ones are ignored.

        Example:
            >>> DataSettings.from_arguments("cifar10", data_dir="/data").dataset
            'cifar10'
        """
        known = {k: v for k, v in arguments.items() if k in _FIELDS and k != "dataset"}
        return DataSettings(dataset=name, **known)


_FIELDS = tuple(field.name for field in dataclasses.fields(DataSettings))
