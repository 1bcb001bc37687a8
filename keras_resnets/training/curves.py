"""Learning curves as a picture."""

from __future__ import annotations

from pathlib import Path

from keras_resnets.files import replacing

__all__ = ["draw_curves", "write_curves"]


def draw_curves(history: list[dict], title: str = ""):
    """Draw loss, error and learning rate over the epochs.

    Args:
        history: Rows with the keys of `HISTORY`.
        title: Title of the picture.

    Returns:
        The `matplotlib.figure.Figure`.

    Example:
        >>> draw_curves(result.history, "resnet20_cifar").savefig("curves.png")
    """
    from matplotlib.figure import Figure

    from keras_resnets.axes import whole_epochs
    from keras_resnets.fonts import Lettering

    figure = Figure(figsize=(10, 3.2), layout="constrained")
    loss, error, rate = figure.subplots(1, 3)
    epochs = [row["epoch"] for row in history]
    for axis, name, value in (
        (loss, "loss", lambda row, key: row[key]),
        (error, "accuracy", lambda row, key: 100 * (1 - row[key])),
    ):
        for key, label in ((name, "training"), (f"val_{name}", "validation")):
            if all(row[key] is not None for row in history):
                axis.plot(
                    epochs, [value(row, key) for row in history], ".-", label=label, markersize=3
                )
        axis.legend()
    rate.plot(epochs, [row["learning_rate"] for row in history], ".-", color="gray", markersize=3)
    for axis, label in (
        (loss, "loss"),
        (error, "error (%)"),
        (rate, "learning rate at the epoch's end"),
    ):
        axis.set(xlabel="epoch", title=label)
        axis.grid(alpha=0.3)
        whole_epochs(axis)
    error.set_ylim(bottom=0)
    if title:
        lettering = Lettering([title], [None])
        figure.suptitle(lettering.names[0], **lettering.style)
    return figure


def write_curves(history: list[dict], path: str | Path, title: str = "") -> None:
    """Write the learning curves as PNG, whole or not at all."""
    with replacing(path) as beside:
        draw_curves(history, title).savefig(beside, dpi=110, format="png")
