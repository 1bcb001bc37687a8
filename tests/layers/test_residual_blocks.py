"""Residual blocks: the order of their parts, dilation, zero branches, and the named blocks."""

import itertools

import keras
import numpy as np
import pytest
import references
from checks import CLOSE, Inputs, any_size, built, numpy, randomize, run
from hypothesis import given
from hypothesis import strategies as st

from keras_resnets.layers import (
    BasicBlock,
    BottleneckBlock,
    ConvSpec,
    DropoutMerge,
    GatedMerge,
    ResidualBlock,
    ScaledMerge,
    SqueezeExcite,
    StochasticDepth,
    Style,
    make_shortcut,
)

BRANCHES = {
    "basic": (ConvSpec(3, 6, 2), ConvSpec(3, 8)),
    "bottleneck": (ConvSpec(1, 6), ConvSpec(3, 6, 2, groups=2), ConvSpec(1, 8)),
}
INPUT = Inputs(4)

IN_TRAINING = {"rtol": 1e-4, "atol": 1e-4}
"""Statistics of a batch of some ten pixels amplify float32's rounding."""


def block(specs=BRANCHES["basic"], kind="projection", strides=2, **options):
    """Return a block with random weights."""

    def make(**shared):
        how = {"normalize": False, "strides": strides, **options.pop("how", {}), **shared}
        parts = {key: v(shared) if callable(v) else v for key, v in options.items()}
        shortcut = make_shortcut(kind, specs[-1].filters, **how)
        return ResidualBlock(specs, shortcut, **parts, **shared)

    layer = built(make, INPUT)
    randomize(layer)
    return layer


def figure(order, convolutions, preactivation="branch"):
    """Return He 2016's Fig. 4 for so many convolutions, without what activates the input."""
    parts = references.FIGURE_4[order]
    middle = {"pre": "N R C", "relu_only": "R C N"}.get(order, "C N R")
    parts = f"{middle} " * (convolutions - 2) + parts
    if preactivation == "none":
        parts = parts.removeprefix({"pre": "N R ", "relu_only": "R "}[order])
    return parts


ORDERS = [
    *(("branch", order) for order in references.FIGURE_4),
    *itertools.product(("shared", "none"), ("pre", "relu_only")),
]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("branch", BRANCHES)
@pytest.mark.parametrize("preactivation, order", ORDERS)
def test_the_order_is_the_figures(order, preactivation, branch, training):
    layer = block(BRANCHES[branch], activation_order=order, preactivation=preactivation)
    x = INPUT.random(6, 5)
    expected = references.follow(
        figure(order, len(layer.specs), preactivation),
        x,
        layer,
        lambda v: references.convolution(v, numpy(layer.shortcut.conv.kernel), 2),
        begins_shared=preactivation == "shared",
        training=training,
    )
    close = IN_TRAINING if training else CLOSE
    np.testing.assert_allclose(run(layer, x, training), expected, **close)


@pytest.mark.parametrize("order", references.FIGURE_4)
def test_identity_and_plain_blocks(order):
    specs = (ConvSpec(3, 6), ConvSpec(3, 4))
    x = INPUT.random(6, 5)
    for kind, shortcut in (("identity", lambda v: v), ("none", None)):
        layer = block(specs, kind, 1, activation_order=order)
        expected = references.follow(figure(order, 2), x, layer, shortcut)
        np.testing.assert_allclose(run(layer, x), expected, **CLOSE)


def test_figures_of_three_convolutions_read_well():
    assert figure("post", 3) == "C N R C N R C N + R"
    assert figure("pre", 3, "none") == "C N R C N R C +"
    assert figure("relu_only", 3) == "R C N R C N R C N +"


MERGES = {
    "scaled": (
        lambda shared: ScaledMerge(0.5, 2.0, dtype=shared["dtype"]),
        lambda x, shortcut, branch, merge: 0.5 * shortcut + 2.0 * branch,
    ),
    "gated": (
        lambda shared: GatedMerge(8, 2, **shared),
        lambda x, shortcut, branch, merge: run(merge, [x, shortcut, branch]),
    ),
    "dropout": (
        lambda shared: DropoutMerge(0.5, dtype=shared["dtype"]),
        lambda x, shortcut, branch, merge: shortcut + branch,
    ),
}


@pytest.mark.parametrize("merge", MERGES)
def test_attention_then_drop_then_merge_then_relu(merge):
    make, formula = MERGES[merge]
    layer = block(
        attention=lambda shared: SqueezeExcite(0.5, **shared),
        drop=lambda shared: StochasticDepth(0.25, dtype=shared["dtype"]),
        merge=make,
    )
    x = INPUT.random(6, 6)
    branch = references.follow("C N R C N", x, layer, None)
    branch = 0.25 * run(layer.attention, branch)
    expected = formula(x, run(layer.shortcut, x), branch, layer.merge)
    np.testing.assert_allclose(run(layer, x), references.relu(expected), **CLOSE)


def test_blur_comes_right_before_its_convolution():
    """Zhang 2019, Fig. 3: convolution, ReLU, blur with the stride."""
    layer = block((ConvSpec(3, 6), ConvSpec(3, 8, blur=2)), how={"antialias": True})
    x = INPUT.random(7, 6)
    branch = references.follow("C N R", x, layer, None)
    second, norm = layer.convolutions[1], layer.normalizations[1]
    branch = references.convolution(references.blur(branch, 2), numpy(second.kernel))
    shortcut = references.convolution(references.blur(x, 2), numpy(layer.shortcut.conv.kernel))
    expected = references.relu(references.batch_norm(branch, norm) + shortcut)
    np.testing.assert_allclose(run(layer, x), expected, **CLOSE)


def test_dropout_comes_before_every_convolution_but_the_first(monkeypatch):
    layer = block(BRANCHES["bottleneck"], activation_order="pre", dropout=0.5, seed=0)
    seen = []
    for name, part in (("dropout", layer.dropout), *((c.name, c) for c in layer.convolutions)):

        def watched(*args, name=name, original=part.call, **kwargs):
            seen.append(name)
            return original(*args, **kwargs)

        monkeypatch.setattr(part, "call", watched)
    x = INPUT.random(6, 6)
    trained = run(layer, x, training=True)
    assert seen == ["conv1", "dropout", "conv2", "dropout", "conv3"]
    assert not np.array_equal(trained, run(layer, x, training=True))


@pytest.mark.parametrize("order", [order for order in references.FIGURE_4 if "before" not in order])
def test_a_zero_branch_leaves_the_shortcut(order):
    specs = (ConvSpec(3, 6), ConvSpec(3, 4))
    x = INPUT.random(6, 6)
    for training in (False, True):
        layer = ResidualBlock(
            specs, activation_order=order, zero_init=True, data_format="channels_last"
        )
        outputs = run(layer, x, training)
        if order == "bn_after_addition":
            expected = references.relu(references.batch_norm(x, layer.normalizations[-1], training))
            # The layer's moving statistics have changed, but the batch's are what it used.
            close = IN_TRAINING
        else:
            expected, close = references.relu(x) if order == "post" else x, CLOSE
        np.testing.assert_allclose(outputs, expected, **close)
        if training:
            break


@any_size
@given(
    side=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    before=st.sampled_from((1, 2)),
    kind=st.sampled_from(("pad", "pool_pad", "projection", "pool_projection")),
    order=st.sampled_from(("post", "pre")),
    stride_at=st.sampled_from((0, 1)),
)
@pytest.mark.large
def test_a_dilated_block_is_the_strided_one_where_that_looks(side, before, kind, order, stride_at):
    """Stride 2 becomes dilation behind it; what came before is dilated already."""

    def specs(strides, dilations):
        return tuple(
            ConvSpec(3, 8, strides if i == stride_at else 1, dilations[i > stride_at])
            for i in range(2)
        )

    options = {"activation_order": order, "preactivation": "shared"}
    strided = block(specs(2, (1, 1)), kind, 2, **options)
    dilated = block(
        specs(1, (before, 2 * before)),
        kind,
        1,
        how={"pool_size": 2, "dilation": before},
        **options,
    )
    x = INPUT.random(*side)
    expected = run(strided, x[:, ::before, ::before])
    found = run(dilated, x)
    assert found.shape[1:3] == side
    np.testing.assert_allclose(found[:, :: 2 * before, :: 2 * before], expected, **CLOSE)


@pytest.mark.parametrize(
    "made, specs",
    [
        (BasicBlock(8, 2, "pad"), [(3, 8, 2), (3, 8, 1)]),
        (BottleneckBlock(8, 2, "pad"), [(1, 8, 2), (3, 8, 1), (1, 32, 1)]),
        (BottleneckBlock(8, 2, "pad", stride_in="3x3"), [(1, 8, 1), (3, 8, 2), (1, 32, 1)]),
    ],
    ids=["basic", "bottleneck", "bottleneck v1.5"],
)
def test_named_blocks(made, specs):
    assert [tuple(spec)[:3] for spec in made.specs] == specs
    assert made.shortcut.filters == specs[-1][1]
    assert made.shortcut.strides == 2


@pytest.mark.parametrize(
    "order, shortcut, preactivation, normalized",
    [
        ("post", "projection", "branch", True),
        ("relu_before_addition", "projection", "branch", True),
        ("bn_after_addition", "projection", "branch", False),
        ("pre", "projection", "shared", False),
        ("relu_only", "projection", "shared", False),
        ("pre", "identity", "branch", None),
    ],
)
def test_named_blocks_share_the_activation_with_a_projection(
    order, shortcut, preactivation, normalized
):
    made = BasicBlock(8, shortcut=shortcut, activation_order=order)
    assert made.preactivation == preactivation
    assert normalized is None or made.shortcut.normalize == normalized


def test_named_blocks_drop_their_branch():
    made = BasicBlock(8, survival=0.5, survival_mode="sample", seed=1)
    drop = made.drop_branch
    assert (drop.survival, drop.mode, drop.seed) == (0.5, "sample", 1)
    assert BasicBlock(8).drop_branch is None


def test_parts_are_named_as_in_the_figure():
    layer = block(
        activation_order="pre",
        preactivation="shared",
        attention=lambda shared: SqueezeExcite(name="attention", **shared),
    )
    prefix = f"{layer.name}/"
    found = {w.path.removeprefix(prefix).rsplit("/", 1)[0] for w in layer.weights}
    expected = "bn1 conv1 bn2 conv2 shortcut/conv attention/reduce attention/expand"
    assert found == set(expected.split())
    grouped = ResidualBlock(BRANCHES["basic"], "none", style=Style(normalization="group"))
    assert [norm.name for norm in grouped.normalizations] == ["gn1", "gn2"]


@pytest.mark.parametrize("shortcut", ["pad", "projection"])
@pytest.mark.sampled(1)
def test_a_compiled_model_predicts_the_same_and_trains_every_weight(shortcut):
    layer = BasicBlock(8, 2, shortcut, survival=0.9, seed=0, data_format="channels_last")
    model = keras.Sequential(
        [keras.Input((None, None, 4)), layer, keras.layers.GlobalAveragePooling2D()]
    )
    x = INPUT.random(6, 6, batch=4).astype("float32")
    np.testing.assert_allclose(model.predict(x, verbose=0), run(model, x), **CLOSE)
    before = [numpy(weight) for weight in model.weights]
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(x, np.ones((4, 8), "float32"), epochs=2, verbose=0)
    for weight, old in zip(model.weights, before, strict=True):
        assert np.isfinite(numpy(weight)).all(), weight.path
        assert not np.array_equal(numpy(weight), old), weight.path
