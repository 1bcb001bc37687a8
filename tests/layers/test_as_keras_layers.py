"""Keras' own `run_layer_test` on every public layer, with the counts that each must have."""

from typing import NamedTuple

import keras
import pytest
from keras.src.testing import TestCase

from keras_resnets import layers

pytestmark = pytest.mark.tensorflow  # on JAX each case is six compilations

MAPS = (2, 6, 6, 4)
HALVED = (2, 3, 3, 4)
TWO = [layers.ConvSpec(3, 4), layers.ConvSpec(3, 4)]


class Case(NamedTuple):
    """Arguments of a layer, and what comes of them.

    Attributes:
        arguments: Arguments of the layer.
        output: Shape that comes out.
        trainable: Number of trainable weights.
        statistics: Number of weights that are not.
        seeds: Number of seed generators; each has one variable.
        inputs: Shape that goes in, or a list of them.
        losses: Number of losses, of regularisers.
        masking: Whether the layer passes masks on, where that is decided.
    """

    arguments: dict
    output: tuple = MAPS
    trainable: int = 0
    statistics: int = 0
    seeds: int = 0
    inputs: tuple | list = MAPS
    losses: int = 0
    masking: bool | None = None


DECAYED = {"weight_decay": 0.1}
PARTS = [MAPS, MAPS, MAPS]
CASES = {
    "SqueezeExcite": [
        Case({"ratio": 0.5}, trainable=4),
        Case({"style": DECAYED}, trainable=4, losses=4),
    ],
    "BasicBlock": [
        Case({"filters": 4}, trainable=6, statistics=4),
        Case(
            {"filters": 4, "strides": 2, "shortcut": "projection", "survival": 0.5},
            HALVED,
            trainable=9,
            statistics=6,
            seeds=1,
        ),
    ],
    "BottleneckBlock": [
        Case({"filters": 1}, trainable=9, statistics=6),
        Case(
            {"filters": 1, "strides": 2, "shortcut": "pool_pad", "style": DECAYED},
            HALVED,
            trainable=9,
            statistics=6,
            losses=9,
        ),
    ],
    "ResidualBlock": [
        Case({"convolutions": TWO}, trainable=6, statistics=4),
        Case({"convolutions": TWO, "activation_order": "pre"}, trainable=6, statistics=4),
        Case({"convolutions": TWO, "dropout": 0.5}, trainable=6, statistics=4, seeds=1),
        Case({"convolutions": TWO, "style": {"normalization": "group", "groups": 2}}, trainable=6),
        Case({"convolutions": TWO, "style": {"folded": True}}, trainable=4),
    ],
    "SymmetricConv2D": [
        Case({"filters": 5, "kernel_size": 3, "strides": 2}, (2, 3, 3, 5), trainable=1),
        Case({"filters": 4, "kernel_size": 1, "use_bias": True}, trainable=2),
    ],
    "DenseBlockLayer": [Case({"growth_rate": 3}, (2, 6, 6, 7), trainable=6, statistics=4)],
    "TransitionLayer": [Case({"filters": 2}, (2, 3, 3, 2), trainable=3, statistics=2)],
    "DropBlock": [Case({"rate": 0.3, "block_size": 3}, seeds=1)],
    "ImageNormalization": [Case({"mean": (0.5,) * 4, "std": (2.0,) * 4})],
    "DropoutMerge": [Case({"rate": 0.5}, inputs=PARTS, seeds=1)],
    "GatedMerge": [Case({"filters": 4}, inputs=PARTS, trainable=2)],
    "ScaledMerge": [Case({}, inputs=PARTS)],
    "BatchNormalization": [Case({}, trainable=2, statistics=2, masking=True)],
    "BlurPool": [Case({"strides": 2}, HALVED)],
    "ChannelwiseReduction": [Case({"parts": [(1, "average"), (3, "subsample")]}, HALVED)],
    "SymmetricMaxPool": [Case({"strides": 2}, HALVED)],
    "PadShortcut": [Case({"filters": 6, "strides": 2}, (2, 3, 3, 6))],
    "ProjectionShortcut": [
        Case({"filters": 6, "strides": 2}, (2, 3, 3, 6), trainable=3, statistics=2)
    ],
    "StochasticDepth": [
        Case({"survival": 0.5}, seeds=1, masking=True),
        Case({"survival": 1.0}, masking=True),
    ],
}

GIVEN = {
    "attention": lambda: layers.SqueezeExcite(0.5, name="attention"),
    "shortcut": lambda: layers.ProjectionShortcut(4, name="shortcut"),
    "merge": lambda: layers.ScaledMerge(0.5, 2.0, name="merge"),
    "drop": lambda: layers.StochasticDepth(0.5, name="drop_branch"),
}
"""Parts that a block may be given."""


@pytest.mark.parametrize(
    "name, case",
    [
        pytest.param(name, case, id=f"{name}-{number}")
        for name, cases in CASES.items()
        for number, case in enumerate(cases)
    ],
)
@pytest.mark.sampled(4)
def test_layer(name, case):
    TestCase().run_layer_test(
        getattr(layers, name),
        case.arguments,
        input_shape=case.inputs,
        expected_output_shape=case.output,
        expected_num_trainable_weights=case.trainable,
        expected_num_non_trainable_weights=case.statistics,
        expected_num_non_trainable_variables=case.statistics + case.seeds,
        expected_num_seed_generators=case.seeds,
        expected_num_losses=case.losses,
        supports_masking=case.masking,
        run_training_check=not isinstance(case.inputs, list),  # theirs gives the model one tensor
    )


@pytest.mark.parametrize("part", GIVEN)
@pytest.mark.sampled(2)
def test_block_of_given_parts(part):
    """`run_layer_test` makes six blocks of one part: each builds it, or finds it built."""
    TestCase().run_layer_test(
        layers.ResidualBlock,
        {"convolutions": TWO, part: GIVEN[part]()},
        input_shape=MAPS,
        expected_output_shape=MAPS,
        run_mixed_precision_check=False,  # the part has a policy of its own
    )


def test_no_layer_is_left_out():
    public = {name for name in layers.__all__ if isinstance(getattr(layers, name), type)}
    assert set(CASES) == {
        name for name in public if issubclass(getattr(layers, name), keras.layers.Layer)
    }
