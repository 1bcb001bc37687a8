"""What every operation shares: a network's weights as arrays, and a network made from arrays."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

from keras_resnets.errors import InputError
from keras_resnets.layers.convolution import SymmetricConv2D
from keras_resnets.layers.navigation import walk_layers
from keras_resnets.models.builder import create_model
from keras_resnets.models.config import NetworkConfig
from keras_resnets.models.cost import complexity
from keras_resnets.models.network import Network

__all__ = [
    "Weights",
    "affine",
    "array_of",
    "assign",
    "check_network",
    "compared",
    "effective_kernel",
    "identity_affine",
    "rebuilt",
    "weights_of",
]

Weights = dict[str, np.ndarray]
"""Values by variable path, ``stage1_block1/conv1/kernel``, in float64."""


def check_network(model, *families: type[NetworkConfig], why: str = "") -> NetworkConfig:
    """Return a network's configuration, checked to be of one of some families.

    Args:
        model: What the user gave.
        *families: Classes of legal configurations; all by default.
        why: What the message says of other families.

    Raises:
        InputError: The model is none of ours, or of another family.
    """
    if not isinstance(model, Network) or model._network_config is None:
        raise InputError(
            "`model` must be a network with a configuration, from `create_model` or a file of one. "
            f"Received: a {type(model).__name__}"
        )
    if families and not isinstance(model.config, families):
        raise InputError(
            f"`model` must be of family {' or '.join(cls.family for cls in families)}: {why}. "
            f"Received: model {model.name!r} of family {model.config.family}"
        )
    return model.config


def weights_of(model: keras.Model) -> Weights:
    """Return the values of a model's weights, without the states of its random numbers."""
    return {
        variable.path: array_of(variable)
        for variable in model.weights
        if not variable.path.endswith("seed_generator_state")
    }


def array_of(variable) -> np.ndarray:
    """Return a variable's values in float64; a copy, whose memory is nobody else's."""
    if keras.backend.standardize_dtype(variable.dtype) == "bfloat16":
        variable = keras.ops.cast(variable, "float32")
    return np.array(keras.ops.convert_to_numpy(variable), "float64")


def rebuilt(
    model: Network,
    config: NetworkConfig,
    weights: Mapping[str, np.ndarray],
    name: str | None = None,
) -> Network:
    """Return a new network like `model`, of another configuration, with these weights.

    Args:
        model: Where name, data format, dtype policy and what is frozen come from.
        config: The new network's configuration.
        weights: Values by variable path; a weight without one keeps what it was initialised with.
        name: Its name; the model's by default.

    Raises:
        KeyError: A path names no weight of the new network, which is a mistake of the caller.
    """
    first = next(x for x in model.layers if isinstance(x, SymmetricConv2D))
    new = create_model(
        config, name=name or model.name, data_format=first.data_format, dtype=first.dtype_policy
    )
    assign(new, weights)
    _copy_trainability(model, new)
    if model.remat is not None and new._stage_blocks():
        new.remat = model.remat
    return new


def assign(model: Network, weights: Mapping[str, np.ndarray]) -> None:
    """Give weights of a network values, by variable path."""
    variables = {variable.path: variable for variable in model.weights}
    for path, value in weights.items():
        variables[path].assign(value)


def _copy_trainability(model, new):
    known = {path: layer.trainable for path, layer in walk_layers(model)}
    # Outer layers first: each hands its state down to those inside.
    for path, layer in walk_layers(new):
        if known.get(path, layer.trainable) != layer.trainable:
            layer.trainable = known[path]


def effective_kernel(weights: Weights, path: str, config: NetworkConfig) -> np.ndarray:
    """Return the kernel that a convolution computes with: standardised where the network says so.

    Args:
        weights: The network's.
        path: Path of the convolution.
        config: The network's.
    """
    kernel = weights[f"{path}/kernel"]
    if not config.weight_standardization:
        return kernel
    mean = kernel.mean((0, 1, 2), keepdims=True)
    variance = kernel.var((0, 1, 2), keepdims=True)
    return (kernel - mean) / np.sqrt(variance + 1e-10)


def affine(weights: Weights, path: str, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
    """Return scale and shift of a batch normalisation at inference.

    ``y = scale * x + shift`` with ``scale = gamma / sqrt(variance + epsilon)`` and
    ``shift = beta - scale * mean`` (Ioffe 2015, Algorithm 2).
    """
    gamma, beta, mean, variance = (
        weights[f"{path}/{name}"] for name in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    scale = gamma / np.sqrt(variance + epsilon)
    return scale, beta - scale * mean


def identity_affine(path: str, width: int, epsilon: float) -> Weights:
    """Return the weights of a batch normalisation that changes nothing at inference."""
    return {
        f"{path}/gamma": np.full(width, np.sqrt(1 + epsilon)),
        f"{path}/beta": np.zeros(width),
        f"{path}/moving_mean": np.zeros(width),
        f"{path}/moving_variance": np.ones(width),
    }


def compared(before: NetworkConfig, after: NetworkConfig) -> str:
    """Return a line with parameters and multiply-adds before and after."""
    known = None not in before.input_shape
    shapes = [None if known else (224, 224, config.input_shape[2]) for config in (before, after)]
    old, new = (complexity(c, s) for c, s in zip((before, after), shapes, strict=True))
    where = "" if known else " (at 224 x 224)"
    return (
        f"parameters {old.trainable_params:,} -> {new.trainable_params:,} "
        f"({new.trainable_params / old.trainable_params:.2f}x), multiply-adds {old.macs:,} -> "
        f"{new.macs:,} ({new.macs / old.macs:.2f}x){where}"
    )
