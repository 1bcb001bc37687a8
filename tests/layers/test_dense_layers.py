"""The parts of DenseNets, each against the paper's row of norm, ReLU and convolution."""

import numpy as np
import pytest
import references
from checks import CLOSE, Inputs, built, numpy, randomize, run

from keras_resnets.layers import DenseBlockLayer, TransitionLayer


def row(layer, x, training, dilation=1):
    """Follow the layer's norms, ReLUs and convolutions."""
    for norm, conv in zip(layer.normalizations, layer.convolutions, strict=True):
        x = references.relu(references.batch_norm(x, norm, training))
        x = references.convolution(x, numpy(conv.kernel), dilation=dilation)
    return x


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("bottleneck, dilation", [(False, 1), (False, 2), (True, 1), (True, 2)])
def test_a_dense_layer_appends_its_features(bottleneck, dilation, training):
    layer = built(lambda **shared: DenseBlockLayer(3, bottleneck, dilation, **shared), Inputs(4))
    randomize(layer)
    x = Inputs(4).random(6, 5)
    new = row(layer, x, training, dilation)
    widths = [tuple(conv.kernel.shape) for conv in layer.convolutions]
    assert widths == ([(1, 1, 4, 12), (3, 3, 12, 3)] if bottleneck else [(3, 3, 4, 3)])
    outputs = run(layer, x, training)
    np.testing.assert_array_equal(outputs[..., :4], x.astype("float32"))
    # A batch of 90 pixels normalises by a variance that float32 knows to 1e-5.
    np.testing.assert_allclose(outputs[..., 4:], new, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(6, 6), (7, 5), (1, 1)])
@pytest.mark.parametrize("strides, dilation", [(2, 1), (1, 1), (1, 2)])
def test_a_transition_convolves_then_averages(strides, dilation, size):
    layer = built(lambda **shared: TransitionLayer(3, strides, dilation, **shared), Inputs(4))
    randomize(layer)
    x = Inputs(4).random(*size)
    expected = references.average(row(layer, x, training=False), 2, strides, dilation)
    np.testing.assert_allclose(run(layer, x), expected, **CLOSE)


@pytest.mark.parametrize("size", [(8, 8), (7, 5)])
@pytest.mark.parametrize("dilation", [1, 2])
def test_dilated_transitions_agree_with_strided_ones_where_those_look(size, dilation):
    strided = built(lambda **shared: TransitionLayer(3, 2, **shared), Inputs(4))
    dilated = built(lambda **shared: TransitionLayer(3, 1, dilation, **shared), Inputs(4))
    for layer in (strided, dilated):
        randomize(layer)
    x = Inputs(4).random(*size)
    expected = run(strided, x[:, ::dilation, ::dilation])
    found = run(dilated, x)[:, :: 2 * dilation, :: 2 * dilation]
    np.testing.assert_allclose(found, expected, **CLOSE)


@pytest.mark.parametrize("kind", [DenseBlockLayer, TransitionLayer])
def test_dropout_follows_each_convolution(kind, monkeypatch):
    layer = built(lambda **shared: kind(8, dropout=0.5, seed=1, **shared), Inputs(4))
    randomize(layer)
    dropped, drop = [], layer.dropout.call

    def watched(x, training=None):
        dropped.append((x.shape[-1], drop(x, training=training)))
        return dropped[-1][1]

    monkeypatch.setattr(layer.dropout, "call", watched)
    run(layer, Inputs(4).random(8, 8), training=True)
    assert [channels for channels, _ in dropped] == [c.filters for c in layer.convolutions]
    for _, values in dropped:
        zero = numpy(values) == 0
        assert zero.mean() == pytest.approx(0.5, abs=5 * 0.5 / np.sqrt(zero.size))
