"""Convolution with the padding of the papers, and subsampling."""

import keras
from keras import ops

__all__ = ["SymmetricConv2D", "he_normal", "spatial_axes", "standardize_data_format", "subsample"]


def standardize_data_format(data_format: str | None) -> str:
    """Return `data_format`, or Keras' default for None, so that a layer's config is explicit."""
    if data_format is None:
        return keras.config.image_data_format()
    if data_format not in ("channels_last", "channels_first"):
        raise ValueError(
            "`data_format` must be 'channels_last', 'channels_first' or None. "
            f"Received: data_format={data_format!r}"
        )
    return data_format


def spatial_axes(data_format: str) -> tuple[int, int]:
    """Return the axes of height and width in a batch of images."""
    return (1, 2) if data_format == "channels_last" else (2, 3)


def subsample(inputs, strides: int, data_format: str):
    """Keep every `strides`-th row and column, from the first."""
    if strides == 1:
        return inputs
    if data_format == "channels_last":
        return inputs[:, ::strides, ::strides, :]
    return inputs[:, :, ::strides, ::strides]


def he_normal() -> keras.initializers.Initializer:
    """Return the normal initialiser of He 2015 (arXiv:1502.01852), fan-in, not truncated."""
    return keras.initializers.VarianceScaling(
        scale=2.0, mode="fan_in", distribution="untruncated_normal"
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
        **kwargs: Further arguments of `keras.layers.Conv2D` (`use_bias` is False by default, the
            kernel He-normal).

    Input shape:
        ``(batch, height, width, channels)``, or channels first.

    Output shape:
        ``(batch, ceil(height / strides), ceil(width / strides), filters)``, or channels first.

    Raises:
        ValueError: `kernel_size` is even.

    Example:
        >>> SymmetricConv2D(16, 3, strides=2)(np.ones((1, 8, 8, 3))).shape
        (1, 4, 4, 16)
    """

    def __init__(self, filters, kernel_size, strides=1, data_format=None, **kwargs):
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

    def convolution_op(self, inputs, kernel):
        """Pad or subsample where the stride asks for it, then convolve."""
        strides, padding = self.strides[0], "same"
        if strides > 1 and self.kernel_size == (1, 1):
            inputs, strides = subsample(inputs, strides, self.data_format), 1
        elif strides > 1:
            pads = [(0, 0)] * 4
            sizes = zip(self.kernel_size, self.dilation_rate, strict=True)
            for axis, (size, dilation) in zip(spatial_axes(self.data_format), sizes, strict=True):
                pads[axis] = (dilation * (size // 2),) * 2
            inputs, padding = ops.pad(inputs, pads), "valid"
        return ops.conv(
            inputs,
            kernel,
            strides=strides,
            padding=padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )

    def get_config(self):
        config = super().get_config()
        del config["padding"]
        return config
