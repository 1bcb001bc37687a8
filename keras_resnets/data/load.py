"""One way in: a TFDS name or a folder of images becomes splits of raw images and batches."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from keras_resnets.data.folder import FolderSource, square
from keras_resnets.data.images import ImageData
from keras_resnets.data.options import check_dataset
from keras_resnets.data.prepared import DIGITS, open_builder, prepare
from keras_resnets.errors import DataError

__all__ = ["ImageData", "load_data"]

DEFAULT_IMAGE_SIZE = 64
"""Side in pixels of images that come in many sizes, unless the caller says otherwise."""


def load_data(
    name: str | os.PathLike = DIGITS,
    data_dir: str | os.PathLike | None = None,
    image_size: int | None = None,
    flip: bool | None = None,
    download: bool = True,
    print_fn: Callable[[str], None] = print,
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
        download: Whether a data set that is not prepared may be downloaded.
        print_fn: Called with what is downloaded, how large it is, and where to.

    Returns:
        The data set. A missing validation or test split is cut from the training images.

    Raises:
        DataError: The data set is unknown (the nearest names are given), is not for image
            classification, would have to be downloaded and must not be; or `data_dir` does not
            exist or holds other things than data of TensorFlow Datasets.
        RunError: It cannot be prepared: no connection, no space.

    Example:
        >>> load_data().image_shape
        (8, 8, 1)
    """
    if image_size is not None and (not isinstance(image_size, int) or image_size < 1):
        raise DataError(
            f"`image_size` must be a positive integer. Received: image_size={image_size}"
        )
    check_dataset(name, data_dir, download)
    name = os.path.expanduser(name)
    if Path(name).is_dir():
        return _from_folder(FolderSource(name), image_size, flip)
    return _from_tfds(name, data_dir, image_size, flip, download, print_fn)


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
        read_full=source.files_dataset,
    )


def _from_tfds(name, data_dir, image_size, flip, download, print_fn) -> ImageData:
    import tensorflow_datasets as tfds

    builder = open_builder(name, data_dir)
    image_key, label_key = _supervised_keys(tfds, name, builder.info)  # before a long download
    builder = prepare(builder, name, data_dir, download=download, print_fn=print_fn)
    label = builder.info.features[label_key]
    shape = builder.info.features[image_key].shape
    if image_size is None and None in shape[:2]:
        image_size = DEFAULT_IMAGE_SIZE
    if image_size is not None:
        shape = (image_size, image_size, shape[2])
    splits = _three_splits(name, builder.info.splits)
    varying = None in builder.info.features[image_key].shape[:2]

    def read(split):
        examples = builder.as_dataset(split=splits[split], shuffle_files=False)
        return examples.map(lambda x: (_image(x[image_key], image_size), x[label_key]))

    def read_full(split):
        decoders = {image_key: tfds.decode.SkipDecoding()}
        examples = builder.as_dataset(split=splits[split], decoders=decoders, shuffle_files=False)
        return examples.map(lambda x: (x[image_key], x[label_key]))

    return ImageData(
        name=name,
        image_shape=tuple(shape),
        class_names=tuple(label.names),
        sizes={split: builder.info.splits[part].num_examples for split, part in splits.items()},
        flip=_may_flip(flip, label.names),
        read=read,
        source=builder.info.full_name,
        read_full=read_full if varying else None,
    )


def _image(image, image_size):
    return image if image_size is None else square(image, image_size)


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
