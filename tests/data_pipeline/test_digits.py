"""The embedded data set: real digits in splits that never change."""

import hashlib
from collections import defaultdict

import numpy as np
import pytest
from sklearn.datasets import load_digits

SIZES = {"train": 1257, "validation": 264, "test": 276}

DIGESTS = {
    "train": "5fafed4790173f3863a41aa8594bd13446345048dfbb82996e180b2d18c8453a",
    "validation": "fb4f4da94e7c0ea54fe18aebaa3481f95270c8915e6a68f14db14635cbd95e67",
    "test": "ca78c031805c3ce3403e185f6e98423ffb9eae390b081f9d01e17cc309201de5",
}
"""SHA-256 of each split's images with their labels, in the order of their bytes."""


@pytest.fixture(scope="module")
def splits(digits):
    return {split: digits.images(split) for split in SIZES}


def _rows(images, labels):
    return sorted(
        image.tobytes() + bytes([label]) for image, label in zip(images, labels, strict=True)
    )


def test_what_it_is(digits):
    assert digits.name == "keras_resnets_digits"
    assert digits.image_shape == (8, 8, 1)
    assert digits.class_names == tuple("0123456789")
    assert digits.classes == 10
    assert digits.sizes == SIZES


def test_digits_are_never_mirrored(digits):
    assert digits.flip is False


@pytest.mark.parametrize("split", SIZES)
def test_a_split_is_always_the_same(split, splits):
    images, labels = splits[split]
    assert images.dtype == np.uint8
    assert labels.dtype == np.int64
    assert images.shape == (SIZES[split], 8, 8, 1)
    assert labels.shape == (SIZES[split],)
    digest = hashlib.sha256(b"".join(_rows(images, labels))).hexdigest()
    assert digest == DIGESTS[split]


def test_the_splits_are_scikit_learns_digits(splits):
    ours = sorted(row for split in splits.values() for row in _rows(*split))
    source = load_digits()
    images = np.round(source.images * 255 / 16).astype(np.uint8)
    assert ours == _rows(images, source.target)
    assert {images.min(), images.max()} == {0, 255}


def test_every_class_is_in_every_split(splits):
    for _, labels in splits.values():
        assert np.bincount(labels, minlength=10).min() >= 15


def test_equal_images_never_cross_splits():
    from keras_resnets.data.digits import _split_of

    source = load_digits()
    rng = np.random.default_rng(0)
    images = np.round(source.images[:200] * 255 / 16).astype(np.uint8)[..., np.newaxis]
    expected = [_split_of(image) for image in images]
    assert set(expected) == set(SIZES)
    for order in (rng.permutation(200), rng.permutation(200)):  # whatever stands around an image
        assert [_split_of(image) for image in images[order].copy()] == [expected[i] for i in order]


def test_no_image_is_in_two_splits(splits):
    where = defaultdict(set)
    for split, (images, _) in splits.items():
        for image in images:
            where[image.tobytes()].add(split)
    assert all(len(found) == 1 for found in where.values())


def test_tfds_loads_it_by_name_too(digits, tfds_dir):
    import tensorflow_datasets as tfds

    builder = tfds.builder("keras_resnets_digits")
    assert str(builder.data_path).startswith(tfds_dir)
    dataset = tfds.load("keras_resnets_digits", split="test", as_supervised=True)
    image, label = next(dataset.take(1).as_numpy_iterator())
    first, labels = digits.images("test", 1)
    np.testing.assert_array_equal(image, first[0])
    assert label == labels[0]


def test_it_is_prepared_once(tfds_dir, digits):
    """A second opening reads what the first one wrote, from a folder of the user's choice too."""
    from pathlib import Path

    from keras_resnets.data import load_data

    def records():
        return {
            p: p.stat().st_mtime_ns
            for p in Path(tfds_dir).glob("keras_resnets_digits/**/*tfrecord*")
        }

    before = records()
    assert len(before) == 3
    load_data()
    load_data("keras_resnets_digits", data_dir=tfds_dir)
    assert records() == before
