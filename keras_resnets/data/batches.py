"""Batches of raw images: cached, shuffled, augmented and fetched ahead."""

import tensorflow as tf

__all__ = ["CACHE_BYTES", "augmented_batches", "evaluation_batches", "training_batches"]

CACHE_BYTES = 2 << 30
"""Memory that decoded images may take."""

_SHUFFLED_RECORDS = 16_384
"""Records that are read before the first step of an epoch: stored sets are in a random order."""

_SHUFFLE_BYTES = 1 << 30


def training_batches(
    dataset,
    *,
    size,
    image_bytes,
    batch_size,
    seed,
    augmenter=None,
    first_epoch=0,
    steps=None,
    records=False,
):
    """Return endless training batches, the same for the same seed.

    The order and the augmentation of an epoch depend on the seed and on the epoch's number alone,
    so that training can go on at any epoch as if it had never stopped.

    Args:
        dataset: `tf.data.Dataset` of (image, label), in a fixed order: what the augmenter takes, or
            uint8 images.
        size: Number of its images.
        image_bytes: Bytes of one element's image.
        batch_size: Images a batch; an epoch's incomplete last batch is left out.
        seed: Integer.
        augmenter: What is done to the images, an `augmenting.Augmenter`; None for nothing.
        first_epoch: Epoch to begin with, from 0.
        steps: Batches of an epoch; by default as many as are full.
        records: Whether elements are read from files of records, one after another: then fewer
            are read ahead.

    Returns:
        Infinite `tf.data.Dataset` of (uint8 images, labels).

    Example:
        >>> batches = training_batches(
        ...     dataset, size=50_000, image_bytes=3072, batch_size=128, seed=0
        ... )
    """
    batch_size = min(batch_size, size)
    decoded = augmenter is None or augmenter.decode is None
    if decoded and size * image_bytes <= CACHE_BYTES:
        dataset = dataset.cache()
    most = min(_SHUFFLED_RECORDS, size) if records else size
    buffer = min(most, max(batch_size, _SHUFFLE_BYTES // image_bytes))
    dataset = dataset.enumerate()
    steps = size // batch_size if steps is None else min(steps, size // batch_size)
    repeats = 1 if augmenter is None else augmenter.augmentation.repeats

    def epoch(number):
        # The seed of this function's graph alone: the order must not hang on the global seed, and
        # TensorFlow cannot combine a global seed 0 with a seed that is a tensor.
        tf.random.set_seed(1)
        order = dataset
        if repeats > 1 and buffer < size:
            # An epoch sees a part of the images, and the buffer reaches but from its beginning.
            order = dataset.skip(number % repeats * (size // repeats)).concatenate(dataset)
        order = order.shuffle(buffer, seed=seed * 1_000_003 + number)
        if augmenter is None:
            batches = order.map(lambda place, pair: pair).batch(batch_size, drop_remainder=True)
        else:
            batches = augmented_batches(order, augmenter, batch_size, seed, number)
        return batches.take(steps)

    epochs = tf.data.Dataset.counter(tf.constant(first_epoch, tf.int64))
    return epochs.flat_map(epoch).prefetch(tf.data.AUTOTUNE)


def augmented_batches(order, augmenter, batch_size, seed, epoch):
    """Return the batches of an epoch, augmented.

    Args:
        order: `tf.data.Dataset` of (place in the data set, (image, label)), in the epoch's order.
        augmenter: What is done to the images, an `augmenting.Augmenter`.
        batch_size: Images a batch; the copies of repeated images count.
        seed: Integer.
        epoch: The epoch's number, from 0.

    Returns:
        `tf.data.Dataset` of (uint8 images, labels).

    Example:
        >>> augmented_batches(dataset.enumerate(), augmenter, 128, seed=0, epoch=0)
    """
    key = seed + epoch * 2**32
    repeats = augmenter.augmentation.repeats

    def alone(index, element):
        place, (image, label) = element
        return place, (augmenter.versions(image, tf.stack([key, index])), label)

    def together(step, batch):
        places, (images, labels) = batch
        if augmenter.works_on_images:
            images = tf.reshape(images, (-1, *images.shape[2:]))
            places, labels = tf.repeat(places, repeats), tf.repeat(labels, repeats)
            # Where the repeats do not divide the batch, one image is there less often.
            images, places, labels = (part[:batch_size] for part in (images, places, labels))
        return augmenter.batch(images, labels, tf.stack([key, step]), places=places, epoch=epoch)

    if augmenter.works_on_images:
        order = _map(order, alone)
    return _map(order.batch(-(-batch_size // repeats), drop_remainder=True), together)


def _map(dataset, function):
    """Return `function` of each element's number and of the element."""
    # Augmentation branches by Python alone: there is nothing to convert.
    function = tf.autograph.experimental.do_not_convert(function)
    return dataset.enumerate().map(
        function, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )


def evaluation_batches(dataset, *, size, image_bytes, batch_size, classes=None):
    """Return batches in the data set's order, the last one smaller where it must be.

    Args:
        dataset: `tf.data.Dataset` of (uint8 image, label).
        size: Number of its images.
        image_bytes: Bytes of one image.
        batch_size: Images a batch.
        classes: Number of classes where labels become one-hot, else None.

    Returns:
        `tf.data.Dataset` of (uint8 images, labels).

    Example:
        >>> evaluation_batches(dataset, size=10_000, image_bytes=3072, batch_size=256)
    """
    batches = dataset.batch(batch_size)
    if classes is not None:
        batches = batches.map(lambda images, labels: (images, tf.one_hot(labels, classes)))
    if size * image_bytes <= CACHE_BYTES:
        batches = batches.cache()
    return batches.prefetch(tf.data.AUTOTUNE)
