"""What a data set offers a network: statistics, sizes, batches."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_resnets import ResNetConfig
from keras_resnets.data import ImageData
from keras_resnets.errors import DataError


def in_memory(images, **changes):
    """A data set of the given images, the same in every split."""
    labels = np.arange(len(images)) % 2
    values = {
        "name": "memory",
        "image_shape": images.shape[1:],
        "class_names": ("yes", "no"),
        "sizes": dict.fromkeys(("train", "validation", "test"), len(images)),
        "flip": True,
        "read": lambda split: tf.data.Dataset.from_tensor_slices((images, labels)),
    }
    return ImageData(**(values | changes))


@settings(max_examples=10)
@given(
    shape=st.tuples(st.integers(1, 700), st.integers(1, 6), st.integers(1, 6), st.integers(1, 4)),
    low=st.integers(0, 255),
    seed=st.integers(0, 99),
)
def test_channel_statistics_are_numpys(shape, low, seed):
    images = np.random.default_rng(seed).integers(low, 256, shape, np.uint8)
    mean, std = in_memory(images).channel_statistics
    np.testing.assert_allclose(mean, images.mean((0, 1, 2)), atol=6e-5)
    expected = images.std((0, 1, 2)).round(4)
    np.testing.assert_allclose(std, np.where(expected > 0, expected, 1), atol=2e-4)


def test_channel_statistics_of_the_digits_are_of_the_training_images_alone(digits):
    images, _ = digits.images("train")
    mean, std = digits.channel_statistics
    np.testing.assert_allclose([*mean, *std], [images.mean(), images.std()], atol=6e-5)


@pytest.mark.parametrize("value", [0, 77, 255])
def test_a_constant_channel_does_not_divide_by_zero(value):
    images = np.random.default_rng(0).integers(0, 256, (300, 3, 3, 2), np.uint8)
    images[..., 1] = value
    mean, std = in_memory(images).channel_statistics
    assert (mean[1], std[1]) == (value, 1)
    in_memory(images).adapt(ResNetConfig())


def test_a_channel_that_is_nearly_constant_does_not_divide_by_zero():
    """Hardly a pixel differs: the standard deviation rounds to zero."""
    images = np.full((1, 2, 2, 1), 9, np.uint8)
    data = in_memory(images)
    images[0, 0, 0] = 10
    data.sizes["train"] = 10**12  # stands for as many images that are not read
    assert data.channel_statistics[1][0] > 0


def test_a_config_is_adapted_to_the_images(few_digits):
    config = few_digits.adapt(ResNetConfig(blocks=(2, 2), widths=(4, 8), dropout=0.1))
    mean, std = few_digits.channel_statistics
    assert config == ResNetConfig(
        blocks=(2, 2),
        widths=(4, 8),
        dropout=0.1,
        input_shape=(8, 8, 1),
        classes=10,
        input_mean=mean,
        input_std=std,
    )


@pytest.mark.parametrize(
    ("shape", "padding"),
    [
        ((32, 32, 3), 4),
        ((64, 64, 3), 8),
        ((28, 28, 1), 3),
        ((8, 8, 1), 1),
        ((4, 100, 1), 1),
        ((2, 2, 1), 1),
        ((1, 1, 1), 0),
    ],
)
@pytest.mark.sampled(2)
def test_shifts_fit_the_images(shape, padding):
    data = in_memory(np.zeros((4, *shape), np.uint8))
    assert data.crop_padding == padding
    images, _ = next(data.training_batches(4, 0).as_numpy_iterator())
    assert images.shape == (4, *shape)


@pytest.mark.parametrize(("batch_size", "steps"), [(1, 10), (3, 3), (10, 1), (64, 1)])
def test_steps_are_the_full_batches_of_an_epoch(batch_size, steps):
    data = in_memory(np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1))
    assert data.steps_per_epoch(batch_size) == steps
    batches = data.training_batches(batch_size, 0, augmentation=None).take(steps)
    seen = np.concatenate([images.ravel() for images, _ in batches.as_numpy_iterator()])
    assert len(set(seen)) == len(seen) == steps * min(batch_size, 10)


def test_without_augmentation_images_come_as_they_are(few_digits):
    images, labels = few_digits.images("train")
    rows = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    for images, labels in few_digits.training_batches(32, 0, augmentation=None).take(3):
        for image, label in zip(images.numpy(), labels.numpy(), strict=True):
            assert rows[image.tobytes()] == label


def test_digits_are_shifted_but_not_mirrored_in_training(few_digits):
    """Against every shift of every original: a mirrored digit would be none of them."""
    originals, _ = few_digits.images("train")
    padded = np.pad(originals, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    shifted = {
        image.tobytes()
        for row in range(3)
        for column in range(3)
        for image in padded[:, row : row + 8, column : column + 8]
    }
    batches = list(few_digits.training_batches(32, 0).take(6).as_numpy_iterator())
    seen = {image.tobytes() for images, _ in batches for image in images}
    assert seen <= shifted
    assert len(seen - {image.tobytes() for image in originals}) > 50
    mirrored = dataclasses.replace(few_digits, flip=True)
    batches = list(mirrored.training_batches(32, 0).take(6).as_numpy_iterator())
    assert not {image.tobytes() for images, _ in batches for image in images} <= shifted


@pytest.mark.parametrize("limit", [1, 39, 40, 1000, None])
@pytest.mark.sampled(1)
def test_images_in_memory(limit, few_digits):
    images, labels = few_digits.images("test", limit)
    assert len(images) == len(labels) == min(40, limit or 40)
    np.testing.assert_array_equal(images, few_digits.images("test")[0][: len(images)])


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_an_empty_split_is_refused(split):
    sizes = {"train": 3, "validation": 3, "test": 3, split: 0}
    with pytest.raises(DataError, match=f"its {split} split is empty"):
        in_memory(np.zeros((3, 2, 2, 1), np.uint8), sizes=sizes)


def test_training_may_take_the_validation_images_too():
    """As two splits in one, each image once an epoch; the test split stays what it was."""
    images = np.arange(12, dtype=np.uint8).reshape(12, 1, 1, 1)
    parts = {"train": images[:7], "validation": images[7:10], "test": images[10:]}
    data = in_memory(
        images,
        sizes={split: len(part) for split, part in parts.items()},
        read=lambda split: tf.data.Dataset.from_tensor_slices(
            (parts[split], np.zeros(len(parts[split]), np.int64))
        ),
    )
    whole = data.without_validation()
    assert whole.sizes == {"train": 10, "validation": 3, "test": 2}
    assert whole.fingerprint != data.fingerprint
    assert whole.channel_statistics[0] == (4.5,)
    for split, expected in (("train", 10), ("validation", 3), ("test", 2)):
        assert len(whole.images(split)[0]) == expected
    ((batch, _),) = whole.training_batches(10, 0, augmentation=None).take(1).as_numpy_iterator()
    assert sorted(batch.ravel()) == list(range(10))
    assert whole.describe("train", 8) == data.describe("validation", 1)
    assert whole.describe("train", 6) == data.describe("train", 6)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.sampled(1)
def test_labels_may_be_one_hot(split, few_digits):
    batches = (
        few_digits.training_batches(32, 0, one_hot=True)
        if split == "train"
        else few_digits.evaluation_batches(split, 32, one_hot=True)
    )
    plain = (
        few_digits.training_batches(32, 0)
        if split == "train"
        else few_digits.evaluation_batches(split, 32)
    )
    _, labels = next(batches.as_numpy_iterator())
    _, classes = next(plain.as_numpy_iterator())
    assert labels.dtype == np.float32
    np.testing.assert_array_equal(labels, np.eye(10)[classes])
