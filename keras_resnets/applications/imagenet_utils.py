"""`preprocess_input` and `decode_predictions`, as in ``keras.applications.imagenet_utils``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from keras_resnets.errors import InputError, RunError

__all__ = ["decode_predictions", "preprocess_input"]

_MODES = ("caffe", "tf", "torch")
_CLASS_INDEX = (
    "https://storage.googleapis.com/download.tensorflow.org/data/imagenet_class_index.json"
)
"""Where Keras has its file from."""


def preprocess_input(x, data_format: str | None = None, mode: str = "caffe"):
    """Prepare a batch of images for weights that were trained on images prepared so.

    A network built with `input_mean` and `input_std` prepares raw images itself and must not be
    given prepared ones.

    Args:
        x: Images of values from 0 to 255, RGB, shape ``(batch, height, width, 3)`` or one image
            without the batch; an array (which stays as it is) or a tensor.
        data_format: ``"channels_last"``, ``"channels_first"`` or None for Keras' default.
        mode: ``"caffe"``, BGR less ImageNet's mean (keras.applications' ResNet); ``"tf"``, from -1
            to 1 (ResNetV2); ``"torch"``, from 0 to 1, less ImageNet's mean, divided by its
            standard deviation (DenseNet; torchvision, timm).

    Returns:
        Floats of the shape of `x`.

    Raises:
        InputError: `mode` or `data_format` is unknown, or `x` is not of images.

    Example:
        >>> preprocess_input(np.full((1, 2, 2, 3), 255), mode="tf").max()
        1.0
    """
    if mode not in _MODES:
        raise InputError(f"`mode` must be one of {', '.join(_MODES)}. Received: mode={mode!r}")
    if data_format not in (None, "channels_last", "channels_first"):
        raise InputError(
            "`data_format` must be None, 'channels_last' or 'channels_first'. "
            f"Received: data_format={data_format!r}"
        )
    if not keras.ops.is_tensor(x) and not keras.utils.is_keras_tensor(x):
        x = np.array(x)  # a copy: Keras writes into the array that it is given
    if len(x.shape) not in (3, 4):
        raise InputError(f"`x` must be images. Received: an array of shape {tuple(x.shape)}")
    return keras.applications.imagenet_utils.preprocess_input(x, data_format, mode)


def decode_predictions(preds, top: int = 5, class_names: Sequence[str] | str | Path | None = None):
    """Name the most probable classes of each image.

    Args:
        preds: Probabilities (or logits), shape ``(batch, classes)``.
        top: How many classes to name.
        class_names: The names in the order of the classes, or the path of a file of them: text of
            one a line, a JSON list, or Keras' ``imagenet_class_index.json``. By default ImageNet's
            1000, from Keras' own file, which is downloaded once into ``~/.keras/models``.

    Returns:
        For each image a list of ``(class_name, class_description, score)``, the highest score
        first. The first two are ImageNet's ``"n02124075"`` and ``"Egyptian_cat"``; both are the
        name where the file has no others.

    Raises:
        InputError: `preds` has another shape or number of classes than `class_names`, or these
            cannot be read.
        RunError: Keras' file is not there and cannot be downloaded.

    Example:
        >>> decode_predictions(np.array([[0.1, 0.9]]), top=1, class_names=["cat", "dog"])
        [[('dog', 'dog', 0.9)]]
    """
    preds = np.asarray(keras.ops.convert_to_numpy(preds))
    if isinstance(top, bool) or not isinstance(top, int) or top < 1:
        raise InputError(f"`top` must be a positive integer. Received: top={top!r}")
    if preds.ndim != 2:
        raise InputError(
            f"`preds` must have the shape (batch, classes). Received: preds of shape {preds.shape}"
        )
    if class_names is None and preds.shape[1] != 1000:
        raise InputError(
            "`preds` of another number of classes than ImageNet's 1000 need `class_names`. "
            f"Received: preds of shape {preds.shape}"
        )
    names = _names(class_names)
    if len(names) != preds.shape[1]:
        raise InputError(
            f"`class_names` must name the {preds.shape[1]} classes of `preds`. "
            f"Received: {len(names)} names"
        )
    order = np.argsort(-preds, axis=1, kind="stable")[:, :top]
    return [
        [(*names[i], row[i].item()) for i in best] for row, best in zip(preds, order, strict=True)
    ]


def _names(source) -> list[tuple[str, str]]:
    """Return name and description of each class."""
    if source is None:
        return _from_index(json.loads(_keras_index().read_text("utf-8")))
    try:
        values = source if not isinstance(source, str | Path) else _read(Path(source).expanduser())
        return _from_index(values) if isinstance(values, dict) else _pairs(values)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            "`class_names` must be names, or the path of a text file of one a line, of a JSON list "
            f"or of imagenet_class_index.json. Received: class_names={str(source)!r}: "
            f"{type(error).__name__}"
        ) from error


def _read(path: Path):
    text = path.read_text("utf-8")
    return json.loads(text) if path.suffix == ".json" else text.splitlines()


def _pairs(values) -> list[tuple[str, str]]:
    if isinstance(values, str):
        raise TypeError("a name, not names")
    return [(str(value), str(value)) for value in values]


def _from_index(index) -> list[tuple[str, str]]:
    """Return the pairs of a class index, ``{"0": ["n01440764", "tench"], ...}``."""
    pairs = [index[str(i)] for i in range(len(index))]
    return [(str(name), str(description)) for name, description in pairs]


def _keras_index() -> Path:
    try:
        return Path(
            keras.utils.get_file(
                "imagenet_class_index.json",
                _CLASS_INDEX,
                cache_subdir="models",
                file_hash="c2c37ea517e94d9795004a39431a14cb",
            )
        )
    except Exception as error:  # whatever a network can raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise RunError(
            "ImageNet's class names cannot be downloaded; give `class_names`, or put "
            f"imagenet_class_index.json into ~/.keras/models: {reason}"
        ) from error
