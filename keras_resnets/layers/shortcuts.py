"""What leads a block's input past its branch (He 2015, section 3.3)."""

import keras
from keras import ops

from keras_resnets.layers.convolution import (
    SymmetricConv2D,
    spatial_axes,
    standardize_data_format,
    subsample,
)

__all__ = ["PadShortcut", "ProjectionShortcut", "make_shortcut"]


def _output_shape(input_shape, filters, strides, data_format):
    shape = list(input_shape)
    for axis in spatial_axes(data_format):
        shape[axis] = None if shape[axis] is None else -(-shape[axis] // strides)
    shape[-1 if data_format == "channels_last" else 1] = filters
    return tuple(shape)


def _average_pool(inputs, strides, data_format):
    if strides == 1:
        return inputs
    # "same" pools what is there at the border of an odd size and changes nothing at an even one.
    return ops.average_pool(inputs, strides, strides, padding="same", data_format=data_format)


class _Shortcut(keras.layers.Layer):
    """What the shortcuts share: filters, stride, pooling, and the shape that comes out."""

    def __init__(self, filters, strides=1, pool=False, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.strides = strides
        self.pool = pool
        self.data_format = standardize_data_format(data_format)

    def compute_output_shape(self, input_shape):
        return _output_shape(input_shape, self.filters, self.strides, self.data_format)

    def get_config(self):
        names = ("filters", "strides", "pool", "data_format")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package="keras_resnets")
class PadShortcut(_Shortcut):
    """Parameter-free shortcut: fewer pixels, and zeros for the new channels (option A).

    Args:
        filters: Channels that come out, at least as many as come in; the new ones, behind the
            others, are zero.
        strides: Integer stride.
        pool: Average over ``strides x strides`` pixels (Huang 2016) instead of taking every
            `strides`-th (He 2015).
        data_format: ``"channels_last"``, ``"channels_first"`` or None for Keras' default.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        ``(batch, height, width, channels)``, or channels first.

    Output shape:
        ``(batch, ceil(height / strides), ceil(width / strides), filters)``, or channels first.

    Raises:
        ValueError: In `build`, the input has more than `filters` channels.

    Example:
        >>> PadShortcut(32, strides=2)(np.ones((1, 8, 8, 16))).shape
        (1, 4, 4, 32)
    """

    def build(self, input_shape):
        channels = input_shape[-1 if self.data_format == "channels_last" else 1]
        if channels > self.filters:
            raise ValueError(
                "`filters` must be at least the channels that come in. "
                f"Received: filters={self.filters} for an input of {channels} channels"
            )
        self._new_channels = self.filters - channels
        self.built = True

    def call(self, inputs):
        reduce = _average_pool if self.pool else subsample
        outputs = reduce(inputs, self.strides, self.data_format)
        if not self._new_channels:
            return outputs
        pads = [(0, 0)] * 4
        pads[3 if self.data_format == "channels_last" else 1] = (0, self._new_channels)
        return ops.pad(outputs, pads)


@keras.saving.register_keras_serializable(package="keras_resnets")
class ProjectionShortcut(_Shortcut):
    """1x1 convolution to the shape of the branch (options B and C; with `pool`, ResNet-D's).

    Args:
        filters: Channels that come out.
        strides: Integer stride.
        pool: Average over ``strides x strides`` pixels before the convolution (He 2018,
            arXiv:1812.01187, Fig. 2c) instead of taking every `strides`-th.
        normalization: Layer that follows the convolution, or None (pre-activation blocks).
        data_format: ``"channels_last"``, ``"channels_first"`` or None for Keras' default.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        ``(batch, height, width, channels)``, or channels first.

    Output shape:
        ``(batch, ceil(height / strides), ceil(width / strides), filters)``, or channels first.

    Example:
        >>> ProjectionShortcut(32, strides=2)(np.ones((1, 8, 8, 16))).shape
        (1, 4, 4, 32)
    """

    def __init__(
        self, filters, strides=1, pool=False, normalization=None, data_format=None, **kwargs
    ):
        super().__init__(filters, strides, pool, data_format, **kwargs)
        self.conv = SymmetricConv2D(
            filters,
            1,
            strides=1 if pool else strides,
            data_format=self.data_format,
            dtype=self.dtype_policy,
            name="conv",
        )
        self.bn = normalization

    def build(self, input_shape):
        self.conv.build(input_shape)
        if self.bn is not None:
            self.bn.build(self.compute_output_shape(input_shape))
        self.built = True

    def call(self, inputs, training=None):
        if self.pool:
            inputs = _average_pool(inputs, self.strides, self.data_format)
        outputs = self.conv(inputs)
        return outputs if self.bn is None else self.bn(outputs, training=training)

    def get_config(self):
        bn = None if self.bn is None else keras.saving.serialize_keras_object(self.bn)
        return {**super().get_config(), "normalization": bn}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        if config.get("normalization") is not None:
            bn = config["normalization"]
            config["normalization"] = keras.saving.deserialize_keras_object(bn)
        return cls(**config)


def make_shortcut(kind, filters, strides, normalization, **kwargs):
    """Return the shortcut layer of a kind, None for a plain block.

    Args:
        kind: ``identity``, ``pad``, ``pool_pad``, ``projection``, ``pool_projection`` or ``none``.
        filters: Channels that come out.
        strides: Stride.
        normalization: Function without arguments that makes the layer behind a projection, or None.
        **kwargs: `data_format`, `dtype` and `name` of the layer.

    Raises:
        ValueError: The kind is unknown.
    """
    pool = kind.startswith("pool_")
    if kind == "none":
        return None
    if kind == "identity":
        return keras.layers.Identity(dtype=kwargs["dtype"], name=kwargs["name"])
    if kind in ("pad", "pool_pad"):
        return PadShortcut(filters, strides, pool=pool, **kwargs)
    if kind in ("projection", "pool_projection"):
        bn = normalization() if normalization else None
        return ProjectionShortcut(filters, strides, pool=pool, normalization=bn, **kwargs)
    raise ValueError(
        "`shortcut` must be one of identity, pad, pool_pad, projection, pool_projection, none. "
        f"Received: shortcut={kind!r}"
    )
