"""Keras' own exports: one image in, the network's answers out, and `evaluate` reads them."""

import keras
import numpy as np
import pytest
from small_networks import FAMILIES, small_config
from tiers import matrix

import keras_resnets as kr
from keras_resnets import inference_function
from keras_resnets.evaluation import open_model, run_evaluate
from keras_resnets.layers.style import ACTIVATIONS
from keras_resnets.models.raw_images import image_dtype

pytestmark = pytest.mark.tensorflow

RAW = {"input_mean": (120.0, 110, 100), "input_std": (60.0, 50, 40)}
FORMATS = {"onnx": "model.onnx", "litert": "model.tflite", "tf_saved_model": "saved_model"}
KINDS = (
    "resnet20_cifar",
    "preact_resnet50",
    "stochastic_depth_resnet110_cifar",
    "resnext50_32x4d",
    "se_resnet50",
    "resnet50_blur",
    "resnetv2_50x1_bit",
    "resnet_rs200",
    "densenet121",
)
"""A family for each kind of layer."""

assert set(KINDS) <= set(FAMILIES)


def exported(model, form, folder):
    if form == "onnx":
        pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
        pytest.importorskip("tf2onnx", reason="the extra onnx is not installed")
    path = folder / FORMATS[form]
    model.export(str(path), format=form, verbose=False)
    return path


def stirred(model):
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if "seed_generator" not in weight.path:
            factor = rng.uniform(0.8, 1.2, weight.shape)
            weight.assign(np.asarray(weight) * factor + rng.uniform(0, 0.05, weight.shape))
    return model


def check_export(model, form, folder, scale=1.0, within=1e-5):
    path = exported(model, form, folder)
    shape = (3, *model.input_shape[1:])
    images = np.random.default_rng(0).integers(0, 256, shape).astype("float32") * scale
    runnable = open_model(path)  # refuses what has more than one input or output
    assert runnable.dtype == image_dtype(model)
    expected = np.asarray(model(images))
    np.testing.assert_allclose(runnable(images.astype(runnable.dtype)), expected, atol=within)
    return path


@pytest.mark.parametrize("form", matrix(FORMATS, ["onnx"]))
def test_the_digits_network_in_each_format_is_evaluated(form, tiny_config, tmp_path):
    # Read from a file: Keras exports to ONNX what was called once, or says that it was never.
    own = tmp_path / "model.keras"
    stirred(kr.create_model(tiny_config)).save(own)
    model = keras.saving.load_model(own)
    path = check_export(model, form, tmp_path)
    data = {"name": "keras_resnets_digits"}
    found, expected = (run_evaluate(place, data, limit=100, verbose=0) for place in (path, own))
    assert found["top1"] == expected["top1"]
    assert found["nll"] == pytest.approx(expected["nll"], rel=1e-4)


ACTIVATED = kr.ResNetConfig(blocks=(1,), widths=(8,), stem_width=8, input_shape=(8, 8, 3))


ACTIVATED_FORMS = [(name, form) for name in sorted({*ACTIVATIONS} - {"relu"}) for form in FORMATS]


@pytest.mark.parametrize(
    "activation, form",
    matrix(
        ACTIVATED_FORMS,
        [("gelu", "onnx")],
        gate=[case for case in ACTIVATED_FORMS if "onnx" in case or "gelu" in case],
    ),
)
def test_every_activation_in_each_format(activation, form, tmp_path):
    check_export(stirred(kr.create_model(ACTIVATED, activation=activation)), form, tmp_path, 0.01)


@pytest.mark.parametrize("activation", ["celu", "gelu"])
def test_a_heads_activation_in_onnx(activation, tmp_path):
    model = stirred(kr.create_model(ACTIVATED, classifier_activation=activation))
    check_export(model, "onnx", tmp_path, 0.01)


def test_a_network_inside_another_model_in_onnx(tmp_path):
    network = kr.create_model(ACTIVATED, activation="gelu", include_top=False, pooling="avg")
    model = keras.Sequential([keras.Input((8, 8, 3)), stirred(network), keras.layers.Dense(2)])
    model(np.zeros((1, 8, 8, 3)))
    check_export(model, "onnx", tmp_path, 0.01)


def test_bfloat16_is_refused_by_the_layer_in_onnx(tmp_path):
    model = kr.create_model(ACTIVATED, dtype="mixed_bfloat16")
    with pytest.raises(kr.InputError, match=r"ONNX.*layer 'stem_conv' computes in bfloat16"):
        exported(model, "onnx", tmp_path)
    assert not list(tmp_path.iterdir())


@keras.saving.register_keras_serializable("tests")
def log_gamma(x):
    import tensorflow as tf

    return tf.math.lgamma(x)


def test_what_onnx_cannot_compute_is_refused_before_it_is_written(tmp_path):
    model = kr.create_model(ACTIVATED, name="net", classifier_activation=log_gamma)
    path = tmp_path / "model.onnx"
    path.write_text("before")
    with pytest.raises(kr.InputError, match=r"'net' cannot be exported to ONNX.*Lgamma; export"):
        exported(model, "onnx", tmp_path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.large
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_network_in_each_format(name, form, tmp_path):
    # Fused otherwise, its many layers with squeeze-and-excitation differ by 3e-5.
    within = 1e-4 if name == "resnet_rs200" else 1e-5
    model = stirred(kr.create_model(small_config(name, **RAW)))
    check_export(model, form, tmp_path, within=within)


@pytest.mark.large
@pytest.mark.parametrize("form", FORMATS)
def test_a_network_of_normalised_images_in_each_format(form, tmp_path):
    check_export(stirred(kr.create_model(small_config(KINDS[0]))), form, tmp_path, scale=1 / 255)


@pytest.mark.large
def test_an_input_signature_of_ones_own_is_kept(tiny_config, tmp_path):
    model = kr.create_model(tiny_config)
    floats = [keras.InputSpec(dtype="float32", shape=(1, *model.input_shape[1:]), name="pixels")]
    model.export(tmp_path / "model.tflite", "litert", False, floats)
    assert open_model(tmp_path / "model.tflite").dtype == "float32"


@pytest.mark.parametrize(
    "runtime", ["graph", "frozen", pytest.param("litert", marks=pytest.mark.large)]
)
def test_inference_functions_take_bytes_and_floats(runtime, tiny_config):
    model = stirred(kr.create_model(tiny_config))
    function = inference_function(model, batch_size=4, runtime=runtime)
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1))
    expected = np.asarray(model(images))
    for dtype in ("uint8", "uint16", "int64", "float32", "float64"):
        np.testing.assert_allclose(np.asarray(function(images.astype(dtype))), expected, atol=1e-5)
    bright = images + 200.5
    np.testing.assert_allclose(np.asarray(function(bright)), np.asarray(model(bright)), atol=1e-5)
    tensor = keras.ops.convert_to_tensor(bright, "float64")
    np.testing.assert_allclose(np.asarray(function(tensor)), np.asarray(model(bright)), atol=1e-5)
