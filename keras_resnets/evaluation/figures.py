"""Figures of a classifier's mistakes and of how far its confidence can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from rich.cells import cell_len

from keras_resnets.analysis.figures import INK, PALETTE
from keras_resnets.evaluation.confusion import Confusion
from keras_resnets.fonts import Lettering, shorten

__all__ = ["plot_calibration", "plot_confusion"]

_MOST_NAMED = 40
_MOST_COUNTED = 20
_COLORS = LinearSegmentedColormap.from_list("share", ["#ffffff", "#a9cfdf", PALETTE[0], "#06394f"])


def plot_confusion(confusion, class_names: Sequence[str], worst: int = 12) -> Figure:
    """Draw a confusion matrix, its rows coloured by the part of a class's images.

    Up to 20 classes have their counts in the cells, up to 40 their names at the axes; for more,
    axes have numbers, and the colour is darker than the part, so that rare mistakes show; more than
    1,000 share cells with their neighbours. With more than 20 classes the most frequent confusions
    are listed beside the matrix.

    Args:
        confusion: A `Confusion`, or number of images by true class (row) and predicted (column).
        class_names: The classes' names.
        worst: Number of confusions to list.

    Returns:
        A figure.

    Example:
        >>> plot_confusion(metrics.confusion, names).savefig("confusion.png")
    """
    confusion = Confusion.of_matrix(confusion)
    classes = confusion.classes
    parts = confusion.parts()
    side = min(9.0, max(4.2, 0.52 * classes + 1.8)) if classes <= _MOST_COUNTED else 9.0
    listed = classes > _MOST_COUNTED
    figure = Figure(figsize=(side + 3.4 * listed, side), layout="constrained")
    ax, *beside = np.ravel(
        figure.subplots(1, 1 + listed, width_ratios=[side, 3.4][: 1 + listed], squeeze=False)
    )
    shown = parts if classes <= _MOST_NAMED else np.sqrt(parts)
    sides = (-0.5, classes - 0.5)  # of more classes than cells too
    extent = (*sides, *sides[::-1])
    ax.imshow(shown, cmap=_COLORS, vmin=0, vmax=1, interpolation="nearest", extent=extent)
    ax.set_xlabel("predicted class", color=INK)
    ax.set_ylabel("true class", color=INK)
    ax.spines[:].set_color("#c9c9c9")
    ax.tick_params(length=0 if classes <= _MOST_NAMED else 3, labelsize=9)
    lettering = Lettering(class_names)
    if classes <= _MOST_NAMED:
        rotation = 90 if classes > 5 or max(map(cell_len, lettering.short(18))) > 8 else 0
        names = lettering.short(18)
        ax.set_xticks(range(classes), names, rotation=rotation, **lettering.style)
        ax.set_yticks(range(classes), names, **lettering.style)
    if not listed:
        _write_counts(ax, confusion, parts)
    for text in beside:
        _list_confusions(text, confusion, lettering, worst)
    return figure


def _write_counts(ax, confusion, parts) -> None:
    size = 9 if confusion.classes <= 12 else 7
    cells = (confusion.true, confusion.predicted, confusion.images)
    for row, column, images in zip(*cells, strict=True):
        color = "white" if parts[row, column] > 0.4 else INK
        ax.text(
            column,
            row,
            f"{images}",
            ha="center",
            va="center",
            color=color,
            fontsize=size,
        )


def _list_confusions(ax, confusion, lettering, worst) -> None:
    ax.axis("off")
    lines = ["most frequent confusions", "(true class → predicted: images)", ""]
    for true, predicted, images in confusion.worst(worst):
        names = (shorten(lettering.names[i], 14) for i in (true, predicted))
        lines.append(f"{' → '.join(names)}: {images}")
    style = {"color": INK, "fontsize": 9, "linespacing": 1.6, **lettering.style}
    ax.text(0, 0.97, "\n".join(lines), va="top", **style)


def plot_calibration(bins: list[dict[str, Any]], ece: float | None = None) -> Figure:
    """Draw a reliability diagram (Guo 2017, figure 1).

    Bars are the accuracy of the images whose confidence lies in a bin, the line is what it would be
    if confidence were right, and the hatched gap between them is the error. Below, how many images
    are in each bin.

    Args:
        bins: What `calibration_bins` returns.
        ece: The expected calibration error, to write into the figure.

    Returns:
        A figure of two axes.

    Example:
        >>> plot_calibration(metrics.bins, metrics.ece).savefig("calibration.png")
    """
    figure = Figure(figsize=(4.8, 5.6), layout="constrained")
    top, low = figure.subplots(2, 1, height_ratios=[3, 1], sharex=True)
    full = [row for row in bins if row["images"]]
    middles = [(row["low"] + row["high"]) / 2 for row in full]
    width = bins[0]["high"] - bins[0]["low"]
    accuracy = np.array([row["accuracy"] for row in full])
    gap = np.array([row["confidence"] for row in full]) - accuracy
    top.bar(middles, accuracy, 0.94 * width, color=PALETTE[0], label="accuracy")
    top.bar(
        middles,
        gap,
        0.94 * width,
        bottom=accuracy,
        facecolor="#d9730d33",
        edgecolor=PALETTE[1],
        hatch="///",
        linewidth=0.8,
        label="gap to the mean confidence",
    )
    top.plot([0, 1], [0, 1], color=INK, linestyle="--", linewidth=1)
    top.set(xlim=(0, 1), ylim=(0, 1))
    top.set_ylabel("accuracy", color=INK)
    if ece is not None:
        top.set_title(f"expected calibration error {ece:.2%}", color=INK, fontsize=10)
    figure.legend(frameon=False, loc="outside upper center", ncols=2)
    total = sum(row["images"] for row in bins)
    shares = [100 * row["images"] / total for row in full]
    low.bar(middles, shares, 0.94 * width, color="#8a8a8a")
    low.set_xlabel("confidence", color=INK)
    low.set_ylabel("images (%)", color=INK)
    for ax in (top, low):
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(color="#e6e6e6", linewidth=0.8)
        ax.set_axisbelow(True)
    return figure
