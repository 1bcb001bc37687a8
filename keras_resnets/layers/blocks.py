"""Residual blocks: one layer, and one node of a model's graph, each."""

import keras
from keras import ops

from keras_resnets.layers.convolution import SymmetricConv2D, standardize_data_format
from keras_resnets.layers.geometry import EXPANSION, branch_convolutions
from keras_resnets.layers.shortcuts import make_shortcut
from keras_resnets.layers.stochastic_depth import StochasticDepth

__all__ = ["BasicBlock", "BottleneckBlock", "ResidualBlock", "batch_norm"]


def batch_norm(name, momentum, epsilon, data_format, dtype):
    """Return the batch normalisation that every network of ours uses."""
    return keras.layers.BatchNormalization(
        axis=-1 if data_format == "channels_last" else 1,
        momentum=momentum,
        epsilon=epsilon,
        dtype=dtype,
        name=name,
    )


class ResidualBlock(keras.layers.Layer):
    """What the residual blocks share; use `BasicBlock` or `BottleneckBlock`.

    The branch is a row of convolutions ``conv1, conv2, ...``, each with its batch normalisation
    ``bn1, bn2, ...``. With ``activation_order="post"`` (He 2015, Fig. 2) a BN and a ReLU follow
    each convolution, the last ReLU after the addition. With ``"pre"`` (He 2016, Fig. 4e) they come
    before each convolution, and nothing follows the addition; where the block changes the shape,
    branch and shortcut share the first BN and ReLU, and the projection has no BN.

    Args:
        filters: Channels of the inner convolutions; ``expansion * filters`` come out, where
            expansion is 1 for a basic block and 4 for a bottleneck.
        strides: Stride of the block.
        shortcut: ``"identity"``, ``"pad"``, ``"pool_pad"``, ``"projection"``,
            ``"pool_projection"`` or ``"none"`` (plain block, nothing is added).
        activation_order: ``"post"`` or ``"pre"``.
        dropout: Rate of the dropout before the last convolution (Zagoruyko 2016).
        survival: Probability that the branch survives in training (Huang 2016).
        survival_mode: ``"batch"`` or ``"sample"``, see `StochasticDepth`.
        stride_in: Which convolution of a bottleneck has the stride, ``"1x1"`` or ``"3x3"``.
        bn_momentum: Momentum of the moving statistics, in Keras' sense.
        bn_epsilon: Added to variances in batch normalisation.
        seed: Seed of dropout and stochastic depth.
        data_format: ``"channels_last"``, ``"channels_first"`` or None for Keras' default.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Batch of feature maps.
        training: Whether batch normalisation uses the batch and branches are dropped.

    Input shape:
        ``(batch, height, width, channels)``, or channels first.

    Output shape:
        ``(batch, ceil(height / strides), ceil(width / strides), expansion * filters)``, or channels
        first.

    Raises:
        ValueError: An argument is illegal, or (in `build`) the shortcut's output cannot be added to
            the branch's.
    """

    block = "basic"

    def __init__(
        self,
        filters,
        strides=1,
        shortcut="identity",
        activation_order="post",
        dropout=0.0,
        survival=1.0,
        survival_mode="batch",
        stride_in="1x1",
        bn_momentum=0.9,
        bn_epsilon=1e-5,
        seed=None,
        data_format=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if activation_order not in ("post", "pre"):
            raise ValueError(
                "`activation_order` must be 'post' or 'pre'. "
                f"Received: activation_order={activation_order!r}"
            )
        if shortcut == "none" and survival < 1:
            raise ValueError(
                "`survival` < 1 needs a shortcut to survive on. "
                f"Received: survival={survival}, shortcut='none'"
            )
        self.filters = filters
        self.strides = strides
        self.shortcut_kind = shortcut
        self.activation_order = activation_order
        self.dropout_rate = dropout
        self.survival = survival
        self.survival_mode = survival_mode
        self.stride_in = stride_in
        self.bn_momentum = bn_momentum
        self.bn_epsilon = bn_epsilon
        self.seed = seed
        self.data_format = standardize_data_format(data_format)
        self._make_branch()
        self._make_shortcut()

    def _make_branch(self):
        specs = branch_convolutions(self.block, self.filters, self.strides, self.stride_in)
        shared = {"data_format": self.data_format, "dtype": self.dtype_policy}
        self.convolutions = []
        self.normalizations = []
        for number, spec in enumerate(specs, start=1):
            conv = SymmetricConv2D(
                spec.filters, spec.kernel_size, spec.strides, name=f"conv{number}", **shared
            )
            self.convolutions.append(conv)
            self.normalizations.append(self._batch_norm(f"bn{number}"))
        self.dropout = (
            keras.layers.Dropout(
                self.dropout_rate, seed=self.seed, dtype=self.dtype_policy, name="dropout"
            )
            if self.dropout_rate
            else None
        )
        self.drop_branch = (
            StochasticDepth(
                self.survival,
                self.survival_mode,
                seed=self.seed,
                dtype=self.dtype_policy,
                name="drop_branch",
            )
            if self.survival < 1
            else None
        )

    def _make_shortcut(self):
        def normalization():
            return self._batch_norm("bn")

        self.shortcut = make_shortcut(
            self.shortcut_kind,
            EXPANSION[self.block] * self.filters,
            self.strides,
            normalization if self.activation_order == "post" else None,
            data_format=self.data_format,
            dtype=self.dtype_policy,
            name="shortcut",
        )

    def _batch_norm(self, name):
        return batch_norm(
            name, self.bn_momentum, self.bn_epsilon, self.data_format, self.dtype_policy
        )

    @property
    def _shares_preactivation(self):
        return self.activation_order == "pre" and self.shortcut_kind not in ("identity", "none")

    def build(self, input_shape):
        shape = tuple(input_shape)
        for conv, bn in zip(self.convolutions, self.normalizations, strict=True):
            conv_shape = conv.compute_output_shape(shape)
            conv.build(shape)
            bn.build(conv_shape if self.activation_order == "post" else shape)
            shape = conv_shape
        for layer in (self.dropout, self.drop_branch):
            if layer is not None:
                layer.build(shape)
        if self.shortcut is not None:
            self.shortcut.build(tuple(input_shape))
            self._check_addition(self.shortcut.compute_output_shape(tuple(input_shape)), shape)
        self.built = True

    def _check_addition(self, shortcut_shape, branch_shape):
        if tuple(shortcut_shape) != tuple(branch_shape):
            raise ValueError(
                f"shortcut={self.shortcut_kind!r} puts out {tuple(shortcut_shape)} and cannot be "
                f"added to the branch, {tuple(branch_shape)}: use 'projection' or 'pad'"
            )

    def call(self, inputs, training=None):
        x = inputs
        if self.activation_order == "post":
            x = self._post_activation_branch(x, training)
        else:
            x = ops.relu(self.normalizations[0](x, training=training))
            if self._shares_preactivation:
                inputs = x
            x = self._pre_activation_branch(x, training)
        if self.drop_branch is not None:
            x = self.drop_branch(x, training=training)
        if self.shortcut is not None:
            x = ops.add(self._call_shortcut(inputs, training), x)
        return ops.relu(x) if self.activation_order == "post" else x

    def _call_shortcut(self, inputs, training):
        if self.shortcut_kind.endswith("projection"):
            return self.shortcut(inputs, training=training)
        return self.shortcut(inputs)

    def _post_activation_branch(self, x, training):
        last = len(self.convolutions) - 1
        for i, (conv, bn) in enumerate(zip(self.convolutions, self.normalizations, strict=True)):
            if i == last and self.dropout is not None:
                x = self.dropout(x, training=training)
            x = bn(conv(x), training=training)
            if i < last:
                x = ops.relu(x)
        return x

    def _pre_activation_branch(self, x, training):
        """Everything on the branch behind its first BN and ReLU."""
        x = self.convolutions[0](x)
        last = len(self.convolutions) - 1
        for i in range(1, last + 1):
            x = ops.relu(self.normalizations[i](x, training=training))
            if i == last and self.dropout is not None:
                x = self.dropout(x, training=training)
            x = self.convolutions[i](x)
        return x

    def compute_output_shape(self, input_shape):
        shape = tuple(input_shape)
        for conv in self.convolutions:
            shape = conv.compute_output_shape(shape)
        return shape

    def get_config(self):
        config = {
            "filters": self.filters,
            "strides": self.strides,
            "shortcut": self.shortcut_kind,
            "activation_order": self.activation_order,
            "dropout": self.dropout_rate,
            "survival": self.survival,
            "survival_mode": self.survival_mode,
            "stride_in": self.stride_in,
            "bn_momentum": self.bn_momentum,
            "bn_epsilon": self.bn_epsilon,
            "seed": self.seed,
            "data_format": self.data_format,
        }
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="keras_resnets")
class BasicBlock(ResidualBlock):
    """Two 3x3 convolutions and a shortcut (He 2015, Fig. 5 left).

    Puts out `filters` channels. Arguments, shapes and errors: `ResidualBlock`.

    Example:
        >>> BasicBlock(16, strides=2, shortcut="projection")(np.ones((1, 8, 8, 8))).shape
        (1, 4, 4, 16)
    """

    block = "basic"


@keras.saving.register_keras_serializable(package="keras_resnets")
class BottleneckBlock(ResidualBlock):
    """1x1, 3x3 and 1x1 convolution and a shortcut (He 2015, Fig. 5 right).

    Puts out ``4 * filters`` channels. Arguments, shapes and errors: `ResidualBlock`.

    Example:
        >>> BottleneckBlock(16, shortcut="projection")(np.ones((1, 8, 8, 8))).shape
        (1, 8, 8, 64)
    """

    block = "bottleneck"
