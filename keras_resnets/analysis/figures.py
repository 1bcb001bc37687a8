"""Figures of trainings and searches."""

from __future__ import annotations

from matplotlib.figure import Figure

from keras_resnets.axes import plain_log_scale, whole_epochs

__all__ = ["INK", "PALETTE", "plot_candidates", "plot_history"]

PALETTE = ("#0b6e99", "#d9730d", "#4d7c0f", "#9b2c5e", "#6b5ca5", "#8a6d3b")
INK = "#37352f"
GRID = "#e6e6e6"
GRAY = "#9b9b9b"
_MARKS = {"basic": "o", "bottleneck": "s"}

_WIDE = 6
"""Inches from which on there is room for two things side by side."""


def bare(ax, xlabel: str, ylabel: str) -> None:
    """Give an axes our looks: two spines, a faint grid, labels in `INK`."""
    ax.set_xlabel(xlabel, color=INK)
    ax.set_ylabel(ylabel, color=INK)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(INK)
    ax.tick_params(which="both", color=INK, labelcolor=INK)
    ax.grid(color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)


def plot_history(history: list[dict], *, width: float = 9) -> Figure:
    """Draw the learning curves of a training.

    Args:
        history: A row for each epoch, as `TrainingResult.history` has them.
        width: Of the figure, in inches; under 6 the axes stand one below the other.

    Returns:
        A figure of two axes: loss and accuracy over epochs, on training and validation images.

    Example:
        >>> plot_history(result.history).savefig("curves.png")
    """
    figure, axes = two_axes(width)
    epochs = [row["epoch"] for row in history]
    for ax, name in zip(axes, ("loss", "accuracy"), strict=True):
        scale = 100 if name == "accuracy" else 1
        for key, label, color in (
            (name, "training", PALETTE[0]),
            (f"val_{name}", "validation", PALETTE[1]),
        ):
            values = [scale * row[key] for row in history]
            mark = "o" if len(values) == 1 else None
            ax.plot(epochs, values, color=color, label=label, marker=mark)
        bare(ax, "epoch", "accuracy (%)" if name == "accuracy" else "loss")
        ax.legend(frameon=False, labelcolor=INK)
        whole_epochs(ax)
    return figure


def two_axes(width: float) -> tuple[Figure, list]:
    """Return a figure and its two axes: side by side, or stacked where it is narrow."""
    if width >= _WIDE:
        figure = Figure(figsize=(width, 3.4), layout="constrained")
        return figure, list(figure.subplots(1, 2))
    figure = Figure(figsize=(width, 1.4 * width), layout="constrained")
    return figure, list(figure.subplots(2, 1))


def plot_candidates(trials: list[dict], winner: str | None = None, *, width: float = 9) -> Figure:
    """Draw the candidates of a search, accuracy against cost, and the best for each cost.

    Args:
        trials: A dict for each trial with ``id``, ``macs``, ``val_accuracy``, ``block`` and
            ``activation_order``; those without an accuracy are left out.
        winner: The id of the trial to mark.
        width: Of the figure, in inches; under 6 the legend stands below the axes.

    Returns:
        A figure of one axis, the multiply-adds on a logarithmic scale.
    """
    wide = width >= _WIDE
    figure = Figure(figsize=(width, 4.2 if wide else 1.25 * width), layout="constrained")
    ax = figure.subplots()
    scored = sorted((t for t in trials if t["val_accuracy"] is not None), key=lambda t: t["macs"])
    kinds = sorted({(t["block"], t["activation_order"]) for t in scored})
    for (block, order), color in zip(kinds, PALETTE, strict=False):
        points = [t for t in scored if (t["block"], t["activation_order"]) == (block, order)]
        ax.scatter(
            [t["macs"] for t in points],
            [100 * t["val_accuracy"] for t in points],
            marker=_MARKS.get(block, "o"),
            color=color,
            s=50,
            label=f"{block}, {order}-activation",
        )
    front = [(t["macs"], 100 * t["val_accuracy"]) for t in _front(scored)]
    front += [(t["macs"], front[-1][1]) for t in scored[-1:]]
    ax.step(
        [macs for macs, _ in front],
        [accuracy for _, accuracy in front],
        where="post",
        color=GRAY,
        linestyle="--",
        linewidth=1,
        label="best at most this cost",
        zorder=0,
    )
    for trial in scored:
        if trial["id"] == winner:
            at = (trial["macs"], 100 * trial["val_accuracy"])
            ax.scatter(*at, s=220, facecolor="none", edgecolor=INK, linewidth=1.5, label="winner")
    plain_log_scale(ax)
    bare(ax, "multiply-adds for one image", "validation accuracy (%)")
    if wide:
        place = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
    else:
        place = {"loc": "upper left", "bbox_to_anchor": (0, -0.2)}
    ax.legend(frameon=False, labelcolor=INK, **place)
    return figure


def _front(trials: list[dict]) -> list[dict]:
    """Return the trials that no cheaper one equals, cheapest first."""
    front: list[dict] = []
    for trial in sorted(trials, key=lambda t: (t["macs"], -t["val_accuracy"])):
        if not front or trial["val_accuracy"] > front[-1]["val_accuracy"]:
            front.append(trial)
    return front
