"""``keras-resnets compare``: runs side by side."""

from __future__ import annotations

import json
from pathlib import Path

import click

from keras_resnets.cli.options import check_output
from keras_resnets.errors import InputError
from keras_resnets.words import clock, compact, json_text, printable, wrap

__all__ = ["compare"]

_PICTURES = (".png", ".svg", ".pdf")


@click.command()
@click.argument("runs", nargs=-1, metavar="RUN RUN...", type=click.Path())
@click.option(
    "-o", "--output", type=click.Path(), help="Draw the curves into this .png, .svg or .pdf."
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def compare(runs, output, as_json):
    """Compare run folders of train and search, finished or not.

    Prints a table, a search by its winner, and the settings that differ.
    """
    if output is not None and Path(output).suffix not in _PICTURES:
        raise InputError(f"`--output` must end in {', '.join(_PICTURES)}. Received: {output}")
    path = None if output is None else check_output(output)
    from keras_resnets.analysis.comparison import compare_runs
    from keras_resnets.analysis.runs import read_runs

    found = read_runs(runs)
    result = compare_runs(found)
    if as_json:
        click.echo(json_text(result))
    else:
        _print_comparison(result)
    if path is not None:
        _draw(found, path, print_fn=(lambda line: None) if as_json else click.echo)


def _draw(runs, path: Path, print_fn) -> None:
    from keras_resnets.analysis.comparison import plot_runs
    from keras_resnets.files import replacing
    from keras_resnets.fonts import missing_letters_note

    if not any(run.history for run in runs):
        raise InputError("no run has finished an epoch: there are no curves to draw")
    with replacing(path) as temporary:
        plot_runs(runs).savefig(temporary, dpi=110)
    empty = [run.label for run in runs if not run.history]
    without = f" without {', '.join(empty)}, of which no epoch is finished" if empty else ""
    print_fn(printable(wrap(f"wrote {path}{without}"), lines=True))
    if note := missing_letters_note(run.label for run in runs):
        print_fn(wrap(note))


def _print_comparison(result) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    console.print(_numbers_table(result["runs"]))
    console.print()
    if not result["differences"]:
        console.print("the settings are the same")
        return
    names = [row["run"] for row in result["runs"]]
    console.print(_differences_table(result["differences"], names))


def _numbers_table(rows):
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    table = _table()
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("run\n  network", overflow="fold")
    for heading in ("params", "MACs", "epochs", "best\nval", "last\nval", "test", "time"):
        table.add_column(heading, justify="right", no_wrap=True, vertical="top")
    for number, row in enumerate(rows, start=1):
        search = "search: " if row["command"] == "search" else ""
        planned = row["planned_epochs"]
        whole = row["finished"] or planned is None
        table.add_row(
            f"{number}",
            Group(
                Text(printable(row["run"]), overflow="fold"),
                Padding(Text(printable(f"{search}{row['model']}"), overflow="fold"), (0, 0, 0, 2)),
            ),
            *("" if row[key] is None else compact(row[key]) for key in ("params", "macs")),
            f"{row['epochs']}" if whole else f"{row['epochs']}/{planned}",
            *(_percent(row[f"{key}_accuracy"]) for key in ("best_val", "last_val", "test")),
            clock(row["seconds"]),
        )
    return table


def _differences_table(differences, names: list[str]):
    """Return a table of settings: a row for each value and the numbers of the runs that have it."""
    from rich.text import Text

    table = _table()
    for heading in ("setting that differs", "value", "runs"):
        table.add_column(heading, overflow="fold")
    for setting, values in differences.items():
        by_value: dict[str, list[int]] = {}
        for name, value in values.items():
            by_value.setdefault(_value(value), []).append(names.index(name) + 1)
        for line, (value, numbers) in enumerate(by_value.items()):
            texts = (Text(printable(text)) for text in ("" if line else setting, value))
            table.add_row(*texts, _ranges(numbers))
    return table


def _ranges(numbers: list[int]) -> str:
    """Return rising numbers, three and more in a row as a range: ``1, 3-6``."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    words = [[f"{p[0]}-{p[-1]}"] if len(p) > 2 else map(str, p) for p in parts]
    return ", ".join(word for part in words for word in part)


def _value(value) -> str:
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.2%}"


def _table():
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
