"""Comparison of an exported model's answers with the model's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_resnets.errors import ExportMismatchError, InputError
from keras_resnets.models.raw_images import image_dtype
from keras_resnets.words import count

__all__ = ["Verification", "answers", "check_images", "verify"]

TOLERANCE = 1e-4
"""Largest difference allowed, relative to the largest answer. Float32 kernels that add in another
order differ by about 1e-6 a layer stack; a wrong export differs by far more."""


@dataclass(frozen=True)
class Verification:
    """How an export compares with its model.

    Attributes:
        format: ``saved_model`` or ``tflite``.
        path: What was written.
        bytes: Its size.
        images: Number of images compared.
        largest_difference: Largest absolute difference of an output.
        agreement: Part of the images whose top class is the same.
    """

    format: str
    path: str
    bytes: int
    images: int
    largest_difference: float
    agreement: float

    def __str__(self):
        return (
            f"{self.format}: {count(self.images, 'image')}, largest difference "
            f"{self.largest_difference:.1e}, agreement {self.agreement:.2%}, "
            f"{self.bytes / 1e6:.2f} MB"
        )


def check_images(model, images) -> np.ndarray:
    """Return `images` as an array, checked against the model's input.

    Raises:
        InputError: There are none, their shape is not the model's input shape, or the model takes
            whole numbers and they are not.
    """
    images = np.asarray(images)
    expected = tuple(model.input_shape[1:])
    fits = images.ndim == len(expected) + 1 and all(
        want is None or want == got for want, got in zip(expected, images.shape[1:], strict=True)
    )
    if not fits or len(images) == 0:
        raise InputError(
            f"`images` must be a non-empty batch of shape {(None, *expected)}. "
            f"Received: shape {images.shape}"
        )
    dtype = np.dtype(image_dtype(model))
    converted = images.astype(dtype, copy=False)
    if np.issubdtype(dtype, np.integer) and not np.array_equal(converted, images):
        raise InputError(
            f"`images` must be raw images of type {dtype}, which the model normalises itself. "
            f"Received: type {images.dtype}, values from {images.min()} to {images.max()}"
        )
    return converted


def answers(run: Callable, images: np.ndarray, batch_size: int = 64) -> np.ndarray:
    """Return what `run` answers, batch by batch, as one float32 array."""
    batches = (images[i : i + batch_size] for i in range(0, len(images), batch_size))
    return np.concatenate([np.asarray(run(batch), np.float32) for batch in batches])


def verify(
    format: str, path: str | Path, expected: np.ndarray, received: np.ndarray
) -> Verification:
    """Compare an export's answers with the model's.

    Args:
        format: Name of the format.
        path: What was written.
        expected: The model's answers.
        received: The export's answers to the same images.

    Raises:
        ExportMismatchError: They have other shapes, values that are not finite, or differ by more
            than float32 rounding explains.
    """
    if expected.shape != received.shape:
        raise ExportMismatchError(
            f"{format} export answers with shape {received.shape}; the model with shape "
            f"{expected.shape}"
        )
    for who, values in (("the model", expected), ("the export", received)):
        if not np.isfinite(values).all():
            raise ExportMismatchError(
                f"{format} export cannot be compared: {who} answers with values that are not finite"
            )
    difference = float(np.abs(expected - received).max())
    axis = -1 if expected.ndim > 1 else 0
    agreement = float(np.mean(expected.argmax(axis) == received.argmax(axis)))
    allowed = TOLERANCE * float(np.abs(expected).max())
    if not difference <= allowed:
        raise ExportMismatchError(
            f"{format} export differs from the model by {difference:.2e} (allowed: {allowed:.0e}) "
            f"on {count(len(expected), 'image')}; top classes agree on {agreement:.2%}"
        )
    return Verification(format, str(path), _size(Path(path)), len(expected), difference, agreement)


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
