"""A classification data set: raw images in three splits, and batches of them."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from keras_resnets.data.augmentation import Augmentation
from keras_resnets.data.augmenting import Augmenter
from keras_resnets.data.batches import CACHE_BYTES, evaluation_batches, training_batches
from keras_resnets.errors import ConfigError, DataError
from keras_resnets.models.config import NetworkConfig
from keras_resnets.reading import reason

__all__ = ["ImageData", "Originals"]

_DEFAULT = Augmentation()
_NOTHING = Augmentation(crop="none", flip=False)

_SAMPLE = 4096
"""Images that stand for a data set that does not fit in memory: its channels' means vary by about
one in 255 between such samples."""


@dataclass(frozen=True)
class Originals:
    """The images of a data set before they are decoded.

    Attributes:
        read: Function from a split's name to a `tf.data.Dataset` of (original, int64 label).
        decode: Function from an original to a uint8 image of any size, in a graph.
        fit: Function from such an image to one of the data set's shape.
        resized: Whether images come in other sizes than the data set's: some augmentations then
            cut from them.
        bytes: Memory of an original; None to measure some.
    """

    read: Callable
    decode: Callable
    fit: Callable
    resized: bool
    bytes: int | None = None

    def decoded(self, original):
        """Return an original as an image of the data set's shape, in a graph."""
        return self.fit(self.decode(original))


@dataclass(frozen=True)
class ImageData:
    """A classification data set: raw images in three splits.

    Attributes:
        name: Its name.
        image_shape: ``(height, width, channels)`` of every image.
        class_names: The classes, in the order of their labels.
        sizes: Number of images of each split: ``train``, ``validation``, ``test``.
        flip: Whether a mirrored image is still of its class (not for digits and letters).
        read: Function from a split's name to a `tf.data.Dataset` of (uint8 image, int64 label).
        describe: Function from a split's name and an image's position to words for messages.
        source: What the images are taken from, for `fingerprint`: a version, or names and sizes.
        originals: The images before they are decoded, None where there are none.
        read_labels: Function from a split's name to its labels, where they are known without
            reading the images.
        find_unreadable: Function that returns the error naming all images that cannot be decoded,
            or None.
        notes: Lines that say how the images were found, and what was left out.
        address: What opens it, as the user gave it: a folder's path, where that is not the name.
    """

    name: str
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    sizes: dict[str, int]
    flip: bool
    read: Callable
    describe: Callable[[str, int], str] = "{} image {}".format
    source: str = ""
    originals: Originals | None = None
    read_labels: Callable[[str], np.ndarray] | None = None
    find_unreadable: Callable[[], DataError | None] | None = None
    notes: tuple[str, ...] = ()
    address: str = ""

    def __post_init__(self):
        for split, size in self.sizes.items():
            if not size:
                raise DataError(
                    f"data set {self.name!r} has too few images: its {split} split is empty. "
                    f"Received: {self.sizes}"
                )

    @property
    def fingerprint(self) -> str:
        """A hash that differs when the images, their classes, splits or shape do."""
        facts = (self.source, self.class_names, self.image_shape, sorted(self.sizes.items()))
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def crop_padding(self) -> int:
        """Pixels a training image is shifted at most: 4 at 32 pixels, as in He 2015."""
        side = min(self.image_shape[:2])
        return min(max(1, side // 8), side - 1)

    @property
    def _image_bytes(self) -> int:
        return math.prod(self.image_shape)

    def training_batches(
        self,
        batch_size: int,
        seed: int,
        *,
        augmentation: Augmentation | None = _DEFAULT,
        one_hot: bool = False,
        size: int | None = None,
        first_epoch: int = 0,
        steps: int | None = None,
    ):
        """Return endless shuffled, augmented training batches.

        The images of an epoch hang on the seed and on the epoch's number alone.

        Args:
            batch_size: Images a batch.
            seed: Integer.
            augmentation: What is done to the images; None for nothing.
            one_hot: Whether labels are one-hot float32, as they are wherever images are mixed.
            size: Shorter side of the batches' images, where it is not that of `image_shape`:
                training on smaller images first takes less time.
            first_epoch: Epoch to begin with, from 0.
            steps: Batches of an epoch; by default as many as are full.

        Returns:
            Infinite `tf.data.Dataset` of (uint8 images, labels).

        Raises:
            ConfigError: The augmentation does not fit the images.

        Example:
            >>> batches = data.training_batches(128, 0, augmentation=Augmentation(mixup=0.2))
        """
        augmenter = self.augmenter(augmentation, seed, one_hot=one_hot, size=size)
        originals = augmenter.decode is not None
        dataset = (self.originals.read if originals else self.read)("train")
        return training_batches(
            dataset,
            size=self.sizes["train"],
            image_bytes=self._original_bytes(dataset) if originals else self._image_bytes,
            batch_size=batch_size,
            seed=seed,
            augmenter=augmenter,
            first_epoch=first_epoch,
            steps=steps,
            records=originals and self.originals.bytes is None,
        )

    def augmenter(
        self,
        augmentation: Augmentation | None = _DEFAULT,
        seed: int = 0,
        *,
        one_hot: bool = False,
        size: int | None = None,
    ) -> Augmenter:
        """Return an augmentation made to fit these images; see `training_batches`."""
        recipe = _NOTHING if augmentation is None else augmentation
        height, width, _ = self.image_shape
        if size is None:
            size = min(height, width)
        if not isinstance(size, int) or size < 1:
            raise ConfigError(f"`size` must be a positive integer. Received: size={size}")
        scale = size / min(height, width)
        pads = recipe.crop == "pad"
        padding = self.crop_padding if recipe.padding is None else recipe.padding
        coins = np.random.default_rng(seed)
        return Augmenter(
            recipe,
            image_shape=self.image_shape,
            output_size=(round(height * scale), round(width * scale)),
            flip=self.flip,
            padding=padding if pads else 0,
            fill=self._fill(recipe) if pads and padding else None,
            classes=self.classes if one_hot or recipe.mixes else None,
            mirrored=coins.random(self.sizes["train"]) < 0.5,
            decode=self._decode_for(recipe),
        )

    def _decode_for(self, recipe: Augmentation) -> Callable | None:
        """Return how training decodes originals; None where it takes images kept decoded."""
        if self.originals is None:
            return None
        if recipe.cuts and self.originals.resized:
            return self.originals.decode
        # What does not fit in memory is shuffled before it is decoded: no wait for a full buffer.
        return None if self._fits_in_memory("train") else self.originals.decoded

    def _fits_in_memory(self, split: str) -> bool:
        return self.sizes[split] * self._image_bytes <= CACHE_BYTES

    def _original_bytes(self, dataset) -> int:
        """Return about how large an original is: the mean of the first."""
        if self.originals.bytes is not None:
            return self.originals.bytes
        sizes = [len(data) for data, _ in dataset.take(64).as_numpy_iterator()]
        return max(1, sum(sizes) // len(sizes))

    def _fill(self, recipe: Augmentation) -> tuple[float, ...] | None:
        if recipe.pad_mode == "reflect":
            return None
        mean = recipe.pad_mode == "mean"
        return self.channel_statistics[0] if mean else (0.0,) * self.image_shape[2]

    def without_validation(self) -> ImageData:
        """Return a copy that trains on the validation images too.

        As the papers do that report a test error: on all 50,000 training images of CIFAR-10. The
        validation split stays what it was, and says nothing of images not seen any more.

        Example:
            >>> load_data("cifar10").without_validation().sizes["train"]
            50000
        """

        def joined(read):
            def read_joined(split):
                parts = ("train", "validation") if split == "train" else (split,)
                return functools.reduce(lambda a, b: a.concatenate(b), map(read, parts))

            return read_joined

        def read_joined_labels(split):
            parts = ("train", "validation") if split == "train" else (split,)
            return np.concatenate([self.read_labels(part) for part in parts])

        def describe(split, position):
            if split == "train" and position >= self.sizes["train"]:
                return self.describe("validation", position - self.sizes["train"])
            return self.describe(split, position)

        return dataclasses.replace(
            self,
            sizes=self.sizes | {"train": self.sizes["train"] + self.sizes["validation"]},
            read=joined(self.read),
            originals=self.originals
            and dataclasses.replace(self.originals, read=joined(self.originals.read)),
            read_labels=self.read_labels and read_joined_labels,
            describe=describe,
        )

    def steps_per_epoch(self, batch_size: int) -> int:
        """Number of full training batches in an epoch, at least one."""
        return max(1, self.sizes["train"] // batch_size)

    def evaluation_batches(self, split: str, batch_size: int, *, one_hot: bool = False):
        """Return a split's batches in a fixed order, without augmentation.

        Args:
            split: ``"train"``, ``"validation"`` or ``"test"``.
            batch_size: Images a batch; the last one may be smaller.
            one_hot: Whether labels are one-hot float32.

        Returns:
            `tf.data.Dataset` of (uint8 images, labels).
        """
        return evaluation_batches(
            self.read(split),
            size=self.sizes[split],
            image_bytes=self._image_bytes,
            batch_size=batch_size,
            classes=self.classes if one_hot else None,
        )

    def images(self, split: str, limit: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return a split, or its first `limit` images, as (uint8 images, labels) in memory.

        Raises:
            DataError: An image cannot be decoded.
        """
        wanted = min(self.sizes[split], self.sizes[split] if limit is None else limit)
        batches = list(self._decoded(split, wanted))
        self.check_found(split, sum(len(labels) for _, labels in batches), wanted)
        return tuple(np.concatenate(parts) for parts in zip(*batches, strict=True))

    def _decoded(self, split: str, limit: int):
        """Yield a split's batches; say which image cannot be decoded."""
        import tensorflow as tf

        dataset = self.read(split).take(limit)
        try:
            yield from dataset.batch(512).as_numpy_iterator()
        except tf.errors.OpError as error:
            raise self.decoding_error(split, error) from error

    @contextlib.contextmanager
    def reading_errors(self, split: str):
        """Raise `DataError` for an error of TensorFlow that the images or their files have caused.

        Others, such as a lack of memory, pass: they are not the data's.
        """
        import tensorflow as tf

        try:
            yield
        except (tf.errors.DataLossError, tf.errors.NotFoundError) as error:
            raise self.decoding_error(split, error) from error
        except tf.errors.OpError as error:
            if "dataset was expected to contain" in str(error):  # a split's files hold less
                raise self.decoding_error(split, error) from error
            found = None if self.find_unreadable is None else self.find_unreadable()
            if found is None:
                raise
            raise found from error

    def check_found(self, split: str, found: int, wanted: int) -> None:
        """Raise `DataError` where a split's files hold fewer images than its metadata say."""
        if found < wanted:
            raise DataError(
                f"the {split} split of data set {self.name!r} holds {found:,} images; its metadata "
                f"promise {self.sizes[split]:,}: prepare it again"
            )

    def decoding_error(self, split: str, error: Exception) -> DataError:
        """Return the error that names the images that cannot be read or decoded.

        Args:
            split: Where the decoding failed.
            error: What TensorFlow raised.
        """
        import tensorflow as tf

        found = None if self.find_unreadable is None else self.find_unreadable()
        if found is not None:
            return found
        position = 0
        with contextlib.suppress(tf.errors.OpError):
            for _ in self.read(split):
                position += 1
        what = "decoded" if isinstance(error, tf.errors.InvalidArgumentError) else "read"
        return DataError(
            f"{self.describe(split, position)} of data set {self.name!r} cannot be {what}: "
            f"{reason(error)}"
        )

    def class_counts(self, split: str) -> np.ndarray:
        """Return how many images each class has in a split, ``(classes,)``.

        Example:
            >>> load_data("cifar10").class_counts("test")[0]
            1000
        """
        if self.read_labels is not None:
            labels = self.read_labels(split)
        else:
            read = self.read if self.originals is None else self.originals.read
            labels = read(split).take(self.sizes[split]).map(lambda _, label: label)
            with self.reading_errors(split):
                labels = np.fromiter(labels.as_numpy_iterator(), np.int64)
        return np.bincount(labels, minlength=self.classes)

    def adapt(self, config: NetworkConfig) -> NetworkConfig:
        """Return `config` for these images: their shape, classes and channel statistics.

        The network then takes raw images.

        Raises:
            DataError: An image of any split cannot be decoded.
        """
        mean, std = self.channel_statistics
        return config.replace(
            input_shape=self.image_shape, classes=self.classes, input_mean=mean, input_std=std
        )

    @functools.cached_property
    def channel_statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel over the training images.

        Computed by one pass over the data, which decodes the other splits too: an image that cannot
        be decoded shows before hours of training. Where the images do not fit in memory, the first
        4,096 training images stand for all: data sets are stored in a random order. A constant
        channel gets standard deviation 1.

        Raises:
            DataError: An image that was decoded cannot be.
        """
        count = self.sizes["train"]
        if self._fits_in_memory("train"):
            for split in ("validation", "test"):
                for _ in self._decoded(split, self.sizes[split]):
                    pass
        else:
            count = min(count, _SAMPLE)
        total = np.zeros((2, self.image_shape[2]))
        for images, _ in self._decoded("train", count):
            values = images.astype(np.float64)
            total += values.sum((0, 1, 2)), (values**2).sum((0, 1, 2))
        mean, square_mean = total / (count * np.prod(self.image_shape[:2]))
        std = np.sqrt(np.maximum(square_mean - mean**2, 0)).round(4)
        return tuple(mean.round(4).tolist()), tuple(np.where(std > 0, std, 1.0).tolist())
