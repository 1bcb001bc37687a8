"""Any TensorFlow Datasets name works: tiny real builders, prepared by TFDS itself."""

import os

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from keras_resnets.data import Augmentation, load_data
from keras_resnets.errors import DataError, InputError, RunError


class _Tiny(tfds.core.GeneratorBasedBuilder):
    """A data set of random images; subclasses say which."""

    VERSION = tfds.core.Version("1.0.0")
    SKIP_REGISTERING = True  # abstract: only the subclasses below are data sets

    shape = (10, 10, 3)
    names = ("cat", "dog", "frog")
    splits = {"train": 50, "test": 20}
    image_dtype = np.uint8

    def features(self):
        return {
            "image": tfds.features.Image(shape=self.shape, dtype=self.image_dtype),
            "label": tfds.features.ClassLabel(names=self.names),
        }

    supervised_keys = ("image", "label")

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            description="Random images.",
            features=tfds.features.FeaturesDict(self.features()),
            supervised_keys=self.supervised_keys,
        )

    def _split_generators(self, dl_manager):
        return {
            name: self._generate_examples(count, seed)
            for seed, (name, count) in enumerate(self.splits.items())
        }

    def _generate_examples(self, count, seed):
        rng = np.random.default_rng(seed)
        for index in range(count):
            height, width = (size or int(rng.integers(5, 30)) for size in self.shape[:2])
            image = rng.integers(0, 256, (height, width, self.shape[2])).astype(self.image_dtype)
            yield index, {"image": image, "label": int(rng.integers(len(self.names)))}


class TinyColour(_Tiny):
    """Colour images, training and test splits."""


class TinyGrey(_Tiny):
    """Grey images of letters, one split."""

    shape = (9, 7, 1)
    names = ("a", "b")
    splits = {"train": 40}


class TinyVarying(_Tiny):
    """Images of many sizes, all three splits, classes with numbers for names."""

    shape = (None, None, 3)
    names = tuple(str(number) for number in range(12))
    splits = {"train": 30, "validation": 10, "test": 12}


class TinyValidated(_Tiny):
    """No test split."""

    splits = {"train": 30, "validation": 10}


class TinyUntrained(_Tiny):
    """No training split."""

    splits = {"test": 30, "extra": 3}


class TinyFew(_Tiny):
    """Too few images to cut a validation split from."""

    splits = {"train": 3, "test": 3}


class TinyDeepColour(_Tiny):
    """Images of 16 bits."""

    image_dtype = np.uint16


class TinyUnsupervised(_Tiny):
    """A data set that does not say what to learn."""

    supervised_keys = None


class TinyMasks(_Tiny):
    """Segmentation."""

    supervised_keys = ("image", "mask")

    def features(self):
        return {
            "image": tfds.features.Image(shape=self.shape),
            "mask": tfds.features.Image(shape=(10, 10, 1)),
        }


class TinyTable(_Tiny):
    """A table."""

    def features(self):
        return {
            "image": tfds.features.Tensor(shape=(4,), dtype=np.float32),
            "label": tfds.features.ClassLabel(names=self.names),
        }


class TinyBroken(_Tiny):
    """A download that fails."""

    def _split_generators(self, dl_manager):
        raise ConnectionError("the server is on holiday\nand more lines")


@pytest.fixture(scope="module", autouse=True)
def _quiet():
    tfds.disable_progress_bar()


@pytest.mark.parametrize(
    ("name", "options", "shape", "sizes", "flip"),
    [
        ("tiny_colour", {}, (10, 10, 3), (45, 5, 20), True),
        ("tiny_colour", {"flip": False, "image_size": 16}, (16, 16, 3), (45, 5, 20), False),
        ("tiny_grey", {}, (9, 7, 1), (32, 4, 4), False),
        ("tiny_grey", {"flip": True, "image_size": 5}, (5, 5, 1), (32, 4, 4), True),
        ("tiny_varying", {}, (64, 64, 3), (30, 10, 12), False),
        ("tiny_varying", {"image_size": 8}, (8, 8, 3), (30, 10, 12), False),
        ("tiny_validated", {}, (10, 10, 3), (27, 3, 10), True),
    ],
)
@pytest.mark.sampled(1)
def test_a_data_set_becomes_three_splits_of_raw_images(name, options, shape, sizes, flip):
    data = load_data(name, **options)
    assert data.name == name
    assert data.image_shape == shape
    assert tuple(data.sizes.values()) == sizes
    assert list(data.sizes) == ["train", "validation", "test"]
    assert data.flip is flip
    for split, size in data.sizes.items():
        images, labels = data.images(split)
        assert images.shape == (size, *shape)
        assert images.dtype == np.uint8
        assert labels.shape == (size,)
        assert 0 <= labels.min() <= labels.max() < data.classes
    batch, labels = next(data.training_batches(8, 0).as_numpy_iterator())
    assert batch.shape == (8, *shape)
    assert batch.dtype == np.uint8
    config = data.adapt(_config())
    assert config.input_shape == shape
    assert config.classes == data.classes


def _config():
    from keras_resnets import ResNetConfig

    return ResNetConfig()


@pytest.mark.parametrize("name", ["tiny_colour", "tiny_grey", "tiny_validated"])
@pytest.mark.sampled(1)
def test_the_splits_do_not_overlap(name):
    data = load_data(name)
    rows = [image.tobytes() for split in data.sizes for image in data.images(split)[0]]
    assert len(set(rows)) == len(rows) == sum(data.sizes.values())


def test_images_come_in_the_same_order_every_time():
    first, second = (load_data("tiny_colour").images("train") for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_the_data_folder_can_be_chosen(tmp_path):
    load_data("tiny_grey", data_dir=tmp_path)
    assert (tmp_path / "tiny_grey" / "1.0.0" / "dataset_info.json").is_file()


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("fashion_mnst", ["'fashion_mnst'", "nearest: fashion_mnist"]),
        ("keras_resnets_digit", ["nearest: keras_resnets_digits"]),
        ("tiny_color", ["nearest: tiny_colour"]),
        ("qqqqqqqqqqqq", ["no data set is named 'qqqqqqqqqqqq'", "no folder has this path"]),
        ("two words", ["'two words' cannot be opened"]),
        ("tiny_grey/nope", ["'tiny_grey/nope' cannot be opened"]),
        ("tiny_grey:9.9.9", ["'tiny_grey:9.9.9' cannot be opened", "1.0.0"]),
        ("", ["`name` must be", "name=''"]),
        ("./photos", ["dataset folder './photos' does not exist"]),
        ("~/no/such/photos", ["no/such/photos' does not exist"]),
        ("tiny_untrained", ["'tiny_untrained' has no 'train' split", "test", "extra"]),
        ("tiny_few", ["'tiny_few' has too few images", "validation split is empty"]),
        ("tiny_deep_colour", ["must be uint8", "Received: uint16"]),
        ("tiny_unsupervised", ["not for image classification", "supervised keys None"]),
        ("tiny_masks", ["not for image classification", "image, mask"]),
        ("tiny_table", ["not for image classification", "image, label"]),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(name, parts):
    with pytest.raises(DataError) as caught:
        load_data(name)
    message = str(caught.value)
    assert isinstance(caught.value, InputError)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_nearest_names_are_given_once(digits):
    with pytest.raises(DataError) as caught:
        load_data("keras_resnets_digit")
    assert str(caught.value).count("keras_resnets_digits") == 1


@pytest.mark.parametrize("size", [0, -3, 2.5, "8"])
def test_an_illegal_image_size_is_refused(size):
    with pytest.raises(
        DataError, match=r"`image_size` must be a positive integer or \(height, width\)\. Rec"
    ):
        load_data("tiny_colour", image_size=size)


def test_what_is_not_for_classification_is_refused_before_it_is_prepared(tfds_dir):
    with pytest.raises(DataError):
        load_data("tiny_masks")
    assert "tiny_masks" not in os.listdir(tfds_dir)


def test_a_failed_preparation_leaves_nothing_that_looks_prepared():
    for _ in range(2):
        # No fault of the input: the same command may succeed later.
        with pytest.raises(RunError, match=r"cannot be prepared .*: the server is on holiday$"):
            load_data("tiny_broken")


def test_augmentation_cuts_from_originals_that_differ_in_size():
    data = load_data("tiny_varying", image_size=8)
    originals = list(data.originals.read("train"))
    assert len({tf.io.decode_image(image).shape[:2] for image, _ in originals}) > 10
    assert [int(label) for _, label in originals] == list(data.images("train")[1])
    augmentation = Augmentation(crop="random_resized")
    batches = data.without_validation().training_batches(40, 0, augmentation=augmentation)
    images, _ = next(batches.as_numpy_iterator())
    assert images.shape == (40, 8, 8, 3)
    assert load_data("tiny_colour").augmenter(augmentation).decode is None
