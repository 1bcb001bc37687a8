"""What a network ends in: how maps are pooled, and what its outputs are.

Pure Python, as configurations are; Keras is imported where an activation is given as an object.
"""

from __future__ import annotations

import json
from typing import Any

from keras_resnets.errors import ConfigError, nearest
from keras_resnets.layers.style import ALIASES

__all__ = [
    "ACTIVATION_NAMES",
    "POOLINGS",
    "SerializedActivation",
    "classifier_width",
    "gives_logits",
    "output_kind",
    "plain_activation",
]

POOLINGS = ("avg", "max", "avgmax", "catavgmax")
"""Pooling of a map to a vector: the mean of each channel, its maximum, the mean of the two, or the
means followed by the maxima (timm's names)."""

ACTIVATION_NAMES = (
    "celu", "elu", "exponential", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu",
    "hard_tanh", "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6",
    "selu", "sigmoid", "silu", "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus",
    "sparse_sigmoid", "sparsemax", "squareplus", "tanh", "tanh_shrink", "threshold",
)  # fmt: skip
"""Names of Keras' activations."""

_LOGITS = (None, "linear", "log_softmax")
_PROBABILITIES = ("softmax", "sigmoid", "hard_sigmoid", "sparse_sigmoid", "sparsemax")

_EXPECTED = (
    "None, the name of a Keras activation ('softmax', 'sigmoid', ...), or a function or layer "
    "without weights that Keras can save (of keras.activations or keras.layers, or registered by "
    "keras.saving.register_keras_serializable)"
)


class SerializedActivation(dict):
    """An activation that has no name in Keras, as Keras serialises it; hashable, not to change."""

    def __hash__(self):
        return hash(json.dumps(self, sort_keys=True))


def plain_activation(argument: str, value: Any) -> str | SerializedActivation | None:
    """Return an activation as a configuration holds it, JSON-ready.

    Args:
        argument: What the user calls it.
        value: None, a name, a function, a layer without weights, or what Keras serialises one to.

    Raises:
        ConfigError: It is something else, or Keras could not read it back.

    Example:
        >>> plain_activation("classifier_activation", keras.layers.Activation("softmax"))
        'softmax'
    """
    if value is None:
        return None
    if isinstance(value, str):
        name = ALIASES.get(value, value)
        if name not in ACTIVATION_NAMES:
            raise _illegal(argument, value, nearest(value, ACTIVATION_NAMES))
        return name
    if isinstance(value, dict):
        return _from_dict(argument, value)
    if not callable(value) or isinstance(value, type):
        raise _illegal(argument, value)
    import keras

    if isinstance(value, keras.layers.Activation):
        value = value.activation
    if isinstance(value, keras.layers.Layer):
        return _from_layer(argument, value)
    return _from_function(argument, value)


def _illegal(argument, value, more="") -> ConfigError:
    received = " ".join(repr(value).split())[:200]
    return ConfigError(f"`{argument}` must be {_EXPECTED}. Received: {argument}={received}{more}")


def _from_dict(argument, value):
    name = value.get("config")
    name = ALIASES.get(name, name) if isinstance(name, str) else name
    if value.get("class_name") == "function" and name in ACTIVATION_NAMES:
        return name
    if not isinstance(value.get("class_name"), str) or not isinstance(name, str | dict):
        raise _illegal(argument, value)
    try:
        return SerializedActivation(json.loads(json.dumps(value)))
    except (TypeError, ValueError):
        raise _illegal(argument, value) from None


def _from_function(argument, value):
    import keras

    name = keras.saving.get_registered_name(value)
    if keras.saving.get_registered_object(name) is not value:
        name = getattr(value, "__name__", "")
        if name not in ACTIVATION_NAMES or getattr(keras.activations, name) is not value:
            raise _illegal(argument, value)
    return _from_serialized(argument, keras.activations.serialize(value))


def _from_layer(argument, value):
    import keras

    if isinstance(value, keras.layers.Softmax) and value.axis == -1:
        return "softmax"
    kind = type(value)
    name = keras.saving.get_registered_name(kind)
    known = keras.saving.get_registered_object(name) is kind
    if not known and getattr(keras.layers, kind.__name__, None) is not kind:
        raise _illegal(argument, value)
    fresh = kind.from_config(value.get_config())
    fresh.build((None, 2))
    if fresh.weights:
        raise _illegal(argument, value)
    serialized = keras.saving.serialize_keras_object(value)
    serialized.pop("build_config", None)
    # Neither the name, which Keras numbers, nor the dtype, which is the head's, is part of it.
    serialized["config"] = {
        key: item for key, item in serialized["config"].items() if key not in ("name", "dtype")
    }
    return _from_serialized(argument, serialized)


def _from_serialized(argument, serialized):
    if isinstance(serialized, str):
        return serialized
    return _from_dict(argument, serialized)


def output_kind(activation: str | SerializedActivation | None) -> str:
    """Return what a classifier of an activation gives: ``logits``, ``probabilities`` or ``other``.

    Example:
        >>> output_kind("sigmoid")
        'probabilities'
    """
    if isinstance(activation, dict):
        return "other"
    if activation in _LOGITS:
        return "logits"
    return "probabilities" if activation in _PROBABILITIES else "other"


def gives_logits(config) -> bool:
    """Return whether a network's outputs are logits, to which a loss applies softmax.

    Args:
        config: Its `NetworkConfig`.

    Raises:
        ConfigError: They are neither logits nor probabilities, so that no loss fits them.
    """
    kind = output_kind(config.classifier_activation)
    if kind == "other":
        raise ConfigError(
            "`classifier_activation` must give logits or probabilities to be trained and evaluated "
            "by cross-entropy: None, 'linear', 'log_softmax', "
            f"{', '.join(map(repr, _PROBABILITIES))}. "
            f"Received: classifier_activation={config.classifier_activation!r}"
        )
    return kind == "logits"


def classifier_width(config, channels: int) -> int:
    """Return how many numbers the classifier reads, for so many channels of the last map."""
    return 2 * channels if config.head_pooling == "catavgmax" else channels
