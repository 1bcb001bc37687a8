"""``keras-resnets check-data``."""

from __future__ import annotations

from pathlib import Path

import click

from keras_resnets.cli.completion import complete_datasets
from keras_resnets.cli.options import (
    check_output,
    place_options,
    quiet_option,
    reading_options,
    table,
    take_data_settings,
    thousands,
)
from keras_resnets.errors import InputError
from keras_resnets.words import count, json_text, printable, wrap

__all__ = ["check_data"]

_SHOWN = 20
"""Classes that are printed: of more, the smallest."""


@click.command("check-data")
@click.argument("dataset", shell_complete=complete_datasets)
@place_options
@reading_options
@click.option("-o", "--output", type=click.Path(), help="Also draw images of each class, a PNG.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@quiet_option
def check_data(output, as_json, verbose, **options):
    """Read every image of DATASET, a folder or a TensorFlow Datasets name, and report.

    Sizes, formats, classes and their balance, files that cannot be decoded, equal images in
    several splits or classes.
    """
    from keras_resnets.data.checking import check_data as check
    from keras_resnets.data.checking import report_lines
    from keras_resnets.data.options import check_dataset, check_folder_options
    from keras_resnets.verbosity import Printer

    settings = take_data_settings(options)
    check_dataset(settings.dataset, settings.data_dir, settings.download)
    check_folder_options(settings)
    if output is not None:
        if Path(output).suffix != ".png":
            raise InputError(f"`--output` must end in .png. Received: {output}")
        check_output(output)
    print_fn = Printer(click.echo, 0 if as_json else verbose)
    with print_fn.counting("images") as progress:
        report = check(settings, progress)
    if output is not None:
        _draw(settings, output, print_fn)
    if as_json:
        click.echo(json_text(report, ensure_ascii=False))
        return
    lines = report_lines(report)
    lines = [printable(line) for line in lines]  # one each: names have no line ends
    click.echo("\n".join([*map(wrap, lines[:1]), *lines[1:], "", *_class_table(report)]))


def _class_table(report) -> list[str]:
    rows = report["classes"]
    more = []
    if len(rows) > _SHOWN:
        rows = sorted(rows, key=lambda row: row["train"])[:_SHOWN]
        more = [f"the {_SHOWN} smallest of {count(len(report['classes']), 'class')}"]
    splits = list(report["images"])
    cells = [[row["class"], *(thousands(row[split]) for split in splits)] for row in rows]
    return [*table(["class", *splits], cells), *more]


def _draw(settings, output: str, print_fn) -> None:
    from keras_resnets.data.load import load_data
    from keras_resnets.data.pictures import draw_classes
    from keras_resnets.files import replacing

    skip = Path(settings.dataset).expanduser().is_dir()  # others have no such setting
    data = load_data(**{**settings.arguments, "skip_unreadable": skip}, print_fn=print_fn)
    with replacing(output) as beside:
        draw_classes(data).savefig(beside, dpi=100)
    print_fn(printable(f"wrote {output}"))
