"""Laid out like ``keras.applications``, for code that comes from there.

The constructors, and the modules ``resnet``, ``resnet50``, ``resnet_v2``, ``densenet`` and
``imagenet_utils`` with `preprocess_input` and `decode_predictions`. `keras_layer_paths` says what
the layers of keras.applications' networks are called here.
"""

from importlib import import_module

from keras_resnets.models.constructor_table import NAMES
from keras_resnets.models.names import peers

_MODULES = ("densenet", "imagenet_utils", "resnet", "resnet50", "resnet_v2")
_HOMES = {
    **dict.fromkeys(NAMES, "keras_resnets.models.applications"),
    "keras_layer_paths": "keras_resnets.models.keras_names",
}

__all__ = [*_MODULES, *_HOMES]


def __getattr__(name):
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    hint = "".join(f"; did you mean {x.meant!r}? {x.why}" for x in peers(name)[:1])
    raise AttributeError(f"{__name__} has no {name!r}{hint}")


def __dir__():
    return list(__all__)
