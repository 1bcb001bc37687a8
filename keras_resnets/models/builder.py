"""From a configuration to a Keras model, through the functional API."""

from __future__ import annotations

from pathlib import Path

import keras

from keras_resnets.errors import ConfigError
from keras_resnets.layers.blocks import BasicBlock, BottleneckBlock, batch_norm
from keras_resnets.layers.convolution import SymmetricConv2D, standardize_data_format
from keras_resnets.models.catalog import model_config
from keras_resnets.models.config import BlockSpec, NetworkConfig, ResNetConfig
from keras_resnets.models.network import Network

__all__ = ["create_model"]

_BLOCKS = {"basic": BasicBlock, "bottleneck": BottleneckBlock}


def create_model(
    name_or_config: str | NetworkConfig,
    *,
    include_top: bool | None = None,
    weights: str | Path | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int | None = None,
    classifier_activation: str | None = "keep",
    name: str | None = None,
    data_format: str | None = None,
    dtype: str | keras.DTypePolicy | None = None,
    **overrides,
) -> Network:
    """Build a network.

    Args:
        name_or_config: A catalog name (`list_models`, or any legal depth and width), or a
            configuration.
        include_top: Whether the network ends in a classifier; the configuration's by default, like
            the next five.
        weights: None for random weights, or the path of a ``.weights.h5`` file.
        input_shape: Shape of one image in the order of `data_format`; height and width may be None.
        pooling: Without a classifier: None, ``"avg"`` or ``"max"``.
        classes: Number of classes.
        classifier_activation: Activation of the classifier, None for logits.
        name: Name of the model.
        data_format: ``"channels_last"``, ``"channels_first"`` or None for Keras' default.
        dtype: Dtype policy of the layers, ``"mixed_bfloat16"`` for example; Keras' default when
            None. The classifier stays in float32.
        **overrides: Further fields of the configuration to change, ``dropout=0.3``.

    Returns:
        An uncompiled `keras.Model` that carries its configuration as ``model.config``.

    Raises:
        ConfigError: The name is unknown or a field illegal; the message says what is expected.

    Example:
        >>> create_model("resnet20_cifar", classes=100).output_shape
        (None, 100)
    """
    data_format = standardize_data_format(data_format)
    if isinstance(name_or_config, NetworkConfig):
        config, default_name = name_or_config, name_or_config.family
    else:
        config, default_name = model_config(name_or_config), name_or_config
    given = {"include_top": include_top, "pooling": pooling, "classes": classes}
    changes = {key: value for key, value in given.items() if value is not None} | overrides
    if classifier_activation != "keep":
        changes["classifier_activation"] = classifier_activation
    if input_shape is not None:
        changes["input_shape"] = _channels_last(input_shape, data_format)
    config = config.replace(**changes) if changes else config
    if weights is not None and not Path(weights).is_file():
        raise ConfigError(
            f"`weights` must be None or the path of a weights file. Received: weights={weights!r}"
        )
    model = _build(config, name or default_name, data_format, dtype)
    if weights is not None:
        model.load_weights(weights)
    return model


def _channels_last(shape, data_format):
    if data_format == "channels_first" and isinstance(shape, list | tuple) and len(shape) == 3:
        return (shape[1], shape[2], shape[0])
    return shape


def _build(config: ResNetConfig, name: str, data_format: str, dtype) -> Network:
    height, width, channels = config.input_shape
    shape = (height, width, channels)
    if data_format == "channels_first":
        shape = (channels, height, width)
    inputs = keras.Input(shape, dtype="uint8" if config.takes_raw_images else None, name="image")
    x = _normalize(inputs, config, data_format)
    x = _stem(x, config, data_format, dtype)
    for spec in config.block_specs():
        x = _block(config, spec, data_format, dtype)(x)
    if config.activation_order == "pre":
        x = _bn_relu(x, "final", config, data_format, dtype)
    model = Network(inputs, _head(x, config, data_format), name=name)
    model._network_config = config
    return model


def _normalize(x, config, data_format):
    if not config.takes_raw_images:
        return x
    # In float32 under every policy: 16 bits would round the pixels before they are centred.
    return keras.layers.Normalization(
        axis=-1 if data_format == "channels_last" else 1,
        mean=list(config.input_mean),
        variance=[std**2 for std in config.input_std],
        dtype="float32",
        name="normalization",
    )(x)


def _stem(x, config, data_format, dtype):
    x = SymmetricConv2D(
        config.stem_width, 3, data_format=data_format, dtype=dtype, name="stem_conv"
    )(x)
    if config.activation_order == "post":
        x = _bn_relu(x, "stem", config, data_format, dtype)
    return x


def _bn_relu(x, prefix, config, data_format, dtype):
    bn = batch_norm(f"{prefix}_bn", config.bn_momentum, config.bn_epsilon, data_format, dtype)
    return keras.layers.ReLU(dtype=dtype, name=f"{prefix}_relu")(bn(x))


def _block(config: ResNetConfig, spec: BlockSpec, data_format: str, dtype):
    return _BLOCKS[config.block](
        spec.width,
        strides=spec.strides,
        shortcut=spec.shortcut,
        activation_order=config.activation_order,
        dropout=config.dropout,
        survival=spec.survival,
        survival_mode=config.survival_mode,
        stride_in=config.bottleneck_stride,
        bn_momentum=config.bn_momentum,
        bn_epsilon=config.bn_epsilon,
        data_format=data_format,
        dtype=dtype,
        name=spec.name,
    )


def _head(x, config, data_format):
    if not config.include_top and config.pooling is None:
        return x
    if not config.include_top and config.pooling == "max":
        pool = keras.layers.GlobalMaxPooling2D
    else:
        pool = keras.layers.GlobalAveragePooling2D
    name = "max_pool" if pool is keras.layers.GlobalMaxPooling2D else "avg_pool"
    x = pool(data_format=data_format, dtype="float32", name=name)(x)
    if not config.include_top:
        return x
    return keras.layers.Dense(
        config.classes,
        activation=config.classifier_activation,
        kernel_initializer="he_normal",
        dtype="float32",
        name="predictions",
    )(x)
