"""What the commands share: parameter types, options of the data, tables."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import click

from keras_resnets.cli.completion import complete_datasets
from keras_resnets.data.settings import DataSettings
from keras_resnets.errors import InputError
from keras_resnets.words import printable, thousands

__all__ = [
    "Count",
    "Shape",
    "check_output",
    "class_weights_option",
    "data_options",
    "dataset_options",
    "deliver",
    "dry_run_option",
    "model_and_data",
    "place_options",
    "quiet_option",
    "slug",
    "table",
    "thousands",
]


class Count(click.ParamType):
    """A positive count, plain or with k, M or G: ``500k``, ``1.5M``."""

    name = "number"

    def convert(self, value, param, ctx):
        """Return the number, or fail as click does."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kKmMgG]?)", str(value).replace("_", ""))
        factor = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
        number = round(float(match[1]) * factor[match[2].lower()]) if match else 0
        if number < 1:
            self.fail(f"must be a positive number such as 500k or 1.5M. Received: {value}", param)
        return number


class Shape(click.ParamType):
    """An image shape: ``64x64x3``."""

    name = "HxWxC"

    def convert(self, value, param, ctx):
        """Return the three numbers, or fail as click does."""
        match = re.fullmatch(r"(\d+)x(\d+)x(\d+)", str(value))
        if not match:
            self.fail(f"must be height x width x channels, 64x64x3. Received: {value}", param)
        return tuple(int(part) for part in match.groups())


class Size(click.ParamType):
    """A size of images: ``224``, or ``96x128`` for height x width."""

    name = "SIZE"

    def convert(self, value, param, ctx):
        """Return the number, or the two numbers, or fail as click does."""
        match = re.fullmatch(r"([1-9]\d*)(?:x([1-9]\d*))?", str(value))
        if not match:
            self.fail(f"must be pixels, 224, or height x width, 96x128. Received: {value}", param)
        height, width = match.groups()
        return int(height) if width is None else (int(height), int(width))


_PLACE_OPTIONS = (
    click.option("--data-dir", type=click.Path(), help="Where TensorFlow Datasets keeps its data."),
    click.option(
        "--download/--no-download",
        default=True,
        help="Download a data set that is not there.  [default: yes]",
    ),
)

_READING_OPTIONS = (
    click.option(
        "--image-size",
        type=Size(),
        help="Bring images to this size, 224 or 96x128.  [default: their own if all have one, "
        "else the network's]",
    ),
    click.option(
        "--channels",
        type=click.Choice(["1", "3"]),
        callback=lambda context, param, value: None if value is None else int(value),
        help="Gray images or colours.  [default: what the images have]",
    ),
    click.option(
        "--fit",
        type=click.Choice(["crop", "pad", "stretch"]),
        help="How images of another shape are fitted.  [default: crop]",
    ),
    click.option(
        "--background",
        help="Colour behind transparent images and of borders: white, black, gray or #rrggbb.  "
        "[default: white]",
    ),
    click.option(
        "--layout",
        type=click.Choice(["auto", "classes", "splits"]),
        help="Whether a folder's folders are classes or splits.  [default: by their names]",
    ),
    click.option(
        "--labels", type=click.Path(), help="CSV file of file,label[,split] for a folder's images."
    ),
    click.option(
        "--skip-unreadable",
        is_flag=True,
        default=None,
        help="Leave out files that cannot be decoded.",
    ),
)
"""How images are read: what `DataSettings` has beside the data set's name and place."""

_DATASET_OPTIONS = (
    click.option(
        "--dataset",
        default="keras_resnets_digits",
        show_default=True,
        shell_complete=complete_datasets,
        help="TensorFlow Datasets name, or a folder of images in class folders.",
    ),
    *_PLACE_OPTIONS,
    *_READING_OPTIONS,
)

dry_run_option = click.option(
    "--dry-run",
    is_flag=True,
    help="Check everything, say what would be done and how long it would take; write nothing.",
)

quiet_option = click.option(
    "-q",
    "--quiet",
    "verbose",
    is_flag=True,
    callback=lambda context, param, value: 0 if value else 1,
    help="Print no progress; errors alone, and what was asked for.",
)
"""Gives a command ``verbose``: 0 or 1."""

_DATA_OPTIONS = (
    *_DATASET_OPTIONS,
    click.option(
        "--flip/--no-flip",
        default=None,
        help="Mirror training images.  [default: yes, but not digits and letters]",
    ),
    click.option(
        "--precision",
        default="auto",
        show_default=True,
        type=click.Choice(["auto", "float32", "mixed_bfloat16", "mixed_float16"]),
        help="Dtype policy of training; auto takes what is fastest on the device.",
    ),
    click.option(
        "--xla/--no-xla",
        default=None,
        help="Compile training by XLA.  [default: what is fastest on the device]",
    ),
    click.option(
        "--seed",
        default=0,
        show_default=True,
        type=click.IntRange(0, 2**31 - 2),
        help="Fixes weights, data order and proposals.",
    ),
)


def _class_weights(ctx, param, value):
    """Read the file before anything else is done."""
    from keras_resnets.training.class_weights import read_class_weights

    return None if value is None else read_class_weights(value)


class_weights_option = click.option(
    "--class-weights",
    metavar="balanced|FILE",
    callback=_class_weights,
    help="What classes count in training: the same in all (balanced), or FILE.csv (class,weight) "
    "or FILE.json.",
)
"""The option of commands that train."""


def data_options(function):
    """Give a command the options of the data, the device and the seed."""
    return _with_options(function, _DATA_OPTIONS)


def place_options(function):
    """Give a command the options of where data sets lie and whether they may be downloaded."""
    return _with_options(function, _PLACE_OPTIONS)


def dataset_options(function):
    """Give a command the options that say which images, and in which size."""
    return _with_options(function, _DATASET_OPTIONS)


def reading_options(function):
    """Give a command the options of how images are read, without those of where they are."""
    return _with_options(function, _READING_OPTIONS)


def trial_options(purpose: str):
    """Give a command the options of the images to try a model on.

    Args:
        purpose: What they are for, as its help says it.
    """
    dataset = click.option(
        "--dataset",
        shell_complete=complete_datasets,
        help=f"{purpose}  [default: what the model was trained on]",
    )
    return lambda f: _with_options(f, (dataset, *_PLACE_OPTIONS, *_READING_OPTIONS))


def take_data_settings(options: dict) -> DataSettings:
    """Take the options of the data out of a command's options, and return them checked.

    Raises:
        DataError: A value is illegal.
    """
    return DataSettings(**_taken(options))


def _taken(options: dict) -> dict:
    names = [field.name for field in dataclasses.fields(DataSettings) if field.name in options]
    values = {name: options.pop(name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _with_options(function, options):
    for option in reversed(options):
        function = option(function)
    return function


def deliver(text: str, output: str | None) -> None:
    """Print a text, or write it into the file that the user named.

    Raises:
        InputError: The file's folder does not exist.
    """
    if output is None:
        click.echo(printable(text, lines=True))
        return
    from keras_resnets.files import write_text

    write_text(check_output(output), text + "\n")


def check_output(output: str) -> Path:
    """Return the path of a file to write.

    Raises:
        InputError: Its folder does not exist, or it is a folder, a device or a pipe.
    """
    path = Path(output)
    other = path.exists() and not path.is_file()  # a device would be replaced by a file
    if not path.parent.is_dir() or other:
        raise InputError(f"`--output` must be a file in an existing folder. Received: {output}")
    return path


def model_and_data(model, options: dict, any_format=False) -> tuple[Path, dict]:
    """Return a model's path, checked, and which images to try it on.

    Images are fitted as in the model's training, where its ``summary.json`` says it and the user
    does not.

    Args:
        model: The path.
        options: What the user gave; the options of the data are taken out.
        any_format: Whether exported models will do too, or ``.keras`` files only.

    Raises:
        InputError: There is no such model, it is damaged, or nothing says what it was trained on.
    """
    from keras_resnets.data.options import check_data
    from keras_resnets.evaluation.names import training_summary
    from keras_resnets.models.files import FORMATS, check_model_file

    path = Path(model)
    check_model_file(path, tuple(FORMATS) if any_format else ("keras",))
    trained = training_summary(path).get("data")
    given = _taken(options)
    if trained is None and "dataset" not in given:
        raise InputError(
            f"no summary.json beside {str(path)!r} says what it was trained on: give --dataset, "
            "the images to compare on"
        )
    known = vars(DataSettings.from_arguments(**(trained or {"name": ""})))
    if "dataset" in given:
        known = {name: known[name] for name in ("fit", "background")}
    settings = DataSettings(**{**known, **given})
    check_data(settings.arguments)
    return path, settings.arguments


def slug(name: str) -> str:
    """Return the last part of a name or path as a part of a file name."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", Path(name).name).strip("-") or "data"


def table(headings, rows, text_columns=1) -> list[str]:
    """Return the lines of columns of text, then of numbers."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [headings, *rows]) for i in range(len(headings))]
    lines = []
    for row in [headings, *rows]:
        cells = [
            cell.ljust(width) if i < text_columns else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines
