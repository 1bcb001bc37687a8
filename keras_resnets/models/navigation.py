"""Layers of networks by path; who comes from keras.applications is told the names here."""

from __future__ import annotations

import keras

from keras_resnets.layers import navigation
from keras_resnets.layers.blocks import ResidualBlock
from keras_resnets.layers.dense import DenseBlockLayer
from keras_resnets.layers.navigation import walk_layers
from keras_resnets.models.keras_names import nearest_path

__all__ = ["get_layer", "walk_layers"]


def get_layer(model: keras.Model, path: str) -> keras.layers.Layer:
    """Return the layer at a path, inside blocks and nested models too.

    Args:
        model: Any Keras model or block.
        path: Names from the outside in, ``"stage2_block3/bn2"``; of a nested network with the
            network's name in front, ``"resnet50/stage2_block3/bn2"``.

    Raises:
        InputError: There is no such layer; the message names the nearest paths, of a name of
            keras.applications the path here.

    Example:
        >>> get_layer(create_model("resnet20_cifar"), "stage2_block1/conv1").strides
        (2, 2)
    """
    return navigation.get_layer(model, path, lambda: _translated(model, path))


def _translated(model, path) -> str:
    """Return where a layer of keras.applications' name is, or nothing."""
    here = nearest_path(path, _kind(model))
    for known, _ in walk_layers(model) if here is not None else ():
        if known == here or known.endswith(f"/{here}"):
            return f"; keras.applications' {path} is {known} here"
    return ""


def _kind(model) -> str:
    """Return which of Keras' networks a model's blocks are like."""
    for _, layer in walk_layers(model):
        if isinstance(layer, DenseBlockLayer):
            return "dense"
        if isinstance(layer, ResidualBlock):
            return "v2" if layer.activation_order == "pre" else "v1"
    return "v1"
