"""How a branch joins its shortcut, where it is not added plainly (He 2016, section 3, Table 1)."""

import keras
from keras import ops

from keras_resnets.layers.convolution import SymmetricConv2D, he_normal
from keras_resnets.layers.parts import Composite, decay
from keras_resnets.layers.resampling import standardize_data_format
from keras_resnets.layers.style import Style

__all__ = ["GATES", "DropoutMerge", "GatedMerge", "ScaledMerge"]

GATES = ("exclusive", "shortcut_only")


class _Merge(Composite):
    """What the merges share: called on ``[inputs, shortcut, branch]``, shaped like the branch.

    Masks join as those of Keras' merging layers do; the block's input is no part of the sum.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_mask(self, inputs, mask=None):
        if mask is None or any(m is None for m in mask[1:]):
            return None
        return ops.logical_or(*mask[1:])

    def compute_output_shape(self, input_shape):
        return tuple(input_shape[2])


@keras.saving.register_keras_serializable(package="keras_resnets")
class ScaledMerge(_Merge):
    """Constant scaling: ``shortcut_scale * shortcut + branch_scale * branch`` (Fig. 2b).

    Args:
        shortcut_scale: Factor of the shortcut; the paper's is 0.5.
        branch_scale: Factor of the branch; the paper has 0.5 and 1.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: ``[block input, shortcut, branch]``, the latter two of one shape.

    Output shape:
        The branch's.

    Example:
        >>> x = np.ones((1, 4, 4, 8))
        >>> ScaledMerge(0.5, 0.5)([x, x, x]).shape
        (1, 4, 4, 8)
    """

    def __init__(self, shortcut_scale=0.5, branch_scale=0.5, **kwargs):
        super().__init__(**kwargs)
        self.shortcut_scale = shortcut_scale
        self.branch_scale = branch_scale

    def build(self, input_shape):
        self.built = True

    def call(self, inputs):
        _, shortcut, branch = inputs
        return shortcut * self.shortcut_scale + branch * self.branch_scale

    def get_config(self):
        config = {"shortcut_scale": self.shortcut_scale, "branch_scale": self.branch_scale}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="keras_resnets")
class DropoutMerge(_Merge):
    """Addition with dropout on the shortcut (Fig. 2f; the paper's fails to converge, at 0.5).

    Args:
        rate: Rate of the dropout, in [0, 1).
        seed: Seed of the dropout.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: ``[block input, shortcut, branch]``, the latter two of one shape.
        training: Whether to drop.

    Output shape:
        The branch's.

    Example:
        >>> x = np.ones((1, 4, 4, 8))
        >>> DropoutMerge(0.5)([x, x, x]).shape
        (1, 4, 4, 8)
    """

    def __init__(self, rate=0.5, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate
        self.seed = seed
        self.dropout = keras.layers.Dropout(
            rate, seed=seed, dtype=self.dtype_policy, name="shortcut_dropout"
        )
        self._restore_trainability()

    def build(self, input_shape):
        self._build_inside(self.dropout, input_shape[1])
        self.built = True

    def call(self, inputs, training=None):
        _, shortcut, branch = inputs
        return ops.cast(self.dropout(shortcut, training=training), branch.dtype) + branch

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


@keras.saving.register_keras_serializable(package="keras_resnets")
class GatedMerge(_Merge):
    """Gating by ``g = sigmoid(1x1 convolution of the block's input)`` (Fig. 2c, d).

    ``exclusive``: ``(1 - g) * shortcut + g * branch``. ``shortcut_only``:
    ``(1 - g) * shortcut + branch``.

    Args:
        filters: Channels of the branch.
        strides: Stride of the block.
        gate: ``"exclusive"`` or ``"shortcut_only"``.
        bias: Initial value of the gate's biases; the paper's best is -6, which leaves the shortcut
            open.
        style: A `Style`, its dict, or None for the default.
        data_format: ``"channels_last"``, ``"channels_first"`` or None for Keras' default.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: ``[block input, shortcut, branch]``, the latter two of one shape.

    Output shape:
        The branch's.

    Raises:
        ValueError: `gate` is unknown.

    Example:
        >>> x = np.ones((1, 4, 4, 8))
        >>> GatedMerge(8)([x, x, x]).shape
        (1, 4, 4, 8)
    """

    def __init__(
        self,
        filters,
        strides=1,
        gate="exclusive",
        bias=-6.0,
        style=None,
        data_format=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if gate not in GATES:
            raise ValueError(f"`gate` must be one of {', '.join(GATES)}. Received: gate={gate!r}")
        self.filters = filters
        self.strides = strides
        self.gate = gate
        self.bias = bias
        self.style = Style.of(style)
        self.data_format = standardize_data_format(data_format)
        self.conv = SymmetricConv2D(
            filters,
            1,
            strides,
            use_bias=True,
            bias_initializer=keras.initializers.Constant(bias),
            kernel_initializer=he_normal(self.style.initializer),
            kernel_regularizer=decay(self.style),
            bias_regularizer=decay(self.style, kernel=False),
            data_format=self.data_format,
            dtype=self.dtype_policy,
            name="gate",
        )
        self._restore_trainability()

    def build(self, input_shape):
        self._build_inside(self.conv, tuple(input_shape[0]))
        self.built = True

    def call(self, inputs):
        inputs, shortcut, branch = inputs
        gate = ops.cast(ops.sigmoid(self.conv(inputs)), branch.dtype)
        if self.gate == "exclusive":
            branch = gate * branch
        return (1.0 - gate) * shortcut + branch

    def get_config(self):
        names = ("filters", "strides", "gate", "bias", "data_format")
        config = {name: getattr(self, name) for name in names}
        return {**super().get_config(), **config, "style": self.style.to_dict()}
