"""``keras-resnets evaluate`` and ``predict``: how good a model is, and what it says of photos."""

from __future__ import annotations

import click

from keras_resnets.cli.completion import complete_datasets
from keras_resnets.cli.options import (
    Size,
    model_and_data,
    place_options,
    quiet_option,
    trial_options,
)
from keras_resnets.words import count, json_text, printable

__all__ = ["evaluate", "predict"]

_MOST_ROWS = 20
_MOST_PHOTOS = 50


@click.command()
@click.argument("model", type=click.Path())
@trial_options("Name or folder.")
@click.option(
    "--split",
    default="test",
    show_default=True,
    type=click.Choice(["train", "validation", "test"]),
)
@click.option(
    "--crops",
    default="center",
    show_default=True,
    type=click.Choice(["center", "ten", "multi"]),
    help="Views of each image: itself, ten crops, or several scales.",
)
@click.option(
    "--crop-ratio",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0, 1, min_open=True),
    help="Part of the image's side that center sees: 0.875 is 224 of 256.",
)
@click.option("--limit", type=click.IntRange(1), help="Most images, the first ones.")
@click.option(
    "--batch-size",
    default=64,
    show_default=True,
    type=click.IntRange(1),
    help="Images at once.",
)
@click.option(
    "-o", "--output", type=click.Path(), help="Folder for the numbers, the tables and the pictures."
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@quiet_option
def evaluate(model, output, as_json, verbose, **options):
    """Measure MODEL on a data set.

    MODEL is a .keras, .tflite or .onnx file or a SavedModel folder. Accuracy, per-class table,
    calibration.
    """
    path, data = model_and_data(model, options, any_format=True)
    from keras_resnets.evaluation.program import run_evaluate

    verbose = 0 if as_json else verbose
    result = run_evaluate(
        path, data, output=output, print_fn=click.echo, verbose=verbose, **options
    )
    if as_json:
        click.echo(json_text(result))
    else:
        _print_metrics(result)


@click.command()
@click.argument("model", type=click.Path())
@click.argument("images", nargs=-1, required=True, type=click.Path(), metavar="IMAGE...")
@click.option(
    "--top",
    default=5,
    show_default=True,
    type=click.IntRange(1),
    help="Most classes to name for an image.",
)
@click.option("--sheet", type=click.Path(), help="Also draw images and answers into this PNG.")
@click.option(
    "--classes-from",
    shell_complete=complete_datasets,
    help="Class names: a text file, a folder or a data set.  [default: those of the training]",
)
@place_options
@click.option("--image-size", type=Size(), help="224 or 96x128, for a model that takes any size.")
@click.option(
    "--fit",
    type=click.Choice(["crop", "pad", "stretch"]),
    help="How images of another shape are fitted.  [default: as in the training]",
)
@click.option("--background", help="Colour behind transparent images.")
@click.option("--skip-unreadable", is_flag=True, help="Leave out files that cannot be decoded.")
@click.option("-o", "--output", type=click.Path(), help="Also write a .csv or .json file.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@quiet_option
def predict(model, images, classes_from, data_dir, download, as_json, verbose, **options):
    """Ask MODEL what is in image files.

    MODEL is a .keras, .tflite or .onnx file or a SavedModel folder; an IMAGE may be a folder of
    images.
    """
    from keras_resnets.evaluation.names import class_names
    from keras_resnets.evaluation.prediction import check_request, run_predict
    from keras_resnets.verbosity import Printer

    print_fn = Printer(click.echo, 0 if as_json else verbose)
    check_request(model, images, **options)
    names = None
    if classes_from is not None:
        names = class_names(model, classes_from, data_dir, download, print_fn)
    rows = run_predict(model, images, class_names=names, print_fn=print_fn, **options)
    if as_json:
        click.echo(json_text(rows))
    else:
        _print_predictions(rows)


def _table(*headings, texts=1, title=None):
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for number, heading in enumerate(headings):
        justify = "left" if number < texts else "right"
        table.add_column(heading, justify=justify, overflow="fold")
    return table


def _print_metrics(result) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    table = _table("measure", "value")
    for name, value in (
        ("top-1 accuracy", f"{result['top1']:.2%}"),
        ("top-5 accuracy", None if result["top5"] is None else f"{result['top5']:.2%}"),
        ("balanced accuracy", f"{result['balanced_accuracy']:.2%}"),
        ("negative log-likelihood", f"{result['nll']:.4f}"),
        ("Brier score", f"{result['brier']:.4f}"),
        ("expected calibration error", f"{result['ece']:.2%}"),
    ):
        if value is not None:
            table.add_row(name, value)
    console.print(table)
    rows = result["per_class"]
    title = None
    if len(rows) > _MOST_ROWS:
        rows = sorted(rows, key=lambda row: (row["f1"] is None, row["f1"]))[:_MOST_ROWS]
        title = f"the {_MOST_ROWS} classes of {len(result['per_class'])} with the lowest F1"
    table = _table(
        "class", "most often taken for", "images", "recall", "precision", "F1", texts=2, title=title
    )
    for row in rows:
        other = f"{row['confused_with']} ({row['confusions']})" if row["confusions"] else ""
        ratios = [_percent(row[name]) for name in ("recall", "precision", "f1")]
        names = (Text(printable(text)) for text in (row["class"], other))
        table.add_row(*names, f"{row['images']:,}", *ratios)
    console.print(table)


def _percent(value) -> str:
    return "" if value is None else f"{value:.1%}"


def _print_predictions(rows) -> None:
    from rich.console import Console
    from rich.text import Text

    table = _table("image", "class", "", "next", texts=2)
    table.columns[-1].justify = "left"
    for row in rows[:_MOST_PHOTOS]:
        first, *others = row["predictions"]
        rest = ", ".join(f"{p['class']} {p['probability']:.1%}" for p in others)
        texts = (row["file"], first["class"], rest)
        image, name, rest = (Text(printable(text)) for text in texts)
        table.add_row(image, name, f"{first['probability']:.1%}", rest)
    console = Console(highlight=False)
    console.print(table)
    if len(rows) > _MOST_PHOTOS:
        more = count(len(rows) - _MOST_PHOTOS, "more image")
        console.print(f"and {more}: -o writes all of them")
