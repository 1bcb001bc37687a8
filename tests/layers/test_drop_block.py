"""DropBlock: squares, as many as asked for, the mean kept."""

import numpy as np
import pytest
from checks import run

import keras_resnets as kr
from keras_resnets.layers import DropBlock


def dropped(rate, size, shape, seed=0, **options):
    """Return which values of a map of ones are dropped, and what the others become."""
    outputs = run(DropBlock(rate, size, seed=seed, **options), np.ones(shape), training=True)
    return outputs == 0, outputs


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_what_is_dropped_is_squares(size):
    mask, _ = dropped(0.15, size, (4, 11, 9, 3))
    assert mask.any()
    inside = np.zeros_like(mask)
    for row in range(11 - size + 1):
        for column in range(9 - size + 1):
            square = np.s_[:, row : row + size, column : column + size]
            whole = mask[square].all((1, 2), keepdims=True)
            inside[square] |= whole
    np.testing.assert_array_equal(inside, mask)


@pytest.mark.parametrize("size, low", [(1, 0.19), (3, 0.16), (7, 0.15)])
def test_the_rate_is_about_what_was_asked_for(size, low):
    """Overlapping squares drop a little less than eq. 1 counts."""
    mask, outputs = dropped(0.2, size, (64, 14, 14, 16))
    assert low < mask.mean() < 0.205
    assert outputs.mean() == pytest.approx(1, abs=1e-4)


def test_channels_and_images_have_their_own():
    mask, _ = dropped(0.3, 3, (2, 9, 9, 2))
    assert not np.array_equal(mask[0], mask[1])
    assert not np.array_equal(mask[..., 0], mask[..., 1])


def test_a_smaller_map_is_dropped_whole():
    mask, _ = dropped(0.5, 9, (16, 3, 4, 8))
    parts = mask.mean((1, 2))
    assert {*parts.ravel()} == {0.0, 1.0}
    assert 0.3 < parts.mean() < 0.7


def test_nothing_is_dropped_at_inference_or_at_rate_zero():
    x = np.random.default_rng(0).normal(size=(2, 5, 5, 3)).astype("float32")
    np.testing.assert_array_equal(run(DropBlock(0.5), x), x)
    np.testing.assert_array_equal(run(DropBlock(0.0), x, training=True), x)


@pytest.mark.parametrize("arguments, words", [((1.0,), "`rate`"), ((0.1, 0), "`block_size`")])
def test_wrong_arguments_are_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        DropBlock(*arguments)


def test_a_network_drops_in_its_last_two_stages():
    config = kr.ResNetConfig(
        blocks=(1, 2, 1),
        widths=(4, 4, 8),
        stem_width=4,
        input_shape=(None, None, 3),
        drop_block=0.2,
        drop_block_size=3,
    )
    model = kr.create_model(config)
    rates = {
        name: None if block.drop_block is None else block.drop_block.rate
        for name in [spec.name for spec in config.block_specs()]
        for block in [model.get_layer(name)]
    }
    assert rates == {
        "stage1_block1": None,
        "stage2_block1": 0.05,
        "stage2_block2": 0.05,
        "stage3_block1": 0.2,
    }
    plain = kr.create_model(config, drop_block=0.0)
    plain.set_weights(model.get_weights())
    x = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype("float32")
    np.testing.assert_array_equal(np.asarray(model(x)), np.asarray(plain(x)))
    trained = [np.asarray(network(x, training=True)) for network in (model, plain)]
    assert not np.allclose(*trained, atol=1e-3)
