"""Images of a data set in the size that a model takes."""

from __future__ import annotations

from typing import Any

from keras_resnets.data.load import ImageData, load_data
from keras_resnets.data.options import check_model_input
from keras_resnets.data.settings import DataSettings
from keras_resnets.errors import InputError

__all__ = ["images_for"]


def images_for(input_shape, data: dict[str, Any]) -> ImageData:
    """Return a data set whose images have the size, and the channels, that a model takes.

    Grey images become colour images for a model that takes those; colours are given up only where
    `data` says so.

    Args:
        input_shape: The model's, ``(batch, height, width, channels)``; unknown sides fit any image.
        data: Arguments of `load_data`.

    Raises:
        InputError: The images have another number of channels than the model takes.
        DataError: The data set is unknown or unreadable, or `data` asks for another size or number
            of channels than the model's.

    Example:
        >>> images_for(model.input_shape, {"name": "cifar10"}).image_shape
        (32, 32, 3)
    """
    check_model_input(DataSettings.from_arguments(**data), input_shape)
    *size, channels = input_shape[1:]
    arguments = {"image_size": None, **data}
    if None not in size:
        arguments["image_size"] = tuple(size)
    if channels == 3:  # of which grey images lose nothing
        arguments["channels"] = channels
    images = load_data(**arguments)
    if images.image_shape[2] != channels:
        raise InputError(
            f"data set {images.name!r} has images of {images.image_shape[2]} channels; the model "
            f"takes {channels}: --channels {channels} converts them"
        )
    return images
