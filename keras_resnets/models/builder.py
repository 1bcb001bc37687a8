"""From a configuration to a Keras model, through the functional API."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import keras

from keras_resnets.errors import ConfigError
from keras_resnets.layers.attention import SqueezeExcite
from keras_resnets.layers.blocks import ResidualBlock, make_shortcut
from keras_resnets.layers.dense import DenseBlockLayer, TransitionLayer
from keras_resnets.layers.geometry import NORMALIZING_ORDERS, ConvSpec
from keras_resnets.layers.merges import DropoutMerge, GatedMerge, ScaledMerge
from keras_resnets.layers.parts import convolution, decay, normalization
from keras_resnets.layers.resampling import (
    BlurPool,
    ChannelwiseReduction,
    SymmetricMaxPool,
    standardize_data_format,
)
from keras_resnets.layers.stochastic_depth import StochasticDepth
from keras_resnets.models.catalog import model_config
from keras_resnets.models.config import NetworkConfig
from keras_resnets.models.families import ChainConfig, DenseNetConfig, ResNetConfig
from keras_resnets.models.network import Network
from keras_resnets.models.resnet_config import BlockSpec
from keras_resnets.reading import reason

__all__ = ["create_model"]


def create_model(
    name_or_config: str | NetworkConfig,
    *,
    include_top: bool | None = None,
    weights: str | Path | None = None,
    input_tensor=None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int | None = None,
    classifier_activation: str | None = "keep",
    name: str | None = None,
    data_format: str | None = None,
    dtype: str | keras.DTypePolicy | None = None,
    remat: str | None = None,
    **overrides,
) -> Network:
    """Build a network.

    Args:
        name_or_config: A catalog name (`list_models`, or any legal depth and width), or a
            configuration.
        include_top: Whether the network ends in a classifier; the configuration's by default, like
            the next ones.
        weights: None for random weights, or the path of a ``.weights.h5`` file.
        input_tensor: Keras tensor to build upon, in the place of an input of its own.
        input_shape: Shape of one image in the order of `data_format`; height and width may be None.
        pooling: Without a classifier: None, ``"avg"`` or ``"max"``.
        classes: Number of classes.
        classifier_activation: Activation of the classifier, None for logits.
        name: Name of the model.
        data_format: ``"channels_last"``, ``"channels_first"`` or None for Keras' default.
        dtype: Dtype policy of the layers, ``"mixed_bfloat16"`` for example; Keras' default when
            None. The classifier computes in float32 at least.
        remat: What training computes again in the backward pass instead of keeping it, to train
            deeper networks or larger batches in the same memory: None, ``"block"`` or ``"stage"``
            (see `Network.remat`).
        **overrides: Further fields of the configuration to change, ``dropout=0.3``.

    Returns:
        An uncompiled `keras.Model` that carries its configuration as ``model.config``.

    Raises:
        ConfigError: The name is unknown, a field or `remat` illegal; the message says what is
            expected.

    Example:
        >>> create_model("resnet20_cifar", classes=100).output_shape
        (None, 100)
    """
    try:
        data_format = standardize_data_format(data_format)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    _check_dtype(dtype)
    if isinstance(name_or_config, NetworkConfig):
        config, default_name = name_or_config, name_or_config.family
    else:
        config, default_name = model_config(name_or_config), name_or_config
    given = {"include_top": include_top, "pooling": pooling, "classes": classes}
    changes = {key: value for key, value in given.items() if value is not None} | overrides
    if classifier_activation != "keep":
        changes["classifier_activation"] = classifier_activation
    if input_tensor is not None:
        input_shape = _shape_of(input_tensor, input_shape)
    if input_shape is not None:
        changes["input_shape"] = _channels_last(input_shape, data_format)
    config = config.replace(**changes) if changes else config
    if weights is not None:
        _check_weights(weights)
    model = _Builder(config, data_format, dtype).build(name or default_name, input_tensor)
    model.remat = remat
    if weights is not None:
        _load_weights(model, weights)
    return model


def _check_weights(weights):
    ok = isinstance(weights, str | Path) and Path(weights).is_file()
    if not ok or not str(weights).endswith(".weights.h5"):
        raise ConfigError(
            "`weights` must be None or the path of a .weights.h5 file; no weights are downloaded. "
            f"Received: weights={weights!r}"
        )


def _load_weights(model, weights):
    try:
        model.load_weights(weights)
    except Exception as error:  # whatever HDF5 can raise on damaged bytes
        raise ConfigError(
            "`weights` do not fit the network; they must come from one of the same options "
            f"`include_top` and `classes` too. Received: weights={str(weights)!r}: {reason(error)}"
        ) from error


def _check_dtype(dtype):
    if dtype is None or isinstance(dtype, keras.DTypePolicy):
        return
    try:
        keras.dtype_policies.get(dtype)
    except (ValueError, TypeError) as error:
        raise ConfigError(
            "`dtype` must be a dtype or a policy, 'float32' or 'mixed_bfloat16'. "
            f"Received: dtype={dtype!r}"
        ) from error


def _shape_of(tensor, input_shape):
    if not keras.utils.is_keras_tensor(tensor):
        raise ConfigError(
            "`input_tensor` must be a Keras tensor, the output of `keras.Input` or of a layer. "
            f"Received: input_tensor={tensor!r}"
        )
    shape = tuple(tensor.shape[1:])
    if input_shape is not None and tuple(input_shape) != shape:
        raise ConfigError(
            "`input_shape` must be None or the shape of `input_tensor`. "
            f"Received: input_shape={input_shape}, input_tensor of shape {shape}"
        )
    return shape


def _channels_last(shape, data_format):
    if data_format == "channels_first" and isinstance(shape, list | tuple) and len(shape) == 3:
        return (shape[1], shape[2], shape[0])
    return shape


class _Builder:
    """Builds one network; what all its layers share is kept here."""

    def __init__(self, config: NetworkConfig, data_format: str, dtype):
        self.config = config
        self.style = config.style
        self.shared = {"data_format": data_format, "dtype": dtype}
        self.data_format = data_format
        self.dtype = dtype
        # The head in float32, where all others compute with fewer bits.
        compute = keras.dtype_policies.get(dtype or keras.config.dtype_policy()).compute_dtype
        self.head_dtype = "float64" if compute == "float64" else "float32"

    def build(self, name: str, input_tensor=None) -> Network:
        """Return the model."""
        config = self.config
        if input_tensor is None:
            dtype = "uint8" if config.takes_raw_images else None
            inputs = x = keras.Input(self._input_shape(), dtype=dtype, name="image")
        else:
            inputs, x = _sources(input_tensor), input_tensor
        if config.takes_raw_images:
            x = self._normalize(x)
        x = self._stem(x)
        body = _BODIES[type(config)]
        model = Network(inputs, self._head(body(self, x)), name=name)
        model._network_config = config
        return model

    def _input_shape(self):
        height, width, channels = self.config.input_shape
        if self.data_format == "channels_first":
            return (channels, height, width)
        return (height, width, channels)

    def _normalize(self, x):
        # In float32 under every policy: 16 bits would round the pixels before they are centred.
        return keras.layers.Normalization(
            axis=-1 if self.data_format == "channels_last" else 1,
            mean=list(self.config.input_mean),
            variance=[std**2 for std in self.config.input_std],
            dtype="float32",
            name="normalization",
        )(x)

    def _stem(self, x):
        convolutions = self.config.stem_convolutions()
        for i, conv in enumerate(convolutions, start=1):
            suffix = str(i) if len(convolutions) > 1 else ""
            spec = ConvSpec(conv.kernel_size, conv.filters, conv.strides)
            folds = self.config.folded and conv.activation != "none"
            name = f"stem_conv{suffix}"
            x = convolution(spec, self.style, name=name, bias=folds, **self.shared)(x)
            x = self._activate(x, "stem_", suffix, conv.activation, normalize=not folds)
        return self._stem_pool(x)

    def _stem_pool(self, x):
        pool = self.config.stem_pool
        if pool in ("max", "blur"):
            strides = 2 if pool == "max" else 1
            x = SymmetricMaxPool(strides, name="stem_pool", **self.shared)(x)
        if pool == "blur":
            x = BlurPool(2, name="stem_blur", **self.shared)(x)
        return x

    def _activate(self, x, prefix, suffix="", activation="norm_relu", normalize=True):
        if normalize and activation != "none":
            x = normalization(self.style, suffix, prefix=prefix, **self.shared)(x)
        if activation == "norm_relu":
            x = keras.layers.ReLU(dtype=self.dtype, name=f"{prefix}relu{suffix}")(x)
        return x

    def residual_stages(self, x):
        """Add the blocks of a residual or plain network."""
        for spec in self.config.block_specs():
            x = self._residual_block(spec)(x)
        if self.config.activation_order == "pre":
            x = self._activate(x, "final_")
        elif self.config.activation_order == "relu_only":
            x = keras.layers.ReLU(dtype=self.dtype, name="final_relu")(x)
        return x

    def _residual_block(self, spec: BlockSpec):
        config = self.config
        return ResidualBlock(
            config.branch(spec),
            self._shortcut(spec),
            config.activation_order,
            spec.preactivation,
            attention=self._attention(),
            drop=self._drop(spec),
            merge=self._merge(spec),
            dropout=config.dropout,
            zero_init=config.zero_init_residual,
            style=self.style,
            name=spec.name,
            **self.shared,
        )

    def _shortcut(self, spec: BlockSpec):
        return make_shortcut(
            spec.shortcut,
            spec.out_width,
            spec.strides,
            pool_size=spec.step.nominal,
            dilation=spec.step.before,
            antialias=self.config.antialias,
            normalize=self.config.activation_order in NORMALIZING_ORDERS,
            style=self.style,
            **self.shared,
        )

    def _attention(self):
        if self.config.attention is None:
            return None
        return SqueezeExcite(self.config.se_ratio, self.style, name="attention", **self.shared)

    def _drop(self, spec: BlockSpec):
        if spec.survival == 1:
            return None
        return StochasticDepth(
            spec.survival, self.config.survival_mode, dtype=self.dtype, name="drop_branch"
        )

    def _merge(self, spec: BlockSpec):
        config = self.config
        named = partial(dict, dtype=self.dtype, name="merge")
        if config.shortcut_gate is not None:
            return GatedMerge(
                spec.out_width,
                spec.strides,
                config.shortcut_gate,
                config.gate_bias,
                self.style,
                self.data_format,
                **named(),
            )
        if config.shortcut_dropout:
            return DropoutMerge(config.shortcut_dropout, **named())
        if (config.shortcut_scale, config.branch_scale) != (1, 1):
            return ScaledMerge(config.shortcut_scale, config.branch_scale, **named())
        return None

    def dense_stages(self, x):
        """Add the dense layers and transitions of a DenseNet."""
        config = self.config
        parts = {"dropout": config.dropout, "style": self.style, **self.shared}
        for spec in config.block_specs():
            if spec.transition:
                step = spec.step
                x = TransitionLayer(
                    spec.out_width, step.strides, step.before, name=spec.name, **parts
                )(x)
            else:
                x = DenseBlockLayer(
                    config.growth_rate,
                    config.bottleneck,
                    spec.step.after,
                    name=spec.name,
                    **parts,
                )(x)
        return self._activate(x, "final_")

    def chain(self, x):
        """Add the convolutions of a chain."""
        for spec in self.config.block_specs():
            activation = "relu" if spec.relu else None
            x = convolution(
                spec.conv,
                self.style,
                name=spec.name,
                bias=True,
                activation=activation,
                **self.shared,
            )(x)
            if spec.reduction is not None:
                fields = spec.reduction._asdict()
                x = ChannelwiseReduction(**fields, name=f"{spec.name}_reduce", **self.shared)(x)
        return x

    def _head(self, x):
        config = self.config
        if not config.include_top and config.pooling is None:
            return x
        pool = "max" if not config.include_top and config.pooling == "max" else "avg"
        layer = {
            "avg": keras.layers.GlobalAveragePooling2D,
            "max": keras.layers.GlobalMaxPooling2D,
        }[pool]
        x = layer(data_format=self.data_format, dtype=self.head_dtype, name=f"{pool}_pool")(x)
        if not config.include_top:
            return x
        return keras.layers.Dense(
            config.classes,
            activation=config.classifier_activation,
            kernel_initializer="he_normal",
            kernel_regularizer=decay(self.style),
            bias_regularizer=decay(self.style, kernel=False),
            dtype=self.head_dtype,
            name="predictions",
        )(x)


_BODIES = {
    ResNetConfig: _Builder.residual_stages,
    DenseNetConfig: _Builder.dense_stages,
    ChainConfig: _Builder.chain,
}


def _sources(tensor):
    """Return the inputs that a Keras tensor was computed from."""
    sources = keras.utils.get_source_inputs(tensor)
    return sources[0] if len(sources) == 1 else sources
