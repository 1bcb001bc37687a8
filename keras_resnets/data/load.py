"""One way in: a TFDS name or a folder of images becomes splits of raw images and batches."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import math
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_resnets.data.batches import evaluation_batches, training_batches
from keras_resnets.data.digits import DIGITS
from keras_resnets.data.folder import FolderSource, square
from keras_resnets.errors import DataError, RunError, nearest
from keras_resnets.models.config import NetworkConfig

__all__ = ["ImageData", "load_data"]

DEFAULT_IMAGE_SIZE = 64
"""Side in pixels of images that come in many sizes, unless the caller says otherwise."""


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
    """

    name: str
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    sizes: dict[str, int]
    flip: bool
    read: Callable
    describe: Callable[[str, int], str] = "{} image {}".format
    source: str = ""

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

    def training_batches(self, batch_size: int, seed: int, *, augment=True, first_epoch=0):
        """Return endless shuffled, augmented training batches; see `data.batches`."""
        return training_batches(
            self.read("train"),
            size=self.sizes["train"],
            image_bytes=self._image_bytes,
            batch_size=batch_size,
            seed=seed,
            flip=augment and self.flip,
            padding=self.crop_padding if augment else 0,
            first_epoch=first_epoch,
        )

    def steps_per_epoch(self, batch_size: int) -> int:
        """Number of full training batches in an epoch, at least one."""
        return max(1, self.sizes["train"] // batch_size)

    def evaluation_batches(self, split: str, batch_size: int):
        """Return a split's batches in a fixed order, without augmentation."""
        return evaluation_batches(
            self.read(split),
            size=self.sizes[split],
            image_bytes=self._image_bytes,
            batch_size=batch_size,
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
                f"{_first_line(error)}"
            ) from error

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


def load_data(
    name: str | os.PathLike = DIGITS,
    data_dir: str | os.PathLike | None = None,
    image_size: int | None = None,
    flip: bool | None = None,
) -> ImageData:
    """Open a data set; TensorFlow Datasets prepares it on first use.

    Args:
        name: A TensorFlow Datasets name (``"cifar10"``), or the path of a folder of images in class
            folders (``"./photos"``).
        data_dir: Where TensorFlow Datasets keeps its data; by default ``TFDS_DATA_DIR`` or
            ``~/tensorflow_datasets``.
        image_size: Side in pixels to resize to. By default images keep their size; those that come
            in many sizes are resized to 64.
        flip: Whether training may mirror images. By default it may, unless every class is named by
            a single character or a number (digits, letters, traffic signs).

    Returns:
        The data set. A missing validation or test split is cut from the training images.

    Raises:
        DataError: The data set is unknown (the nearest names are given), or is not for image
            classification.
        RunError: It cannot be prepared: no connection, no space.

    Example:
        >>> load_data().image_shape
        (8, 8, 1)
    """
    if image_size is not None and (not isinstance(image_size, int) or image_size < 1):
        raise DataError(
            f"`image_size` must be a positive integer. Received: image_size={image_size}"
        )
    name = os.path.expanduser(name)
    if not name:
        raise DataError(f"`name` must be a data set's name or a folder. Received: name={name!r}")
    if Path(name).is_dir():
        return _from_folder(FolderSource(name), image_size, flip)
    if name.startswith((".", "/", "~")) or (os.sep in name and Path(name).parent.is_dir()):
        raise DataError(f"dataset folder {name!r} does not exist")
    return _from_tfds(name, data_dir, image_size, flip)


def _may_flip(flip: bool | None, class_names) -> bool:
    if flip is not None:
        return flip
    return any(len(name) > 1 and not name.isdecimal() for name in class_names)


def _from_folder(source: FolderSource, image_size: int | None, flip: bool | None) -> ImageData:
    size = image_size or DEFAULT_IMAGE_SIZE
    return ImageData(
        name=source.name,
        image_shape=(size, size, 3),
        class_names=tuple(source.class_names),
        sizes={split: len(files) for split, files in source.files.items()},
        flip=_may_flip(flip, source.class_names),
        read=lambda split: source.dataset(split, size),
        describe=lambda split, position: repr(str(source.files[split][position][0])),
        source=source.listing(),
    )


def _from_tfds(name, data_dir, image_size, flip) -> ImageData:
    import tensorflow_datasets as tfds

    builder = _builder(tfds, name, data_dir)
    image_key, label_key = _supervised_keys(tfds, name, builder.info)  # before a long download
    _prepare(tfds, builder, name)
    label = builder.info.features[label_key]
    shape = builder.info.features[image_key].shape
    if image_size is None and None in shape[:2]:
        image_size = DEFAULT_IMAGE_SIZE
    if image_size is not None:
        shape = (image_size, image_size, shape[2])
    splits = _three_splits(name, builder.info.splits)

    def read(split):
        examples = builder.as_dataset(split=splits[split], shuffle_files=False)
        return examples.map(lambda x: (_image(x[image_key], image_size), x[label_key]))

    return ImageData(
        name=name,
        image_shape=tuple(shape),
        class_names=tuple(label.names),
        sizes={split: builder.info.splits[part].num_examples for split, part in splits.items()},
        flip=_may_flip(flip, label.names),
        read=read,
        source=builder.info.full_name,
    )


def _image(image, image_size):
    return image if image_size is None else square(image, image_size)


def _builder(tfds, name, data_dir):
    data_dir = None if data_dir is None else os.path.expanduser(data_dir)
    try:
        return tfds.builder(name, data_dir=data_dir)
    except tfds.core.registered.DatasetNotFoundError as error:
        known = nearest(name, {*tfds.list_builders(), DIGITS})
        raise DataError(
            f"no data set is named {name!r}, and no folder has this path{known}"
        ) from error
    except Exception as error:  # whatever a version, a configuration or a missing package can raise
        raise DataError(f"data set {name!r} cannot be opened: {_first_line(error)}") from error


def _prepare(tfds, builder, name) -> None:
    if builder.data_path.exists():
        return
    try:
        # Progress bars are for people who watch; the embedded data takes a moment.
        watched = name != DIGITS and sys.stderr.isatty()
        with contextlib.nullcontext() if watched else _quiet(tfds):
            builder.download_and_prepare()
    except Exception as error:  # whatever a download, an archive or a disk can raise
        raise RunError(
            f"data set {name!r} cannot be prepared in {str(builder.data_path)!r} (--data-dir says "
            f"where a prepared copy lies): {_first_line(error)}"
        ) from error


@contextlib.contextmanager
def _quiet(tfds):
    """Prepare without progress bars."""
    shown = tfds.core.utils.tqdm_utils._active  # there is a switch to turn, none to ask
    tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        if shown:
            tfds.enable_progress_bar()


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300]


def _supervised_keys(tfds, name, info) -> tuple[str, str]:
    keys = info.supervised_keys
    if keys and len(keys) == 2 and all(isinstance(key, str) for key in keys):
        image, label = (info.features[key] for key in keys)
        if isinstance(image, tfds.features.Image) and isinstance(label, tfds.features.ClassLabel):
            if image.np_dtype == np.uint8:
                return keys
            raise DataError(
                f"images of data set {name!r} must be uint8. Received: {np.dtype(image.np_dtype)}"
            )
    raise DataError(
        f"data set {name!r} is not for image classification: its supervised keys must be an image "
        f"and a class label. Received: supervised keys {keys}, features {', '.join(info.features)}"
    )


def _three_splits(name, splits) -> dict[str, str]:
    """Name the TFDS slices for training, validation and testing."""
    if "train" not in splits:
        raise DataError(f"data set {name!r} has no 'train' split. Received: {', '.join(splits)}")
    if "test" in splits and "validation" in splits:
        return {"train": "train", "validation": "validation", "test": "test"}
    for held_out in ("test", "validation"):
        if held_out in splits:
            return {"train": "train[:90%]", "validation": "train[90%:]", "test": held_out}
    return {"train": "train[:80%]", "validation": "train[80%:90%]", "test": "train[90%:]"}
