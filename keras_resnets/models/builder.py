"""From a configuration to a Keras model, through the functional API."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import keras

from keras_resnets.errors import ConfigError
from keras_resnets.layers.activations import OWN
from keras_resnets.layers.attention import SqueezeExcite
from keras_resnets.layers.blocks import ResidualBlock, make_shortcut
from keras_resnets.layers.dense import DenseBlockLayer, TransitionLayer
from keras_resnets.layers.drop_block import DropBlock
from keras_resnets.layers.geometry import NORMALIZING_ORDERS, ConvSpec
from keras_resnets.layers.image_normalization import ImageNormalization
from keras_resnets.layers.merges import DropoutMerge, GatedMerge, ScaledMerge
from keras_resnets.layers.parts import convolution, decay, normalization
from keras_resnets.layers.resampling import (
    BlurPool,
    ChannelwiseReduction,
    SymmetricMaxPool,
    standardize_data_format,
)
from keras_resnets.layers.stochastic_depth import StochasticDepth
from keras_resnets.layers.style import NORMALIZATIONS
from keras_resnets.models.catalog import canonical_name, model_config
from keras_resnets.models.classifier import classifier_activation
from keras_resnets.models.config import NetworkConfig
from keras_resnets.models.dtypes import at_least_float32, give_policy, policy_at
from keras_resnets.models.families import ChainConfig, DenseNetConfig, ResNetConfig
from keras_resnets.models.network import Network
from keras_resnets.models.raw_images import warn_if_rescaled
from keras_resnets.models.resnet_config import BlockSpec
from keras_resnets.models.weights_file import WeightsFile

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
    classifier_activation: str | Callable | None = "keep",
    name: str | None = None,
    data_format: str | None = None,
    dtype: str | keras.DTypePolicy | None = None,
    remat: str | None = None,
    layer_prefix: str = "",
    **overrides,
) -> Network:
    """Build a network.

    Args:
        name_or_config: A catalog name (`list_models`, or any legal depth and width; other
            spellings that are clear too, ``"ResNet-50"``), or a configuration.
        include_top: Whether the network ends in a classifier; the configuration's by default, like
            the next ones.
        weights: None for random weights, or the path of a ``.weights.h5``, ``.h5`` or ``.keras``
            file of the same network. It may differ in what has no weights (`input_shape`'s height
            and width, dropout, ...), and without a classifier in all of its head; what else differs
            is refused as far as the file tells (a ``.weights.h5`` file holds no configuration).
        input_tensor: Keras tensor to build upon, in the place of an input of its own. Where several
            networks are to be parts of one model, each but one needs a `layer_prefix`; a second
            one of the same names upon the same tensor warns of it.
        input_shape: Shape of one image in the order of `data_format`; height and width may be None.
        pooling: Without a classifier: None, ``"avg"``, ``"max"``, ``"avgmax"`` or ``"catavgmax"``.
            With one see `head_pooling` of the configuration.
        classes: Number of classes.
        classifier_activation: Activation of the classifier: None for logits, a name or function of
            `keras.activations`, or a layer without weights; a function or layer of your own must be
            registered with Keras.
        name: Name of the model.
        data_format: ``"channels_last"``, ``"channels_first"`` or None for Keras' default.
        dtype: Dtype policy of the layers, ``"mixed_bfloat16"`` for example; Keras' default when
            None. The head, and what normalises raw images, compute in float32 at least. A
            `keras.dtype_policies.DTypePolicyMap` has policies for single layers, by their path:
            ``"predictions"``, ``"stage1_block1/conv1"``, or a pattern, ``"stage1_.*"``; its entry
            for the head holds for the head.
        remat: What training computes again in the backward pass instead of keeping it, to train
            deeper networks or larger batches in the same memory: None, ``"block"`` or ``"stage"``
            (see `Network.remat`).
        layer_prefix: What to put in front of the name of every layer, ``"left_"`` for example, so
            that several networks can be parts of one model: Keras wants other names for all layers.
            Surgery takes networks without one.
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
    _check_prefix(layer_prefix)
    if isinstance(name_or_config, NetworkConfig):
        config, default_name = name_or_config, name_or_config.family
    else:
        default_name = canonical_name(name_or_config)
        config = model_config(default_name)
    given = {"include_top": include_top, "pooling": pooling, "classes": classes}
    changes = {key: value for key, value in given.items() if value is not None} | overrides
    if include_top is False:  # the options of a classifier go with it, unless given here
        changes = {"head_pooling": "avg", "head_dropout": 0.0} | changes
    if classifier_activation != "keep":
        changes["classifier_activation"] = classifier_activation
    if input_tensor is not None:
        input_shape = _shape_of(input_tensor, input_shape)
    if input_shape is not None:
        changes["input_shape"] = _channels_last(input_shape, data_format)
    config = config.replace(**changes) if changes else config
    file = None if weights is None else WeightsFile(weights, config)
    builder = _Builder(config, data_format, dtype, layer_prefix)
    fed = _fed_by(input_tensor)
    model = builder.build(name or default_name, input_tensor)
    _warn_of_names(fed & {layer.name for layer in model.layers})
    model.remat = remat
    if file is not None:
        file.load_into(model)
    return model


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


def _check_prefix(prefix):
    # Words that TensorFlow takes in a scope, and no "/", which separates the layers of a path.
    if not isinstance(prefix, str) or not re.fullmatch(r"([A-Za-z0-9.][\w.-]*)?", prefix, re.ASCII):
        raise ConfigError(
            "`layer_prefix` must be a string of letters, digits, '_', '-' and '.', 'left_' for "
            f"example. Received: layer_prefix={prefix!r}"
        )


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


def _fed_by(tensor) -> set[str]:
    """Return the names of the layers that read a Keras tensor."""
    if tensor is None:
        return set()
    nodes = tensor._keras_history.operation._outbound_nodes
    return {
        node.operation.name for node in nodes if any(read is tensor for read in node.input_tensors)
    }


def _warn_of_names(twice: set[str]) -> None:
    if twice:
        warnings.warn(
            f"`input_tensor` feeds another layer {min(twice)!r} already. Both networks cannot be "
            "parts of one model, where Keras wants other names for all layers: give one of them a "
            "`layer_prefix`, 'left_' for example",
            UserWarning,
            stacklevel=3,
        )


def _channels_last(shape, data_format):
    if data_format == "channels_first" and isinstance(shape, list | tuple) and len(shape) == 3:
        return (shape[1], shape[2], shape[0])
    return shape


class _Builder:
    """Builds one network; what all its layers share is kept here."""

    def __init__(self, config: NetworkConfig, data_format: str, dtype, prefix: str = ""):
        self.config = config
        self.style = config.style
        self.dtype = keras.dtype_policies.get(dtype)
        self.shared = {"data_format": data_format, "dtype": self.dtype}
        self.data_format = data_format
        self.prefix = prefix

    def build(self, name: str, input_tensor=None) -> Network:
        """Return the model."""
        config = self.config
        if input_tensor is None:
            inputs = x = keras.Input(
                self._input_shape(), dtype=self._input_dtype(), name=f"{self.prefix}image"
            )
        else:
            inputs, x = _sources(input_tensor), input_tensor
        if config.takes_raw_images:
            warn_if_rescaled(x, name)
            x = self._normalize(x)
        x = self._stem(x)
        body = _BODIES[type(config)]
        model = Network(inputs, self._head(body(self, x)), name=name)
        model._network_config = config
        model._layer_prefix = self.prefix
        give_policy(model, self.dtype)
        return model

    def _named(self, name: str) -> dict:
        """Return name and dtype policy of a layer that is made of no others."""
        name = f"{self.prefix}{name}"
        return {"name": name, "dtype": policy_at(self.dtype, name)}

    def _named_head(self, name: str) -> dict:
        """Return the same for what computes in float32 at least."""
        name = f"{self.prefix}{name}"
        return {"name": name, "dtype": at_least_float32(self.dtype, name)}

    def _input_shape(self):
        height, width, channels = self.config.input_shape
        if self.data_format == "channels_first":
            return (channels, height, width)
        return (height, width, channels)

    def _input_dtype(self):
        raw = self.config.takes_raw_images
        first = self._named_head("normalization") if raw else self._named(self._stem_names()[0])
        if first["dtype"].compute_dtype == "float64":
            return "float64"
        # Raw images are exact in float32, whatever Keras' default is.
        return "float32" if raw else None

    def _normalize(self, x):
        # 16 bits would round the pixels before they are centred.
        return ImageNormalization(
            self.config.input_mean,
            self.config.input_std,
            self.data_format,
            **self._named_head("normalization"),
        )(x)

    def _stem_names(self) -> list[str]:
        count = len(self.config.stem_convolutions())
        return [f"stem_conv{i}" for i in range(1, count + 1)] if count > 1 else ["stem_conv"]

    def _stem(self, x):
        for name, conv in zip(self._stem_names(), self.config.stem_convolutions(), strict=True):
            spec = ConvSpec(conv.kernel_size, conv.filters, conv.strides)
            folds = self.config.folded and conv.activation != "none"
            x = convolution(
                spec, self.style, bias=folds, data_format=self.data_format, **self._named(name)
            )(x)
            suffix = name.removeprefix("stem_conv")
            x = self._activate(x, "stem_", suffix, conv.activation, normalize=not folds)
        return self._stem_pool(x)

    def _stem_pool(self, x):
        pool = self.config.stem_pool
        how = {"data_format": self.data_format}
        if pool in ("max", "blur"):
            strides = 2 if pool == "max" else 1
            x = SymmetricMaxPool(strides, **how, **self._named("stem_pool"))(x)
        if pool == "blur":
            x = BlurPool(2, **how, **self._named("stem_blur"))(x)
        return x

    def _activate(self, x, prefix, suffix="", activation="norm_relu", normalize=True):
        if normalize and activation != "none":
            name = f"{prefix}{NORMALIZATIONS[self.style.normalization]}{suffix}"
            dtype = self._named(name)["dtype"]
            x = normalization(
                self.style, suffix, self.data_format, dtype, prefix=f"{self.prefix}{prefix}"
            )(x)
        if activation == "norm_relu":
            x = self._nonlinearity(prefix, suffix)(x)
        return x

    def _nonlinearity(self, prefix, suffix=""):
        name = self.config.activation
        shared = self._named(f"{prefix}{name}{suffix}")
        if name == "relu":
            return keras.layers.ReLU(**shared)
        return keras.layers.Activation(OWN.get(name, name), **shared)

    def residual_stages(self, x):
        """Add the blocks of a residual or plain network."""
        for spec in self.config.block_specs():
            x = self._residual_block(spec)(x)
        if self.config.activation_order == "pre":
            x = self._activate(x, "final_")
        elif self.config.activation_order == "relu_only":
            x = self._nonlinearity("final_")(x)
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
            drop_block=self._drop_block(spec),
            zero_init=config.zero_init_residual,
            style=self.style,
            name=f"{self.prefix}{spec.name}",
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

    def _drop_block(self, spec: BlockSpec):
        rate = self.config.drop_block_rate(spec.stage)
        if not rate:
            return None
        return DropBlock(rate, self.config.drop_block_size, name="drop_block", **self.shared)

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
            name = f"{self.prefix}{spec.name}"
            if spec.transition:
                step = spec.step
                x = TransitionLayer(spec.out_width, step.strides, step.before, name=name, **parts)(
                    x
                )
            else:
                x = DenseBlockLayer(
                    config.growth_rate,
                    config.bottleneck,
                    spec.step.after,
                    name=name,
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
                bias=True,
                activation=activation,
                data_format=self.data_format,
                **self._named(spec.name),
            )(x)
            if spec.reduction is not None:
                named = self._named(f"{spec.name}_reduce")
                x = ChannelwiseReduction(
                    **spec.reduction._asdict(), data_format=self.data_format, **named
                )(x)
        return x

    def _head(self, x):
        config = self.config
        if not config.include_top and config.pooling is None:
            return x
        x = self._global_pool(x, config.head_pooling if config.include_top else config.pooling)
        if not config.include_top:
            return x
        if config.head_dropout:
            x = keras.layers.Dropout(config.head_dropout, **self._named_head("head_dropout"))(x)
        named = self._named_head("predictions")
        return keras.layers.Dense(
            config.classes,
            activation=classifier_activation(config, named["dtype"].compute_dtype),
            kernel_initializer="he_normal",
            kernel_regularizer=decay(self.style),
            bias_regularizer=decay(self.style, kernel=False),
            **named,
        )(x)

    def _global_pool(self, x, kind: str):
        kinds = {
            "avg": keras.layers.GlobalAveragePooling2D,
            "max": keras.layers.GlobalMaxPooling2D,
        }
        pooled = [
            layer(data_format=self.data_format, **self._named_head(f"{name}_pool"))(x)
            for name, layer in kinds.items()
            if name in kind
        ]
        if len(pooled) == 1:
            return pooled[0]
        join = keras.layers.Concatenate if kind == "catavgmax" else keras.layers.Average
        return join(**self._named_head(f"{kind}_pool"))(pooled)


_BODIES = {
    ResNetConfig: _Builder.residual_stages,
    DenseNetConfig: _Builder.dense_stages,
    ChainConfig: _Builder.chain,
}


def _sources(tensor):
    """Return the inputs that a Keras tensor was computed from."""
    sources = keras.utils.get_source_inputs(tensor)
    return sources[0] if len(sources) == 1 else sources
