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
from keras_resnets.data.batches import evaluation_batches, training_batches
from keras_resnets.errors import ConfigError, DataError
from keras_resnets.models.config import NetworkConfig

__all__ = ["ImageData", "first_line"]

_DEFAULT = Augmentation()
_NOTHING = Augmentation(crop="none", flip=False)


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
        read_full: Like `read`, but of (bytes of the image file, int64 label): the originals of
            images that come in many sizes, which some augmentations cut from. None where there are
            none.
    """

    name: str
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    sizes: dict[str, int]
    flip: bool
    read: Callable
    describe: Callable[[str, int], str] = "{} image {}".format
    source: str = ""
    read_full: Callable | None = None

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
        dataset = (self.read_full if augmenter.encoded else self.read)("train")
        return training_batches(
            dataset,
            size=self.sizes["train"],
            image_bytes=_file_bytes(dataset) if augmenter.encoded else self._image_bytes,
            batch_size=batch_size,
            seed=seed,
            augmenter=augmenter,
            first_epoch=first_epoch,
            steps=steps,
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
            encoded=recipe.cuts and self.read_full is not None,
        )

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

        def describe(split, position):
            if split == "train" and position >= self.sizes["train"]:
                return self.describe("validation", position - self.sizes["train"])
            return self.describe(split, position)

        return dataclasses.replace(
            self,
            sizes=self.sizes | {"train": self.sizes["train"] + self.sizes["validation"]},
            read=joined(self.read),
            read_full=self.read_full and joined(self.read_full),
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
        batches = list(self._decoded(split, self.sizes[split] if limit is None else limit))
        return tuple(np.concatenate(parts) for parts in zip(*batches, strict=True))

    def _decoded(self, split: str, limit: int):
        """Yield a split's batches; say which image cannot be decoded."""
        import tensorflow as tf

        dataset = self.read(split).take(limit)
        try:
            yield from dataset.batch(512).as_numpy_iterator()
        except tf.errors.InvalidArgumentError as error:
            position = 0
            with contextlib.suppress(tf.errors.InvalidArgumentError):
                for _ in dataset:
                    position += 1
            raise DataError(
                f"{self.describe(split, position)} of data set {self.name!r} cannot be decoded: "
                f"{first_line(error)}"
            ) from error

    def class_counts(self, split: str) -> np.ndarray:
        """Return the number of a split's images of each class, ``(classes,)``."""
        labels = self.read(split).take(self.sizes[split]).map(lambda image, label: label)
        batches = [np.asarray(batch) for batch in labels.batch(4096).as_numpy_iterator()]
        return np.bincount(np.concatenate(batches), minlength=self.classes)

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
        be decoded shows before hours of training. A constant channel gets standard deviation 1.

        Raises:
            DataError: An image of any split cannot be decoded.
        """
        for split in ("validation", "test"):
            for _ in self._decoded(split, self.sizes[split]):
                pass
        total = np.zeros((2, self.image_shape[2]))
        for images, _ in self._decoded("train", self.sizes["train"]):
            values = images.astype(np.float64)
            total += values.sum((0, 1, 2)), (values**2).sum((0, 1, 2))
        mean, square_mean = total / (self.sizes["train"] * np.prod(self.image_shape[:2]))
        std = np.sqrt(np.maximum(square_mean - mean**2, 0)).round(4)
        return tuple(mean.round(4).tolist()), tuple(np.where(std > 0, std, 1.0).tolist())


def _file_bytes(dataset) -> int:
    """Return about how large a file of a data set is: the mean of the first."""
    sizes = [len(data) for data, _ in dataset.take(64).as_numpy_iterator()]
    return max(1, sum(sizes) // len(sizes))


def first_line(error: Exception) -> str:
    """Return the first line of an error's message."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300]
