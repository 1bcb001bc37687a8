"""Which backend Keras computes with, told without importing Keras, and who runs on which."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from keras_resnets.errors import InputError

__all__ = ["backend_name", "require_backend"]


def backend_name() -> str:
    """Return the name of the backend that Keras has, or will have once it is imported.

    As Keras finds it: the environment variable KERAS_BACKEND, else ``keras.json`` in KERAS_HOME or
    ``~/.keras``, else TensorFlow.

    Example:
        >>> backend_name()
        'tensorflow'
    """
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "backend"):
        return keras.backend.backend()
    if os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"]
    folder = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    try:
        settings = json.loads((folder / "keras.json").read_text("utf-8"))
    except (OSError, ValueError):
        settings = {}
    return settings.get("backend", "tensorflow") if isinstance(settings, dict) else "tensorflow"


def require_backend(what: str, *names: str) -> None:
    """Raise `InputError` on a backend where something does not run.

    Args:
        what: What does not, as the message names it.
        *names: The backends where it does: ``"tensorflow"``, ``"jax"``.

    Example:
        >>> require_backend("`export_saved_model`", "tensorflow", "jax")
    """
    backend = backend_name()
    if backend not in names:
        raise InputError(
            f"{what} needs the Keras backend {' or '.join(names)}: set KERAS_BACKEND={names[0]}. "
            f"Received: the backend {backend}"
        )
