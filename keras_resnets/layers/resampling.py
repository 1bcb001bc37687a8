"""Fewer pixels: subsampling, averaging, blurring and max-pooling, with the papers' borders."""

import keras
import numpy as np
from keras import ops

__all__ = [
    "REDUCTIONS",
    "BlurPool",
    "ChannelwiseReduction",
    "SymmetricMaxPool",
    "average_pool",
    "blur_pool",
    "reduced",
    "spatial_axes",
    "standardize_data_format",
    "subsample",
]


REDUCTIONS = ("subsample", "average", "blur")
"""How maps get fewer pixels: every n-th one (He 2015), an average (Huang 2016, He 2018), or a blur
(Zhang 2019)."""


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


def channel_axis(data_format: str) -> int:
    """Return the axis of the channels in a batch of images."""
    return 3 if data_format == "channels_last" else 1


def reduced_shape(input_shape, strides, data_format, channels=None):
    """Return the shape behind a stride, with other channels if they are given."""
    shape = list(input_shape)
    for axis in spatial_axes(data_format):
        shape[axis] = None if shape[axis] is None else -(-shape[axis] // strides)
    if channels is not None:
        shape[channel_axis(data_format)] = channels
    return tuple(shape)


def _slice(inputs, axis, start):
    index = [slice(None)] * 4
    index[axis] = slice(start, None)
    return inputs[tuple(index)]


def subsample(inputs, strides: int, data_format: str):
    """Keep every `strides`-th row and column, from the first.

    By the average of a single pixel, which is that pixel: TensorFlow's strided slice takes 5 to 10
    times as long on a CPU, forward and backward (``python -m benchmarks.kernels``).
    """
    if strides == 1:
        return inputs
    return ops.average_pool(inputs, 1, strides, padding="valid", data_format=data_format)


def average_pool(inputs, size: int, strides: int, data_format: str, dilation: int = 1):
    """Average over ``size x size`` pixels from each `strides`-th on, where there are so many.

    Args:
        inputs: Batch of feature maps.
        size: Side of the window.
        strides: Stride.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        dilation: Distance of the pixels in a window (dilated networks, where the stride is 1).
    """
    if dilation == 1 and size <= 2:
        # Where `size` is more, "same" begins before the first pixel of some images.
        return ops.average_pool(inputs, size, strides, padding="same", data_format=data_format)
    for axis in spatial_axes(data_format):
        total, count = inputs, ops.ones_like(inputs)
        for tap in range(1, size):
            pads = [(0, 0)] * 4
            pads[axis] = (0, tap * dilation)
            total = total + _slice(ops.pad(inputs, pads), axis, tap * dilation)
            count = count + _slice(ops.pad(ops.ones_like(inputs), pads), axis, tap * dilation)
        inputs = total / count
    return subsample(inputs, strides, data_format)


def blur_pool(inputs, strides: int, data_format: str):
    """Blur with the kernel (1 2 1) x (1 2 1) / 16 over a mirrored border, then subsample."""
    pads = [(0, 0)] * 4
    for axis in spatial_axes(data_format):
        pads[axis] = (1, 1)
    # Symmetric, not reflected: a map of a single pixel has nothing to reflect.
    inputs = ops.pad(inputs, pads, mode="symmetric")
    channels = inputs.shape[channel_axis(data_format)]
    row = np.array([0.25, 0.5, 0.25])
    kernel = np.tile(np.outer(row, row)[:, :, None, None], (1, 1, channels, 1))
    kernel = ops.convert_to_tensor(kernel, dtype=inputs.dtype)
    return ops.depthwise_conv(
        inputs, kernel, strides=strides, padding="valid", data_format=data_format
    )


def reduced(inputs, how: str, pool_size: int, strides: int, data_format: str, dilation: int = 1):
    """Return fewer pixels, by one of three means.

    Args:
        inputs: Batch of feature maps.
        how: ``"subsample"``, ``"average"`` or ``"blur"``.
        pool_size: Side of the window of an average.
        strides: Stride.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        dilation: Distance of the averaged pixels.
    """
    if how == "average" and pool_size > 1:
        return average_pool(inputs, pool_size, strides, data_format, dilation)
    if how == "blur" and strides > 1:
        return blur_pool(inputs, strides, data_format)
    return subsample(inputs, strides, data_format)


class _Pool(keras.layers.Layer):
    """What the pooling layers share: a stride, and the shape that comes out."""

    def __init__(self, strides=2, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self.strides = strides
        self.data_format = standardize_data_format(data_format)

    def build(self, input_shape):
        self.built = True

    def compute_output_shape(self, input_shape):
        return reduced_shape(input_shape, self.strides, self.data_format)

    def get_config(self):
        config = {"strides": self.strides, "data_format": self.data_format}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="keras_resnets")
class BlurPool(_Pool):
    """Anti-aliased subsampling: a 3x3 binomial blur, then every `strides`-th pixel.

    Args:
        strides: Integer stride.
        data_format: ``"channels_last"``, ``"channels_first"`` or None for Keras' default.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        ``(batch, height, width, channels)``, or channels first.

    Output shape:
        ``(batch, ceil(height / strides), ceil(width / strides), channels)``, or channels first.

    Example:
        >>> BlurPool(2)(np.ones((1, 8, 8, 3))).shape
        (1, 4, 4, 3)

    Reference:
        Zhang 2019, arXiv:1904.11486, section 3.2 (Triangle-3).
    """

    def call(self, inputs):
        return blur_pool(inputs, self.strides, self.data_format)


@keras.saving.register_keras_serializable(package="keras_resnets")
class SymmetricMaxPool(_Pool):
    """Maximum over 3x3 pixels around every `strides`-th one, as in Torch and Caffe.

    The border is mirrored, which finds the same maxima as padding with minus infinity and leaves
    no such number in the graph (it would ruin an int8 calibration).

    Args:
        strides: Integer stride.
        data_format: ``"channels_last"``, ``"channels_first"`` or None for Keras' default.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        ``(batch, height, width, channels)``, or channels first.

    Output shape:
        ``(batch, ceil(height / strides), ceil(width / strides), channels)``, or channels first.

    Example:
        >>> SymmetricMaxPool(2)(np.ones((1, 7, 7, 3))).shape
        (1, 4, 4, 3)
    """

    def call(self, inputs):
        pads = [(0, 0)] * 4
        for axis in spatial_axes(self.data_format):
            pads[axis] = (1, 1)
        inputs = ops.pad(inputs, pads, mode="symmetric")
        return ops.max_pool(inputs, 3, self.strides, padding="valid", data_format=self.data_format)


@keras.saving.register_keras_serializable(package="keras_resnets")
class ChannelwiseReduction(_Pool):
    """Fewer pixels, by other means for some channels than for others.

    Args:
        parts: ``(channels, how)`` of each group of channels, in order; ``how`` is ``"subsample"``,
            ``"average"`` or ``"blur"``.
        strides: Integer stride.
        pool_size: Side of the window of the averages.
        dilation: Distance of the averaged pixels.
        data_format: ``"channels_last"``, ``"channels_first"`` or None for Keras' default.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        ``(batch, height, width, channels)``, or channels first.

    Output shape:
        ``(batch, ceil(height / strides), ceil(width / strides), channels)``, or channels first.

    Raises:
        ValueError: A part is reduced by none of the three, or (in `build`) the parts have another
            number of channels than the input.

    Example:
        >>> layer = ChannelwiseReduction([(2, "average"), (6, "subsample")])
        >>> layer(np.ones((1, 8, 8, 8))).shape
        (1, 4, 4, 8)
    """

    def __init__(self, parts, strides=2, pool_size=2, dilation=1, data_format=None, **kwargs):
        super().__init__(strides, data_format, **kwargs)
        self.parts = [(int(channels), how) for channels, how in parts]
        if not all(how in REDUCTIONS for _, how in self.parts):
            raise ValueError(
                f"`parts` must be reduced by {', '.join(REDUCTIONS)}. Received: parts={parts!r}"
            )
        self.pool_size = pool_size
        self.dilation = dilation

    def build(self, input_shape):
        channels = input_shape[channel_axis(self.data_format)]
        if sum(count for count, _ in self.parts) != channels:
            raise ValueError(
                f"`parts` must hold the input's {channels} channels. Received: parts={self.parts}"
            )
        super().build(input_shape)

    def call(self, inputs):
        axis = channel_axis(self.data_format)
        ends = np.cumsum([channels for channels, _ in self.parts])
        pieces = ops.split(inputs, ends[:-1].tolist(), axis) if len(ends) > 1 else [inputs]
        pieces = [
            reduced(piece, how, self.pool_size, self.strides, self.data_format, self.dilation)
            for piece, (_, how) in zip(pieces, self.parts, strict=True)
        ]
        return ops.concatenate(pieces, axis) if len(pieces) > 1 else pieces[0]

    def get_config(self):
        names = ("parts", "pool_size", "dilation")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
