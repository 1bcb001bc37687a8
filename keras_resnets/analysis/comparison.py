"""Runs side by side: their numbers, the settings that differ, their curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from keras_resnets.analysis.runs import Run

__all__ = ["compare_runs", "plot_runs", "setting_differences"]

_STYLES = ("-", "--", ":", "-.")
_LEGEND_WIDTH = 110
"""Latin letters of a row of the legend."""

_LEGEND_LINE = 0.21
"""Inches of a row of the legend."""


def compare_runs(runs: Sequence[Run]) -> dict[str, Any]:
    """Return the numbers of runs and the settings that differ, as JSON has them.

    Args:
        runs: The runs, as `read_runs` returns them.

    Returns:
        ``runs``, a dict for each, and ``differences``: for each setting that differs its value by
        the run's label.

    Example:
        >>> compare_runs(read_runs(["runs/a", "runs/b"]))["differences"]
        {'recipe.optimizer.learning_rate': {'a': 0.1, 'b': 0.2}}
    """
    rows = [
        {
            "run": run.label,
            "path": str(run.path),
            "command": run.command,
            "finished": run.finished,
            "model": run.model,
            "params": run.params,
            "macs": run.macs,
            "epochs": run.epochs,
            "planned_epochs": run.planned_epochs,
            "best_val_accuracy": run.best_val_accuracy,
            "last_val_accuracy": _finite(run.last_val_accuracy),
            "test_accuracy": run.test_accuracy,
            "seconds": round(run.seconds, 1),
        }
        for run in runs
    ]
    return {"runs": rows, "differences": setting_differences(runs)}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def setting_differences(runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
    """Return the settings that are not the same in all runs that know them.

    A search has no recipe and a training no trials: a setting counts for the runs of a command
    that has it.

    Args:
        runs: The runs.

    Returns:
        For each such setting its value by the run's label; None where a run has none.
    """
    known = {command: set() for command in {run.command for run in runs}}
    for run in runs:
        known[run.command] |= run.settings.keys()
    differences = {}
    if len(known) > 1:
        differences["command"] = {run.label: run.command for run in runs}
    for name in sorted(set().union(*known.values())):
        values = {r.label: r.settings.get(name) for r in runs if name in known[r.command]}
        if len({repr(value) for value in values.values()}) > 1:
            differences[name] = values
    return differences


def plot_runs(runs: Sequence[Run], *, width: float = 9):
    """Draw the validation accuracy and loss of runs over their epochs.

    A run's label begins with its number in the list. Runs without validation images have their
    training's loss and accuracy, which their label says.

    Args:
        runs: The runs; those without a finished epoch are left out.
        width: Of the figure, in inches.

    Returns:
        The `matplotlib.figure.Figure`, of two axes.

    Example:
        >>> plot_runs(read_runs(["runs/a", "runs/b"])).savefig("compare.png")
    """
    from rich.cells import cell_len

    from keras_resnets.analysis.figures import INK, PALETTE, bare, two_axes
    from keras_resnets.axes import whole_epochs
    from keras_resnets.fonts import Lettering

    figure, axes = two_axes(width)
    drawn = [run for run in runs if run.history]
    lines = []
    for number, run in enumerate(drawn):
        style = {
            "color": PALETTE[number % len(PALETTE)],
            "linestyle": _STYLES[number // len(PALETTE) % len(_STYLES)],
            "marker": "o" if run.epochs == 1 else None,
        }
        for ax, measure, scale in zip(axes, ("accuracy", "loss"), (100, 1), strict=True):
            epochs, values = _curve(run, measure)
            lines += ax.plot(epochs, [scale * value for value in values], **style)
    for ax, label in zip(axes, ("validation accuracy (%)", "validation loss"), strict=True):
        bare(ax, "epoch", label)
        whole_epochs(ax)
    names = [_legend(number, run) for number, run in enumerate(runs, start=1) if run.history]
    lettering = Lettering(names, [None] * len(names))
    written = lettering.short(_LEGEND_WIDTH // 2)
    widest = max(map(cell_len, written), default=1) + 6
    columns = max(1, min(3, _LEGEND_WIDTH // widest))
    height = figure.get_figheight() + _LEGEND_LINE * -(-len(written) // columns)
    figure.set_figheight(height)
    legend = figure.legend(
        lines[::2],
        ["-"] * len(written),
        loc="outside lower center",
        ncols=columns,
        frameon=False,
    )
    for text, name in zip(legend.get_texts(), written, strict=True):
        text.set(text=name, color=INK, **lettering.style)
    return figure


def _legend(number: int, run: Run) -> str:
    return f"{number}  {run.label}" + ("" if _validates(run) else " (training)")


def _validates(run: Run) -> bool:
    return bool(run.measured("val_loss"))


def _curve(run: Run, measure: str) -> tuple[list[int], list[float]]:
    """Return epochs and values of a run's validation, or of its training where it has none."""
    key = f"val_{measure}" if _validates(run) else measure
    rows = [row for row in run.history if row.get(key) is not None and math.isfinite(row[key])]
    return [row["epoch"] for row in rows], [row[key] for row in rows]
