"""The fourteen operations of RandAugment and TrivialAugment on batches of images.

Keras' RandAugment draws its operations once for a whole batch and computes all of them for every
image, and its equalisation takes the histogram of the whole batch: here each image has its own
operation, computed for the images that drew it alone. What an operation does at which strength
follows PIL and torchvision, which the published recipes were found with.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

__all__ = ["OPERATIONS", "rand_augment", "trivial_augment"]

_LEVELS = 31
"""Strengths of TrivialAugment, 0 to 30 (Mueller 2021)."""


@dataclass(frozen=True)
class _Operation:
    """An operation and its largest strength.

    Attributes:
        function: Takes uint8 images ``(n, height, width, channels)`` and ``n`` strengths.
        rand: Strength at magnitude 1 in RandAugment (Cubuk 2020).
        wide: The same in TrivialAugment's wide space.
        signed: Whether the strength is negated by chance.
    """

    function: Callable
    rand: float = 0.0
    wide: float = 0.0
    signed: bool = False


def rand_augment(images, seed, operations: int, magnitude: float):
    """Apply random operations of one strength to each image, one after the other (Cubuk 2020).

    Args:
        images: uint8 images, ``(batch, height, width, channels)``.
        seed: Two integers.
        operations: How many.
        magnitude: Their strength, from 0 to 1.

    Returns:
        Images of the same shape and type.

    Example:
        >>> rand_augment(images, [0, 1], operations=2, magnitude=0.3)
    """
    strengths = [op.rand * magnitude for op in OPERATIONS.values()]
    for number in range(operations):
        choices, signs, _ = _draw(tf.random.fold_in(seed, number), tf.shape(images)[0])
        images = _apply(images, choices, tf.gather(strengths, choices) * signs)
    return images


def trivial_augment(images, seed):
    """Apply one random operation of random strength to each image (Mueller 2021, wide space).

    Args:
        images: uint8 images, ``(batch, height, width, channels)``.
        seed: Two integers.

    Returns:
        Images of the same shape and type.

    Example:
        >>> trivial_augment(images, [0, 1])
    """
    choices, signs, levels = _draw(seed, tf.shape(images)[0])
    strengths = tf.gather(_wide(*images.shape[1:3]), choices) * levels
    return _apply(images, choices, strengths * signs)


def _wide(height: int, width: int) -> list[float]:
    """Return the largest strengths of the wide space; it translates by 32 pixels at any size."""
    pixels = {"translate_x": min(1.0, 32 / width), "translate_y": min(1.0, 32 / height)}
    return [pixels.get(name, operation.wide) for name, operation in OPERATIONS.items()]


def _draw(seed, count):
    """Return an operation, a sign where it has one, and a strength of 0 to 1 for each image."""
    op_seed, sign_seed, level_seed = tf.unstack(tf.random.split(seed, 3))
    choices = tf.random.stateless_uniform([count], op_seed, 0, len(OPERATIONS), tf.int32)
    signed = tf.gather([op.signed for op in OPERATIONS.values()], choices)
    negative = signed & (tf.random.stateless_uniform([count], sign_seed) < 0.5)
    levels = tf.random.stateless_uniform([count], level_seed, 0, _LEVELS, tf.int32)
    return choices, tf.where(negative, -1.0, 1.0), tf.cast(levels, tf.float32) / (_LEVELS - 1)


def _apply(images, choices, strengths):
    """Apply to each image the operation that it drew, each operation once for all its images."""
    places = tf.dynamic_partition(tf.range(tf.shape(images)[0]), choices, len(OPERATIONS))
    parts = [
        operation.function(tf.gather(images, place), tf.gather(strengths, place))
        for place, operation in zip(places, OPERATIONS.values(), strict=True)
    ]
    return tf.ensure_shape(tf.dynamic_stitch(places, parts), images.shape)


def _to_uint8(values):
    return tf.cast(tf.clip_by_value(tf.round(values), 0.0, 255.0), tf.uint8)


# Geometry: the output pixel (x, y) is the input pixel (a x + b y + c, d x + e y + f), black outside


def _affine(images, a=1.0, b=0.0, c=0.0, d=0.0, e=1.0, f=0.0):
    count = tf.shape(images)[0]
    rows = [tf.broadcast_to(value, [count]) for value in (a, b, c, d, e, f, 0.0, 0.0)]
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(images, tf.float32),
        transforms=tf.stack(rows, axis=1),
        output_shape=images.shape[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    return _to_uint8(moved)


def _shear_x(images, strength):
    return _affine(images, b=strength)


def _shear_y(images, strength):
    return _affine(images, d=strength)


def _translate_x(images, strength):
    return _affine(images, c=-tf.round(strength * images.shape[2]))


def _translate_y(images, strength):
    return _affine(images, f=-tf.round(strength * images.shape[1]))


def _rotate(images, degrees):
    angle = degrees * math.pi / 180
    cos, sin = tf.cos(angle), tf.sin(angle)
    x, y = (images.shape[2] - 1) / 2, (images.shape[1] - 1) / 2
    return _affine(images, cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y)


# Colour: the image moved from a lesser one, or beyond itself


def _blend(lesser, images, strength):
    """Return images between a lesser image, at strength -1, and twice as far from it, at 1."""
    images = tf.cast(images, tf.float32)
    return _to_uint8(lesser + (1 + strength)[:, None, None, None] * (images - lesser))


def _brightness(images, strength):
    return _blend(0.0, images, strength)


def _color(images, strength):
    return _blend(_grey(images), images, strength)


def _contrast(images, strength):
    mean = tf.reduce_mean(_grey(images), axis=(1, 2, 3), keepdims=True)
    return _blend(tf.round(mean), images, strength)


def _grey(images):
    images = tf.cast(images, tf.float32)
    if images.shape[-1] != 3:
        return tf.reduce_mean(images, axis=-1, keepdims=True)
    return tf.reduce_sum(images * (0.299, 0.587, 0.114), axis=-1, keepdims=True)


def _sharpness(images, strength):
    """Blend with the smoothed image; the border, which has no neighbours, stays as it is."""
    height, width = images.shape[1:3]
    if min(height, width) < 3:
        return images
    values = tf.cast(images, tf.float32)
    # Weights of 1, and 5 in the middle, over 13; TensorFlow's convolutions fail without images.
    inner = (9 * tf.nn.avg_pool2d(values, 3, 1, "VALID") + 4 * values[:, 1:-1, 1:-1]) / 13
    sides = ((0, 0), (1, 1), (1, 1), (0, 0))
    border = tf.pad(tf.ones((1, height - 2, width - 2, 1)), sides) == 0
    return _blend(tf.where(border, values, tf.pad(inner, sides)), images, strength)


# Pixel values


def _identity(images, strength):
    return images


def _posterize(images, bits):
    """Keep the highest bits of each value: 8 less the strength."""
    shift = tf.cast(tf.round(bits), tf.uint8)[:, None, None, None]
    return tf.bitwise.left_shift(tf.bitwise.right_shift(images, shift), shift)


def _solarize(images, strength):
    """Invert the values of a threshold and above, which falls from 255 to 0."""
    threshold = 255.0 * (1 - strength)[:, None, None, None]
    return tf.where(tf.cast(images, tf.float32) >= threshold, 255 - images, images)


def _auto_contrast(images, strength):
    """Stretch each channel over all values; Keras' AutoContrast fails without images."""
    values = tf.cast(images, tf.float32)
    low = tf.reduce_min(values, axis=(1, 2), keepdims=True)
    span = tf.reduce_max(values, axis=(1, 2), keepdims=True) - low
    return _to_uint8(tf.where(span > 0, (values - low) * 255 / tf.maximum(span, 1), values))


def _equalize(images, strength):
    """Spread each channel's values evenly, by PIL's whole numbers."""
    count, (height, width, channels) = tf.shape(images)[0], images.shape[1:]
    values = tf.reshape(tf.transpose(tf.cast(images, tf.int32), (0, 3, 1, 2)), [-1, height * width])
    histogram = tf.math.bincount(values, minlength=256, maxlength=256, axis=-1)
    last = tf.gather(histogram, tf.reduce_max(values, 1, keepdims=True), batch_dims=1)
    step = (height * width - last) // 255
    table = (tf.cumsum(histogram, axis=1, exclusive=True) + step // 2) // tf.maximum(step, 1)
    spread = tf.gather(tf.clip_by_value(table, 0, 255), values, batch_dims=1)
    spread = tf.cast(tf.where(step > 0, spread, values), tf.uint8)
    return tf.transpose(tf.reshape(spread, [count, channels, height, width]), (0, 2, 3, 1))


OPERATIONS: dict[str, _Operation] = {
    "identity": _Operation(_identity),
    "shear_x": _Operation(_shear_x, rand=0.3, wide=0.99, signed=True),
    "shear_y": _Operation(_shear_y, rand=0.3, wide=0.99, signed=True),
    # Parts of the side. RandAugment's 150 pixels are of ImageNet's 331 (Cubuk 2019).
    "translate_x": _Operation(_translate_x, rand=150 / 331, signed=True),
    "translate_y": _Operation(_translate_y, rand=150 / 331, signed=True),
    "rotate": _Operation(_rotate, rand=30, wide=135, signed=True),
    "brightness": _Operation(_brightness, rand=0.9, wide=0.99, signed=True),
    "color": _Operation(_color, rand=0.9, wide=0.99, signed=True),
    "contrast": _Operation(_contrast, rand=0.9, wide=0.99, signed=True),
    "sharpness": _Operation(_sharpness, rand=0.9, wide=0.99, signed=True),
    "posterize": _Operation(_posterize, rand=4, wide=6),
    "solarize": _Operation(_solarize, rand=1.0, wide=1.0),
    "auto_contrast": _Operation(_auto_contrast),
    "equalize": _Operation(_equalize),
}
"""The operations by name."""
