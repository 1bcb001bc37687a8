"""What a network that normalises raw images itself is given, and the usual mistake with it."""

from __future__ import annotations

import sys
import types
import warnings

import keras
import numpy as np

from keras_resnets.layers.backend import is_concrete
from keras_resnets.layers.image_normalization import ImageNormalization

__all__ = ["image_dtype", "looked_at", "modernized", "warn_if_rescaled", "warn_if_scaled"]

_LOOKED_AT = 16
"""Most images of a batch that are looked at."""

_LARGEST_SCALED = 3.0
"""Largest absolute value of images scaled to 0..1 or -1..1, or standardised (white of CIFAR-10's
images is 2.1, of MNIST's 2.8); raw images without a greater one are black to the eye."""


def image_dtype(model: keras.Model) -> str:
    """Return the type in which images are kept and sent to a model, and that its exports take.

    ``"uint8"`` for a network that takes raw images, and for several upon one image: their Keras
    input is of floats, so that gradients reach it and no value wraps, and images of uint8 are
    cast where they are computed with. For any other model, the type of its input.

    Args:
        model: A model of one input.
    """
    entry = model.inputs[0]
    dtype = keras.backend.standardize_dtype(entry.dtype)
    graph = getattr(model, "_functional", None) or model  # a Sequential has its graph inside
    takers = [
        node.operation
        for nodes in graph._nodes_by_depth.values()
        for node in nodes
        if any(tensor is entry for tensor in node.input_tensors)
    ]
    own = getattr(model, "_network_config", None) is not None
    if own and any(isinstance(taker, ImageNormalization) for taker in takers):
        return "uint8"
    raw = [getattr(taker, "takes_raw_images", False) for taker in takers]
    return "uint8" if len(raw) > 1 and all(raw) else dtype


def looked_at(data, warn):
    """Return data for a Keras model's methods, whose first batch is looked at.

    No batch is computed twice and none is lost: arrays are looked at now, the first batch of a
    generator is put back, that of a `tf.data.Dataset` of floats is looked at when it comes. Other
    iterables pass unseen.

    Args:
        data: What `fit`, `evaluate` or `predict` was given as `x`.
        warn: Called with a NumPy array of images.
    """
    if isinstance(data, types.GeneratorType):
        return _generator(data, warn)
    if isinstance(data, keras.utils.PyDataset):
        warn(_images_of(data[0]))
        return data
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None and isinstance(data, tensorflow.data.Dataset):
        return _dataset(data, warn)
    warn(data)
    return data


def warn_if_scaled(data, name: str) -> bool:
    """Warn where images of floats are scaled to 0..1 or -1..1, or standardised; say whether.

    Args:
        data: A batch of images; whatever is no array of floats passes.
        name: The model's name.
    """
    images = _sole(data)
    if not is_concrete(images) or not keras.backend.is_float_dtype(
        keras.backend.standardize_dtype(images.dtype)
    ):
        return False
    few = images[:_LOOKED_AT]
    few = np.asarray(keras.ops.convert_to_numpy(few), "float32")
    if not few.size:
        return False
    lowest, highest = float(few.min()), float(few.max())
    # Zeros alone are a black image, scaled or not. (Comparisons with NaN are false.)
    if not 0 < max(-lowest, highest) <= _LARGEST_SCALED:
        return False
    warnings.warn(
        f"model {name!r} normalises raw images itself and takes values from 0 to 255. Received: "
        f"images with values from {lowest:.3g} to {highest:.3g}, which look scaled or normalised "
        "already: give the raw ones, or build the network without `input_mean`",
        UserWarning,
        stacklevel=4,
    )
    return True


def warn_if_rescaled(tensor, name: str) -> bool:
    """Warn where a layer of Keras' scales the images in front of a network; say whether.

    A network inside another model sees no image of that model's `fit` and `predict`, but what it
    is built upon.

    Args:
        tensor: A symbolic tensor that the network is called on; whatever is none passes.
        name: The network's name.
    """
    tensor = _sole(tensor)
    while isinstance(tensor, keras.KerasTensor) and hasattr(tensor, "_keras_history"):
        layer, node, _ = tensor._keras_history
        if isinstance(layer, keras.layers.Rescaling | keras.layers.Normalization):
            scale = np.abs(getattr(layer, "scale", 0.0)).max()
            if scale * 255 > _LARGEST_SCALED:
                return False
            warnings.warn(
                f"model {name!r} normalises raw images itself and takes values from 0 to 255. "
                f"Received: the output of layer {layer.name!r}, a {type(layer).__name__} that "
                "scales them before: leave it out, or build the network without `input_mean`",
                UserWarning,
                stacklevel=4,
            )
            return True
        inputs = layer._inbound_nodes[node].input_tensors if layer._inbound_nodes else ()
        if len(inputs) != 1 or getattr(layer, "trainable_weights", ()):
            return False
        (tensor,) = inputs
    return False


def _sole(data):
    """Return the only array of a structure, or the structure."""
    if isinstance(data, dict) and len(data) == 1:
        (data,) = data.values()
    if isinstance(data, list | tuple) and len(data) == 1 and hasattr(data[0], "dtype"):
        (data,) = data
    return data


def _images_of(batch):
    """Return the images of a batch as data sets give them: alone, or with labels and weights."""
    return batch[0] if isinstance(batch, tuple) and batch else batch


def _generator(batches, warn):
    first = next(batches, None)
    if first is None:
        return batches
    warn(_images_of(first))

    def again():
        yield first
        yield from batches

    return again()


def _dataset(dataset, warn):
    import tensorflow as tf

    spec = _sole(_images_of(dataset.element_spec))
    if not isinstance(spec, tf.TensorSpec) or not spec.dtype.is_floating:
        return dataset

    def report(images):
        warn(images)
        return np.int64(0)

    def look(index, element):
        images = _sole(_images_of(element))
        tf.cond(
            index == 0,
            lambda: tf.numpy_function(
                report, [tf.cast(images[:_LOOKED_AT], tf.float32)], tf.int64, stateful=True
            ),
            lambda: tf.constant(0, tf.int64),
        )
        return element

    return dataset.enumerate().map(look)


def modernized(config: dict) -> dict:
    """Return a network's configuration in Keras' form, its raw images as they are taken now.

    Networks that were saved with an input of uint8 and `keras.layers.Normalization` get a float
    input, which wraps nothing, and `ImageNormalization`; the function is the same.

    Args:
        config: Of `Network.get_config`, with the entry ``network``.
    """
    network = config.get("network") or {}
    if network.get("input_mean") is None:
        return config
    layers = [_modernized_layer(dict(layer), network) for layer in config["layers"]]
    return {**config, "layers": layers}


def _modernized_layer(layer, network):
    name, fields = layer["class_name"], layer["config"]
    if name == "InputLayer" and fields.get("dtype") == "uint8":
        layer["config"] = {**fields, "dtype": "float32"}
    elif name == "Normalization":
        axis = fields["axis"][0] if isinstance(fields["axis"], list | tuple) else fields["axis"]
        ours = ImageNormalization(
            network["input_mean"],
            network["input_std"],
            "channels_first" if axis == 1 else "channels_last",
            name=fields["name"],
            dtype="float32",
        )
        layer = {**layer, **keras.saving.serialize_keras_object(ours)}
        layer.pop("build_config", None)
    return layer
