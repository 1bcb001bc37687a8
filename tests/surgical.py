"""Networks with unkind weights, real images, and how far two networks' answers lie apart."""

import functools

import keras
import numpy as np
from sklearn.datasets import load_sample_images

import keras_resnets as kr

EXACT = 1e-9
"""Relative; float64 rounds at 1e-16, and carried channels lose up to five digits of it."""


def hard_weights(model, seed=0):
    """Give a network random weights as training leaves them at worst, and return it.

    Scales of either sign, near zero and zero, whole channels that are dead; statistics of every
    size.
    """
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        name = weight.path.rsplit("/")[-1]
        shape = tuple(weight.shape)
        if name == "seed_generator_state":
            continue
        if name == "gamma":
            values = rng.normal(0.3, 0.7, shape)
            values[::5] = 1e-6
            values[3::7] = 0.0
        elif name == "moving_variance":
            values = rng.uniform(0.3, 2.0, shape)
        elif len(shape) == 1:
            values = rng.normal(0, 0.5, shape)
        else:
            values = rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape)
        weight.assign(values)
    return model


def made(config, dtype="float64", seed=0):
    """Return a network of a configuration, with hard weights."""
    return hard_weights(kr.create_model(config, name="net", dtype=dtype), seed)


def kind_weights(model, seed=0):
    """Give a network random weights that a gradient passes everywhere, and return it."""
    hard_weights(model, seed)
    for weight in model.weights:
        if weight.path.endswith("/gamma"):
            weight.assign(np.abs(keras.ops.convert_to_numpy(weight)) + 0.2)
    return model


def scaled(config, factor):
    """Return a configuration with all widths so many times as large."""
    changes = {"stem_width": int(factor * config.stem_width)}
    if config.family == "densenet":
        changes["growth_rate"] = int(factor * config.growth_rate)
    else:
        changes["widths"] = tuple(int(factor * width) for width in config.widths)
    return config.replace(**changes)


@functools.cache
def _photographs():
    return [image.astype("float32") / 127.5 - 1 for image in load_sample_images().images]


def real_images(size, count):
    """Return pieces of photographs."""
    height, width = size
    rng = np.random.default_rng(0)
    pieces = []
    for i in range(count):
        image = _photographs()[i % 2][::3, ::3]
        top, left = (rng.integers(0, n - s) for n, s in zip(image.shape, size, strict=False))
        pieces.append(image[top : top + height, left : left + width])
    return np.stack(pieces)


def batches():
    """Return eight random images, and a real one of another, odd size."""
    yield np.random.default_rng(1).normal(size=(8, 16, 16, 3)).astype("float32")
    yield real_images((13, 15), 1)


def answers(model, images, training=False):
    """Return a model's answers."""
    return keras.ops.convert_to_numpy(model(images, training=training))


def apart(first, second, images, training=False):
    """Return the largest difference of two models' answers, relative to the largest answer.

    The first may be answers that are known.
    """
    one = first if isinstance(first, np.ndarray) else answers(first, images, training)
    assert np.abs(one).max() > 0
    return np.abs(one - answers(second, images, training)).max() / np.abs(one).max()


def check_same(first, second, within=EXACT):
    """Check that two models are one function."""
    for images in batches():
        assert apart(first, second, images) < within, images.shape


def values_of(model):
    """Return copies of all weights' values."""
    return [np.array(keras.ops.convert_to_numpy(weight)) for weight in model.weights]
