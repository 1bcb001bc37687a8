"""Whole models in Keras' older format, ``.h5``, load with the two packages imported."""

import json

import keras
import numpy as np
import pytest
from small_networks import FAMILIES, small_config

import keras_resnets as kr
from keras_resnets.errors import InputError

RAW = {"input_mean": (120.0, 110, 100), "input_std": (60.0, 50, 40)}
QUICK = ("resnet20_cifar", "densenet121")
CASES = [pytest.param(name, marks=() if name in QUICK else pytest.mark.large) for name in FAMILIES]


def images():
    return np.random.default_rng(0).integers(0, 256, (2, 24, 24, 3)).astype("float32")


def stirred(model):
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if "seed_generator" not in weight.path:
            factor = rng.uniform(0.8, 1.2, weight.shape)
            weight.assign(np.asarray(weight) * factor + rng.uniform(0, 0.05, weight.shape))
    return model


def facts(model):
    return {
        "config": model.config.to_dict(),
        "policy": model.dtype_policy.name,
        "paths": [weight.path for weight in model.weights],
        "trainable": [weight.trainable for weight in model.weights],
    }


@pytest.mark.parametrize("name", CASES)
def test_the_same_network_comes_back(name, tmp_path):
    raw = RAW if len(name) % 2 else {}
    model = stirred(kr.create_model(small_config(name, **raw), name="net", dtype="mixed_bfloat16"))
    kr.freeze(model, through="stage1", batch_norm=False)
    model.save(tmp_path / "model.h5")
    again = keras.saving.load_model(tmp_path / "model.h5")
    assert facts(again) == facts(model)
    np.testing.assert_array_equal(
        np.asarray(again(images(), training=False)), np.asarray(model(images(), training=False))
    )


PROGRAM = """
import json, sys
import {first}
import {second}
import numpy as np
model = keras.models.load_model(sys.argv[1])
outputs = np.asarray(model(np.load(sys.argv[2]), training=False))
print(json.dumps([model.config.to_dict(), outputs.tolist(), int(model.optimizer.iterations)]))
"""


@pytest.mark.parametrize(
    "first, second",
    [
        ("keras", "keras_resnets"),
        pytest.param("keras_resnets", "keras", marks=pytest.mark.large),
    ],
)
@pytest.mark.large
def test_a_fresh_process_needs_no_custom_objects(first, second, tmp_path, run_python):
    model = stirred(kr.create_model(small_config("resnet20_cifar", **RAW)))
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(images(), np.array([0, 1]), verbose=0)
    keras.saving.save_model(model, tmp_path / "model.h5")
    np.save(tmp_path / "images.npy", images())
    program = PROGRAM.format(first=first, second=second)
    printed = run_python(program, tmp_path / "model.h5", tmp_path / "images.npy")
    config, outputs, steps = json.loads(printed.splitlines()[-1])
    assert config == json.loads(json.dumps(model.config.to_dict()))
    np.testing.assert_allclose(outputs, np.asarray(model(images(), training=False)), atol=1e-6)
    assert steps == 1


@pytest.mark.parametrize("suffix", [".h5", ".hdf5"])
def test_weights_that_the_format_cannot_hold_are_refused(suffix, tmp_path):
    """HDF5 has no bfloat16: Keras writes such weights and cannot read them."""
    model = kr.create_model(small_config("resnet20_cifar"), dtype="bfloat16")
    with pytest.raises(InputError, match=r"bfloat16.*save it as \.keras"):
        model.save(tmp_path / f"model{suffix}")
    assert list(tmp_path.iterdir()) == []


def adapt(model, path):
    layer = model.get_layer(path)
    layer.enable_lora(2, lora_alpha=3)
    layer.lora_kernel_b.assign(np.full(layer.lora_kernel_b.shape, 0.3))


ATTENTIVE = small_config("resnet20_cifar", attention="se")


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda model: model.quantize("float8"), "attention/reduce' quantised to float8"),
        (lambda model: adapt(model, "stage1_block1/attention/reduce"), "reduce' adapted by LoRA"),
    ],
)
def test_layers_that_the_format_cannot_hold_are_refused(change, words, tmp_path):
    model = kr.create_model(ATTENTIVE)
    change(model)
    with pytest.raises(InputError, match=rf"{words}.*save it as \.keras"):
        model.save(tmp_path / "model.h5")
    assert list(tmp_path.iterdir()) == []
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(np.asarray(again(images())), np.asarray(model(images())), atol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.quantize("int8"),
        lambda model: model.quantize("int4"),
        lambda model: adapt(model, "predictions"),
        lambda model: adapt(model, "stem_conv"),
    ],
    ids=["int8", "int4", "LoRA of the head", "LoRA of the stem"],
)
@pytest.mark.sampled(1)
def test_quantised_and_adapted_networks_come_back(change, tmp_path):
    model = kr.create_model(ATTENTIVE)
    change(model)
    model.save(tmp_path / "model.h5")
    again = keras.saving.load_model(tmp_path / "model.h5")
    np.testing.assert_allclose(np.asarray(again(images())), np.asarray(model(images())), atol=1e-6)


def test_a_network_inside_another_model(tmp_path):
    network = kr.create_model(small_config("resnet20_cifar"), include_top=False, pooling="avg")
    image = keras.Input((24, 24, 3))
    model = keras.Model(image, keras.layers.Dense(2)(network(image)))
    model.save(tmp_path / "model.h5")
    again = keras.saving.load_model(tmp_path / "model.h5")
    assert again.layers[1].config == network.config
    np.testing.assert_array_equal(np.asarray(again(images())), np.asarray(model(images())))


def test_a_class_of_the_users_that_is_called_network_is_not_hidden(tmp_path):
    class Network(keras.Model):
        def call(self, inputs):
            return super().call(inputs)

    tensor = keras.Input((3,))
    model = Network(tensor, keras.layers.Dense(2)(tensor))
    for suffix in (".h5", ".keras"):
        model.save(tmp_path / f"model{suffix}")
        again = keras.saving.load_model(
            tmp_path / f"model{suffix}", custom_objects={"Network": Network}
        )
        assert type(again) is Network
