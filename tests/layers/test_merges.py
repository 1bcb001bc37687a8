"""Attention and the merges of He 2016, Table 1, each against its formula."""

import numpy as np
import pytest
import references
from checks import CLOSE, Inputs, built, numpy, randomize, run

from keras_resnets.layers import DropoutMerge, GatedMerge, ScaledMerge, SqueezeExcite


@pytest.mark.parametrize("size", [(6, 6), (7, 5), (1, 1)])
def test_squeeze_excite(size):
    layer = built(lambda **shared: SqueezeExcite(0.5, **shared), Inputs(8))
    randomize(layer)
    x = Inputs(8).random(*size)
    squeezed = x.mean(axis=(1, 2))
    hidden = references.relu(squeezed @ numpy(layer.reduce.kernel) + numpy(layer.reduce.bias))
    gate = references.sigmoid(hidden @ numpy(layer.expand.kernel) + numpy(layer.expand.bias))
    assert hidden.shape == (3, 4)
    np.testing.assert_allclose(run(layer, x), x * gate[:, None, None, :], **CLOSE)


def joined(size=(6, 5), strides=2):
    return Inputs((3, 4, 4), (1, strides, strides)).random(*size)


@pytest.mark.parametrize("shortcut_scale, branch_scale", [(0.5, 0.5), (0.5, 1.0), (1.0, 0.0)])
def test_scaled_merge(shortcut_scale, branch_scale):
    inputs = joined()
    expected = shortcut_scale * inputs[1] + branch_scale * inputs[2]
    outputs = run(ScaledMerge(shortcut_scale, branch_scale), inputs)
    np.testing.assert_allclose(outputs, expected, **CLOSE)


@pytest.mark.parametrize("gate", ["exclusive", "shortcut_only"])
@pytest.mark.parametrize("strides", [1, 2])
def test_gated_merge(gate, strides):
    def make(**shared):
        return GatedMerge(4, strides, gate, bias=-1.0, **shared)

    layer = built(make, Inputs((3, 4, 4), (1, strides, strides)))
    np.testing.assert_array_equal(numpy(layer.conv.bias), -1.0)
    inputs = x, shortcut, branch = joined(strides=strides)
    g = references.sigmoid(references.convolution(x, numpy(layer.conv.kernel), strides) - 1.0)
    expected = (1 - g) * shortcut + (g * branch if gate == "exclusive" else branch)
    np.testing.assert_allclose(run(layer, inputs), expected, **CLOSE)


def test_the_papers_gate_begins_with_the_shortcut_open():
    layer = built(lambda **shared: GatedMerge(4, **shared), Inputs((3, 4, 4), (1, 1, 1)))
    np.testing.assert_array_equal(numpy(layer.conv.bias), -6.0)
    zeros = [np.zeros_like(v) for v in joined(strides=1)]
    zeros[1] += 1.0
    np.testing.assert_allclose(run(layer, zeros), 1 - references.sigmoid(-6.0), **CLOSE)


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_dropout_merge_drops_the_shortcut_alone(rate):
    inputs = joined(size=(20, 20))
    _, shortcut, branch = inputs
    layer = DropoutMerge(rate, seed=1)
    np.testing.assert_allclose(run(layer, inputs), shortcut + branch, **CLOSE)
    passed = (run(layer, inputs, training=True) - branch) / shortcut
    kept = np.abs(passed) > 0.5 / (1 - rate)
    np.testing.assert_allclose(passed, kept / (1 - rate), atol=1e-2)
    # 1200 coins: five deviations of their mean are 0.072.
    assert kept.mean() == pytest.approx(1 - rate, abs=0.072)
