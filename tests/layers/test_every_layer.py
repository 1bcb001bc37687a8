"""One helper for every registered layer and every option of the residual block."""

from typing import NamedTuple

import keras
import pytest
from checks import Inputs, check_layer
from tiers import matrix

from keras_resnets import layers
from keras_resnets.layers import (
    BasicBlock,
    BatchNormalization,
    BlurPool,
    BottleneckBlock,
    ChannelwiseReduction,
    ConvSpec,
    DenseBlockLayer,
    DropBlock,
    DropoutMerge,
    GatedMerge,
    ImageNormalization,
    PadShortcut,
    ProjectionShortcut,
    ResidualBlock,
    ScaledMerge,
    SqueezeExcite,
    StochasticDepth,
    Style,
    SymmetricConv2D,
    SymmetricMaxPool,
    TransitionLayer,
    make_shortcut,
)


class Case(NamedTuple):
    """A layer under test, and what is known about it (see `check_layer`)."""

    kind: type
    make: object
    parameters: int = 0
    inputs: Inputs = Inputs(4)
    reached: object = None
    per_pixel_draws: bool = False


def case(kind, *arguments, parameters=0, inputs=4, reached=None, per_pixel_draws=False, **options):
    """Return the case of a layer whose options, where callable, make the layers given to it."""

    def make(data_format, dtype):
        shared = {"data_format": data_format, "dtype": dtype}
        parts = {key: v(shared) if callable(v) else v for key, v in options.items()}
        own = shared if kind not in FORMATLESS else {"dtype": dtype}
        return kind(*arguments, **parts, **own)

    inputs = inputs if isinstance(inputs, Inputs) else Inputs(inputs)
    return Case(kind, make, parameters, inputs, reached, per_pixel_draws)


FORMATLESS = (StochasticDepth, ScaledMerge, DropoutMerge, BatchNormalization)

TWO = (ConvSpec(3, 6), ConvSpec(3, 4))
TWO_STRIDED = (ConvSpec(3, 6, 2), ConvSpec(3, 8))
THREE = (ConvSpec(1, 4), ConvSpec(3, 4, groups=2), ConvSpec(1, 4))
STYLED = {
    "group norm": Style(normalization="group", groups=2),
    "folded": Style(folded=True),
    "standardised": Style(normalization="group", groups=2, weight_standardization=True),
    "decayed": Style(weight_decay=1e-2, initializer="fan_out", momentum=0.5, epsilon=1e-3),
}

# Numbers in the weights of TWO, from 4 to 4 channels: kernels, and 4 a channel of batch norm.
KERNELS = 9 * 4 * 6 + 9 * 6 * 4
KERNELS_STRIDED = 9 * 4 * 6 + 9 * 6 * 8
POST, PRE = 4 * (6 + 4), 4 * (4 + 6)
POST_STRIDED, PRE_STRIDED = 4 * (6 + 8), 4 * (4 + 6)


def shortcut(kind, strides=2, **options):
    return lambda shared: make_shortcut(kind, 8, strides, **options, **shared)


def residual(specs=TWO, **options):
    return case(ResidualBlock, specs, **options)


def strided(kind, parameters, norms=POST_STRIDED, **options):
    return residual(
        options.pop("specs", TWO_STRIDED),
        shortcut=shortcut(kind, **options.pop("how", {})),
        parameters=KERNELS_STRIDED + norms + parameters,
        **options,
    )


def drop(mode, survival=0.5):
    return lambda shared: StochasticDepth(
        survival, mode, seed=2, dtype=shared["dtype"], name="drop_branch"
    )


def attention(shared):
    return SqueezeExcite(0.5, name="attention", **shared)


ATTENTION = 4 * 2 + 2 + 2 * 4 + 4


def ends_in(*names):
    """Say that the gradient reaches the last layer alone."""
    return lambda path: path.split("/")[-2] in names


CASES = {
    # The parts.
    "convolution": case(SymmetricConv2D, 6, 3, parameters=9 * 4 * 6),
    "strided convolution": case(SymmetricConv2D, 6, 5, 2, parameters=25 * 4 * 6),
    "strided 1x1": case(SymmetricConv2D, 6, 1, 2, parameters=4 * 6),
    "dilated, biased": case(
        SymmetricConv2D, 6, 3, dilation_rate=2, use_bias=True, parameters=9 * 4 * 6 + 6
    ),
    "grouped, standardised": case(
        SymmetricConv2D, 6, 3, 2, groups=2, standardize=True, parameters=9 * 2 * 6
    ),
    "blur": case(BlurPool, 2),
    "channelwise": case(ChannelwiseReduction, [(1, "average"), (3, "subsample")]),
    "channelwise, blurred": case(ChannelwiseReduction, [(2, "blur"), (2, "average")], 2, 3),
    "channelwise, dilated": case(ChannelwiseReduction, [(2, "average"), (2, "subsample")], 1, 2, 2),
    "images": case(ImageNormalization, (0.5, -1.0, 2.0, 0.0), (1.0, 0.5, 2.0, 0.25)),
    "max": case(SymmetricMaxPool, 2),
    "max, stride 1": case(SymmetricMaxPool, 1),
    "pad shortcut": case(PadShortcut, 7, 2),
    "pad shortcut, average": case(PadShortcut, 4, 2, "average"),
    "pad shortcut, dilated average": case(PadShortcut, 7, 1, "average", 2, 2),
    "pad shortcut, blur": case(PadShortcut, 7, 2, "blur"),
    "projection": case(ProjectionShortcut, 8, 2, parameters=4 * 8 + 4 * 8),
    "projection, average": case(ProjectionShortcut, 8, 2, "average", parameters=4 * 8 + 4 * 8),
    "projection, dilated average": case(
        ProjectionShortcut, 8, 1, "average", 2, 2, parameters=4 * 8 + 4 * 8
    ),
    "projection, blur, no norm": case(
        ProjectionShortcut, 8, 2, "blur", normalize=False, parameters=4 * 8
    ),
    "projection, folded": case(ProjectionShortcut, 8, style=STYLED["folded"], parameters=4 * 8 + 8),
    "projection, group norm": case(
        ProjectionShortcut, 8, style=STYLED["group norm"], parameters=4 * 8 + 2 * 8
    ),
    "norm": case(
        BatchNormalization,
        axis=lambda shared: 1 if shared["data_format"] == "channels_first" else -1,
        parameters=4 * 4,
    ),
    "attention": case(SqueezeExcite, 0.5, parameters=ATTENTION),
    "drop block": case(DropBlock, 0.3, 3, seed=1),
    "drop block of a whole map": case(DropBlock, 0.3, 8, seed=1),
    "attention, one unit": case(
        SqueezeExcite, 1e-3, style=STYLED["decayed"], parameters=4 + 1 + 4 + 4
    ),
    "drop batch": case(StochasticDepth, 0.5, seed=1),
    "drop sample": case(StochasticDepth, 0.5, "sample", seed=1),
    "drop never": case(StochasticDepth, 1),
    "drop always": case(StochasticDepth, 0),
    "scaled": case(ScaledMerge, 0.5, 2.0, inputs=Inputs((3, 4, 4), (1, 2, 2))),
    "dropped": case(
        DropoutMerge, 0.5, seed=3, inputs=Inputs((3, 4, 4), (1, 2, 2)), per_pixel_draws=True
    ),
    "gated": case(GatedMerge, 4, 2, parameters=16, inputs=Inputs((3, 4, 4), (1, 2, 2))),
    "gated shortcut": case(
        GatedMerge,
        4,
        gate="shortcut_only",
        bias=-1.0,
        style=STYLED["decayed"],
        parameters=16,
        inputs=Inputs((3, 4, 4), (1, 1, 1)),
    ),
    "dense": case(DenseBlockLayer, 3, parameters=4 * 4 + 4 * 12 + 4 * 12 + 9 * 12 * 3),
    "dense, plain, dilated": case(DenseBlockLayer, 3, False, 2, parameters=4 * 4 + 9 * 4 * 3),
    "dense, dropout": case(
        DenseBlockLayer,
        3,
        dropout=0.5,
        style=STYLED["standardised"],
        seed=4,
        parameters=2 * 4 + 4 * 12 + 2 * 12 + 9 * 12 * 3,
        per_pixel_draws=True,
    ),
    "dense, folded": case(
        DenseBlockLayer,
        3,
        style=STYLED["folded"],
        parameters=4 * 4 + 4 * 12 + 12 + 9 * 12 * 3,
    ),
    "transition": case(TransitionLayer, 3, parameters=4 * 4 + 4 * 3),
    "transition, dilated, dropout": case(
        TransitionLayer,
        3,
        1,
        2,
        dropout=0.5,
        seed=5,
        parameters=4 * 4 + 4 * 3,
        per_pixel_draws=True,
    ),
    # The activation orders, and who sees the input activated.
    "post": residual(parameters=KERNELS + POST),
    "bn after addition": residual(activation_order="bn_after_addition", parameters=KERNELS + POST),
    "relu before addition": residual(
        activation_order="relu_before_addition", parameters=KERNELS + POST
    ),
    **{
        f"{order}, {who}": residual(
            activation_order=order, preactivation=who, parameters=KERNELS + count
        )
        for order, who, count in (
            ("pre", "branch", PRE),
            ("pre", "shared", PRE),
            ("pre", "none", PRE - 4 * 4),
            ("relu_only", "branch", POST),
            ("relu_only", "shared", POST),
            ("relu_only", "none", POST),
        )
    },
    # The shortcuts.
    "plain": residual(shortcut="none", parameters=KERNELS + POST),
    "pad": strided("pad", 0),
    "pool and pad": strided("pool_pad", 0),
    "projected": strided("projection", 4 * 8 + 4 * 8),
    "pool and project": strided("pool_projection", 4 * 8 + 4 * 8),
    "shared projection": strided(
        "projection",
        4 * 8,
        PRE_STRIDED,
        how={"normalize": False},
        activation_order="pre",
        preactivation="shared",
    ),
    "blurred": strided(
        "projection",
        4 * 8 + 4 * 8,
        specs=(ConvSpec(3, 6), ConvSpec(3, 8, blur=2)),
        how={"antialias": True},
    ),
    "dilated": strided(
        "pool_pad",
        0,
        specs=(ConvSpec(3, 6, dilation=2), ConvSpec(3, 8, dilation=4)),
        how={"strides": 1, "pool_size": 2, "dilation": 2},
    ),
    # Attention, drop, merge and dropout.
    "attentive": residual(attention=attention, parameters=KERNELS + POST + ATTENTION),
    "dropped batch": residual(drop=drop("batch", 0.99), parameters=KERNELS + POST),
    "dropped sample": residual(
        drop=drop("sample"), attention=attention, parameters=KERNELS + POST + ATTENTION
    ),
    "scaled merge": residual(
        merge=lambda shared: ScaledMerge(dtype=shared["dtype"], name="merge"),
        parameters=KERNELS + POST,
    ),
    "gated merge": strided(
        "pad",
        4 * 8 + 8,
        merge=lambda shared: GatedMerge(8, 2, bias=0.0, name="merge", **shared),
    ),
    "dropout merge": residual(
        merge=lambda shared: DropoutMerge(0.5, 6, dtype=shared["dtype"], name="merge"),
        parameters=KERNELS + POST,
        per_pixel_draws=True,
    ),
    "drop blocks": strided(
        "projection",
        4 * 8 + 4 * 8,
        drop_block=lambda shared: DropBlock(0.3, 3, seed=4, name="drop_block", **shared),
    ),
    "dropout": residual(
        dropout=0.5,
        activation_order="pre",
        seed=7,
        parameters=KERNELS + PRE,
        per_pixel_draws=True,
    ),
    # A branch that begins as zero.
    "zero post": residual(
        zero_init=True,
        attention=attention,
        parameters=KERNELS + POST + ATTENTION,
        reached=ends_in("bn2"),
    ),
    "zero relu only": residual(
        zero_init=True,
        activation_order="relu_only",
        parameters=KERNELS + POST,
        reached=ends_in("bn2"),
    ),
    "zero pre": residual(
        zero_init=True,
        activation_order="pre",
        parameters=KERNELS + PRE,
        reached=ends_in("conv2"),
    ),
    "zero bn after addition": residual(
        zero_init=True,
        activation_order="bn_after_addition",
        parameters=KERNELS + POST,
        reached=ends_in("conv2", "bn2"),
    ),
    # Styles, and rows of convolutions.
    "folded": residual(style=STYLED["folded"], parameters=KERNELS + 6 + 4),
    "folded, pre": residual(
        style=STYLED["folded"], activation_order="pre", parameters=KERNELS + 6 + 4 * 4
    ),
    "folded, after the addition": residual(
        style=STYLED["folded"],
        activation_order="bn_after_addition",
        parameters=KERNELS + 6 + 4 * 4,
    ),
    "folded, begins as zero": residual(
        style=STYLED["folded"],
        zero_init=True,
        parameters=KERNELS + 6 + 4,
        reached=ends_in("conv2"),
    ),
    "group norm": residual(style=STYLED["group norm"], parameters=KERNELS + POST // 2),
    "standardised, pre": residual(
        style=STYLED["standardised"], activation_order="pre", parameters=KERNELS + PRE // 2
    ),
    "decayed": residual(style=STYLED["decayed"], parameters=KERNELS + POST),
    "bottleneck, grouped": residual(THREE, parameters=2 * 4 * 4 + 9 * 2 * 4 + 3 * 4 * 4),
    "one convolution": residual((ConvSpec(3, 4),), parameters=9 * 4 * 4 + 4 * 4),
    # The named blocks.
    "basic": case(BasicBlock, 4, parameters=2 * 9 * 4 * 4 + 2 * 4 * 4),
    "basic, padded, dropped": case(
        BasicBlock,
        6,
        2,
        "pad",
        survival=0.5,
        survival_mode="sample",
        seed=8,
        parameters=9 * 4 * 6 + 9 * 6 * 6 + 2 * 4 * 6,
    ),
    "basic, plain": case(BasicBlock, 6, 2, "none", parameters=9 * 4 * 6 + 9 * 6 * 6 + 2 * 4 * 6),
    "bottleneck": case(
        BottleneckBlock,
        2,
        2,
        "projection",
        stride_in="3x3",
        style=STYLED["decayed"],
        parameters=4 * 2 + 9 * 2 * 2 + 2 * 8 + 4 * (2 + 2 + 8) + 4 * 8 + 4 * 8,
    ),
    "bottleneck, pre": case(
        BottleneckBlock,
        2,
        1,
        "projection",
        "pre",
        attention=attention,
        parameters=4 * 2 + 9 * 2 * 2 + 2 * 8 + 4 * (4 + 2 + 2) + 4 * 8 + (8 * 4 + 4 + 4 * 8 + 8),
    ),
}


FIRST = {case.kind: name for name, case in reversed(CASES.items())}
"""A case of each layer."""


@pytest.mark.parametrize("name", matrix(CASES, [*FIRST.values(), "zero pre", "gated merge"]))
def test_layer(name, tmp_path):
    _, make, parameters, inputs, reached, per_pixel_draws = CASES[name]
    check_layer(
        make,
        inputs,
        parameters,
        tmp_path,
        reached=reached,
        follows_data_format=not per_pixel_draws,
    )


def test_no_layer_is_left_out():
    public = {getattr(layers, name) for name in layers.__all__}
    kinds = {kind for kind in public if isinstance(kind, type)}
    assert {c.kind for c in CASES.values()} == {
        kind for kind in kinds if issubclass(kind, keras.layers.Layer)
    }
    for kind in {c.kind for c in CASES.values()}:
        assert keras.saving.get_registered_name(kind) == f"keras_resnets>{kind.__name__}"
