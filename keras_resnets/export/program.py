"""The program behind ``keras-resnets export``: load a model, export it, verify on real images."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from keras_resnets.data.fitting import images_for
from keras_resnets.errors import InputError
from keras_resnets.export.saved_model import export_saved_model
from keras_resnets.export.tflite import export_tflite, refuse_channels_first
from keras_resnets.export.verify import Verification
from keras_resnets.models.saved import read_model

__all__ = ["run_export"]

_FORMATS = {
    "saved_model": (export_saved_model, "saved_model"),
    "tflite": (export_tflite, "model.tflite"),
}


def run_export(
    path: str | Path,
    formats: Sequence[str],
    output: str | Path,
    data: dict[str, Any],
    print_fn: Callable[[str], None] = print,
    limit: int = 2000,
) -> list[Verification]:
    """Export a saved model to some formats, each verified on a data set's test images.

    Args:
        path: The ``.keras`` file.
        formats: ``"saved_model"`` and ``"tflite"``, or one of them.
        output: Folder to write ``saved_model/`` and ``model.tflite`` into.
        data: Arguments of `load_data`.
        print_fn: Called with a line for each export.
        limit: Most test images to compare on.

    Raises:
        InputError: A format is unknown, the file is no Keras model, the folder cannot be written,
            or the images do not fit the model; nothing is written.
        ExportMismatchError: An export disagrees with the model.
    """
    for name in formats:
        if name not in _FORMATS:
            raise InputError(
                f"`formats` must be of {', '.join(_FORMATS)}. Received: formats={list(formats)}"
            )
    output = Path(output)
    nearest = next(parent for parent in [output, *output.absolute().parents] if parent.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise InputError(f"output folder {str(output)!r} cannot be written")
    model = read_model(path)
    refuse_channels_first(model)  # data sets are channels last
    test, _ = images_for(model.input_shape, data).images("test", limit)
    results = []
    for name in formats:
        export, file = _FORMATS[name]
        results.append(export(model, output / file, test))
        print_fn(f"{results[-1]} -> {output / file}")
    return results
