"""Convolution with the padding of the papers."""

import keras
from keras import ops

from keras_resnets.layers.backend import convolve
from keras_resnets.layers.resampling import (
    reduced_shape,
    spatial_axes,
    standardize_data_format,
    subsample,
)

__all__ = ["SymmetricConv2D", "he_normal"]


def he_normal(fan: str = "fan_in") -> keras.initializers.Initializer:
    """Return the normal initialiser of He 2015 (arXiv:1502.01852), not truncated.

    Args:
        fan: ``"fan_in"`` (eq. 10) or ``"fan_out"`` (eq. 14).
    """
    return keras.initializers.VarianceScaling(
        scale=2.0, mode=fan, distribution="untruncated_normal"
    )


@keras.saving.register_keras_serializable(package="keras_resnets")
class SymmetricConv2D(keras.layers.Conv2D):
    """Bias-free 2D convolution that pads both sides alike, as Torch and Caffe do.

    Keras' ``padding="same"`` pads only bottom and right where a 3x3 kernel has stride 2 and the
    image an even size; here every odd kernel sees half its size of zeros on each side, whatever the
    stride. A 1x1 kernel with a stride subsamples first and convolves with stride 1: the same
    function, without the strided 1x1 operation whose filter gradient corrupts memory in
    TensorFlow 2.21's CPU build.

    Args:
        filters: Channels that come out.
        kernel_size: Odd integer.
        strides: Integer stride in both directions.
        data_format: ``"channels_last"``, ``"channels_first"`` or None for Keras' default.
        standardize: Whether to use the kernel with mean 0 and variance 1 over each output channel
            (weight standardisation, Qiao 2019, arXiv:1903.10520).
        **kwargs: Further arguments of `keras.layers.Conv2D` (`use_bias` is False by default, the
            kernel He-normal).

    Input shape:
        ``(batch, height, width, channels)``, or channels first.

    Output shape:
        ``(batch, ceil(height / strides), ceil(width / strides), filters)``, or channels first.

    Raises:
        ValueError: `kernel_size` is even, or `strides` differ.

    Example:
        >>> SymmetricConv2D(16, 3, strides=2)(np.ones((1, 8, 8, 3))).shape
        (1, 4, 4, 16)
    """

    def __init__(
        self, filters, kernel_size, strides=1, data_format=None, standardize=False, **kwargs
    ):
        kwargs.setdefault("use_bias", False)
        kwargs.setdefault("kernel_initializer", he_normal())
        super().__init__(
            filters,
            kernel_size,
            strides=strides,
            padding="same",
            data_format=standardize_data_format(data_format),
            **kwargs,
        )
        if any(size % 2 == 0 for size in self.kernel_size) or len(set(self.strides)) > 1:
            raise ValueError(
                "`kernel_size` must be odd and `strides` equal in both directions. "
                f"Received: kernel_size={kernel_size}, strides={strides}"
            )
        self.standardize = standardize

    def call(self, inputs):
        if not self.use_bias or self.data_format == "channels_last":
            return super().call(inputs)
        # Not by `ops.add`: on TensorFlow it adds a bias along the width where that equals the
        # number of filters (seen with Keras 3.15).
        outputs = self.convolution_op(inputs, self.kernel) + ops.reshape(self.bias, (1, -1, 1, 1))
        return outputs if self.activation is None else self.activation(outputs)

    def convolution_op(self, inputs, kernel):
        """Pad or subsample where the stride asks for it, then convolve."""
        if self.standardize:
            kernel = _standardized(kernel)
        strides, padding = self.strides[0], "same"
        if strides > 1 and self.kernel_size == (1, 1):
            inputs, strides = subsample(inputs, strides, self.data_format), 1
        elif strides > 1:
            pads = [(0, 0)] * 4
            sizes = zip(self.kernel_size, self.dilation_rate, strict=True)
            for axis, (size, dilation) in zip(spatial_axes(self.data_format), sizes, strict=True):
                pads[axis] = (dilation * (size // 2),) * 2
            inputs, padding = ops.pad(inputs, pads), "valid"
        return convolve(inputs, kernel, strides, padding, self.dilation_rate, self.data_format)

    def compute_output_shape(self, input_shape):
        return reduced_shape(input_shape, self.strides[0], self.data_format, self.filters)

    def get_config(self):
        config = super().get_config()
        del config["padding"]
        return {**config, "standardize": self.standardize}


def _standardized(kernel):
    kernel = ops.convert_to_tensor(kernel)
    # In float32 under every policy: 16 bits would lose the variance of small weights.
    values = kernel if kernel.dtype == "float64" else ops.cast(kernel, "float32")
    mean, variance = ops.moments(values, axes=(0, 1, 2), keepdims=True)
    return ops.cast((values - mean) * ops.rsqrt(variance + 1e-10), kernel.dtype)
