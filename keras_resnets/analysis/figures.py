"""Figures of trainings and searches."""

from __future__ import annotations

from matplotlib.figure import Figure

__all__ = ["INK", "PALETTE", "plot_candidates", "plot_history"]

PALETTE = ("#0b6e99", "#d9730d", "#4d7c0f", "#9b2c5e", "#6b5ca5", "#8a6d3b")
INK = "#37352f"
_MARKS = {"basic": "o", "bottleneck": "s"}


def _bare(ax, xlabel, ylabel):
    ax.set_xlabel(xlabel, color=INK)
    ax.set_ylabel(ylabel, color=INK)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(color="#e6e6e6", linewidth=0.8)
    ax.set_axisbelow(True)


def plot_history(history: list[dict]) -> Figure:
    """Draw the learning curves of a training.

    Args:
        history: A row for each epoch, as `TrainingResult.history` has them.

    Returns:
        A figure of two axes: loss and accuracy over epochs, on training and validation images.

    Example:
        >>> plot_history(result.history).savefig("curves.png")
    """
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    epochs = [row["epoch"] for row in history]
    for ax, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        scale = 100 if name == "accuracy" else 1
        for key, label, color in (
            (name, "training", PALETTE[0]),
            (f"val_{name}", "validation", PALETTE[1]),
        ):
            values = [scale * row[key] for row in history]
            mark = "o" if len(values) == 1 else None
            ax.plot(epochs, values, color=color, label=label, marker=mark)
        _bare(ax, "epoch", "accuracy (%)" if name == "accuracy" else "loss")
        ax.legend(frameon=False)
        ax.xaxis.get_major_locator().set_params(integer=True)
    return figure


def plot_candidates(trials: list[dict], winner: str | None = None) -> Figure:
    """Draw the candidates of a search, accuracy against cost, and the best for each cost.

    Args:
        trials: A dict for each trial with ``id``, ``macs``, ``val_accuracy``, ``block`` and
            ``activation_order``; those without an accuracy are left out.
        winner: The id of the trial to mark.

    Returns:
        A figure of one axis, the multiply-adds on a logarithmic scale.
    """
    figure = Figure(figsize=(9, 4.2), layout="constrained")
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
        color="#9b9b9b",
        linestyle="--",
        linewidth=1,
        label="best at most this cost",
        zorder=0,
    )
    for trial in scored:
        if trial["id"] == winner:
            at = (trial["macs"], 100 * trial["val_accuracy"])
            ax.scatter(*at, s=220, facecolor="none", edgecolor=INK, linewidth=1.5, label="winner")
    ax.set_xscale("log")
    _bare(ax, "multiply-adds for one image", "validation accuracy (%)")
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _front(trials: list[dict]) -> list[dict]:
    """Return the trials that no cheaper one equals, cheapest first."""
    front: list[dict] = []
    for trial in sorted(trials, key=lambda t: (t["macs"], -t["val_accuracy"])):
        if not front or trial["val_accuracy"] > front[-1]["val_accuracy"]:
            front.append(trial)
    return front
