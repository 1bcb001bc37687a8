"""Parts that were built before a block was given them, and layers that are built twice."""

import keras
import numpy as np
import pytest

from keras_resnets.layers import (
    BasicBlock,
    ConvSpec,
    DenseBlockLayer,
    DropoutMerge,
    GatedMerge,
    PadShortcut,
    ProjectionShortcut,
    ResidualBlock,
    ScaledMerge,
    SqueezeExcite,
    StochasticDepth,
    TransitionLayer,
)

SMALL, WIDE = (2, 8, 8, 4), (2, 8, 8, 8)
TRIPLE = [SMALL, WIDE, WIDE]


def images(shape):
    rng = np.random.default_rng(0)
    if isinstance(shape, list):
        return [rng.normal(size=s).astype("float32") for s in shape]
    return rng.normal(size=shape).astype("float32")


PARTS = {
    "attention": ("attention", lambda: SqueezeExcite(0.5, name="part"), WIDE),
    "projection": ("shortcut", lambda: ProjectionShortcut(8, name="part"), SMALL),
    "padding": ("shortcut", lambda: PadShortcut(8, name="part"), SMALL),
    "drop": ("drop", lambda: StochasticDepth(0.5, "sample", name="part"), WIDE),
    "gate": ("merge", lambda: GatedMerge(8, bias=0.0, name="part"), TRIPLE),
    "scale": ("merge", lambda: ScaledMerge(name="part"), TRIPLE),
    "dropout": ("merge", lambda: DropoutMerge(0.5, name="part"), TRIPLE),
    "Keras' layer": ("attention", lambda: keras.layers.Conv2D(8, 1, name="part"), WIDE),
    "Keras' model": (
        "attention",
        lambda: keras.Sequential([keras.layers.Conv2D(8, 1)], name="part"),
        WIDE,
    ),
}


@pytest.mark.parametrize("how", ["called", "built", "new"])
@pytest.mark.parametrize("argument, make, shape", PARTS.values(), ids=PARTS)
@pytest.mark.sampled(6)
def test_a_given_part_keeps_its_weights(argument, make, shape, how, tmp_path):
    part = make()
    if how == "called":
        part(images(shape))
    elif how == "built":
        part.build(shape)
    before = [np.array(v) for v in part.weights]
    given = {"shortcut": PadShortcut(8)} | {argument: part}
    block = ResidualBlock([ConvSpec(3, 8)], **given, name="block")
    inputs = keras.Input(SMALL[1:])
    model = keras.Model(inputs, block(inputs))
    for value, weight in zip(before, part.weights, strict=how != "new"):
        np.testing.assert_array_equal(value, np.array(weight))
    assert {id(v) for v in part.weights} <= {id(v) for v in model.weights}
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.array(loaded(images(SMALL))), np.array(model(images(SMALL))))


def test_a_part_of_another_width_is_refused():
    part = SqueezeExcite(0.5)
    part(images(SMALL))
    block = ResidualBlock([ConvSpec(3, 8)], shortcut="none", attention=part)
    with pytest.raises(ValueError, match="incompatible with the layer"):
        block(images(SMALL))


def test_a_padding_shortcut_pads_for_what_comes_in():
    part = PadShortcut(8)
    assert part(images(SMALL)).shape == WIDE
    assert part(images(WIDE)).shape == WIDE


AGAIN = [
    (lambda: BasicBlock(8, 2, "projection"), SMALL),
    (lambda: DenseBlockLayer(4, dropout=0.5), SMALL),
    (lambda: TransitionLayer(4), SMALL),
    (lambda: ProjectionShortcut(8), SMALL),
    (lambda: GatedMerge(8), TRIPLE),
    (lambda: DropoutMerge(0.5), TRIPLE),
    (lambda: SqueezeExcite(0.5), SMALL),
]


@pytest.mark.parametrize("make, shape", AGAIN, ids=lambda value: "")
def test_building_again_makes_nothing_new(make, shape):
    layer = make()
    layer.build(shape)
    weights = [id(v) for v in layer.weights]
    layer.build(shape)
    assert [id(v) for v in layer.weights] == weights
