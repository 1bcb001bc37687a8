"""Normalisation of raw images, the first layer of networks that take them."""

import keras
import numpy as np
from keras import ops

from keras_resnets.layers.resampling import channel_axis, standardize_data_format

__all__ = ["ImageNormalization"]


@keras.saving.register_keras_serializable(package="keras_resnets")
class ImageNormalization(keras.layers.Layer):
    """``(image - mean) / std`` for each channel, of images of any type.

    What `keras.layers.Normalization` computes from a given mean and variance, with three
    differences. Mean and deviation are constants of the graph: Keras' layer keeps tensors outside
    of it, which `keras.Model.export` turns into further inputs of an ONNX model. Integers are cast
    to the layer's type, never the other way round, so that no value wraps and gradients reach the
    image. Weights there are none.

    Args:
        mean: Mean of each channel, on the scale of the images.
        std: Standard deviation of each channel.
        data_format: ``"channels_last"``, ``"channels_first"`` or None for Keras' default.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Batch of images of any integer or float type.

    Input shape:
        ``(batch, height, width, channels)``, or channels first.

    Output shape:
        The input's.

    Raises:
        ValueError: `mean` and `std` are of different lengths, a deviation is not positive, or (in
            `build`) the images have another number of channels.

    Example:
        >>> ImageNormalization([100.0], [50.0])(np.full((1, 2, 2, 1), 200, "uint8"))[0, 0, 0, 0]
        2.0
    """

    def __init__(self, mean, std, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self.mean = tuple(map(float, mean))
        self.std = tuple(map(float, std))
        if not self.mean or len(self.mean) != len(self.std) or not all(s > 0 for s in self.std):
            raise ValueError(
                "`mean` and `std` must hold a number for each channel, `std` positive ones. "
                f"Received: mean={mean}, std={std}"
            )
        self.data_format = standardize_data_format(data_format)
        self.supports_masking = True

    def build(self, input_shape):
        channels = input_shape[channel_axis(self.data_format)]
        if channels is not None and channels != len(self.mean):
            raise ValueError(
                "`mean` and `std` must hold a number for each channel of the images. "
                f"Received: {len(self.mean)} numbers for images of {channels} channels"
            )
        self.built = True

    def call(self, inputs):
        images = ops.cast(inputs, self.compute_dtype)
        # No division: TensorFlow's graph optimiser would make it this product, and eager mode not.
        scale = self._constant(1 / np.array(self.std))
        return (images - self._constant(self.mean)) * scale

    def _constant(self, values):
        """Return values as a constant of the graph at hand, which broadcasts against images."""
        shape = [1, 1, 1, 1]
        shape[channel_axis(self.data_format)] = len(values)
        return ops.convert_to_tensor(np.reshape(values, shape), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        config = {"mean": list(self.mean), "std": list(self.std), "data_format": self.data_format}
        return {**super().get_config(), **config}
