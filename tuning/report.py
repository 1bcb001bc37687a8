"""What a search shows: a line a trial, a table, and a page with pictures."""

from __future__ import annotations

import base64
import io
import textwrap
from pathlib import Path

import jinja2
from rich.console import Console
from rich.table import Table

from keras_resnets.analysis.drawing import draw_network
from keras_resnets.analysis.figures import plot_candidates, plot_history
from keras_resnets.files import write_text
from keras_resnets.models.config import config_from_dict
from keras_resnets.training.program import clock
from keras_resnets.tuning.journal import ranked

__all__ = ["trial_line", "trials_table", "write_report"]

_HEADINGS = (
    ("id", "right"),
    ("block", "left"),
    ("order", "left"),
    ("depth", "right"),
    ("width", "right"),
    ("surv", "right"),
    ("lr", "right"),
    ("params", "right"),
    ("MACs", "right"),
    ("accuracy", "right"),
    ("sec", "right"),
)
"""Columns of the table and their sides; with one space between them it fits 80 characters."""


def trial_line(row: dict, trials: list[dict], planned: int, seconds_left: float) -> str:
    """Return one line about a finished trial, the best so far and the time left."""
    best = ranked(trials)[0]
    best_so_far = (
        f"best {best['val_accuracy']:.2%} ({best['id']})" if best["status"] == "ok" else "no best"
    )
    line = (
        f"{len(trials):>{len(str(planned))}}/{planned}  "
        f"{row['block'] + ' ' + row['activation_order']:15}  "
        f"depth {row['depth']:2}  width {row['width']:2}  {_result(row):>6}  {best_so_far}  "
        f"{clock(seconds_left)} left"
    )
    if row["status"] == "ok":
        return line
    return f"{line}  ({textwrap.shorten(row['message'], 200, placeholder=' ...')})"


def _result(trial: dict) -> str:
    return f"{trial['val_accuracy']:.2%}" if trial["status"] == "ok" else trial["status"]


def _cells(trial: dict) -> list[str]:
    return [
        trial["id"],
        trial["block"],
        trial["activation_order"],
        str(trial["depth"]),
        str(trial["width"]),
        f"{trial['final_survival']:g}",
        f"{trial['learning_rate']:.3f}",
        f"{trial['params']:,}",
        f"{trial['macs']:,}",
        _result(trial),
        f"{trial['seconds']:.1f}",
    ]


def trials_table(trials: list[dict]) -> str:
    """Return the table of ranked trials as text."""
    table = Table(box=None, pad_edge=False, collapse_padding=True, header_style="")
    for heading, justify in _HEADINGS:
        table.add_column(heading, justify=justify, no_wrap=True)
    for trial in trials:
        table.add_row(*_cells(trial))
    text = io.StringIO()
    Console(file=text, width=200).print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def _picture(figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def write_report(path: str | Path, summary: dict, history: list[dict]) -> None:
    """Write the page about a search, whole in one file, the pictures inside.

    Args:
        path: The HTML file.
        summary: The search's summary.
        history: The winner's training history.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    trials = ranked(summary["trials"])
    page = environment.get_template("report.html.j2").render(
        summary=summary,
        winner=summary["winner"],
        headings=[heading for heading, _ in _HEADINGS],
        rows=[_cells(trial) for trial in trials],
        candidates=_picture(plot_candidates(trials, summary["winner"]["trial"])),
        curves=_picture(plot_history(history)),
        network=_picture(draw_network(config_from_dict(summary["winner"]["config"]))),
    )
    write_text(path, page)
