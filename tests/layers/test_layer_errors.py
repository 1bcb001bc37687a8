"""Refusals: each names the argument, what is expected and what came."""

import re

import numpy as np
import pytest

from keras_resnets.layers import (
    BasicBlock,
    BlurPool,
    BottleneckBlock,
    ConvSpec,
    GatedMerge,
    PadShortcut,
    ProjectionShortcut,
    ResidualBlock,
    ScaledMerge,
    SqueezeExcite,
    StochasticDepth,
    Style,
    SymmetricConv2D,
    make_shortcut,
)

TWO = (ConvSpec(3, 8), ConvSpec(3, 8))
X = np.ones((1, 4, 4, 8), "float32")
LAST = {"data_format": "channels_last"}

REFUSED = {
    "even kernel": (lambda: SymmetricConv2D(8, 2), "`kernel_size`", "odd", "kernel_size=2"),
    "strides": (lambda: SymmetricConv2D(8, 3, (1, 2)), "`strides`", "equal", "strides=(1, 2)"),
    "data format": (
        lambda: BlurPool(2, data_format="last"),
        "`data_format`",
        "'channels_first'",
        "data_format='last'",
    ),
    "ratio": (lambda: SqueezeExcite(0), "`ratio`", "positive", "ratio=0"),
    "gate": (lambda: GatedMerge(8, gate="open"), "`gate`", "exclusive, shortcut_only", "'open'"),
    "survival": (lambda: StochasticDepth(1.5), "`survival`", "[0, 1]", "survival=1.5"),
    "negative": (lambda: StochasticDepth(-0.1), "`survival`", "[0, 1]", "survival=-0.1"),
    "not a number": (lambda: StochasticDepth(float("nan")), "`survival`", "[0, 1]", "nan"),
    "mode": (lambda: StochasticDepth(1, "row"), "`mode`", "'batch' or 'sample'", "mode='row'"),
    "normalization": (
        lambda: Style(normalization="layer"),
        "`normalization`",
        "batch, group",
        "'layer'",
    ),
    "initializer": (lambda: Style(initializer="he"), "`initializer`", "fan_in, fan_out", "'he'"),
    "reduction": (lambda: PadShortcut(8, 2, "max"), "`reduction`", "subsample, average", "'max'"),
    "projection's": (lambda: ProjectionShortcut(8, 2, ""), "`reduction`", "blur", "reduction=''"),
    "fewer channels": (lambda: PadShortcut(4, **LAST)(X), "`filters`", "at least", "filters=4"),
    "shortcut kind": (lambda: make_shortcut("A", 8), "`shortcut`", "pool_projection", "'A'"),
    "block's shortcut": (
        lambda: ResidualBlock(TWO, "projection"),
        "`shortcut`",
        "identity, none",
        "'projection'",
    ),
    "order": (
        lambda: ResidualBlock(TWO, activation_order="mid"),
        "`activation_order`",
        "bn_after_addition",
        "activation_order='mid'",
    ),
    "named block's order": (
        lambda: BasicBlock(8, activation_order="mid"),
        "`activation_order`",
        "bn_after_addition",
        "activation_order='mid'",
    ),
    "preactivation": (
        lambda: ResidualBlock(TWO, preactivation="all"),
        "`preactivation`",
        "branch, shared, none",
        "preactivation='all'",
    ),
    "no convolutions": (
        lambda: ResidualBlock(()),
        "`convolutions`",
        "at least one",
        "convolutions=()",
    ),
    "drop without shortcut": (
        lambda: ResidualBlock(TWO, "none", drop=StochasticDepth(0.5)),
        "`drop` and `merge`",
        "need a shortcut",
        "shortcut='none', drop=<StochasticDepth",
    ),
    "merge without shortcut": (
        lambda: ResidualBlock(TWO, "none", merge=ScaledMerge()),
        "`drop` and `merge`",
        "need a shortcut",
        "merge=<ScaledMerge",
    ),
    "survival without shortcut": (
        lambda: BasicBlock(8, shortcut="none", survival=0.5),
        "`survival`",
        "shortcut",
        "survival=0.5, shortcut='none'",
    ),
    "zero branch behind a ReLU": (
        lambda: ResidualBlock(TWO, zero_init=True, activation_order="relu_before_addition"),
        "`zero_init`",
        "never learn",
        "activation_order='relu_before_addition'",
    ),
    "stride in": (
        lambda: BottleneckBlock(8, stride_in="5x5"),
        "`stride_in`",
        "1x1, 3x3",
        "stride_in='5x5'",
    ),
    "other channels": (
        lambda: ResidualBlock((ConvSpec(3, 6),), **LAST)(X),
        "shortcut='identity'",
        "(1, 4, 4, 8)",
        "(1, 4, 4, 6)",
    ),
    "fewer pixels": (
        lambda: ResidualBlock((ConvSpec(3, 8, 2),), PadShortcut(8, **LAST), **LAST)(X),
        "shortcut='PadShortcut'",
        "(1, 4, 4, 8)",
        "(1, 2, 2, 8)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    make, *said = REFUSED[name]
    with pytest.raises(ValueError, match=re.escape(said[0])) as error:
        make()
    for words in said[1:]:
        assert words in str(error.value)
