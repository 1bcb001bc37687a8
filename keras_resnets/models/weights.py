"""A network's weights as arrays."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

__all__ = ["Weights", "array_of", "assign", "weights_of"]

Weights = dict[str, np.ndarray]
"""Values by variable path, ``stage1_block1/conv1/kernel``, in float64."""


def weights_of(model: keras.Model) -> Weights:
    """Return the values of a model's weights, without the states of its random numbers.

    A kernel that is adapted by LoRA (Hu 2021, arXiv:2106.09685) has its adaptation added, as the
    layer computes with it; the two factors are left out.

    Example:
        >>> sorted(weights_of(create_model("resnet20_cifar")))[:2]
        ['predictions/bias', 'predictions/kernel']
    """
    weights = {
        variable.path: array_of(variable)
        for variable in model.weights
        if not variable.path.endswith("seed_generator_state")
    }
    for layer in model._flatten_layers(include_self=False):
        if not getattr(layer, "lora_enabled", False):
            continue
        first, second = (weights.pop(v.path) for v in (layer.lora_kernel_a, layer.lora_kernel_b))
        weights[layer._kernel.path] += layer.lora_alpha / layer.lora_rank * (first @ second)
    return weights


def array_of(variable) -> np.ndarray:
    """Return a variable's values in float64; a copy, whose memory is nobody else's."""
    if keras.backend.standardize_dtype(variable.dtype) == "bfloat16":
        variable = keras.ops.cast(variable, "float32")
    return np.array(keras.ops.convert_to_numpy(variable), "float64")


def assign(model: keras.Model, weights: Mapping[str, np.ndarray]) -> None:
    """Give weights of a network values, by variable path."""
    variables = {variable.path: variable for variable in model.weights}
    for path, value in weights.items():
        variables[path].assign(value)
