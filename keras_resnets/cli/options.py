"""What the commands share: parameter types, options of the data, tables."""

from __future__ import annotations

import re
from pathlib import Path

import click

from keras_resnets.errors import InputError

__all__ = [
    "Count",
    "Shape",
    "check_output",
    "class_weights_option",
    "data_options",
    "dataset_options",
    "deliver",
    "model_and_data",
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


_DATASET_OPTIONS = (
    click.option(
        "--dataset",
        default="keras_resnets_digits",
        show_default=True,
        help="TensorFlow Datasets name, or a folder of images in class folders.",
    ),
    click.option("--data-dir", type=click.Path(), help="Where TensorFlow Datasets keeps its data."),
    click.option(
        "--image-size",
        type=click.IntRange(1),
        help="Resize images to this many pixels.  [default: their own size, 64 if they differ]",
    ),
)

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


def dataset_options(function):
    """Give a command the options that say which images, and in which size."""
    return _with_options(function, _DATASET_OPTIONS)


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
        click.echo(text)
        return
    from keras_resnets.files import write_text

    write_text(check_output(output), text + "\n")


def check_output(output: str) -> Path:
    """Return the path of a file to write.

    Raises:
        InputError: Its folder does not exist, or it is a folder.
    """
    path = Path(output)
    if not path.parent.is_dir() or path.is_dir():
        raise InputError(f"`--output` must be a file in an existing folder. Received: {output}")
    return path


def model_and_data(model, dataset, data_dir, any_format=False) -> tuple[Path, dict]:
    """Return a model's path, checked, and which images to try it on.

    Args:
        model: The path.
        dataset: What the user gave; None for what the model was trained on.
        data_dir: What the user gave.
        any_format: Whether exported models will do too, or ``.keras`` files only.

    Raises:
        InputError: There is no such model, or nothing says what it was trained on.
    """
    path = Path(model)
    if any_format:
        from keras_resnets.evaluation.runtimes import format_of

        format_of(path)
    elif not path.is_file() or path.suffix != ".keras":
        raise InputError(f"`MODEL` must be an existing .keras file. Received: {model}")
    data = _training_data(path) if dataset is None else {"name": dataset}
    if data_dir is not None:
        data["data_dir"] = data_dir
    return path, data


def _training_data(path: Path) -> dict:
    from keras_resnets.evaluation.names import training_summary

    data = training_summary(path).get("data")
    if data is None:
        raise InputError(
            f"there is no summary.json beside {str(path)!r} that says what it was trained on: give "
            "--dataset, the images to compare on"
        )
    return {name: data.get(name) for name in ("name", "data_dir", "image_size", "flip")}


def slug(name: str) -> str:
    """Return the last part of a name or path as a part of a file name."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", Path(name).name).strip("-") or "data"


def thousands(number: int) -> str:
    """Return a number with commas."""
    return f"{number:,}"


def table(headings, rows, text_columns=1) -> list[str]:
    """Return the lines of columns of text, then of numbers."""
    widths = [max(len(row[i]) for row in [headings, *rows]) for i in range(len(headings))]
    lines = []
    for row in [headings, *rows]:
        cells = [
            cell.ljust(width) if i < text_columns else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines
