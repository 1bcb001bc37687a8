"""One way in: a TFDS name or a folder of images becomes splits of raw images and batches."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable

import numpy as np

from keras_resnets.data import sizes as image_sizes
from keras_resnets.data.decoding import Decoder, checked_size, in_channels
from keras_resnets.data.folder import FolderSource, decode_original
from keras_resnets.data.images import ImageData, Originals
from keras_resnets.data.options import check_data
from keras_resnets.data.prepared import download_line, open_builder, prepare
from keras_resnets.data.settings import DIGITS, DataSettings
from keras_resnets.errors import DataError
from keras_resnets.reading import reason

__all__ = ["ImageData", "from_folder", "load_data", "missing_download"]

_PATH_BYTES = 256
"""Memory of a file's path and orientation."""

_LOOKED_AT = 64
"""Images of a TensorFlow Datasets set whose size stands for all, where they come in many."""


def load_data(
    name: str | os.PathLike = DIGITS,
    data_dir: str | os.PathLike | None = None,
    image_size: int | tuple[int, int] | None = None,
    flip: bool | None = None,
    *,
    channels: int | None = None,
    fit: str = "crop",
    background: str = "white",
    layout: str = "auto",
    labels: str | os.PathLike | None = None,
    skip_unreadable: bool = False,
    download: bool = True,
    network_size: tuple[int, int] | None = None,
    progress: Callable[[int, int], None] | None = None,
    print_fn: Callable[[str], None] = print,
) -> ImageData:
    """Open a data set; TensorFlow Datasets prepares it on first use.

    Args:
        name: A TensorFlow Datasets name (``"cifar10"``), or the path of a folder of images in class
            folders (``"./photos"``), which may lie in split folders.
        data_dir: Where TensorFlow Datasets keeps its data; by default ``TFDS_DATA_DIR`` or
            ``~/tensorflow_datasets``.
        image_size: Side in pixels, or ``(height, width)``, to bring images to. By default images
            that all have one size keep it, and others come in `network_size`, or in 64 x 64.
        flip: Whether training may mirror images. By default it may, unless every class is named by
            a single character or a number (digits, letters, traffic signs).
        channels: 1 for grey images, 3 for colours; by default what the images have.
        fit: What becomes of images of another shape: ``"crop"`` cuts their centre out, ``"pad"``
            adds borders, ``"stretch"`` distorts.
        background: Colour behind transparent images and of borders: ``"white"``, ``"black"``,
            ``"gray"`` or ``"#rrggbb"``.
        layout: How a folder is read: by its names (``"auto"``), every folder as a class
            (``"classes"``), or only split folders (``"splits"``).
        labels: A CSV file of ``file,label[,split]`` for a folder's images.
        skip_unreadable: Whether files that cannot be decoded are left out; they are errors
            otherwise.
        download: Whether a data set that is not prepared may be downloaded.
        network_size: ``(height, width)`` that the network was made for: the size of images that
            come in many, or in a larger one.
        progress: Called with the numbers of a folder's files looked at and of all.
        print_fn: Called with what is downloaded, how large it is, and where to.

    Returns:
        The data set. A missing validation or test split is cut from the training images.

    Raises:
        DataError: The data set is unknown (the nearest names are given), a folder cannot be read
            as classes or holds unreadable images, it is not for image classification, or
            would have to be downloaded and must not be; or `data_dir` does not exist or holds other
            things than data of TensorFlow Datasets.
        RunError: It cannot be prepared: no connection, no space.

    Example:
        >>> load_data().image_shape
        (8, 8, 1)
    """
    settings = DataSettings(
        dataset=name,
        data_dir=data_dir,
        image_size=image_size,
        flip=flip,
        channels=channels,
        fit=fit,
        background=background,
        layout=layout,
        labels=labels,
        skip_unreadable=skip_unreadable,
        download=download,
    )
    source = check_data(settings.arguments, progress)
    if source is not None:
        return from_folder(source, settings, network_size)
    return _from_tfds(settings, network_size, print_fn)


def from_folder(
    source: FolderSource, settings: DataSettings, network_size: tuple[int, int] | None = None
) -> ImageData:
    """Return the data set of a folder that was read.

    Args:
        source: The folder.
        settings: How its images are decoded and fitted.
        network_size: As for `load_data`.

    Example:
        >>> from_folder(FolderSource(settings), settings).image_shape
        (28, 28, 1)
    """
    channels = settings.channels or (1 if source.is_grey else 3)
    size, why = image_sizes.image_size(settings.image_size, list(source.image_sizes), network_size)
    decoder = Decoder(channels, size, settings.fit, settings.background)
    originals = Originals(
        read=source.originals,
        decode=lambda original: decode_original(decoder, original),
        fit=decoder.fit,
        resized=source.image_sizes != {size},
        bytes=_PATH_BYTES,
    )
    return ImageData(
        name=source.name,
        image_shape=(*size, channels),
        class_names=tuple(source.class_names),
        sizes=source.sizes,
        flip=_may_flip(settings.flip, source.class_names),
        read=_decoded(originals),
        describe=lambda split, position: repr(str(source.files[split][position][0])),
        source=_identified(source.listing(), settings),
        originals=originals,
        read_labels=source.labels,
        find_unreadable=source.undecodable,
        notes=(*source.summary(), _size_note(size, channels, why)),
        address=settings.dataset,
    )


def missing_download(settings: DataSettings) -> str | None:
    r"""Return what `load_data` would say of a download, after the checks before it; None for none.

    Args:
        settings: The data set.

    Raises:
        DataError: As for `load_data`.

    Example:
        >>> missing_download(DataSettings(dataset="cifar10"))
        'downloading data set cifar10, at most 170.1 MB, into\n/home/me/tensorflow_datasets'
    """
    name, place = settings.dataset, settings.data_dir
    if name == DIGITS or os.path.isdir(os.path.expanduser(name)):
        return None
    import tensorflow_datasets as tfds

    builder = open_builder(name, place)
    _supervised_keys(tfds, name, builder.info)
    return download_line(builder, name, place, download=settings.download)


def _decoded(originals: Originals) -> Callable:
    """Return a function that reads a split's images, decoded and fitted."""
    import tensorflow as tf

    @functools.cache
    def read(split):
        return originals.read(split).map(
            lambda original, label: (originals.decoded(original), label),
            num_parallel_calls=tf.data.AUTOTUNE,
        )

    return read


def _identified(source: str, settings: DataSettings) -> str:
    """Return what the images are taken from, with what changes them."""
    changes = (settings.fit, settings.background)
    return source if changes == ("crop", "white") else f"{source} {changes}"


def _size_note(size, channels, why) -> str:
    return f"images of {image_sizes.pixels(size)} x {channels}: {why}"


def _may_flip(flip: bool | None, class_names) -> bool:
    if flip is not None:
        return flip
    return any(len(name) > 1 and not name.isdecimal() for name in class_names)


def _from_tfds(settings: DataSettings, network_size, print_fn) -> ImageData:
    import tensorflow_datasets as tfds

    name = settings.dataset
    place = settings.data_dir
    builder = open_builder(name, place)
    image_key, label_key = _supervised_keys(tfds, name, builder.info)  # before a long download
    builder = prepare(builder, name, place, download=settings.download, print_fn=print_fn)
    label = builder.info.features[label_key]
    feature = builder.info.features[image_key]
    splits = _three_splits(name, builder.info.splits)
    names = _class_names(name, label)
    bounded = tfds.decode.make_decoder()(lambda data, feature: decode(data))()

    def decode(data):
        return feature.decode_example(checked_size(data))

    def examples(split, decoders=None):
        decoders = decoders or {image_key: bounded}
        return builder.as_dataset(split=splits[split], shuffle_files=False, decoders=decoders)

    *found, depth = feature.shape
    sizes = {tuple(found)}
    if None in found:
        sizes = _sizes(name, examples("train").take(_LOOKED_AT), image_key)
    size, why = image_sizes.image_size(settings.image_size, list(sizes), network_size)
    channels = settings.channels or (1 if depth == 1 else 3)
    decoder = Decoder(channels, size, settings.fit, settings.background)

    # A data set is made once: TensorFlow traces what decodes it each time it is made.
    @functools.cache
    def read_originals(split):
        decoders = {image_key: tfds.decode.SkipDecoding()}
        return examples(split, decoders=decoders).map(lambda x: (x[image_key], x[label_key]))

    def fit(image):
        image = in_channels(image, channels)
        return image if tuple(found) == size else decoder.fit(image)

    @functools.cache
    def read(split):
        return examples(split).map(lambda x: (fit(x[image_key]), x[label_key]))

    originals = Originals(
        read=read_originals,
        decode=lambda data: in_channels(decode(data), channels),
        fit=fit,
        resized=sizes != {size},
    )
    return ImageData(
        name=name,
        image_shape=(*size, channels),
        class_names=names,
        sizes={split: builder.info.splits[part].num_examples for split, part in splits.items()},
        flip=_may_flip(settings.flip, names),
        read=read,
        source=_identified(builder.info.full_name, settings),
        originals=originals,
        notes=() if tuple(found) == size else (_size_note(size, channels, why),),
    )


def _class_names(name: str, label) -> tuple[str, ...]:
    try:
        return tuple(label.names)
    except (ValueError, TypeError) as error:  # not as many as the metadata say
        raise DataError(f"data set {name!r} cannot be read: {reason(error)}") from error


def _sizes(name: str, examples, image_key: str) -> set[tuple[int, int]]:
    """Return the sizes of some images."""
    import tensorflow as tf

    try:
        return {example[image_key].shape[:2] for example in examples.as_numpy_iterator()}
    except tf.errors.OpError as error:
        raise DataError(f"data set {name!r} cannot be read: {reason(error)}") from error


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
