"""Stochastic depth: its coins, its two scalings, and the paper's expected depth."""

import keras
import numpy as np
import pytest
from checks import any_size, call, numpy, run, weight_gradients
from hypothesis import given
from hypothesis import strategies as st

from keras_resnets import ResNetConfig
from keras_resnets.layers import ConvSpec, ResidualBlock, ScaledMerge, StochasticDepth

MODES = ("batch", "sample")
X = np.random.default_rng(0).uniform(1, 2, (6, 2, 3, 4)).astype("float32")


def survivors(layer, x=X):
    """Return, for each sample, whether it survived a training call, and see that it did whole."""
    outputs = run(layer, x, training=True)
    scale = 1.0 if layer.mode == "batch" else 1 / layer.survival
    alive = outputs.reshape(len(x), -1).any(axis=1)
    expected = np.where(alive.reshape(-1, *[1] * (x.ndim - 1)), x * np.float32(scale), 0)
    np.testing.assert_allclose(outputs, expected, rtol=1e-6)
    return alive


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("training", [False, True])
def test_certain_survival_is_the_identity(mode, training):
    np.testing.assert_array_equal(run(StochasticDepth(1, mode), X, training), X)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_certain_death_is_zero_and_never_nan(mode, dtype):
    layer = StochasticDepth(0, mode, dtype=dtype)
    np.testing.assert_array_equal(run(layer, X, training=True), 0)
    expected = np.zeros_like(X) if mode == "batch" else X
    np.testing.assert_allclose(run(layer, X), expected, rtol=2**-8)


@any_size
@given(st.floats(0, 1), st.sampled_from(((2,), (2, 3), (2, 3, 4, 5), (2, 2, 2, 2, 2))))
def test_inference_is_the_expectation_and_the_modes_convert(survival, shape):
    x = np.random.default_rng(0).standard_normal(shape).astype("float32")
    batch = run(StochasticDepth(survival, "batch"), x)
    np.testing.assert_allclose(batch, survival * x, rtol=1e-6, atol=1e-30)
    # What was trained in one mode is served in the other once the branch is scaled.
    np.testing.assert_array_equal(run(StochasticDepth(survival, "sample"), x), x)


def test_one_coin_for_the_batch():
    layer = StochasticDepth(0.5, "batch", seed=0)
    draws = np.array([survivors(layer) for _ in range(60)])
    assert (draws == draws[:, :1]).all()
    assert 0 < draws[:, 0].sum() < 60


def test_one_coin_a_sample():
    layer = StochasticDepth(0.5, "sample", seed=0)
    draws = np.array([survivors(layer) for _ in range(20)])
    assert (draws != draws[:, :1]).any()
    assert len({tuple(draw) for draw in draws}) > 5


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("survival", [0.2, 0.5, 0.9])
@pytest.mark.sampled(2)
def test_as_many_survive_as_expected(mode, survival):
    layer = StochasticDepth(survival, mode, seed=3)
    if mode == "sample":
        x = np.ones((5000, 1), "float32")
        alive, outputs = survivors(layer, x), run(layer, x, training=True)
        # Survivors are scaled so that the mean is kept: five deviations of it.
        spread = np.sqrt((1 - survival) / survival / len(x))
        assert outputs.mean() == pytest.approx(1.0, abs=5 * spread)
    else:
        alive = np.array([survivors(layer, X[:2])[0] for _ in range(400)])
    deviation = np.sqrt(survival * (1 - survival) / len(alive))
    assert alive.mean() == pytest.approx(survival, abs=5 * deviation)


@pytest.mark.parametrize("mode", MODES)
def test_a_seed_decides_the_coins(mode):
    def draws(seed):
        layer = StochasticDepth(0.5, mode, seed=seed)
        return [survivors(layer).tolist() for _ in range(20)]

    assert draws(1) == draws(1)
    assert draws(1) != draws(2)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("survival", [0.004, 0.5, 0.999])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_16_bits_stay_finite_and_16_bits(mode, survival, dtype):
    layer = StochasticDepth(survival, mode, seed=0, dtype=dtype)
    for training in (False, True, True, True):
        outputs = call(layer, X, training)
        assert keras.backend.standardize_dtype(outputs.dtype) == dtype
        assert np.isfinite(numpy(outputs)).all()


def test_coins_are_not_rounded_to_16_bits():
    # The step of float16 below 1 is 2^-11, of bfloat16 2^-8: rounded up, all of these would fall.
    x = np.ones((200_000, 1), "float32")
    for dtype in ("float16", "bfloat16"):
        layer = StochasticDepth(0.9995, "sample", seed=0, dtype=dtype)
        dropped = np.mean(run(layer, x, training=True) == 0)
        assert dropped == pytest.approx(0.0005, abs=5 * np.sqrt(0.0005 / len(x)))


@pytest.mark.large
def test_the_paper_expects_40_of_54_blocks():
    """Huang 2016, section 3, "Expected network depth": linear decay to 0.5 over 54 blocks."""
    config = ResNetConfig(blocks=(18, 18, 18), final_survival=0.5)
    chances = np.array([config.survival(block) for block in range(1, 55)])
    assert chances.sum() == pytest.approx(40.25)
    assert chances[0] == pytest.approx(1 - 0.5 / 54)
    assert chances[-1] == 0.5
    layers = [StochasticDepth(p, seed=i) for i, p in enumerate(chances)]
    x, draws = X[:1], 20
    depths = [sum(survivors(layer, x)[0] for layer in layers) for _ in range(draws)]
    deviation = np.sqrt((chances * (1 - chances)).sum() / draws)
    assert np.mean(depths) == pytest.approx(40.25, abs=5 * deviation)


@pytest.mark.parametrize("merge", [None, ScaledMerge(0.5, 2.0, name="merge")])
@pytest.mark.large
def test_a_dropped_branch_is_left_alone(merge):
    """Its statistics and its weights' gradients too; a living one is what it is without coins."""
    x = np.random.default_rng(0).standard_normal((4, 6, 6, 4)).astype("float32")

    def block(**options):
        keras.utils.set_random_seed(7)
        block = ResidualBlock([ConvSpec(3, 4), ConvSpec(3, 4)], merge=merge, **options)
        block.build(x.shape)
        return block

    certain = block()
    alive = run(certain, x, training=True)
    dropped = np.maximum(x if merge is None else 0.5 * x, 0)
    seen = set()
    for seed in range(12):
        random = block(drop=StochasticDepth(0.5, "batch", seed=seed, name="drop_branch"))
        gradients = weight_gradients(random, x, training=True)
        outputs = run(random, x, training=True)
        survived = not np.allclose(outputs, dropped, atol=1e-6)
        seen.add(survived)
        np.testing.assert_allclose(outputs, alive if survived else dropped, rtol=1e-4, atol=1e-5)
        assert all(gradient.any() == survived for gradient in gradients.values()), seed
        for name, start in (("moving_mean", 0), ("moving_variance", 1)):
            for weight in random.non_trainable_weights:
                if weight.name == name:
                    assert (numpy(weight) == start).all() != survived
    assert seen == {True, False}


@pytest.mark.tensorflow
def test_a_dropped_branch_is_not_computed():
    import tensorflow as tf

    block = ResidualBlock(
        [ConvSpec(3, 4)], drop=StochasticDepth(0.5, "batch", seed=1, name="drop_branch")
    )
    function = tf.function(lambda x: block(x, training=True))
    graph = function.get_concrete_function(tf.TensorSpec((2, 4, 4, 4))).graph
    outside = [op.type for op in graph.get_operations()]
    assert "If" in outside
    assert "Conv2D" not in outside
