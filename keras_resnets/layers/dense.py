"""The parts of densely connected networks (Huang 2016, arXiv:1608.06993)."""

import keras
from keras import ops

from keras_resnets.layers.geometry import ConvSpec
from keras_resnets.layers.parts import Composite, activate, convolution, normalization
from keras_resnets.layers.resampling import (
    average_pool,
    channel_axis,
    reduced_shape,
    standardize_data_format,
)
from keras_resnets.layers.style import Style

__all__ = ["DenseBlockLayer", "TransitionLayer"]


class _Dense(Composite):
    """What the two share: a row of norm-ReLU-convolutions."""

    def _prepare(self, specs, dropout, style, seed, data_format):
        self.dropout_rate = dropout
        self.style = Style.of(style)
        self.seed = seed
        self.data_format = standardize_data_format(data_format)
        shared = {"data_format": self.data_format, "dtype": self.dtype_policy}
        numbers = range(1, len(specs) + 1) if len(specs) > 1 else [""]
        # The first one reads what other layers read too; any other follows a convolution.
        self.normalizations = [
            None if i and self.style.folded else normalization(self.style, n, **shared)
            for i, n in enumerate(numbers)
        ]
        self.convolutions = [
            convolution(
                spec,
                self.style,
                name=f"conv{n}",
                bias=self.style.folded and i < len(specs) - 1,
                **shared,
            )
            for i, (n, spec) in enumerate(zip(numbers, specs, strict=True))
        ]
        self.dropout = (
            keras.layers.Dropout(dropout, seed=seed, dtype=self.dtype_policy, name="dropout")
            if dropout
            else None
        )

    @property
    def layers(self):
        """The layers directly inside, in the order in which they compute."""
        row = zip(self.normalizations, self.convolutions, strict=True)
        layers = [layer for pair in row for layer in pair if layer is not None]
        # The dropout follows each convolution.
        return [*layers, self.dropout] if self.dropout is not None else layers

    def build(self, input_shape):
        shape = tuple(input_shape)
        for norm, conv in zip(self.normalizations, self.convolutions, strict=True):
            self._build_inside(norm, shape)
            self._build_inside(conv, shape)
            shape = conv.compute_output_shape(shape)
        self._build_inside(self.dropout, shape)
        self.built = True

    def _row(self, x, training):
        for norm, conv in zip(self.normalizations, self.convolutions, strict=True):
            x = x if norm is None else norm(x, training=training)
            x = conv(activate(x, self.style))
            if self.dropout is not None:
                x = self.dropout(x, training=training)
        return ops.cast(x, self.compute_dtype)  # the parts may have other policies

    def get_config(self):
        config = {
            "dropout": self.dropout_rate,
            "style": self.style.to_dict(),
            "seed": self.seed,
            "data_format": self.data_format,
        }
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="keras_resnets")
class DenseBlockLayer(_Dense):
    """One layer of a dense block: BN-ReLU-convolution, its output appended to its input.

    Args:
        growth_rate: Channels that the 3x3 convolution puts out (k).
        bottleneck: Whether a 1x1 convolution to ``4 * growth_rate`` channels comes first
            (DenseNet-B).
        dilation: Dilation of the 3x3 convolution.
        dropout: Rate of the dropout behind each convolution.
        style: A `Style`, its dict, or None for the default.
        seed: Seed of the dropout.
        data_format: ``"channels_last"``, ``"channels_first"`` or None for Keras' default.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        ``(batch, height, width, channels)``, or channels first.

    Output shape:
        ``(batch, height, width, channels + growth_rate)``, or channels first.

    Example:
        >>> DenseBlockLayer(12)(np.ones((1, 8, 8, 24))).shape
        (1, 8, 8, 36)

    Reference:
        Huang 2016, section 3.
    """

    def __init__(
        self,
        growth_rate,
        bottleneck=True,
        dilation=1,
        dropout=0.0,
        style=None,
        seed=None,
        data_format=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.growth_rate = growth_rate
        self.bottleneck = bottleneck
        self.dilation = dilation
        specs = [ConvSpec(1, 4 * growth_rate)] if bottleneck else []
        specs.append(ConvSpec(3, growth_rate, dilation=dilation))
        self._prepare(specs, dropout, style, seed, data_format)
        self._restore_trainability()

    def call(self, inputs, training=None):
        new = self._row(inputs, training)
        return ops.concatenate([inputs, new], axis=channel_axis(self.data_format))

    def compute_output_shape(self, input_shape):
        shape = list(input_shape)
        shape[channel_axis(self.data_format)] += self.growth_rate
        return tuple(shape)

    def get_config(self):
        names = ("growth_rate", "bottleneck", "dilation")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package="keras_resnets")
class TransitionLayer(_Dense):
    """Between dense blocks: BN-ReLU-1x1 convolution, then 2x2 average pooling.

    Args:
        filters: Channels that come out.
        strides: Stride of the pooling; 1 in a dilated network.
        dilation: Distance of the averaged pixels.
        dropout: Rate of the dropout behind the convolution.
        style: A `Style`, its dict, or None for the default.
        seed: Seed of the dropout.
        data_format: ``"channels_last"``, ``"channels_first"`` or None for Keras' default.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        ``(batch, height, width, channels)``, or channels first.

    Output shape:
        ``(batch, ceil(height / strides), ceil(width / strides), filters)``, or channels first.

    Example:
        >>> TransitionLayer(12)(np.ones((1, 8, 8, 24))).shape
        (1, 4, 4, 12)

    Reference:
        Huang 2016, section 3, "Pooling layers".
    """

    def __init__(
        self,
        filters,
        strides=2,
        dilation=1,
        dropout=0.0,
        style=None,
        seed=None,
        data_format=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.strides = strides
        self.dilation = dilation
        self._prepare([ConvSpec(1, filters)], dropout, style, seed, data_format)
        self._restore_trainability()

    def call(self, inputs, training=None):
        x = self._row(inputs, training)
        return average_pool(x, 2, self.strides, self.data_format, self.dilation)

    def compute_output_shape(self, input_shape):
        return reduced_shape(input_shape, self.strides, self.data_format, self.filters)

    def get_config(self):
        names = ("filters", "strides", "dilation")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
