"""What timm's tests/test_models.py asks of its models, in our words, of every family.

`LISTED` holds what is otherwise here, with the reason. That gradients reach every weight is in
test_builder.py, and that the catalog's networks have the published counts in test_catalog.py.
"""

import keras
import numpy as np
import pytest
from small_networks import FAMILIES, small_config

import keras_resnets as kr

pytestmark = pytest.mark.tensorflow  # on JAX each case is many compilations

LISTED = {
    "forward_features and forward_head": "`include_top=False` is the one, its head a layer of two",
    "torchscript and fx": "PyTorch's; exports here are SavedModel and TFLite",
    "out_indices and output_stride": "stages by name (`feature_pyramid`), and `output_stride` as a "
    "field of the configuration; test_features_have_their_reduction",
}
"""Cases of theirs that are others here."""

QUICK = {"resnet20_cifar", "densenet121"}
every_family = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in QUICK & set(FAMILIES) else pytest.mark.large)
        for name in FAMILIES
    ],
)


def images(count=2, size=24):
    return np.random.default_rng(0).uniform(size=(count, size, size, 3)).astype("float32")


def values(tensor):
    return keras.ops.convert_to_numpy(tensor)


@every_family
def test_forward(name):
    """A batch of images gives finite numbers, one row an image, whatever else is in the batch."""
    model = kr.create_model(small_config(name, classifier_activation=None))
    outputs = values(model(images()))
    assert outputs.shape == (2, 5)
    assert np.isfinite(outputs).all()
    np.testing.assert_allclose(values(model(images()[:1])), outputs[:1], rtol=1e-4, atol=1e-5)


@every_family
def test_configuration_tells_of_the_classifier_and_the_first_convolution(name):
    """timm's `default_cfg`: input size, classes, and where both ends are."""
    config = small_config(name)
    model = kr.create_model(config)
    head = model.get_layer("predictions")
    assert model.layers[-1] is head
    assert head.units == model.config.classes == config.classes
    assert model.input_shape[1:] == model.config.input_shape
    first = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    assert first.name.startswith("stem_conv")
    assert first.kernel.shape[2] == config.input_shape[2]


@every_family
def test_another_classifier(name):
    """timm's `reset_classifier`: none, with and without pooling, upon the same features."""
    config = small_config(name)
    model = kr.create_model(config)
    maps, pooled = (
        kr.create_model(config, include_top=False, pooling=pooling) for pooling in (None, "avg")
    )
    for other in (maps, pooled):
        other.set_weights(model.get_weights()[:-2])
    features = values(maps(images()))
    np.testing.assert_allclose(values(pooled(images())), features.mean((1, 2)), atol=1e-5)
    head = model.get_layer("predictions")
    logits = features.mean((1, 2)) @ values(head.kernel) + values(head.bias)
    expected = values(keras.ops.softmax(logits))
    np.testing.assert_allclose(values(model(images())), expected, atol=1e-5)


@every_family
def test_features_have_their_reduction(name):
    """timm's `feature_info`: channels and reduction of each level are what comes out."""
    model = kr.create_model(small_config(name, include_top=False))
    found = keras.Model(model.inputs, kr.feature_pyramid(model))([images()])
    channels = {level: symbol.shape[-1] for level, symbol in kr.feature_pyramid(model).items()}
    assert list(found) == sorted(found)
    for level, maps in found.items():
        side = -(-24 // 2 ** int(level[1:]))
        assert tuple(maps.shape) == (2, side, side, channels[level]), level


def test_each_listed_case_has_a_reason():
    assert all(LISTED.values())
