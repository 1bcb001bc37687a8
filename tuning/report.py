"""What a search shows: a line a trial, a table, and a page with pictures."""

from __future__ import annotations

import io
import textwrap
from pathlib import Path

import jinja2
from markupsafe import Markup
from rich.console import Console
from rich.table import Table

from keras_resnets.analysis.drawing import draw_network
from keras_resnets.analysis.figures import plot_candidates, plot_history
from keras_resnets.analysis.inline import inline_svg, theme
from keras_resnets.files import write_text
from keras_resnets.models.config import config_from_dict
from keras_resnets.tuning.journal import ranked
from keras_resnets.words import LINE, clock, compact, count, thousands, wrap

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
"""Columns of the table and their sides."""


def trial_line(row: dict, trials: list[dict], planned: int, seconds_left: float) -> str:
    """Return one line about a finished trial, the best so far and the time left."""
    best = ranked(trials)[0]
    best_so_far = (
        f"best {best['val_accuracy']:.2%} ({best['id']})" if best["status"] == "ok" else "no best"
    )
    line = (
        f"{len(trials):>{len(str(planned))}}/{planned}  "
        f"{row['block'] + ' ' + row['activation_order']:15} "
        f"depth {row['depth']:2} width {row['width']:2}  {_result(row):>6}  {best_so_far}  "
        f"{clock(seconds_left)} left"
    )
    if row["status"] != "ok":
        line += f"  ({textwrap.shorten(row['message'], 200, placeholder=' ...')})"
    return line if len(line) <= LINE else wrap(line)


def _result(trial: dict) -> str:
    return f"{trial['val_accuracy']:.2%}" if trial["status"] == "ok" else trial["status"]


def _cells(trial: dict, number=thousands) -> list[str]:
    return [
        trial["id"],
        trial["block"],
        trial["activation_order"],
        str(trial["depth"]),
        str(trial["width"]),
        f"{trial['final_survival']:g}",
        f"{trial['learning_rate']:.3f}",
        number(trial["params"]),
        number(trial["macs"]),
        _result(trial),
        f"{trial['seconds']:.1f}",
    ]


def trials_table(trials: list[dict]) -> str:
    """Return the table of ranked trials as text, large counts cut where it would be too wide."""
    text = _table_text([_cells(trial) for trial in trials])
    if max(map(len, text.splitlines())) > LINE:
        text = _table_text([_cells(trial, compact) for trial in trials])
    return text


def _table_text(rows: list[list[str]]) -> str:
    table = Table(box=None, pad_edge=False, collapse_padding=True, header_style="")
    for heading, justify in _HEADINGS:
        table.add_column(heading, justify=justify, no_wrap=True)
    for row in rows:
        table.add_row(*row)
    text = io.StringIO()
    Console(file=text, width=200).print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


_FIGURE_WIDTH = 3.6
"""Inches: what a screen of 390 pixels shows at the natural size, letters of 9 points and more."""


def _power(number: float) -> Markup:
    """Return a small number as a factor and a power of ten."""
    if not number:
        return Markup("0")
    factor, exponent = f"{number:.1e}".split("e")
    return Markup(f"{factor} &times; 10<sup>{int(exponent)}</sup>".replace("-", "&minus;"))


def write_report(path: str | Path, summary: dict, history: list[dict]) -> None:
    """Write the page about a search, whole in one file, the pictures inside.

    It can be read on a telephone, and on a dark background where the reader prefers one.

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
    environment.filters |= {"count": count, "clock": clock, "power": _power}
    trials = ranked(summary["trials"])
    winner = summary["winner"]
    figures = {
        "network": (
            draw_network(config_from_dict(winner["config"]), narrow=True),
            "The winning network drawn by stages",
        ),
        "candidates": (
            plot_candidates(trials, winner["trial"], width=_FIGURE_WIDTH),
            "Validation accuracy of each candidate against its multiply-adds",
        ),
        "curves": (
            plot_history(history, width=_FIGURE_WIDTH),
            "Loss and accuracy of the winner over epochs",
        ),
    }
    page = environment.get_template("report.html.j2").render(
        summary=summary,
        winner=winner,
        light=theme(),
        dark=theme(dark=True),
        headings=[heading for heading, _ in _HEADINGS],
        rows=[_cells(trial) for trial in trials],
        **{
            name: Markup(inline_svg(figure, name, label))
            for name, (figure, label) in figures.items()
        },
    )
    write_text(path, page)
