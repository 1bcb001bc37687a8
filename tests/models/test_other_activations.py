"""Networks with another activation than ReLU: everywhere, saved, exported."""

from collections import Counter

import keras
import numpy as np
import pytest
from small_networks import small_config
from tiers import matrix

import keras_resnets as kr
from keras_resnets.layers.activations import mish
from keras_resnets.layers.style import ACTIVATIONS, ALIASES, Style

NETWORKS = (
    "resnet20_cifar",
    "resnet50d",
    "preact_resnet18",
    "wrn16_4_cifar",
    "densenet121",
    "plain20_cifar",
)


def images():
    return np.random.default_rng(0).normal(size=(2, 24, 24, 3)).astype("float32")


def operations(model):
    import tensorflow as tf

    function = tf.function(lambda x: model(x, training=False))
    graph = function.get_concrete_function(tf.TensorSpec((1, 24, 24, 3))).graph
    return Counter(operation.type for operation in graph.get_operations())


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.sampled(2)
def test_every_relu_is_the_other_activation(name):
    plain, other = (
        operations(kr.create_model(small_config(name, activation=activation)))
        for activation in ("relu", "elu")
    )
    assert plain["Relu"] == other["Elu"] > 3
    assert other["Relu"] == plain["Elu"] == 0


@pytest.mark.parametrize("order", ["relu_before_addition", "relu_only", "bn_after_addition"])
def test_the_other_orders_too(order):
    config = small_config("resnet20_cifar", activation_order=order)
    model = kr.create_model(config)
    other = kr.create_model(config, activation="silu")
    other.set_weights(model.get_weights())
    assert not np.allclose(np.asarray(model(images())), np.asarray(other(images())))
    assert list(other.stages) == list(model.stages) == ["stage1", "stage2", "stage3"]


@pytest.mark.parametrize("name", ["resnet20_cifar", "densenet121"])
@pytest.mark.parametrize("activation", sorted(set(ACTIVATIONS) - {"relu"}))
@pytest.mark.sampled(2)
def test_saved_costed_and_described(name, activation, tmp_path):
    from keras_resnets.analysis.description import summarize

    config = small_config(name, activation=activation)
    model = kr.create_model(config)
    assert kr.complexity(config).total_params == model.count_params()
    assert ACTIVATIONS[activation].title in summarize(config)
    assert kr.config_from_dict(config.to_dict()) == config
    expected = np.asarray(model(images()))
    assert np.isfinite(expected).all()
    model.save(tmp_path / "net.keras")
    again = keras.saving.load_model(tmp_path / "net.keras")
    np.testing.assert_array_equal(np.asarray(again(images())), expected)


@pytest.mark.parametrize("activation", matrix(sorted(ACTIVATIONS), ["mish", "gelu"]))
def test_compiled_it_is_the_same(activation):
    """TensorFlow's graph optimiser makes one operation of a normalisation and what follows it."""
    config = small_config("resnet20_cifar", activation=activation)
    model = kr.create_model(config)
    expected = np.asarray(model(images()))
    np.testing.assert_allclose(model.predict(images(), verbose=0), expected, atol=1e-5)


@pytest.mark.tensorflow  # JAX has no float64 by default
@pytest.mark.parametrize(
    "dtype, within", [("float32", 1e-6), ("float64", 1e-14), ("float16", 2e-3)]
)
def test_mish_is_keras_own(dtype, within):
    x = np.concatenate([np.linspace(-30, 30, 121), [-1e4, 1e4, 0]]).astype(dtype)
    ours, theirs = (np.asarray(f(x)).astype("float64") for f in (mish, keras.activations.mish))
    np.testing.assert_allclose(ours, theirs, rtol=within, atol=within)
    assert np.asarray(mish(x)).dtype == dtype


def test_blocks_saved_before_there_was_a_choice_still_load():
    layer = kr.create_model(small_config("resnet20_cifar")).get_layer("stage1_block1")
    config = layer.get_config()
    del config["style"]["activation"]
    assert type(layer).from_config(config).style.activation == "relu"


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "activation",
    ["gelu", *(pytest.param(name, marks=pytest.mark.large) for name in ("silu", "leaky_relu"))],
)
@pytest.mark.large
def test_exports_agree(activation, tmp_path):
    from keras_resnets.export import export_saved_model, export_tflite

    config = kr.ResNetConfig(
        blocks=(1, 1), widths=(4, 8), stem_width=4, input_shape=(8, 8, 3), activation=activation,
        head_pooling="avgmax", head_dropout=0.1,
    )  # fmt: skip
    model = kr.create_model(config)
    batch = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype("float32")
    for export, path in ((export_tflite, "net.tflite"), (export_saved_model, "net")):
        verification = export(model, tmp_path / path, batch)
        assert verification.largest_difference < 1e-4


def test_chains_have_relu():
    with pytest.raises(kr.ConfigError, match="`activation` must be 'relu' in a chain"):
        kr.ChainConfig(convolutions=[("stage1_block1_conv1", 3, 4)], activation="silu")


@pytest.mark.parametrize("alias, name", ALIASES.items())
def test_other_names_of_keras_are_understood(alias, name):
    assert keras.activations.get(alias) is keras.activations.get(name)
    config = small_config("resnet20_cifar", activation=alias, classifier_activation=alias)
    assert (config.activation, config.classifier_activation) == (name, name)
    assert config == small_config("resnet20_cifar", activation=name, classifier_activation=name)
    assert kr.config_from_dict({**config.to_dict(), "activation": alias}) == config
    written = {"class_name": "function", "config": alias}
    assert config.replace(classifier_activation=written) == config
    assert Style(activation=alias) == Style(activation=name)


def test_every_other_name_of_keras_is_known():
    known = keras.src.activations.ALL_OBJECTS_DICT
    assert {name: f.__name__ for name, f in known.items() if name != f.__name__} == ALIASES
