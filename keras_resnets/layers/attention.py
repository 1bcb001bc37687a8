"""Attention of a branch to its own channels."""

import keras
from keras import ops

from keras_resnets.layers.geometry import squeezed_width
from keras_resnets.layers.parts import Composite, decay
from keras_resnets.layers.resampling import (
    channel_axis,
    spatial_axes,
    standardize_data_format,
)
from keras_resnets.layers.style import Style

__all__ = ["SqueezeExcite"]


@keras.saving.register_keras_serializable(package="keras_resnets")
class SqueezeExcite(Composite):
    """Scales each channel by a number in (0, 1) that all channels' averages decide on.

    Args:
        ratio: Units of the first dense layer, divided by the channels.
        style: A `Style`, its dict, or None for the default.
        data_format: ``"channels_last"``, ``"channels_first"`` or None for Keras' default.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        ``(batch, height, width, channels)``, or channels first.

    Output shape:
        The input's.

    Raises:
        ValueError: `ratio` is not positive.

    Example:
        >>> SqueezeExcite(1 / 16)(np.ones((1, 8, 8, 64))).shape
        (1, 8, 8, 64)

    Reference:
        Hu 2018, arXiv:1709.01507, section 3.
    """

    def __init__(self, ratio=1 / 16, style=None, data_format=None, **kwargs):
        super().__init__(**kwargs)
        if not ratio > 0:
            raise ValueError(f"`ratio` must be positive. Received: ratio={ratio}")
        self.ratio = ratio
        self.style = Style.of(style)
        self.data_format = standardize_data_format(data_format)

    def build(self, input_shape):
        if self.built:
            return
        channels = input_shape[channel_axis(self.data_format)]
        squeezed = squeezed_width(channels, self.ratio)
        self.reduce = self._dense(squeezed, "relu", "he_normal", "reduce")
        self.expand = self._dense(channels, "sigmoid", "glorot_normal", "expand")
        self._build_inside(self.reduce, (None, channels))
        self._build_inside(self.expand, (None, squeezed))
        self._restore_trainability()
        self.built = True

    def _dense(self, units, activation, initializer, name):
        dense = keras.layers.Dense(
            units,
            activation=activation,
            kernel_initializer=initializer,
            kernel_regularizer=decay(self.style),
            bias_regularizer=decay(self.style, kernel=False),
            dtype=self.dtype_policy,
            name=name,
        )
        return self._as_quantized(dense)

    def call(self, inputs):
        x = ops.mean(inputs, axis=spatial_axes(self.data_format))
        x = ops.cast(self.expand(self.reduce(x)), self.compute_dtype)
        shape = (-1, 1, 1, x.shape[-1])
        if self.data_format == "channels_first":
            shape = (-1, x.shape[-1], 1, 1)
        return inputs * ops.reshape(x, shape)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        names = ("ratio", "data_format")
        config = {name: getattr(self, name) for name in names}
        return {**super().get_config(), **config, "style": self.style.to_dict()}
