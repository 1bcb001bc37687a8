"""Augmentation of images by TensorFlow: functions of the images and of a seed, without a state.

The same seed gives the same images to the bit, whatever ran before and in whatever order: training
goes on at any epoch as if it had never stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from keras_resnets.data.augmentation import Augmentation
from keras_resnets.data.mixing import Eraser, Mixer
from keras_resnets.data.operations import rand_augment, trivial_augment
from keras_resnets.errors import ConfigError

__all__ = ["Augmenter", "add_pca_color", "cut_area", "cut_scaled", "shift"]

_EIGENVALUES = np.array((0.2175, 0.0188, 0.0045), np.float32) * 255
_EIGENVECTORS = np.array(
    (
        (-0.5675, 0.7192, 0.4009),
        (-0.5808, -0.0045, -0.8140),
        (-0.5836, -0.6948, 0.4203),
    ),
    np.float32,
)
"""Principal components of ImageNet's colours, a column each (Gross 2016, fb.resnet.torch)."""

_PCA_STD = 0.1
# Numbers that keep the random draws of the steps apart.
_COLOR, _RAND, _TRIVIAL, _ERASE, _MIX, _CUT = range(101, 107)


@dataclass(eq=False)
class Augmenter:
    """An augmentation made to fit a data set: first each image alone, then batches.

    Attributes:
        augmentation: What to do.
        image_shape: ``(height, width, channels)`` of the data set's images.
        output_size: ``(height, width)`` of the augmented images.
        flip: Whether the data set's images may be mirrored at all.
        padding: Pixels by which images are shifted at most.
        fill: Colour of the border of shifted images, a number a channel; None reflects.
        classes: Number of classes where labels become one-hot, else None.
        mirrored: For alternating flips, whether each image of the data set is mirrored in epoch 0.
        decode: Function from what the data set holds to an image, in a graph; None where it holds
            images.

    Raises:
        ConfigError: The augmentation does not fit the images.
    """

    augmentation: Augmentation
    image_shape: tuple[int, int, int]
    output_size: tuple[int, int]
    flip: bool = True
    padding: int = 0
    fill: tuple[float, ...] | None = None
    classes: int | None = None
    mirrored: np.ndarray | None = None
    decode: Callable | None = None

    def __post_init__(self):
        height, width, channels = self.image_shape
        if self.augmentation.color == "pca" and channels != 3:
            raise ConfigError(
                f"`color` = 'pca' is for images of three channels. Received: images of {channels}"
            )
        if self.padding >= min(height, width):
            raise ConfigError(
                "`padding` must be less than the images' sides. "
                f"Received: padding={self.padding} for images of {height} x {width}"
            )

        self._mix = Mixer(self.augmentation.mixup, self.augmentation.cutmix)
        self._erase = Eraser(self.augmentation.erasing)

    @property
    def works_on_images(self) -> bool:
        """Whether there is anything to do to each image alone."""
        return self.decode is not None or self.augmentation.cuts or self.augmentation.repeats > 1

    def versions(self, image, seed):
        """Return an image as often as a batch has it, ``(repeats, height, width, channels)``.

        Args:
            image: uint8 image of any size, or what `decode` makes one of.
            seed: Two integers.
        """
        if self.decode is not None:
            image = self.decode(image)
        copies = range(self.augmentation.repeats)
        return tf.stack([self._cut(image, tf.random.fold_in(seed, _CUT + i)) for i in copies])

    def _cut(self, image, seed):
        recipe = self.augmentation
        if recipe.crop == "random_resized":
            return cut_area(image, seed, self.output_size, recipe.area, recipe.aspect)
        if recipe.crop == "scale":
            return cut_scaled(image, seed, self.output_size, recipe.scale)
        return image

    def batch(self, images, labels, seed, *, places, epoch):
        """Return augmented images and their labels.

        Args:
            images: uint8 images, ``(batch, height, width, channels)``.
            labels: Their classes, ``(batch,)``.
            seed: Two integers.
            places: Where in the data set each image is, ``(batch,)``; for alternating flips.
            epoch: Number of the epoch, from 0; for the same.
        """
        recipe = self.augmentation
        mirror = self._mirror(places, epoch)
        if mirror is not False or self.padding:
            images = shift(images, seed, mirror, self.padding, self.fill)
        if images.shape[1:3] != self.output_size:
            images = _resize(images, self.output_size)
        if recipe.color == "pca":
            images = add_pca_color(images, tf.random.fold_in(seed, _COLOR))
        if recipe.rand_augment:
            images = rand_augment(
                images,
                tf.random.fold_in(seed, _RAND),
                recipe.rand_augment,
                recipe.rand_augment_magnitude,
            )
        if recipe.trivial_augment:
            images = trivial_augment(images, tf.random.fold_in(seed, _TRIVIAL))
        if recipe.erasing:
            images = self._erase(images, tf.random.fold_in(seed, _ERASE))
        if self.classes is not None:
            labels = tf.one_hot(labels, self.classes)
        if recipe.mixes:
            images, labels = self._mix(images, labels, tf.random.fold_in(seed, _MIX))
        return images, labels

    def _mirror(self, places, epoch):
        """Return whether to mirror by chance, or which images to mirror."""
        if not self.flip or not self.augmentation.flip:
            return False
        if self.augmentation.flip != "alternate":
            return True
        copies = tf.range(tf.size(places), dtype=tf.int64) % self.augmentation.repeats
        odd = (copies + epoch) % 2 == 1
        return tf.not_equal(tf.gather(self.mirrored, places), odd)


def shift(images, seed, flip=False, padding: int = 0, fill=None):
    """Mirror images and shift each by its own random offsets.

    Args:
        images: Batch of images, ``(batch, height, width, channels)``, of known height and width.
        seed: Two integers; equal seeds give equal results.
        flip: Whether to mirror half of the images, by chance; or whether to mirror each,
            ``(batch,)``.
        padding: Pixels by which to shift at most, less than a side.
        fill: Colour of the border, a number a channel; None fills it by reflection (Zagoruyko
            2016).

    Returns:
        Images of the same shape and type.

    Example:
        >>> shift(images, [0, 1], flip=True, padding=4)
    """
    batch, (height, width, channels) = tf.shape(images)[0], images.shape[1:]
    flip_seed, row_seed, column_seed = tf.unstack(tf.random.split(seed, 3))
    rows = _shifted(row_seed, batch, height, padding)
    columns = _shifted(column_seed, batch, width, padding)
    if flip is not False:
        mirror = flip
        if flip is True:
            mirror = tf.random.stateless_uniform([batch], flip_seed) < 0.5
        columns = tf.where(mirror[:, None], width - 1 - columns, columns)
    # One gather of whole pixels: a tenth of the time of mirroring, padding and cutting.
    first = tf.range(batch)[:, None, None] * (height * width)
    inner = _reflected(rows, height)[:, :, None] * width + _reflected(columns, width)[:, None, :]
    values, pixels = tf.reshape(images, [-1, channels]), first + inner
    if fill is not None:
        inside = _inside(rows, height)[:, :, None] & _inside(columns, width)[:, None, :]
        color = tf.cast(tf.round(tf.constant(fill, tf.float32)), images.dtype)
        pixels = tf.where(inside, pixels, tf.shape(values)[0])  # the pixel after the last
        values = tf.concat([values, color[None]], axis=0)
    return tf.gather(values, pixels)


def _shifted(seed, batch, size, padding):
    """Return the row (or column) of each image that comes to lie in each row, (batch, size)."""
    places = tf.repeat(tf.range(size)[None], batch, axis=0)
    if padding:
        places += tf.random.stateless_uniform([batch, 1], seed, -padding, padding + 1, tf.int32)
    return places


def _reflected(places, size):
    places = tf.abs(places)
    return tf.where(places < size, places, 2 * (size - 1) - places)


def _inside(places, size):
    return (places >= 0) & (places < size)


def cut_area(image, seed, size: tuple[int, int], area, aspect):
    """Cut a random rectangle out of an image and resize it (Szegedy 2015).

    Args:
        image: uint8 image, ``(height, width, channels)``.
        seed: Two integers.
        size: ``(height, width)`` of the result.
        area: Smallest and largest part of the image.
        aspect: Smallest and largest width by height. An image that has no such rectangle is
            resized as a whole.

    Returns:
        uint8 image.

    Example:
        >>> cut_area(image, [0, 1], (224, 224), area=(0.08, 1.0), aspect=(3 / 4, 4 / 3))
    """
    begin, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.shape(image),
        tf.zeros((1, 0, 4)),
        seed,
        min_object_covered=0.0,
        aspect_ratio_range=aspect,
        area_range=area,
        max_attempts=10,
        use_image_if_no_bounding_boxes=True,
    )
    part = tf.ensure_shape(tf.slice(image, begin, extent), (None, None, image.shape[-1]))
    return _resize(part, size)


def cut_scaled(image, seed, size: tuple[int, int], scale):
    """Resize an image to a random scale and cut a random part out of it (Simonyan 2015, He 2015).

    Args:
        image: uint8 image, ``(height, width, channels)``.
        seed: Two integers.
        size: ``(height, width)`` of the result.
        scale: Smallest and largest shorter side for a result of 224 pixels, in proportion for
            another.

    Returns:
        uint8 image.

    Example:
        >>> cut_scaled(image, [0, 1], (224, 224), scale=(256, 480))
    """
    scale_seed, part_seed = tf.unstack(tf.random.split(seed, 2))
    sides, size = tf.cast(tf.shape(image)[:2], tf.float32), np.array(size)
    factor = tf.random.stateless_uniform([], scale_seed, scale[0], scale[1]) / 224
    factor *= tf.reduce_max(size / sides)
    resized = _resize(image, tf.maximum(tf.cast(tf.round(sides * factor), tf.int32), size))
    room = tf.cast(tf.shape(resized)[:2] - size + 1, tf.float32)
    begin = tf.cast(tf.random.stateless_uniform([2], part_seed) * room, tf.int32)
    part = tf.slice(resized, tf.concat([begin, [0]], 0), [*size, -1])
    return tf.ensure_shape(part, (*size, image.shape[-1]))


def _resize(images, size):
    # Where nothing shrinks, antialiasing changes nothing but takes three times as long.
    resized = tf.cond(
        tf.reduce_any(tf.shape(images)[-3:-1] > size),
        lambda: tf.image.resize(images, size, antialias=True),
        lambda: tf.image.resize(images, size),
    )
    return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)


def add_pca_color(images, seed):
    """Add to each image random multiples of the principal components of ImageNet's colours.

    The multiples have a standard deviation of 0.1 eigenvalues (Krizhevsky 2012, section 4.1).

    Args:
        images: uint8 images, ``(batch, height, width, 3)``.
        seed: Two integers.

    Returns:
        Images of the same shape and type.

    Example:
        >>> add_pca_color(images, [0, 1])
    """
    multiples = tf.random.stateless_normal([tf.shape(images)[0], 3], seed, stddev=_PCA_STD)
    colors = tf.matmul(multiples * _EIGENVALUES, _EIGENVECTORS, transpose_b=True)
    values = tf.cast(images, tf.float32) + colors[:, None, None, :]
    return tf.cast(tf.clip_by_value(tf.round(values), 0, 255), tf.uint8)
