"""Residual blocks: one layer, and one node of a model's graph, each."""

import keras
from keras import ops

from keras_resnets.layers.backend import where_alive
from keras_resnets.layers.geometry import (
    ACTIVATION_ORDERS,
    EXPANSION,
    NORMALIZING_ORDERS,
    PRE_ORDERS,
    ConvSpec,
    branch_convolutions,
    folding_convolution,
)
from keras_resnets.layers.parts import Composite, activate, convolution, normalization
from keras_resnets.layers.resampling import (
    blur_pool,
    reduced_shape,
    standardize_data_format,
)
from keras_resnets.layers.shortcuts import PadShortcut, ProjectionShortcut
from keras_resnets.layers.stochastic_depth import StochasticDepth
from keras_resnets.layers.style import Style

__all__ = [
    "SHORTCUT_KINDS",
    "BasicBlock",
    "BottleneckBlock",
    "ResidualBlock",
    "make_shortcut",
]

PREACTIVATIONS = ("branch", "shared", "none")
SHORTCUT_KINDS = ("identity", "pad", "pool_pad", "projection", "pool_projection", "none")


@keras.saving.register_keras_serializable(package="keras_resnets")
class ResidualBlock(Composite):
    """A branch of convolutions, added to a shortcut.

    The branch is a row of convolutions ``conv1, conv2, ...``, each with a normalisation
    ``bn1, bn2, ...``, in one of the orders of He 2016, Fig. 4 (N for normalisation, R for ReLU or
    the style's activation):

    - ``"post"``: conv N R conv N + R (a, "original")
    - ``"bn_after_addition"``: conv N R conv + N R (b)
    - ``"relu_before_addition"``: conv N R conv N R + (c)
    - ``"relu_only"``: R conv N R conv N + (d)
    - ``"pre"``: N R conv N R conv + (e, "full pre-activation")

    What varies besides is given as layers: the shortcut, an attention, a stochastic depth, a merge.
    They may be built already; each belongs to one block (the file of a model whose blocks share a
    part does not load).

    Args:
        convolutions: The branch, a sequence of `ConvSpec` (or of their fields).
        shortcut: ``"identity"``, ``"none"`` (a plain block, nothing is added), or a layer.
        activation_order: One of the above.
        preactivation: For the orders that activate their input (``"pre"``, ``"relu_only"``), who
            sees it activated: the ``"branch"``, branch and shortcut (``"shared"``), or nobody
            (``"none"``: the input is activated already).
        attention: Layer called on the branch's end, or None.
        drop: `StochasticDepth` behind it, or None.
        drop_block: `DropBlock` behind every convolution, its normalisation and its activation, and
            behind a projection, or None (Ghiasi 2018, section 3.1).
        merge: Layer called on ``[inputs, shortcut, branch]`` in the place of the addition, or None.
        dropout: Rate of the dropout in front of every convolution but the first (Zagoruyko 2016,
            section 2.4).
        zero_init: Whether the branch begins as zero: by the scale of its last normalisation, or by
            its last convolution where no normalisation follows.
        style: A `Style`, its dict, or None for the default.
        seed: Seed of the dropout.
        data_format: ``"channels_last"``, ``"channels_first"`` or None for Keras' default.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Batch of feature maps.
        training: Whether batch normalisation uses the batch and branches are dropped.

    Input shape:
        ``(batch, height, width, channels)``, or channels first.

    Output shape:
        The branch's: ``(batch, ceil(height / strides), ceil(width / strides), filters)`` for the
        product of all strides and the last convolution's filters, or channels first.

    Raises:
        ValueError: An argument is illegal, or (in `build`) the shortcut's output cannot be added to
            the branch's.

    Example:
        >>> block = ResidualBlock([ConvSpec(1, 8), ConvSpec(3, 8), ConvSpec(1, 32)])
        >>> block(np.ones((1, 8, 8, 32))).shape
        (1, 8, 8, 32)
    """

    def __init__(
        self,
        convolutions,
        shortcut="identity",
        activation_order="post",
        preactivation="branch",
        attention=None,
        drop=None,
        merge=None,
        dropout=0.0,
        zero_init=False,
        style=None,
        seed=None,
        data_format=None,
        drop_block=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not convolutions:
            raise ValueError(
                f"`convolutions` must hold at least one. Received: convolutions={convolutions!r}"
            )
        _check("activation_order", activation_order, ACTIVATION_ORDERS)
        _check("preactivation", preactivation, PREACTIVATIONS)
        if isinstance(shortcut, str):
            _check("shortcut", shortcut, ("identity", "none"))
            if shortcut == "none" and (drop is not None or merge is not None):
                raise ValueError(
                    "`drop` and `merge` need a shortcut. Received: shortcut='none', "
                    f"drop={drop!r}, merge={merge!r}"
                )
        if zero_init and activation_order == "relu_before_addition":
            raise ValueError(
                "`zero_init` would never learn behind a ReLU. "
                "Received: zero_init=True, activation_order='relu_before_addition'"
            )
        self.specs = [ConvSpec(*spec) for spec in convolutions]
        self.shortcut = shortcut
        self.activation_order = activation_order
        self.preactivation = preactivation
        self.attention = attention
        self.drop_branch = drop
        self.drop_block = drop_block
        self.merge = merge
        self.dropout_rate = dropout
        self.zero_init = zero_init
        self.style = Style.of(style)
        self.seed = seed
        self.data_format = standardize_data_format(data_format)
        self._make_branch()
        self._restore_trainability()

    def _make_branch(self):
        shared = {"data_format": self.data_format, "dtype": self.dtype_policy}
        last = len(self.specs)
        folding = [folding_convolution(self.activation_order, i, last) for i in range(last)]
        if not self.style.folded:
            folding = [None] * last
        ends_in_conv = folding[-1] == last - 1 or self.activation_order in (
            "pre",
            "bn_after_addition",
        )
        self.convolutions = []
        self.normalizations = []
        for number, spec in enumerate(self.specs, start=1):
            zero = self.zero_init and number == last
            self.convolutions.append(
                convolution(
                    spec,
                    self.style,
                    name=f"conv{number}",
                    zero=zero and ends_in_conv,
                    bias=number - 1 in folding,
                    **shared,
                )
            )
            activated_already = (
                number == 1 and self.activation_order == "pre" and self.preactivation == "none"
            )
            if activated_already or folding[number - 1] is not None:
                self.normalizations.append(None)
                continue
            self.normalizations.append(
                normalization(self.style, number, zero=zero and not ends_in_conv, **shared)
            )
        self.dropout = (
            keras.layers.Dropout(
                self.dropout_rate, seed=self.seed, dtype=self.dtype_policy, name="dropout"
            )
            if self.dropout_rate
            else None
        )

    @property
    def _activates_input(self):
        return self.activation_order in PRE_ORDERS and self.preactivation != "none"

    def _normalizes_behind(self, i):
        """Whether normalisation number i directly follows its convolution."""
        if self.activation_order == "bn_after_addition":
            return i < len(self.specs) - 1
        return self.activation_order != "pre"

    @property
    def layers(self):
        """The layers directly inside, in the order in which they compute."""
        row, last = [], []
        for i, (conv, norm) in enumerate(zip(self.convolutions, self.normalizations, strict=True)):
            dropout = self.dropout if i == 1 else None
            if self._normalizes_behind(i):
                row += [dropout, conv, norm]
            elif self.activation_order == "pre":
                row += [norm, dropout, conv]
            else:
                row += [dropout, conv]
                last = [norm]
        given = [self.attention, self.drop_branch, self.shortcut, self.merge]
        known = [layer for layer in [*row, *given, *last] if isinstance(layer, keras.layers.Layer)]
        # What a subclass adds.
        others = [layer for layer in super().layers if not any(layer is k for k in known)]
        return [*known, *others]

    def build(self, input_shape):
        input_shape = shape = tuple(input_shape)
        for spec, conv, norm in zip(
            self.specs, self.convolutions, self.normalizations, strict=True
        ):
            blurred = reduced_shape(shape, spec.blur, self.data_format)
            behind = conv.compute_output_shape(blurred)
            self._build_inside(conv, blurred)
            self._build_inside(norm, shape if self.activation_order == "pre" else behind)
            shape = behind
        for layer in (self.dropout, self.drop_block, self.attention, self.drop_branch):
            self._build_inside(layer, shape)
        if not isinstance(self.shortcut, str):
            self._build_inside(self.shortcut, input_shape)
        if self.shortcut != "none":
            self._check_addition(self._shortcut_shape(input_shape), shape)
        self._build_inside(self.merge, [input_shape, shape, shape])
        self.built = True

    def _shortcut_shape(self, input_shape):
        if isinstance(self.shortcut, str):
            return input_shape
        return tuple(self.shortcut.compute_output_shape(input_shape))

    def _check_addition(self, shortcut_shape, branch_shape):
        if shortcut_shape != branch_shape:
            kind = self.shortcut if isinstance(self.shortcut, str) else type(self.shortcut).__name__
            raise ValueError(
                f"shortcut={kind!r} puts out {shortcut_shape} and cannot be added to the branch, "
                f"{branch_shape}: use a projection or padding shortcut"
            )

    def call(self, inputs, training=None):
        x = inputs
        if self._activates_input:
            x = self._activate(0, x, training)
            if self.preactivation == "shared":
                inputs = x
        if self.drop_branch is not None and self.drop_branch.drops_whole_batches(training):
            x = self._added_where_alive(inputs, x, training)
        else:
            x = self._branch(x, training)
            if self.drop_branch is not None:
                x = self.drop_branch(x, training=training)
            x = self._join(inputs, self._shortcut(inputs, training), x)
        if self.activation_order == "bn_after_addition":
            x = ops.cast(self.normalizations[-1](x, training=training), self.compute_dtype)
        if self.activation_order in ("post", "bn_after_addition"):
            x = activate(x, self.style)
        return x

    def _added_where_alive(self, inputs, x, training):
        """The sum of shortcut and branch, where the branch's work is skipped if it is dropped."""
        shortcut = self._shortcut(inputs, training)
        return where_alive(
            self.drop_branch.coin(),
            lambda: self._join(inputs, shortcut, self._branch(x, training)),
            lambda: (
                ops.cast(shortcut, self.compute_dtype)
                if self.merge is None
                else self._join(inputs, shortcut, ops.zeros_like(shortcut))
            ),
            self,
        )

    def _activate(self, i, x, training):
        """What comes in front of convolution number i."""
        if self.activation_order == "pre":
            x = self._normalize(i, x, training)
        return activate(x, self.style)

    def _normalize(self, i, x, training):
        norm = self.normalizations[i]
        return x if norm is None else norm(x, training=training)

    def _branch(self, x, training):
        for i, (spec, conv) in enumerate(zip(self.specs, self.convolutions, strict=True)):
            if i > 0:
                x = self._activate(i, x, training)
                x = self._drop_squares(x, training)
                if self.dropout is not None:
                    x = self.dropout(x, training=training)
            if spec.blur > 1:
                x = blur_pool(x, spec.blur, self.data_format)
            x = conv(x)
            if self._normalizes_behind(i):
                x = self._normalize(i, x, training)
        if self.activation_order == "relu_before_addition":
            x = activate(x, self.style)
        x = self._drop_squares(x, training)
        return x if self.attention is None else self.attention(x)

    def _drop_squares(self, x, training):
        return x if self.drop_block is None else self.drop_block(x, training=training)

    def _shortcut(self, inputs, training):
        if isinstance(self.shortcut, str):
            return inputs
        if isinstance(self.shortcut, ProjectionShortcut):
            return self._drop_squares(self.shortcut(inputs, training=training), training)
        return self.shortcut(inputs)

    def _join(self, inputs, shortcut, branch):
        if self.shortcut == "none":
            joined = branch
        elif self.merge is not None:
            joined = self.merge([inputs, shortcut, branch])
        else:
            joined = ops.add(shortcut, branch)
        return ops.cast(joined, self.compute_dtype)  # the parts may have other policies

    def compute_output_shape(self, input_shape):
        strides = 1
        for spec in self.specs:
            strides *= spec.total_stride
        return reduced_shape(input_shape, strides, self.data_format, self.specs[-1].filters)

    def get_config(self):
        config = {name: getattr(self, name) for name in _PLAIN_ARGUMENTS}
        for name, part in self._given_layers().items():
            config[name] = part if _is_plain(part) else _serialized(part)
        config["convolutions"] = [list(spec) for spec in self.specs]
        config["dropout"] = self.dropout_rate
        config["style"] = self.style.to_dict()
        return {**super().get_config(), **config}

    def _given_layers(self):
        return {
            "shortcut": self.shortcut,
            "attention": self.attention,
            "drop": self.drop_branch,
            "merge": self.merge,
            "drop_block": self.drop_block,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        for name in ("shortcut", "attention", "drop", "merge", "drop_block"):
            if not _is_plain(config.get(name)):
                config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)


_PLAIN_ARGUMENTS = ("activation_order", "preactivation", "zero_init", "seed", "data_format")


def _is_plain(part):
    return part is None or isinstance(part, str)


def _serialized(layer):
    """Return a layer's serialised form, unbuilt: the block builds it when it is built itself."""
    serialized = keras.saving.serialize_keras_object(layer)
    serialized.pop("build_config", None)
    return serialized


def _check(argument, value, legal):
    if value not in legal:
        raise ValueError(
            f"`{argument}` must be one of {', '.join(legal)}. Received: {argument}={value!r}"
        )


def make_shortcut(
    kind,
    filters,
    strides=1,
    *,
    pool_size=None,
    dilation=1,
    antialias=False,
    normalize=True,
    style=None,
    data_format=None,
    dtype=None,
):
    """Return the shortcut of a kind: a layer, or the kind itself where it needs none.

    Args:
        kind: ``identity``, ``pad``, ``pool_pad``, ``projection``, ``pool_projection`` or ``none``.
        filters: Channels that come out.
        strides: Stride.
        pool_size: Side of the window of a pooling kind; `strides` by default.
        dilation: Distance of the pixels in it.
        antialias: Blur where the kind subsamples.
        normalize: Whether a normalisation follows a projection.
        style: A `Style`, its dict, or None for the default.
        data_format: ``"channels_last"``, ``"channels_first"`` or None for Keras' default.
        dtype: Dtype policy of the layer.

    Raises:
        ValueError: The kind is unknown.

    Example:
        >>> make_shortcut("projection", 32, strides=2).filters
        32
    """
    _check("shortcut", kind, SHORTCUT_KINDS)
    if kind in ("identity", "none"):
        return kind
    reduction = "blur" if antialias else "subsample"
    if kind.startswith("pool_"):
        reduction = "average"
    shared = {
        "reduction": reduction,
        "pool_size": pool_size,
        "dilation": dilation,
        "data_format": data_format,
        "dtype": dtype,
        "name": "shortcut",
    }
    if kind.endswith("projection"):
        return ProjectionShortcut(filters, strides, normalize=normalize, style=style, **shared)
    return PadShortcut(filters, strides, **shared)


class _NamedBlock(ResidualBlock):
    """A block whose branch follows from its kind."""

    kind = "basic"

    def __init__(
        self,
        filters,
        strides=1,
        shortcut="identity",
        activation_order="post",
        stride_in="1x1",
        survival=1.0,
        survival_mode="batch",
        style=None,
        seed=None,
        data_format=None,
        **kwargs,
    ):
        self._arguments = {
            "filters": filters,
            "strides": strides,
            "shortcut": shortcut,
            "stride_in": stride_in,
            "survival": survival,
            "survival_mode": survival_mode,
        }
        dtype = kwargs.get("dtype")
        _check("activation_order", activation_order, ACTIVATION_ORDERS)
        _check("stride_in", stride_in, ("1x1", "3x3"))
        preactivates = activation_order in PRE_ORDERS
        if shortcut not in ("identity", "none"):
            kwargs.setdefault("preactivation", "shared" if preactivates else "branch")
        if not 0 <= survival <= 1:
            raise ValueError(
                f"`survival` must be a probability, in [0, 1]. Received: survival={survival}"
            )
        if shortcut == "none" and survival < 1:
            raise ValueError(
                "`survival` < 1 needs a shortcut to survive on. "
                f"Received: survival={survival}, shortcut='none'"
            )
        super().__init__(
            branch_convolutions(self.kind, filters, strides, stride_in),
            make_shortcut(
                shortcut,
                EXPANSION[self.kind] * filters,
                strides,
                normalize=activation_order in NORMALIZING_ORDERS,
                style=style,
                data_format=data_format,
                dtype=dtype,
            ),
            activation_order,
            drop=(
                StochasticDepth(survival, survival_mode, seed, dtype=dtype, name="drop_branch")
                if survival < 1
                else None
            ),
            style=style,
            seed=seed,
            data_format=data_format,
            **kwargs,
        )

    def get_config(self):
        config = super().get_config()
        for name in ("convolutions", "drop"):
            del config[name]
        return {**config, **self._arguments}


@keras.saving.register_keras_serializable(package="keras_resnets")
class BasicBlock(_NamedBlock):
    """Two 3x3 convolutions and a shortcut (He 2015, Fig. 5 left).

    Puts out `filters` channels.

    Args:
        filters: Channels of the convolutions.
        strides: Stride of the first one.
        shortcut: ``"identity"``, ``"pad"``, ``"pool_pad"``, ``"projection"``,
            ``"pool_projection"`` or ``"none"`` (plain block, nothing is added).
        activation_order: As for `ResidualBlock`. Where a ``"pre"`` block has another shortcut than
            the identity, branch and shortcut share the first activation.
        stride_in: Of no effect; bottlenecks have it.
        survival: Probability that the branch survives in training (Huang 2016).
        survival_mode: ``"batch"`` or ``"sample"``, see `StochasticDepth`.
        style: A `Style`, its dict, or None for the default.
        seed: Seed of dropout and stochastic depth.
        data_format: ``"channels_last"``, ``"channels_first"`` or None for Keras' default.
        **kwargs: Further arguments of `ResidualBlock`: `preactivation`, `attention`, `merge`,
            `dropout`, `drop_block`, `zero_init`, and `keras.layers.Layer`'s.

    Call arguments, shapes and errors: `ResidualBlock`.

    Example:
        >>> BasicBlock(16, strides=2, shortcut="projection")(np.ones((1, 8, 8, 8))).shape
        (1, 4, 4, 16)
    """

    kind = "basic"


@keras.saving.register_keras_serializable(package="keras_resnets")
class BottleneckBlock(_NamedBlock):
    """1x1, 3x3 and 1x1 convolution and a shortcut (He 2015, Fig. 5 right).

    Puts out ``4 * filters`` channels.

    Args:
        filters: Channels of the first two convolutions.
        strides: Stride of the block.
        shortcut: As for `BasicBlock`, like all further arguments but one.
        activation_order: As for `ResidualBlock`.
        stride_in: Which convolution has the stride: ``"1x1"``, the first (v1), or ``"3x3"`` (v1.5).
        survival: Probability that the branch survives in training (Huang 2016).
        survival_mode: ``"batch"`` or ``"sample"``, see `StochasticDepth`.
        style: A `Style`, its dict, or None for the default.
        seed: Seed of dropout and stochastic depth.
        data_format: ``"channels_last"``, ``"channels_first"`` or None for Keras' default.
        **kwargs: Further arguments of `ResidualBlock`.

    Call arguments, shapes and errors: `ResidualBlock`.

    Example:
        >>> BottleneckBlock(16, shortcut="projection")(np.ones((1, 8, 8, 8))).shape
        (1, 8, 8, 64)
    """

    kind = "bottleneck"
