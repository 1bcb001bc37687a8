"""The deepest networks of the papers: built, run forward and backward, saved and loaded."""

import keras
import numpy as np
import pytest
from gradients import gradients

import keras_resnets as kr

GIANTS = ["resnet1202_cifar", "preact_resnet1001_cifar", "densenet_bc_250_24_cifar"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", GIANTS)
def test_runs_both_ways_and_comes_back(name, tmp_path):
    keras.utils.set_random_seed(0)
    model = kr.create_model(name, input_shape=(8, 8, 3), weight_decay=0.0)
    batch = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype("float32")
    found = gradients(model, batch, training=True)
    assert len(found) == len(model.trainable_variables)
    for path, gradient in found.items():
        assert np.isfinite(gradient).all(), path
        assert np.abs(gradient).max() > 0, path
    model.save(tmp_path / "giant.keras")
    again = keras.saving.load_model(tmp_path / "giant.keras")
    np.testing.assert_array_equal(np.asarray(again(batch)), np.asarray(model(batch)))
    assert again.config == model.config
