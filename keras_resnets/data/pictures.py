"""Pictures of a data set: its images, and what augmentation makes of them."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.figure import Figure

from keras_resnets.data.augmentation import Augmentation
from keras_resnets.data.batches import augmented_batches
from keras_resnets.data.images import ImageData
from keras_resnets.fonts import Lettering

__all__ = ["augmented_versions", "draw_augmentation", "draw_classes"]

_SHOWN_CLASSES = 2
"""Classes of a mixed image that are named."""

_ROW_WIDTH, _MIXED_WIDTH = 16, 8
"""Width of a class name beside a row and above a mixed image, in Latin letters."""

_LOOKED_AT = 8
"""Images to choose one to draw from, so that the classes differ."""


def augmented_versions(
    data: ImageData, augmentation: Augmentation, places, *, versions: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Augment some training images several times, as the first epochs would.

    Args:
        data: The data set.
        augmentation: What is done.
        places: Which training images, from 0, in order; mixed ones are mixed with one another.
        versions: How many versions of each: one an epoch, or as many as the augmentation repeats.
        seed: Integer.

    Returns:
        The versions, ``(images, versions, height, width, channels)``, and the weights of their
        classes, ``(images, versions, classes)``.

    Raises:
        ConfigError: The augmentation does not fit the images.

    Example:
        >>> augmented_versions(data, Augmentation(mixup=0.2), [0, 1, 2], versions=4)
    """
    import tensorflow as tf

    augmenter = data.augmenter(augmentation, seed, one_hot=True)
    read = data.read if augmenter.decode is None else data.originals.read
    chosen = tf.constant(places, tf.int64)
    order = read("train").take(max(places) + 1).enumerate()
    order = order.filter(lambda place, _: tf.reduce_any(place == chosen))
    count, repeats, parts = len(places), augmentation.repeats, []
    for epoch in range(math.ceil(versions / repeats)):
        batches = augmented_batches(order, augmenter, count * repeats, seed, epoch)
        with data.reading_errors("train"):
            batch = next(batches.as_numpy_iterator())
        parts.append([part.reshape(count, repeats, *part.shape[1:]) for part in batch])
    pictures, weights = (
        np.concatenate(part, axis=1)[:, :versions] for part in zip(*parts, strict=True)
    )
    return pictures, weights


def draw_augmentation(
    data: ImageData,
    augmentation: Augmentation,
    *,
    images: int = 6,
    versions: int = 7,
    seed: int = 0,
) -> Figure:
    """Draw training images, a row each, and beside each what augmentation makes of it.

    Args:
        data: The data set.
        augmentation: What is done.
        images: Rows, of different classes where there are enough.
        versions: Augmented versions in a row.
        seed: Integer.

    Returns:
        The figure. Beside the rows stand the classes, above mixed images their classes' weights.

    Raises:
        ConfigError: The augmentation does not fit the images.
        DataError: An image cannot be decoded.

    Example:
        >>> draw_augmentation(data, Augmentation(mixup=0.2)).savefig("mixup.png")
    """
    originals, labels = data.images("train", _LOOKED_AT * images)
    places = _varied(labels, images)
    pictures, weights = augmented_versions(data, augmentation, places, versions=versions, seed=seed)
    originals, labels = originals[places], labels[places]
    height, width, _ = data.image_shape
    above = 0.2 if augmentation.mixes else 0.0
    size = ((versions + 1) * 0.96 + 0.1, len(originals) * (0.96 * height / width + above) + 0.25)
    figure = Figure(figsize=size, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, hspace=0, wspace=0)
    grid = figure.subplots(len(originals), versions + 1, squeeze=False)
    lettering = Lettering(data.class_names)
    rows, mixed = (lettering.short(longest) for longest in (_ROW_WIDTH, _MIXED_WIDTH))
    for axes, original, label, row, row_weights in zip(
        grid, originals, labels, pictures, weights, strict=True
    ):
        _show(axes[0], original)
        axes[0].set_ylabel(rows[label], fontsize=7, **lettering.style)
        for ax, picture, weight in zip(axes[1:], row, row_weights, strict=True):
            _show(ax, picture)
            if augmentation.mixes:
                ax.set_title(_mixture(weight, mixed), fontsize=6, pad=2, **lettering.style)
    grid[0, 0].set_title("original", fontsize=7, pad=2)
    return figure


def draw_classes(data: ImageData, *, classes: int = 20, images: int = 8) -> Figure:
    """Draw some training images of each class, a row each, as networks get them.

    Args:
        data: The data set.
        classes: Most rows; of more classes, every so-manieth is drawn.
        images: Images in a row.

    Returns:
        The figure.

    Raises:
        DataError: An image cannot be decoded.

    Example:
        >>> draw_classes(data).savefig("classes.png")
    """
    step = -(-data.classes // classes)
    shown = list(range(0, data.classes, step))
    labels = np.array([], np.int64) if data.read_labels is None else data.read_labels("train")
    if data.read_labels is None:
        labels = data.images("train", _LOOKED_AT * images * len(shown))[1]
    places = {label: np.flatnonzero(labels == label)[:images] for label in shown}
    pictures = _images_at(data, np.concatenate(list(places.values())))
    height, width, _ = data.image_shape
    size = (images * 0.96 + 0.4, len(shown) * 0.96 * height / width + 0.1)
    figure = Figure(figsize=size, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, hspace=0, wspace=0)
    lettering = Lettering(data.class_names)
    names = lettering.short(_ROW_WIDTH)
    for axes, label in zip(figure.subplots(len(shown), images, squeeze=False), shown, strict=True):
        for ax in axes[len(places[label]) :]:
            ax.axis("off")
        for ax, place in zip(axes, places[label], strict=False):
            _show(ax, pictures[place])
        axes[0].set_ylabel(names[label], fontsize=7, **lettering.style)
    return figure


def _images_at(data: ImageData, places) -> dict[int, np.ndarray]:
    """Return the training images at some places."""
    import tensorflow as tf

    chosen = tf.constant(sorted(places), tf.int64)
    read = data.read if data.originals is None else data.originals.read
    found = read("train").take(int(max(places)) + 1).enumerate()
    found = found.filter(lambda place, _: tf.reduce_any(place == chosen))
    if data.originals is not None:
        found = found.map(lambda place, pair: (place, (data.originals.decoded(pair[0]), pair[1])))
    with data.reading_errors("train"):
        return {int(place): image for place, (image, _) in found.as_numpy_iterator()}


def _varied(labels, count: int) -> list[int]:
    """Return where the first images of different classes are, and then the first others."""
    firsts = sorted(np.unique(labels, return_index=True)[1])
    others = [place for place in range(len(labels)) if place not in set(firsts)]
    return sorted([*firsts, *others][:count])


def _mixture(weights, class_names) -> str:
    """Return the heaviest classes: ``cat 0.7 dog 0.3``."""
    order = [i for i in np.argsort(-weights, kind="stable") if weights[i] >= 0.005]
    return " ".join(f"{class_names[i]} {weights[i]:.2f}" for i in order[:_SHOWN_CLASSES])


def _show(ax, image) -> None:
    if image.shape[-1] == 1:
        image = np.repeat(image, 3, axis=-1)
    ax.imshow(image[..., :3], interpolation="nearest", aspect="auto")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
