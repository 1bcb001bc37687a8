"""Layers made in a network's style, and the base of the layers that are made of others."""

import keras

from keras_resnets.layers.convolution import SymmetricConv2D, he_normal
from keras_resnets.layers.geometry import ConvSpec
from keras_resnets.layers.normalization import BatchNormalization
from keras_resnets.layers.resampling import channel_axis
from keras_resnets.layers.style import NORMALIZATIONS, Style

__all__ = ["Composite", "convolution", "decay", "normalization"]


def decay(style: Style, kernel: bool = True):
    """Return the regulariser of a style's kernels, or of its other weights, None without decay.

    Half the coefficient, since the papers' decay is the factor of a weight in its gradient.
    """
    decays = style.weight_decay and (kernel or style.decay == "all")
    return keras.regularizers.L2(style.weight_decay / 2) if decays else None


def convolution(
    spec: ConvSpec, style: Style, name, data_format, dtype, zero=False, bias=False, activation=None
):
    """Return a convolution in a network's style, its kernel zero if asked for."""
    return SymmetricConv2D(
        spec.filters,
        spec.kernel_size,
        spec.strides,
        dilation_rate=spec.dilation,
        groups=spec.groups,
        data_format=data_format,
        standardize=style.weight_standardization,
        kernel_initializer="zeros" if zero else he_normal(style.initializer),
        kernel_regularizer=decay(style),
        use_bias=bias,
        bias_regularizer=decay(style, kernel=False) if bias else None,
        activation=activation,
        dtype=dtype,
        name=name,
    )


def normalization(style: Style, suffix, data_format, dtype, zero=False, prefix=""):
    """Return a normalisation in a network's style, named prefix, ``bn`` or ``gn``, and suffix.

    Its scale begins at zero if asked for.
    """
    shared = {
        "axis": -1 if data_format == "channels_last" else channel_axis(data_format),
        "epsilon": style.epsilon,
        "gamma_initializer": "zeros" if zero else "ones",
        "gamma_regularizer": decay(style, kernel=False),
        "beta_regularizer": decay(style, kernel=False),
        "dtype": dtype,
        "name": f"{prefix}{NORMALIZATIONS[style.normalization]}{suffix}",
    }
    if style.normalization == "group":
        return keras.layers.GroupNormalization(groups=style.groups, **shared)
    return BatchNormalization(momentum=style.momentum, **shared)


_QUANTIZATION = ("dtype", "quantization_config")
"""What of a layer's config says how it is quantised."""


class Composite(keras.layers.Layer):
    """A layer made of layers, whose trainability and quantisation, in part too, survive saving.

    Keras saves the ``trainable`` of the outer layer alone and does not hand it down when it makes
    the layer again: a frozen block would come back with batch normalisation that still updates its
    statistics. ``model.quantize`` changes the dtype policy of the layers inside alone, which the
    outer layer's config does not say: the saved file would not load.

    Args:
        frozen: Names of the layers inside that are not trainable, from a config.
        quantized: How layers inside are quantised, by their name, from a config.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(self, *, frozen=(), quantized=None, **kwargs):
        super().__init__(**kwargs)
        self._frozen = tuple(frozen)
        self._quantized = dict(quantized or {})

    def _restore_trainability(self):
        """To be called wherever the layers inside are made, at the end."""
        # Each by itself: on TensorFlow, setting `self.trainable` to what it is does nothing.
        for layer in self._flatten_layers(include_self=False):
            if not self.trainable or layer.name in self._frozen:
                layer.trainable = False

    def _as_quantized(self, layer):
        """Return an unbuilt layer for the inside, quantised where the config says so."""
        saved = self._quantized.get(layer.name)
        return type(layer).from_config({**layer.get_config(), **saved}) if saved else layer

    def get_config(self):
        config = super().get_config()
        parts = self._flatten_layers(include_self=False, recursive=False)
        quantized = {
            part.name: {name: part.get_config()[name] for name in _QUANTIZATION}
            for part in parts
            if part.quantization_mode is not None and part.dtype_policy != self.dtype_policy
        }
        if quantized or self._quantized:
            config["quantized"] = {**self._quantized, **quantized}
        if self.trainable:
            layers = self._flatten_layers(include_self=False)
            frozen = {layer.name for layer in layers if not layer.trainable}
            still_to_be_made = set(self._frozen) - {layer.name for layer in layers}
            if frozen | still_to_be_made:
                config["frozen"] = sorted(frozen | still_to_be_made)
        return config
