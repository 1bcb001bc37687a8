"""Whether a network still consists of the layers and weights that its configuration builds.

Whoever reads a network's weights by its configuration asks here first: Keras' `quantize` puts other
numbers into a kernel, a layer that was changed computes something else, and a layer that was added
would be left out without a word.
"""

from __future__ import annotations

import contextlib
import functools
import json
import random
from typing import Any, NamedTuple

import keras

# Keras offers nowhere else the list of the variables that a scope has left without values.
from keras.src.backend.common import global_state

from keras_resnets.errors import InputError
from keras_resnets.layers.navigation import walk_layers
from keras_resnets.models.builder import create_model
from keras_resnets.models.config import NetworkConfig
from keras_resnets.models.network import Network

__all__ = [
    "check_as_built",
    "check_not_quantized",
    "check_own_weights",
    "is_quantized",
    "lora_layers",
    "weightless",
]


def check_as_built(model, name: str = "`model`") -> NetworkConfig:
    """Return a network's configuration, checked to describe the network as it is.

    What is frozen, dtype policies and seeds may be others than after `create_model`, and kernels
    may be adapted by LoRA, which `weights_of` adds to them.

    Args:
        model: What the user gave.
        name: What the message calls it.

    Raises:
        InputError: It is not a keras_resnets network, or it has a layer that is quantised, added,
            replaced, missing, or changed in what it computes; the message names the layer.

    Example:
        >>> check_as_built(create_model("resnet20_cifar")).depth
        20
    """
    if not isinstance(model, Network) or model._network_config is None:
        raise InputError(
            f"{name} must be a network with a configuration, from `create_model` or a file of one. "
            f"Received: a {type(model).__name__}"
        )
    check_not_quantized(model, name, "its weights are no longer those of its configuration")
    expected = _expected(model.config, _data_format_of(model), model.layer_prefix)
    difference = _difference(_Facts.of(model), expected)
    if difference:
        raise InputError(
            f"{name} must consist of the layers that its configuration builds. "
            f"Received: model {model.name!r}, {difference}"
        )
    return model.config


def check_own_weights(model, name: str = "`model`") -> None:
    """Raise `InputError` unless a network has the very weights that its configuration builds.

    As `check_as_built`, for whoever copies weights one by one: LoRA is refused too.
    """
    check_as_built(model, name)
    adapted = lora_layers(model)
    if adapted:
        raise InputError(
            f"{name} must have the weights that its configuration builds. "
            f"Received: layer {adapted[0]!r} is adapted by LoRA"
        )


def check_not_quantized(model: keras.Model, name: str, why: str) -> None:
    """Raise `InputError` where a layer is quantised, at any depth.

    Args:
        model: The model.
        name: What the message calls it.
        why: The reason that the message gives.
    """
    for path, layer in walk_layers(model):
        if layer.quantization_mode is not None:
            raise InputError(
                f"{name} must not be quantised: {why}; use the model as it was before `quantize`. "
                f"Received: layer {path!r} is quantised to {layer.quantization_mode}"
            )


def is_quantized(model: keras.Model) -> bool:
    """Return whether a layer of a model, at any depth, is quantised."""
    return any(layer.quantization_mode is not None for _, layer in walk_layers(model))


def lora_layers(model: keras.Model) -> list[str]:
    """Return the paths of the layers that are adapted by LoRA."""
    return [path for path, layer in walk_layers(model) if getattr(layer, "lora_enabled", False)]


def _data_format_of(model: Network) -> str:
    formats = (getattr(layer, "data_format", None) for layer in model.layers)
    return next((name for name in formats if name), keras.config.image_data_format())


class _Facts(NamedTuple):
    """What makes a network the function that it is, but for its weights' values."""

    kinds: dict[str, type]
    options: dict[str, dict[str, Any]]
    shapes: dict[str, tuple]

    @classmethod
    def of(cls, model: Network) -> _Facts:
        # The images come in under any name.
        parts = {}
        for path, layer in walk_layers(model):
            if not isinstance(layer, keras.layers.InputLayer):
                parts.setdefault(path, layer)  # Keras keeps replaced layers too, behind the others
        adapted = {
            id(variable)
            for layer in parts.values()
            if getattr(layer, "lora_enabled", False)
            for variable in (layer.lora_kernel_a, layer.lora_kernel_b)
        }
        return cls(
            {path: type(layer) for path, layer in parts.items()},
            {path: _options(layer) for path, layer in parts.items()},
            {v.path: tuple(v.shape) for v in model.weights if id(v) not in adapted},
        )


_OF_NO_ACCOUNT = {
    "dtype",
    "frozen",
    "lora_alpha",
    "lora_rank",
    "name",
    "quantization_config",
    "seed",
    "synchronized",
    "trainable",
}
"""Options that are carried over by other means, or that change no number at inference nor what
training aims at."""


def _options(layer) -> dict[str, Any]:
    return _significant(json.loads(json.dumps(layer.get_config(), default=str)))


def _significant(value):
    if isinstance(value, list):
        return [_significant(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _significant(item)
        for key, item in value.items()
        if key not in _OF_NO_ACCOUNT and not key.endswith("_initializer")
    }


@functools.lru_cache(maxsize=128)
def _expected(config: NetworkConfig, data_format: str, layer_prefix: str) -> _Facts:
    """Return what a configuration builds."""
    with weightless():
        model = create_model(
            config, data_format=data_format, dtype="float32", layer_prefix=layer_prefix
        )
        return _Facts.of(model)


@contextlib.contextmanager
def weightless():
    """Build networks of any size in no time and memory: their weights have shapes, and no values.

    Python's random numbers, of which each initialiser draws its seed, stay where they were.

    Example:
        >>> with weightless():
        ...     shape = create_model("resnetv2_152x4_bit").output_shape
    """
    pending = list(global_state.get_global_attribute("uninitialized_variables") or [])
    state = random.getstate()
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        random.setstate(state)
        # Else the next scope to end would give the weights values.
        global_state.set_global_attribute("uninitialized_variables", pending)


def _difference(found: _Facts, expected: _Facts) -> str | None:
    """Say in what the first of two networks differs, None for nothing."""
    for path, kind in found.kinds.items():
        if path not in expected.kinds:
            return f"which has the layer {path!r} ({kind.__name__}) besides"
        if kind is not expected.kinds[path]:
            return (
                f"whose layer {path!r} is a {kind.__name__} "
                f"in the place of a {expected.kinds[path].__name__}"
            )
    for what, one, other in (
        ("layer", found.kinds, expected.kinds),
        ("weight", found.shapes, expected.shapes),
    ):
        for path in other:
            if path not in one:
                return f"which lacks the {what} {path!r}"
    for path in reversed(found.options):  # inner layers before those that repeat their options
        change = _change(found.options[path], expected.options[path])
        if change:
            return f"whose layer {path!r} was changed: {change}"
    for path, shape in found.shapes.items():
        if path not in expected.shapes:
            return f"which has the weight {path!r} of shape {shape} besides"
        if shape != expected.shapes[path]:
            return f"whose weight {path!r} has the shape {shape}, not {expected.shapes[path]}"
    return None


def _change(one: dict, other: dict) -> str | None:
    for name in sorted(one.keys() | other.keys()):
        if one.get(name) != other.get(name):
            return f"{name}={one.get(name)!r} in the place of {other.get(name)!r}"[:200]
    return None
