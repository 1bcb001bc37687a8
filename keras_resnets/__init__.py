"""Residual networks for Keras 3: search, train, take apart and export them.

Importing this package imports no framework; attributes load on first use. The layers register with
Keras as soon as both packages are imported, in either order, so that ``keras.saving.load_model``
reads models of ours.
"""

import keras_resnets.search_path  # noqa: F401  before anything can be found in the current folder

# isort: split
from pathlib import Path

import lazy_loader
import wrapt

from keras_resnets._version import __version__
from keras_resnets.models.constructor_table import NAMES as _CONSTRUCTORS
from keras_resnets.tensorflow_logs import quiet_start as _quiet_start

_MODELS = [
    "ChainConfig",
    "DenseNetConfig",
    "ResNetConfig",
    "complexity",
    "config_from_dict",
    "create_model",
    "feature_pyramid",
    "freeze",
    "get_layer",
    "list_models",
    "model_config",
    "reset_classifier",
    "unfreeze",
    "walk_layers",
    "weight_decay_mask",
    *_CONSTRUCTORS,
]

__all__ = [
    "ConfigError",
    "InputError",
    "__version__",
    "compile_for",
    "inference_function",
    *_MODELS,
]

_quiet_start()  # before anything imports TensorFlow

# The search lies beside this folder in a checkout and inside it once installed (see setup.py).
_CHECKOUT = Path(__file__).resolve().parent.parent
if (_CHECKOUT / "setup.py").is_file() and (_CHECKOUT / "tuning" / "search.py").is_file():
    __path__.append(str(_CHECKOUT))

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submodules=[
        "analysis",
        "applications",
        "data",
        "errors",
        "evaluation",
        "export",
        "layers",
        "models",
        "surgery",
        "training",
        "tuning",
    ],
    submod_attrs={
        "errors": ["ConfigError", "InputError"],
        "export": ["inference_function"],
        "models": _MODELS,
        "training": ["compile_for"],
    },
)


@wrapt.when_imported("keras")
def _register(keras):
    """Import what registers itself, once Keras is there to register with."""
    import keras_resnets.models.network  # noqa: F401
