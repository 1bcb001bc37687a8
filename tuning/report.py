"""What a search shows: a line a trial, a table, and a page with pictures."""

from __future__ import annotations

import base64
import io
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
    ("rank", "right"),
    ("trial", "right"),
    ("block", "left"),
    ("order", "left"),
    ("depth", "right"),
    ("width", "right"),
    ("survival", "right"),
    ("lr", "right"),
    ("params", "right"),
    ("MACs", "right"),
    ("accuracy", "right"),
    ("seconds", "right"),
    ("status", "left"),
)


def trial_line(row: dict, trials: list[dict], planned: int, seconds_left: float) -> str:
    """Return one line about a finished trial, the best so far and the time left."""
    best = ranked(trials)[0]
    result = (
        f"{row['val_accuracy']:.2%}"
        if row["status"] == "ok"
        else f"{row['status']}: {row['message']}"
    )
    best_so_far = (
        f"best {best['val_accuracy']:.2%} ({best['id']})" if best["status"] == "ok" else ""
    )
    return (
        f"trial {len(trials)}/{planned}  {row['block']} {row['activation_order']}  "
        f"depth {row['depth']} width {row['width']}  {row['params']:,} params  "
        f"{row['macs'] / 1e6:.2f} M MACs  {result}  {best_so_far}  {row['seconds']:.0f} s  "
        f"{clock(seconds_left)} left"
    )


def _cells(rank: int, trial: dict) -> list[str]:
    accuracy = trial["val_accuracy"]
    return [
        str(rank),
        trial["id"],
        trial["block"],
        trial["activation_order"],
        str(trial["depth"]),
        str(trial["width"]),
        f"{trial['final_survival']:g}",
        f"{trial['learning_rate']:.3f}",
        f"{trial['params']:,}",
        f"{trial['macs']:,}",
        "" if accuracy is None else f"{accuracy:.2%}",
        f"{trial['seconds']:.1f}",
        trial["status"],
    ]


def trials_table(trials: list[dict]) -> str:
    """Return the table of ranked trials as text."""
    table = Table(box=None, pad_edge=False, header_style="")
    for heading, justify in _HEADINGS:
        table.add_column(heading, justify=justify, no_wrap=True)
    for rank, trial in enumerate(trials, start=1):
        table.add_row(*_cells(rank, trial))
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
        rows=[_cells(rank, trial) for rank, trial in enumerate(trials, start=1)],
        candidates=_picture(plot_candidates(trials, summary["winner"]["trial"])),
        curves=_picture(plot_history(history)),
        network=_picture(draw_network(config_from_dict(summary["winner"]["config"]))),
    )
    write_text(path, page)
