"""Quantised networks through save and load, squeeze-and-excitation inside blocks included."""

import json

import keras
import numpy as np
import pytest
from small_networks import small_model

from keras_resnets.layers import SqueezeExcite

pytestmark = pytest.mark.tensorflow

MODES = ("int8", "int4", "float8")


def images(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def quantize(model, mode, filters=None):
    """Quantise the dense layers: the others warn that they cannot be."""
    model.quantize(mode, filters=filters or (lambda layer: isinstance(layer, keras.layers.Dense)))
    return model


def quantized_parts(model):
    parts = model._flatten_layers(include_self=False)
    return {v.path: part.quantization_mode for part in parts if part.quantization_mode
            for v in part._trainable_variables + part._non_trainable_variables}  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.large
def test_attention_comes_back_quantised(mode, tmp_path):
    inputs = keras.Input((None, None, 8))
    layer = SqueezeExcite(0.5, name="attention")
    model = quantize(keras.Model(inputs, layer(inputs)), mode)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert quantized_parts(again) == quantized_parts(model) != {}
    x = images(2, 5, 4, 8)
    np.testing.assert_array_equal(again(x), model(x))
    assert json.dumps(again.get_config()) == json.dumps(model.get_config())


def test_one_of_two_layers_alone(tmp_path):
    inputs = keras.Input((None, None, 8))
    model = keras.Model(inputs, SqueezeExcite(0.5, name="attention")(inputs))
    quantize(model, "int8", lambda layer: layer.name == "expand")
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert {path.split("/")[1] for path in quantized_parts(again)} == {"expand"}
    np.testing.assert_array_equal(again(images(2, 5, 4, 8)), model(images(2, 5, 4, 8)))


def test_configs_of_before_are_read_as_before():
    assert "quantized" not in SqueezeExcite().get_config()


@pytest.mark.large
def test_a_network_with_attention_loads_in_a_fresh_process(tmp_path, run_python):
    x = images(3, 24, 24, 3)
    np.save(tmp_path / "images.npy", x)
    for mode in MODES:
        model = quantize(small_model("se_resnet50"), mode)
        model.save(tmp_path / f"{mode}.keras")
        np.save(tmp_path / f"{mode}.npy", np.asarray(model(x)))
    program = (
        "import sys, numpy as np, keras, keras_resnets\n"
        "folder, *modes = sys.argv[1:]\n"
        "images = np.load(f'{folder}/images.npy')\n"
        "for mode in modes:\n"
        "    model = keras.saving.load_model(f'{folder}/{mode}.keras')\n"
        "    found = np.asarray(model(images))\n"
        "    modes = {p.quantization_mode for p in model._flatten_layers()} - {None}\n"
        "    print(abs(found - np.load(f'{folder}/{mode}.npy')).max(), *modes)\n"
    )
    for mode, line in zip(MODES, run_python(program, tmp_path, *MODES).splitlines(), strict=True):
        difference, found = line.split()
        assert float(difference) == 0
        assert found == mode
