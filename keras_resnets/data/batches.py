"""Batches of raw images: cached, shuffled, augmented and fetched ahead."""

import tensorflow as tf

__all__ = ["augment", "evaluation_batches", "training_batches"]

_CACHE_BYTES = 2 << 30
_SHUFFLE_BYTES = 1 << 30


def training_batches(
    dataset, *, size, image_bytes, batch_size, seed, flip=False, padding=0, first_epoch=0
):
    """Return endless training batches, the same for the same seed.

    The order and the augmentation of an epoch depend on the seed and on the epoch's number alone,
    so that training can go on at any epoch as if it had never stopped.

    Args:
        dataset: `tf.data.Dataset` of (uint8 image, label), in a fixed order.
        size: Number of its images.
        image_bytes: Bytes of one image.
        batch_size: Images a batch; an epoch's incomplete last batch is left out.
        seed: Integer.
        flip: Whether half of the images are mirrored.
        padding: Pixels by which images are shifted at most.
        first_epoch: Epoch to begin with, from 0.

    Returns:
        Infinite `tf.data.Dataset` of (uint8 images, labels).
    """
    batch_size = min(batch_size, size)
    if size * image_bytes <= _CACHE_BYTES:
        dataset = dataset.cache()
    buffer = min(size, max(batch_size, _SHUFFLE_BYTES // image_bytes))

    def epoch(number):
        # The seed of this function's graph alone: the order must not hang on the global seed, and
        # TensorFlow cannot combine a global seed 0 with a seed that is a tensor.
        tf.random.set_seed(1)
        order = dataset.shuffle(buffer, seed=seed * 1_000_003 + number)
        batches = order.batch(batch_size, drop_remainder=True)
        if not flip and not padding:
            return batches
        return batches.enumerate().map(
            lambda step, batch: (
                augment(batch[0], tf.stack([seed + number * 2**32, step]), flip, padding),
                batch[1],
            ),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )

    epochs = tf.data.Dataset.counter(tf.constant(first_epoch, tf.int64))
    return epochs.flat_map(epoch).prefetch(tf.data.AUTOTUNE)


def evaluation_batches(dataset, *, size, image_bytes, batch_size):
    """Return batches in the data set's order, the last one smaller where it must be."""
    batches = dataset.batch(batch_size)
    if size * image_bytes <= _CACHE_BYTES:
        batches = batches.cache()
    return batches.prefetch(tf.data.AUTOTUNE)


def augment(images, seed, flip, padding):
    """Mirror half of the images and shift all of them, each by its own random offsets.

    Args:
        images: Batch of images, ``(batch, height, width, channels)``, of known height and width.
        seed: Two integers; equal seeds give equal results.
        flip: Whether to mirror.
        padding: Pixels by which to shift at most; the border is filled by reflection
            (Zagoruyko 2016).

    Returns:
        Images of the same shape and type.

    Raises:
        ValueError: `padding` is not less than a side.
    """
    if padding >= min(images.shape[1:3]):
        raise ValueError(
            "`padding` must be less than the images' sides. "
            f"Received: padding={padding} for images of {images.shape[1]} x {images.shape[2]}"
        )
    batch, (height, width, channels) = tf.shape(images)[0], images.shape[1:]
    flip_seed, row_seed, column_seed = tf.unstack(tf.random.split(seed, 3))
    rows = _shifted(row_seed, batch, height, padding)
    columns = _shifted(column_seed, batch, width, padding)
    if flip:
        mirror = tf.random.stateless_uniform([batch, 1], flip_seed) < 0.5
        columns = tf.where(mirror, width - 1 - columns, columns)
    # One gather of whole pixels: a tenth of the time of mirroring, padding and cutting.
    first = tf.range(batch)[:, None, None] * (height * width)
    pixels = first + rows[:, :, None] * width + columns[:, None, :]
    return tf.gather(tf.reshape(images, [-1, channels]), pixels)


def _shifted(seed, batch, size, padding):
    """Return the row (or column) of each image that comes to lie in each row, (batch, size)."""
    places = tf.range(size)[None]
    if padding:
        places += tf.random.stateless_uniform([batch, 1], seed, -padding, padding + 1, tf.int32)
    else:
        places = tf.repeat(places, batch, axis=0)
    places = tf.abs(places)
    return tf.where(places < size, places, 2 * (size - 1) - places)
