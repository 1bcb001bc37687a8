"""Models read from files, with one clear error for what cannot be read."""

from __future__ import annotations

from pathlib import Path

import keras

import keras_resnets.models.network  # noqa: F401  registers what a file of ours is made of
from keras_resnets.errors import InputError
from keras_resnets.models.files import check_archive, check_model_file
from keras_resnets.reading import reason

__all__ = ["read_model"]


def read_model(path: str | Path, *, compile: bool = True) -> keras.Model:
    """Return the model of a ``.keras`` file.

    Args:
        path: The file.
        compile: Whether to compile it as it was when it was saved.

    Raises:
        InputError: It is not a ``.keras`` file, is damaged, or cannot be read.

    Example:
        >>> read_model("model.keras").config.depth
        20
    """
    if not isinstance(path, str | Path):
        raise InputError(f"a model must be the path of a .keras file. Received: {path!r}")
    check_model_file(path, ("keras",), "path")
    check_archive(path)
    try:
        return keras.saving.load_model(path, compile=compile)
    except Exception as error:  # whatever a damaged archive or a foreign layer can raise
        raise InputError(
            f"{str(path)!r} cannot be read as a Keras model: {reason(error)}"
        ) from error
