"""Contact sheets: images with what a classifier takes them for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from keras_resnets.analysis.figures import INK
from keras_resnets.fonts import Lettering

__all__ = ["contact_sheet"]

_WIDEST = 16
"""Width of a class name, in Latin letters."""

_RIGHT, _WRONG, _UNKNOWN = "#4d7c0f", "#c0292b", "#c9c9c9"


def contact_sheet(
    images: Sequence[np.ndarray], predictions: Sequence[dict[str, Any]], columns: int = 8
) -> Figure:
    """Draw images in a grid, each with its top class and probability.

    Where the true class is known, the frame is green if the top class is the true one, and red,
    with the true class in a second line, if not.

    Args:
        images: uint8 images ``(height, width, channels)`` of 1 or 3 channels.
        predictions: For each image ``class``, ``probability`` and, where known, ``true`` and
            ``label``, the class's number.
        columns: Images a row.

    Returns:
        A figure.

    Example:
        >>> sheet = contact_sheet([image], [{"class": "cat", "probability": 0.9, "true": "cat"}])
        >>> sheet.savefig("sheet.png")
    """
    count = len(images)
    columns = min(columns, count)
    rows = -(-count // columns)
    numbers = {p["true"]: None for p in predictions if p.get("true") is not None}
    numbers |= {p["class"]: p.get("label") for p in predictions}
    lettering = Lettering(numbers, numbers.values())
    written = dict(zip(numbers, lettering.short(_WIDEST), strict=True))
    tallest = max(np.shape(image)[0] / np.shape(image)[1] for image in images)
    size = (max(1.45 * columns, 2.2), (1.45 * tallest + 0.4) * rows)
    figure = Figure(figsize=size, layout="constrained")
    for number, ax in enumerate(np.ravel(figure.subplots(rows, columns, squeeze=False))):
        if number < count:
            _draw(ax, np.asarray(images[number]), predictions[number], written, lettering.style)
        else:
            ax.axis("off")
    return figure


def _draw(ax, image, prediction, written, style) -> None:
    if image.shape[2] == 1:
        ax.imshow(image[:, :, 0], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    else:
        ax.imshow(image, interpolation="nearest")
    true = prediction.get("true")
    right = prediction["class"] == true
    color = _UNKNOWN if true is None else _RIGHT if right else _WRONG
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set(color=color, linewidth=3)
    text = f"{written[prediction['class']]} {100 * prediction['probability']:.0f} %"
    if true is not None and not right:
        text += f"\nis {written[true]}"
    ax.set_xlabel(text, fontsize=8, color=INK, **style)
