"""Layers made in a network's style, and the base of the layers that are made of others."""

import keras

from keras_resnets.layers.activations import activation_function
from keras_resnets.layers.convolution import SymmetricConv2D, he_normal
from keras_resnets.layers.geometry import ConvSpec
from keras_resnets.layers.navigation import get_layer, walk_layers
from keras_resnets.layers.normalization import BatchNormalization
from keras_resnets.layers.resampling import channel_axis
from keras_resnets.layers.style import NORMALIZATIONS, Style

__all__ = ["Composite", "activate", "convolution", "decay", "normalization"]


def activate(x, style: Style):
    """Return what a style's activation makes of a tensor."""
    return activation_function(style.activation)(x)


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
    """A layer made of layers, which can be reached by name.

    Its trainability and quantisation, whole or in part, survive saving. Keras saves the
    ``trainable`` of the outer layer alone and does not hand it down when it makes the layer again:
    a frozen block would come back with batch normalisation that still updates its statistics.
    ``model.quantize`` changes the dtype policy of the layers inside alone, which the outer layer's
    config does not say: the saved file would not load.

    Args:
        frozen: Paths of the layers inside that are not trainable, from a config; None for all of
            them where the layer itself is not trainable, else for none.
        quantized: How layers inside are quantised, by their name, from a config.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(self, *, frozen=None, quantized=None, **kwargs):
        super().__init__(**kwargs)
        self._frozen = None if frozen is None else tuple(frozen)
        self._quantized = dict(quantized or {})

    @property
    def layers(self) -> list:
        """The layers directly inside, in the order in which they compute."""
        return self._flatten_layers(include_self=False, recursive=False)

    def __dir__(self):
        # Keras stores weights under the attributes that `dir` lists, the first that leads to them:
        # "layers" would move them away from where files have them.
        return [name for name in super().__dir__() if name != "layers"]

    def get_layer(self, name: str):
        """Return a layer inside, by its name or its path (``"bn2"``, ``"shortcut/conv"``).

        Raises:
            InputError: There is no such layer; the message names the nearest.
        """
        return get_layer(self, name)

    def _build_inside(self, layer, input_shape):
        """Build a layer inside, if there is one; one that was built before it was given is kept."""
        if layer is None or (layer.built and (layer.weights or layer.get_build_config())):
            return
        layer.build(input_shape)

    def _restore_trainability(self):
        """To be called wherever the layers inside are made, at the end."""
        if self.trainable and not self._frozen:
            return
        frozen = set(self._frozen or ())
        # Files of earlier versions have names without a path.
        below = frozen - {layer.name for layer in self.layers}
        # Each by itself: on TensorFlow, setting `self.trainable` to what it is does nothing.
        for path, layer in walk_layers(self):
            if self._frozen is None or path in frozen or layer.name in below:
                layer.trainable = False
            else:
                layer.trainable = True

    def _as_quantized(self, layer):
        """Return an unbuilt layer for the inside, quantised where the config says so."""
        saved = self._quantized.get(layer.name)
        return type(layer).from_config({**layer.get_config(), **saved}) if saved else layer

    def _has_policy_of(self, part) -> bool:
        # By their configurations: Keras cannot compare maps of policies.
        own, other = self.dtype_policy, part.dtype_policy
        return type(own) is type(other) and own.get_config() == other.get_config()

    def get_config(self):
        config = super().get_config()
        quantized = {
            part.name: {name: part.get_config()[name] for name in _QUANTIZATION}
            for part in self.layers
            if part.quantization_mode is not None and not self._has_policy_of(part)
        }
        if quantized or self._quantized:
            config["quantized"] = {**self._quantized, **quantized}
        inside = walk_layers(self)
        frozen = {path for path, layer in inside if not layer.trainable}
        if not self.built:  # some layers are still to be made
            known = {name for path, layer in inside for name in (path, layer.name)}
            frozen |= set(self._frozen or ()) - known
        thawed = any(layer.trainable for _, layer in inside)
        unknown = not self.built and self._frozen is not None
        if frozen if self.trainable else thawed or unknown:
            config["frozen"] = sorted(frozen)
        return config
