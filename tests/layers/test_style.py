"""What a style makes of convolutions and normalisations, and the shapes of branches."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from checks import Inputs, built, numpy, randomize

from keras_resnets.layers import (
    BasicBlock,
    BottleneckBlock,
    DenseBlockLayer,
    GatedMerge,
    ProjectionShortcut,
    SqueezeExcite,
    Style,
    TransitionLayer,
)
from keras_resnets.layers.geometry import KERNELS, ConvSpec, branch_convolutions, squeezed_width
from keras_resnets.layers.parts import normalization


def test_a_style_is_data():
    style = Style(normalization="group", groups=8, weight_decay=1e-4)
    assert Style.of(json.loads(json.dumps(style.to_dict()))) == style
    assert Style.of(style) is style
    assert Style.of(None) == Style()
    with pytest.raises(dataclasses.FrozenInstanceError):
        style.groups = 4


@pytest.mark.parametrize(
    "make, inputs",
    [
        (lambda **shared: BasicBlock(4, **shared), 4),
        (lambda **shared: BottleneckBlock(2, 2, "projection", "pre", **shared), 4),
        (lambda **shared: DenseBlockLayer(3, **shared), 4),
        (lambda **shared: TransitionLayer(3, **shared), 4),
        (lambda **shared: ProjectionShortcut(8, **shared), 4),
        (lambda **shared: SqueezeExcite(0.5, **shared), 4),
        (lambda **shared: GatedMerge(4, **shared), Inputs((3, 4, 4), (1, 1, 1))),
    ],
)
@pytest.mark.parametrize("normalization", ["batch", "group"])
def test_every_weight_decays_by_its_coefficient(make, inputs, normalization):
    """The papers' decay adds ``decay * w`` to the gradient: ``decay / 2 * w^2`` to the loss."""
    style = Style(weight_decay=0.1, normalization=normalization, groups=1)
    inputs = inputs if isinstance(inputs, Inputs) else Inputs(inputs)
    layer = built(lambda **shared: make(style=style, **shared), inputs)
    randomize(layer)
    squares = sum((numpy(w).astype("float64") ** 2).sum() for w in layer.trainable_variables)
    assert float(sum(layer.losses)) == pytest.approx(0.1 / 2 * squares, rel=1e-5)
    assert not built(make, inputs).losses


def test_normalizations_take_the_styles_numbers():
    style = Style(momentum=0.7, epsilon=1e-2)
    batch = normalization(style, 1, "channels_first", "float32", prefix="stem_")
    assert isinstance(batch, keras.layers.BatchNormalization)
    assert (batch.momentum, batch.epsilon, batch.axis) == (0.7, 1e-2, 1)
    assert batch.name == "stem_bn1"
    style = Style(normalization="group", groups=2)
    group = normalization(style, "", "channels_last", "float32", zero=True)
    assert isinstance(group, keras.layers.GroupNormalization)
    assert (group.groups, group.epsilon, group.name) == (2, 1e-5, "gn")
    group.build((None, 4, 4, 4))
    np.testing.assert_array_equal(numpy(group.gamma), 0)


@pytest.mark.parametrize("initializer", ["fan_in", "fan_out"])
def test_the_styles_initializer_reaches_the_kernels(initializer):
    block = BottleneckBlock(8, 1, "projection", style=Style(initializer=initializer))
    for conv in (*block.convolutions, block.shortcut.conv):
        assert conv.kernel_initializer.mode == initializer


def test_branches():
    assert branch_convolutions("bottleneck", 64, 2, "3x3", inner_width=128, cardinality=32) == [
        ConvSpec(1, 128),
        ConvSpec(3, 128, 2, groups=32),
        ConvSpec(1, 256),
    ]
    assert branch_convolutions("bottleneck", 64, 1, "3x3", dilations=(2, 4)) == [
        ConvSpec(1, 64),
        ConvSpec(3, 64, dilation=2),
        ConvSpec(1, 256),
    ]
    assert branch_convolutions("bottleneck", 64, 1, "1x1", dilations=(2, 4)) == [
        ConvSpec(1, 64),
        ConvSpec(3, 64, dilation=4),
        ConvSpec(1, 256),
    ]
    assert branch_convolutions("basic", 64, 2, antialias=True) == [
        ConvSpec(3, 64),
        ConvSpec(3, 64, blur=2),
    ]


@pytest.mark.parametrize("block", KERNELS)
def test_a_branch_has_the_kernels_and_the_stride_of_its_block(block):
    for antialias in (False, True) if len(KERNELS[block]) > 1 else (False,):
        specs = branch_convolutions(block, 8, 2, antialias=antialias)
        assert tuple(spec.kernel_size for spec in specs) == KERNELS[block]
        assert np.prod([spec.total_stride for spec in specs]) == 2
        assert specs[-1].filters == (32 if block == "bottleneck" else 8)


def test_squeezed_width_is_never_nothing():
    assert squeezed_width(64, 1 / 16) == 4
    assert squeezed_width(4, 1 / 16) == 1
