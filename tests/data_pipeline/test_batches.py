"""Batches: the same for the same seed, other ones every epoch, and going on at any epoch."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_resnets.data import Augmentation
from keras_resnets.data.augmenting import Augmenter, shift
from keras_resnets.data.batches import evaluation_batches, training_batches

SIZE = 23


def _augmenter(shape, padding=2):
    return Augmenter(Augmentation(), image_shape=shape, output_size=shape[:2], padding=padding)


def _source(size=SIZE, shape=(6, 5, 2)):
    """Images whose pixels all tell their number."""
    images = np.broadcast_to(np.arange(size, dtype=np.uint8)[:, None, None, None], (size, *shape))
    return tf.data.Dataset.from_tensor_slices((images, np.arange(size)))


def _take(steps, *, seed=0, batch_size=5, size=SIZE, **options):
    batches = training_batches(
        _source(size), size=size, image_bytes=60, batch_size=batch_size, seed=seed, **options
    )
    return [(images, labels) for images, labels in batches.take(steps).as_numpy_iterator()]


def _assert_same(left, right):
    assert len(left) == len(right)
    for (images, labels), (other_images, other_labels) in zip(left, right, strict=True):
        np.testing.assert_array_equal(images, other_images)
        np.testing.assert_array_equal(labels, other_labels)


def _labels(batches):
    return [tuple(labels) for _, labels in batches]


@settings(max_examples=8)
@given(
    seed=st.integers(0, 2**31 - 1),
    first_epoch=st.integers(0, 5),
    augmented=st.booleans(),
    global_seeds=st.tuples(st.integers(0, 9), st.integers(0, 9)),
)
@pytest.mark.large
def test_any_epoch_goes_on_as_if_it_had_never_stopped(seed, first_epoch, augmented, global_seeds):
    options = {"seed": seed, "augmenter": _augmenter((6, 5, 2)) if augmented else None}
    tf.random.set_seed(global_seeds[0])
    whole = _take(4 * (first_epoch + 2), **options)
    tf.random.set_seed(global_seeds[1])
    rest = _take(4 * 2, first_epoch=first_epoch, **options)
    _assert_same(whole[4 * first_epoch :], rest)


@given(seed=st.integers(0, 2**31 - 1))
@settings(max_examples=5)
def test_every_epoch_has_every_image_once_in_another_order(seed):
    labels = _labels(_take(3 * 4, seed=seed, batch_size=6, size=24))
    epochs = [list(itertools.chain(*labels[i : i + 4])) for i in (0, 4, 8)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(24))
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_other_seeds_give_other_orders():
    orders = {tuple(_labels(_take(4, seed=seed))) for seed in range(6)}
    assert len(orders) == 6


def test_the_incomplete_last_batch_is_left_out():
    shapes = {images.shape for images, _ in _take(12, batch_size=5)}
    assert shapes == {(5, 6, 5, 2)}


def test_a_batch_larger_than_the_data_holds_all_of_it():
    ((_, labels),) = _take(1, batch_size=100)
    assert sorted(labels) == list(range(SIZE))


def test_images_stay_with_their_labels():
    for images, labels in _take(8, augmenter=_augmenter((6, 5, 2))):
        np.testing.assert_array_equal(images.min((1, 2, 3)), labels)
        np.testing.assert_array_equal(images.max((1, 2, 3)), labels)


def test_evaluation_keeps_the_order_and_the_rest():
    batches = evaluation_batches(_source(), size=SIZE, image_bytes=60, batch_size=10)
    for _ in range(2):
        labels = [list(labels) for _, labels in batches.as_numpy_iterator()]
        assert labels == [list(range(10)), list(range(10, 20)), list(range(20, 23))]


def test_evaluation_labels_may_be_one_hot():
    batches = evaluation_batches(_source(), size=SIZE, image_bytes=60, batch_size=10, classes=23)
    labels = np.concatenate([labels for _, labels in batches.as_numpy_iterator()])
    assert labels.dtype == np.float32
    np.testing.assert_array_equal(labels, np.eye(23))


@pytest.mark.parametrize("evaluation", [True, False])
@pytest.mark.parametrize(("image_bytes", "cached"), [(60, True), (1 << 30, False)])
def test_only_what_fits_is_kept_in_memory(evaluation, image_bytes, cached):
    reads = []

    def count(image, label):
        tf.py_function(lambda: reads.append(1), [], [])
        return image, label

    make = evaluation_batches if evaluation else training_batches
    options = {} if evaluation else {"seed": 0}
    batches = make(
        _source().map(count), size=SIZE, image_bytes=image_bytes, batch_size=SIZE, **options
    )
    if evaluation:
        for _ in range(3):
            list(batches)
        assert len(reads) == (SIZE if cached else 3 * SIZE)
    else:
        list(batches.take(3))
        assert (len(reads) == SIZE) == cached


# Augmentation


def _images(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def _candidates(image, flip, padding):
    """Every image that augmentation may make of `image`, by numpy alone."""
    height, width = image.shape[:2]
    padded = np.pad(image, ((padding,) * 2, (padding,) * 2, (0, 0)), mode="reflect")
    crops = [
        padded[row : row + height, column : column + width]
        for row in range(2 * padding + 1)
        for column in range(2 * padding + 1)
    ]
    mirrored = [crop[:, ::-1] for crop in crops] if flip else []
    return {crop.tobytes() for crop in (*crops, *mirrored)}


@given(
    shape=st.tuples(st.integers(1, 4), st.integers(4, 9), st.integers(4, 9), st.integers(1, 3)),
    flip=st.booleans(),
    padding=st.integers(0, 3),
    seed=st.tuples(st.integers(0, 2**40), st.integers(0, 2**31)),
)
def test_augmentation_only_mirrors_and_shifts_with_a_reflected_border(shape, flip, padding, seed):
    images = _images(shape)
    result = shift(tf.constant(images), tf.constant(seed, tf.int64), flip, padding)
    assert result.dtype == tf.uint8
    assert result.shape == shape
    for before, after in zip(images, result.numpy(), strict=True):
        assert after.tobytes() in _candidates(before, flip, padding)
    again = shift(tf.constant(images), tf.constant(seed, tf.int64), flip, padding)
    np.testing.assert_array_equal(result, again)


def test_nothing_to_do_changes_nothing():
    images = _images((3, 4, 4, 1))
    np.testing.assert_array_equal(shift(tf.constant(images), [1, 2], False, 0), images)


def _variants(flip, padding, count=2000):
    """What becomes of `count` copies of one image, with how often."""
    image = _images((1, 5, 6, 1))
    result = shift(tf.constant(np.repeat(image, count, 0)), [3, 4], flip, padding).numpy()
    return np.unique(result.reshape(count, -1), axis=0, return_counts=True)[1]


@pytest.mark.parametrize(
    ("flip", "padding", "variants"), [(True, 0, 2), (False, 1, 9), (True, 1, 18), (False, 2, 25)]
)
def test_every_variant_is_about_equally_likely(flip, padding, variants):
    counts = _variants(flip, padding)
    assert len(counts) == variants
    expected = 2000 / variants
    assert abs(counts - expected).max() < 5 * np.sqrt(expected)


def test_each_image_has_its_own_offsets():
    images = np.repeat(_images((1, 8, 8, 1)), 32, 0)
    result = shift(tf.constant(images), [0, 0], True, 1).numpy()
    assert len({image.tobytes() for image in result}) > 8


def test_epochs_and_steps_augment_differently():
    """The same image in every place: only augmentation can make a difference."""
    image = _images((1, 8, 8, 1))
    source = tf.data.Dataset.from_tensor_slices((np.repeat(image, 8, 0), np.zeros(8)))
    batches = training_batches(
        source, size=8, image_bytes=64, batch_size=4, seed=0, augmenter=_augmenter((8, 8, 1))
    )
    seen = {images.tobytes() for images, _ in batches.take(6).as_numpy_iterator()}
    assert len(seen) == 6
