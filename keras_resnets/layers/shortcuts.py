"""What leads a block's input past its branch (He 2015, section 3.3)."""

import keras
from keras import ops

from keras_resnets.layers.geometry import ConvSpec
from keras_resnets.layers.parts import Composite, convolution, normalization
from keras_resnets.layers.resampling import (
    REDUCTIONS,
    channel_axis,
    reduced,
    reduced_shape,
    standardize_data_format,
)
from keras_resnets.layers.style import Style

__all__ = ["PadShortcut", "ProjectionShortcut"]


class _Shortcut(Composite):
    """What the shortcuts share: filters, stride, reduction, and the shape that comes out."""

    def __init__(
        self,
        filters,
        strides=1,
        reduction="subsample",
        pool_size=None,
        dilation=1,
        data_format=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if reduction not in REDUCTIONS:
            raise ValueError(
                f"`reduction` must be one of {', '.join(REDUCTIONS)}. "
                f"Received: reduction={reduction!r}"
            )
        self.filters = filters
        self.strides = strides
        self.reduction = reduction
        self.pool_size = strides if pool_size is None else pool_size
        self.dilation = dilation
        self.data_format = standardize_data_format(data_format)

    def _reduce(self, inputs):
        return reduced(
            inputs,
            self.reduction,
            self.pool_size,
            self.strides,
            self.data_format,
            self.dilation,
        )

    def compute_output_shape(self, input_shape):
        return reduced_shape(input_shape, self.strides, self.data_format, self.filters)

    def get_config(self):
        names = ("filters", "strides", "reduction", "pool_size", "dilation", "data_format")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package="keras_resnets")
class PadShortcut(_Shortcut):
    """Parameter-free shortcut: fewer pixels, and zeros for the new channels (option A).

    Args:
        filters: Channels that come out, at least as many as come in; the new ones, behind the
            others, are zero.
        strides: Integer stride.
        reduction: ``"subsample"`` (every `strides`-th pixel, He 2015), ``"average"`` (over
            ``strides x strides`` pixels, Huang 2016) or ``"blur"``.
        pool_size: Side of the averaged window; `strides` by default. A dilated network averages
            where it does not stride.
        dilation: Distance of the averaged pixels.
        data_format: ``"channels_last"``, ``"channels_first"`` or None for Keras' default.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        ``(batch, height, width, channels)``, or channels first.

    Output shape:
        ``(batch, ceil(height / strides), ceil(width / strides), filters)``, or channels first.

    Raises:
        ValueError: `reduction` is unknown, or (in `build`) the input has more than `filters`
            channels.

    Example:
        >>> PadShortcut(32, strides=2)(np.ones((1, 8, 8, 16))).shape
        (1, 4, 4, 32)
    """

    def build(self, input_shape):
        channels = input_shape[channel_axis(self.data_format)]
        if channels > self.filters:
            raise ValueError(
                "`filters` must be at least the channels that come in. "
                f"Received: filters={self.filters} for an input of {channels} channels"
            )
        self.built = True

    def call(self, inputs):
        outputs = self._reduce(inputs)
        axis = channel_axis(self.data_format)
        new_channels = self.filters - inputs.shape[axis]
        if not new_channels:
            return outputs
        pads = [(0, 0)] * 4
        pads[axis] = (0, new_channels)
        return ops.pad(outputs, pads)


@keras.saving.register_keras_serializable(package="keras_resnets")
class ProjectionShortcut(_Shortcut):
    """1x1 convolution to the shape of the branch (options B and C; averaging, ResNet-D's).

    Args:
        filters: Channels that come out.
        strides: Integer stride.
        reduction: ``"subsample"`` (every `strides`-th pixel, He 2015), ``"average"`` (over
            ``strides x strides`` pixels before the convolution, He 2018, arXiv:1812.01187, Fig. 2c)
            or ``"blur"``.
        pool_size: Side of the averaged window; `strides` by default. A dilated network averages
            where it does not stride.
        dilation: Distance of the averaged pixels.
        normalize: Whether a normalisation follows the convolution (not in pre-activation blocks).
        style: A `Style`, its dict, or None for the default.
        data_format: ``"channels_last"``, ``"channels_first"`` or None for Keras' default.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        ``(batch, height, width, channels)``, or channels first.

    Output shape:
        ``(batch, ceil(height / strides), ceil(width / strides), filters)``, or channels first.

    Raises:
        ValueError: `reduction` is unknown.

    Example:
        >>> ProjectionShortcut(32, strides=2)(np.ones((1, 8, 8, 16))).shape
        (1, 4, 4, 32)
    """

    def __init__(
        self,
        filters,
        strides=1,
        reduction="subsample",
        pool_size=None,
        dilation=1,
        normalize=True,
        style=None,
        data_format=None,
        **kwargs,
    ):
        super().__init__(filters, strides, reduction, pool_size, dilation, data_format, **kwargs)
        self.normalize = normalize
        self.style = Style.of(style)
        shared = {"data_format": self.data_format, "dtype": self.dtype_policy}
        spec = ConvSpec(1, filters, strides if reduction == "subsample" else 1)
        folds = normalize and self.style.folded
        self.conv = convolution(spec, self.style, name="conv", bias=folds, **shared)
        self.norm = normalization(self.style, "", **shared) if normalize and not folds else None
        self._restore_trainability()

    def build(self, input_shape):
        self._build_inside(self.conv, tuple(input_shape))
        self._build_inside(self.norm, self.compute_output_shape(input_shape))
        self.built = True

    def call(self, inputs, training=None):
        if self.reduction != "subsample":
            inputs = self._reduce(inputs)
        outputs = self.conv(inputs)
        if self.norm is not None:
            outputs = self.norm(outputs, training=training)
        return ops.cast(outputs, self.compute_dtype)  # the parts may have other policies

    def get_config(self):
        config = {"normalize": self.normalize, "style": self.style.to_dict()}
        return {**super().get_config(), **config}
