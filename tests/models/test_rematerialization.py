"""Networks that compute activations again: the same numbers, in training too."""

import keras
import numpy as np
import pytest
from small_networks import small_config

import keras_resnets as kr
from keras_resnets import ConfigError

NETWORKS = ("resnet20_cifar", "stochastic_depth_resnet110_cifar", "densenet_bc_100_12_cifar")


def trained(config, remat, steps=3, **options):
    """Return losses and weights after some steps from fixed weights and coins."""
    keras.utils.set_random_seed(3)
    model = kr.create_model(config, remat=remat)
    rng = np.random.default_rng(0)
    for weight in model.variables:
        if "seed" in weight.name:
            weight.assign(np.array([1, 2], "uint32"))
    images = rng.standard_normal((4, *config.input_shape)).astype("float32")
    labels = rng.integers(0, config.classes, 4)
    model.compile("sgd", "sparse_categorical_crossentropy", **options)
    losses = [model.train_on_batch(images, labels) for _ in range(steps)]
    return losses, model.get_weights()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("remat", ["block", "stage"])
@pytest.mark.sampled(1)
def test_training_is_the_same(name, remat):
    """Weights, moving statistics (moved once a step) and coins."""
    config = small_config(name).replace(dropout=0.25)
    (losses, weights), (expected_losses, expected) = (trained(config, how) for how in (remat, None))
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-4)
    for ours, theirs in zip(weights, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-4)


def test_inference_and_saving(tmp_path):
    model = kr.create_model(small_config("resnet20_cifar"), remat="block")
    images = np.random.default_rng(0).standard_normal((2, *model.input_shape[1:])).astype("float32")
    outputs = model.predict(images, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.remat == "block"
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), outputs)


def test_what_cannot_be_is_refused():
    model = kr.create_model(small_config("resnet20_cifar"))
    with pytest.raises(ConfigError, match=r"`remat` must be None, 'block' or 'stage'.*'blocks'"):
        model.remat = "blocks"
    with pytest.raises(ConfigError, match="`remat` must be"):
        kr.create_model("resnet20_cifar", remat=True)
