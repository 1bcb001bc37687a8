"""The program behind ``keras-resnets convert``: read, convert, compare on real images, write."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_resnets.data.fitting import images_for
from keras_resnets.errors import InputError, RunError
from keras_resnets.files import replacing
from keras_resnets.models.checks import check_choice
from keras_resnets.models.saved import read_model
from keras_resnets.surgery.folding import fold_batch_norm
from keras_resnets.surgery.networks import check_network
from keras_resnets.surgery.plain import to_plain
from keras_resnets.surgery.residual import to_residual

__all__ = ["CONVERSIONS", "Comparison", "check_output", "compare", "run_convert"]

CONVERSIONS = {"plain": to_plain, "residual": to_residual, "folded": fold_batch_norm}

_TOLERANCE = {"float64": 1e-9, "float32": 1e-4}
"""Most that an answer may differ, relative to the largest one; under 16 bits it is the rounding
that differs, and only the share of equal classes is said."""


@dataclass(frozen=True)
class Comparison:
    """How the answers of two models compare.

    Attributes:
        images: Number of images.
        largest_difference: Largest difference of an answer, relative to the largest answer.
        agreement: Part of the images whose top class is the same.
        accuracy: Part that the first model classifies right, and that the second does.
    """

    images: int
    largest_difference: float
    agreement: float
    accuracy: tuple[float, float]

    def __str__(self):
        before, after = self.accuracy
        return (
            f"{self.images} test images: largest relative difference "
            f"{self.largest_difference:.1e}, agreement {self.agreement:.2%}, accuracy "
            f"{before:.2%} -> {after:.2%}"
        )


def compare(first: keras.Model, second: keras.Model, images, labels) -> Comparison:
    """Return how two models answer to the same images.

    Args:
        first: A model.
        second: Another one with the same answers' shape.
        images: Batch of images.
        labels: Their classes.

    Example:
        >>> compare(model, to_plain(model), images, labels).agreement
        1.0
    """
    one, two = (np.concatenate(list(_answers(m, images))) for m in (first, second))
    return Comparison(
        len(images),
        float(np.abs(one - two).max() / np.abs(one).max()),
        float(np.mean(one.argmax(-1) == two.argmax(-1))),
        tuple(float(np.mean(a.argmax(-1) == labels)) for a in (one, two)),
    )


def _answers(model, images, batch_size=100):
    for start in range(0, len(images), batch_size):
        answers = model(images[start : start + batch_size], training=False)
        yield keras.ops.convert_to_numpy(keras.ops.cast(answers, "float64"))


def check_output(output: str | Path, path: str | Path) -> Path:
    """Return where to write a model, checked to be a ``.keras`` file that can be written.

    Raises:
        InputError: It is not, or it is the file that is read.
    """
    output = Path(output)
    if output.suffix != ".keras" or output.is_dir():
        raise InputError(f"`--output` must end in .keras. Received: {output}")
    nearest = next(p for p in output.absolute().parents if p.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise InputError(f"`--output` must lie in a folder that can be written. Received: {output}")
    if output.resolve() == Path(path).resolve():
        raise InputError(f"`--output` must be another file than MODEL. Received: {output}")
    return output


def run_convert(
    path: str | Path,
    to: str,
    output: str | Path,
    data: dict[str, Any],
    print_fn: Callable[[str], None] = print,
    *,
    recalibrate: bool = False,
    limit: int = 2000,
) -> Comparison:
    """Convert a saved network, compare it with the original on test images, and save it.

    Args:
        path: The ``.keras`` file.
        to: ``"plain"``, ``"residual"`` or ``"folded"``.
        output: The ``.keras`` file to write.
        data: Arguments of `load_data`.
        print_fn: Called with lines on what was done and on the comparison.
        recalibrate: With ``"residual"``, whether to measure the branches' statistics on training
            images (the function stays the same).
        limit: Most test images to compare on, and most training images to recalibrate on.

    Raises:
        InputError: `to` is unknown, a file cannot be read or written, the network cannot be
            converted, or the images do not fit it; nothing is written.
        RunError: The converted network disagrees with the original; nothing is written.
    """
    check_choice("to", to, CONVERSIONS)
    if recalibrate and to != "residual":
        raise InputError(f"`--recalibrate` goes with --to residual. Received: --to {to}")
    output = check_output(output, path)
    model = read_model(path, compile=False)
    config = check_network(model)
    if not config.include_top:
        raise InputError(f"{str(path)!r} must hold a network with a classifier to compare by")
    if any(getattr(layer, "data_format", "") == "channels_first" for layer in model.layers):
        raise InputError(f"{str(path)!r} takes channels-first images; data sets are channels last")
    images = images_for(model.input_shape, data)
    if recalibrate:
        train, _ = images.images("train", limit)
        converted = to_residual(model, dataset=train, print_fn=print_fn)
    else:
        converted = CONVERSIONS[to](model, print_fn=print_fn)
    result = compare(model, converted, *images.images("test", limit))
    tolerance = _TOLERANCE.get(model.layers[-2].compute_dtype, 1.0)
    if not result.largest_difference <= tolerance:
        raise RunError(
            f"the {to} network differs from {str(path)!r} by {result.largest_difference:.1e} "
            f"relative (allowed: {tolerance:.0e}); it was not written"
        )
    with replacing(output) as beside:
        converted.save(beside)
    print_fn(f"{result} -> {output}")
    return result
