"""Activations other than ReLU, wherever a block activates."""

import keras
import numpy as np
import pytest
import references
from checks import CLOSE, Inputs, built, randomize, run

from keras_resnets.layers import ConvSpec, DenseBlockLayer, ResidualBlock, SqueezeExcite, Style
from keras_resnets.layers.style import ACTIVATIONS

INPUT = Inputs(4)


def silu(x):
    return x / (1 + np.exp(-x))


def test_names_and_what_they_promise_are_keras():
    x = np.linspace(-9, 9, 401).astype("float32")
    for name, promised in ACTIVATIONS.items():
        function = getattr(keras.activations, name)
        once = keras.ops.convert_to_numpy(function(x))
        twice = keras.ops.convert_to_numpy(function(once))
        scaled = keras.ops.convert_to_numpy(function(3 * x))
        assert np.allclose(once, twice, atol=1e-6) == promised.idempotent, name
        assert np.allclose(3 * once, scaled, atol=1e-5) == promised.homogeneous, name
    with pytest.raises(ValueError, match="`activation` must be one of relu, "):
        Style(activation="softmax")


@pytest.mark.parametrize("order", references.FIGURE_4)
def test_a_block_follows_the_figure_with_another_activation(order, monkeypatch):
    layer = built(
        lambda **shared: ResidualBlock(
            (ConvSpec(3, 6), ConvSpec(3, 4)),
            activation_order=order,
            style=Style(activation="silu"),
            **shared,
        ),
        INPUT,
    )
    randomize(layer)
    monkeypatch.setattr(references, "relu", silu)
    x = INPUT.random(6, 5)
    expected = references.follow(references.FIGURE_4[order], x, layer, lambda start: start)
    np.testing.assert_allclose(run(layer, x), expected, **CLOSE)


def test_a_dense_layer_and_an_attention():
    def make(activation):
        layer = built(
            lambda **shared: DenseBlockLayer(3, style=Style(activation=activation), **shared), INPUT
        )
        randomize(layer)
        return layer

    x = INPUT.random(6, 5)
    relu, other = (run(make(name), x) for name in ("relu", "gelu"))
    np.testing.assert_array_equal(relu[..., :4], other[..., :4])
    assert not np.allclose(relu, other)
    layer = built(
        lambda **shared: SqueezeExcite(0.5, style=Style(activation="gelu"), **shared), INPUT
    )
    assert layer.reduce.activation is keras.activations.relu
