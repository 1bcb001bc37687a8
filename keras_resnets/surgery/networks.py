"""What every operation shares: a network's weights as arrays, and a network made from arrays."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from keras_resnets.errors import InputError
from keras_resnets.models.config import NetworkConfig
from keras_resnets.models.cost import complexity
from keras_resnets.models.integrity import check_as_built
from keras_resnets.models.network import Network
from keras_resnets.models.rebuilding import in_likeness
from keras_resnets.models.weights import Weights, array_of, assign, weights_of

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


def check_network(model, *families: type[NetworkConfig], why: str = "") -> NetworkConfig:
    """Return a network's configuration, checked to be of one of some families.

    Args:
        model: What the user gave.
        *families: Classes of legal configurations; all by default.
        why: What the message says of other families.

    Raises:
        InputError: The model is not a keras_resnets network, is of another family, has a
            `layer_prefix`, or no longer consists of the layers that its configuration builds
            (`check_as_built`).
    """
    check_as_built(model)
    if model.layer_prefix:
        raise InputError(
            "`model` must be a network without a `layer_prefix`: give its weights to "
            "create_model(model.config), saved by `save_weights`. "
            f"Received: model {model.name!r} with layer_prefix={model.layer_prefix!r}"
        )
    if families and not isinstance(model.config, families):
        raise InputError(
            f"`model` must be of family {' or '.join(cls.family for cls in families)}: {why}. "
            f"Received: model {model.name!r} of family {model.config.family}"
        )
    return model.config


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
    new = in_likeness(model, config, name)
    assign(new, weights)
    return new


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
