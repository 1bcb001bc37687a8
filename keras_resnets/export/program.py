"""The program behind ``keras-resnets export``: load a model, export it, verify on real images."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_resnets.backends import require_backend
from keras_resnets.data.options import check_data
from keras_resnets.data.settings import DataSettings
from keras_resnets.errors import InputError
from keras_resnets.files import write_json
from keras_resnets.models.files import check_model_file
from keras_resnets.outputs import check_folder
from keras_resnets.verbosity import Printer
from keras_resnets.words import wrap

if TYPE_CHECKING:
    from keras_resnets.export.verify import Verification

__all__ = ["run_export"]

SUMMARY = "summary.json"

_FORMATS = {
    "saved_model": ("saved_model", "export_saved_model", "saved_model"),
    "tflite": ("tflite", "export_tflite", "model.tflite"),
}
"""The module and the function that write a format, and the file."""


def run_export(
    path: str | Path,
    formats: Sequence[str],
    output: str | Path,
    data: dict[str, Any],
    print_fn: Callable[[str], None] = print,
    limit: int = 2000,
    *,
    verbose: int = 1,
) -> list[Verification]:
    """Export a saved model to some formats, each verified on a data set's test images.

    Args:
        path: The ``.keras`` file.
        formats: ``"saved_model"`` and ``"tflite"``, or one of them.
        output: Folder to write ``saved_model/`` and ``model.tflite`` into; and, where there is none
            yet, ``summary.json``, by which `predict` and `evaluate` know the classes and how images
            are fitted.
        data: Arguments of `load_data`.
        print_fn: Called with a line for each export.
        limit: Most test images to compare on.
        verbose: 0 for no lines at all.

    Raises:
        InputError: A format is unknown, the file is not a Keras model, the folder cannot be
            written, or the images do not fit the model; nothing is written.
        ExportMismatchError: An export disagrees with the model.
    """
    print_fn = Printer(print_fn, verbose)
    for name in formats:
        if name not in _FORMATS:
            raise InputError(
                f"`formats` must be of {', '.join(_FORMATS)}. Received: formats={list(formats)}"
            )
    require_backend("an export", "tensorflow", "jax")
    check_model_file(path, ("keras",))
    check_folder(output, "output")
    check_data(data)
    return _export(Path(path), formats, Path(output), data, print_fn, limit)


def _export(path, formats, output, data, print_fn, limit) -> list[Verification]:
    # After the checks: TensorFlow is slow.
    from keras_resnets.data.fitting import images_for
    from keras_resnets.export.tflite import refuse_channels_first
    from keras_resnets.models.saved import read_model

    model = read_model(path)
    refuse_channels_first(model)  # data sets are channels last
    images = images_for(model.input_shape, {**data, "print_fn": print_fn})
    test, _ = images.images("test", limit)
    results = []
    for name in formats:
        module, function, file = _FORMATS[name]
        export = getattr(importlib.import_module(f"keras_resnets.export.{module}"), function)
        results.append(export(model, output / file, test))
        print_fn(wrap(f"{results[-1]} -> {output / file}"))
    if not (output / SUMMARY).exists():
        write_json(output / SUMMARY, {"exported_from": str(path), "data": _data_of(data, images)})
    return results


def _data_of(data: dict[str, Any], images) -> dict[str, Any]:
    """Return what a training's summary says of its data."""
    return {
        **DataSettings.from_arguments(**data).arguments,
        "image_size": list(images.image_shape[:2]),
        "image_shape": list(images.image_shape),
        "images": images.sizes,
        "classes": list(images.class_names),
    }
