"""Models of every format: the same answers and the same metrics, or one clear error."""

import json
import sys

import keras
import numpy as np
import pytest

from keras_resnets import ResNetConfig, create_model
from keras_resnets.errors import InputError
from keras_resnets.evaluation import open_model, run_evaluate
from keras_resnets.evaluation.runtimes import PIECE
from keras_resnets.export.saved_model import write_saved_model
from keras_resnets.export.tflite import convert_to_tflite

DIGITS = {"name": "keras_resnets_digits"}
FORMATS = ("model.keras", "saved_model", "model.tflite", "model.onnx")


def write(model, path):
    """Write a model in the format that a path's name says."""
    if path.suffix == ".keras":
        model.save(path)
    elif path.suffix == ".tflite":
        path.write_bytes(convert_to_tflite(model))
    elif path.suffix == ".onnx":
        pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
        pytest.importorskip("tf2onnx", reason="the extra onnx is not installed")
        model(np.zeros((1, *model.input_shape[1:]), "float32"))
        model.export(path, format="onnx", verbose=False)
    else:
        write_saved_model(model, path)
    return path


@pytest.fixture(scope="module")
def model(digits):
    """A network that knows the digits a little, without a normalisation of its input."""
    keras.utils.set_random_seed(0)
    config = ResNetConfig(
        blocks=(1, 1), widths=(8, 16), stem_width=8, input_shape=(8, 8, 1), classes=10
    )
    model = create_model(config)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(*digits.images("train"), epochs=3, batch_size=32, verbose=0)
    return model


@pytest.fixture(scope="module")
def home(model, tmp_path_factory):
    home = tmp_path_factory.mktemp("models")
    for name in FORMATS[:3]:
        write(model, home / name)
    return home


@pytest.fixture(scope="module")
def images(digits):
    return digits.images("test", PIECE + 7)[0]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_answers_as_the_model_does(name, model, home, images):
    path = home / name
    if not path.exists():
        write(model, path)
    runnable = open_model(path)
    assert runnable.path == path
    assert runnable.input_shape == (None, 8, 8, 1)
    assert (runnable.classes, runnable.dtype) == (10, "float32")
    answers = runnable(images)
    assert answers.dtype == np.float64
    expected = np.asarray(model(images.astype("float32"), training=False))
    np.testing.assert_allclose(answers, expected, atol=1e-5)
    np.testing.assert_allclose(runnable(images[:1]), expected[:1], atol=1e-5)


@pytest.fixture(scope="module")
def measured(home):
    """What the Keras model is measured at."""
    return run_evaluate(home / "model.keras", DIGITS, print_fn=id)


@pytest.mark.parametrize("name", FORMATS[1:])
@pytest.mark.sampled(2)
def test_every_format_has_the_same_metrics(name, model, home, digits, measured):
    if not (home / name).exists():
        write(model, home / name)
    one, other = measured, run_evaluate(home / name, DIGITS, print_fn=id)
    assert one["images"] == digits.sizes["test"]
    assert 0.5 < one["top1"] < 1
    for metric in ("top1", "top5", "confusion", "outputs"):
        assert one[metric] == other[metric]
    for metric in ("nll", "brier", "ece"):
        assert one[metric] == pytest.approx(other[metric], rel=1e-4)


def test_the_accuracy_is_keras_own(model, digits, measured):
    model.compile(metrics=["accuracy"], loss="sparse_categorical_crossentropy", jit_compile=False)
    loss, accuracy = model.evaluate(*digits.images("test"), verbose=0)
    assert measured["top1"] == pytest.approx(accuracy)
    assert measured["nll"] == pytest.approx(loss, rel=1e-4)


def test_logits_are_made_probabilities(model, measured, tmp_path):
    """The same network without its softmax has the same metrics."""
    logits = create_model(model.config.replace(classifier_activation=None))
    logits.set_weights(model.get_weights())
    one = measured
    other = run_evaluate(write(logits, tmp_path / "logits.keras"), DIGITS, print_fn=id)
    assert (one["outputs"], other["outputs"]) == ("probabilities", "logits")
    assert one["top1"] == other["top1"]
    assert one["nll"] == pytest.approx(other["nll"], rel=1e-4)


def foreign(shape=(8, 8, 1), batch=None, first=(), classes=10, last=()):
    """A model that is none of ours, of fixed weights."""
    keras.utils.set_random_seed(1)
    layers = [*first, keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(6, 3)]
    layers += [keras.layers.Flatten(), keras.layers.Dense(classes, "softmax"), *last]
    return keras.Sequential([keras.Input(batch_shape=(batch, *shape)), *layers])


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.sampled(1)
def test_a_fixed_batch_is_fed_in_pieces(name, images, tmp_path):
    fixed, free = foreign(batch=4), foreign()
    free.set_weights(fixed.get_weights())
    path = write(fixed, tmp_path / name)
    if name == "model.onnx":
        _fix_onnx_batch(path, 4)
    runnable = open_model(path)
    assert runnable.input_shape == (4, 8, 8, 1)
    for count in (1, 4, 11):
        expected = np.asarray(free(images[:count].astype("float32")))
        np.testing.assert_allclose(runnable(images[:count]), expected, atol=1e-5)


def _fix_onnx_batch(path, batch):
    """Keras leaves the batch of an ONNX file open."""
    import onnx

    model = onnx.load(path)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = batch
    onnx.save(model, path)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.sampled(1)
def test_channels_first_models_are_given_what_they_take(name, images, tmp_path):
    model, last = foreign((1, 8, 8), first=[keras.layers.Permute((2, 3, 1))]), foreign()
    last.set_weights(model.get_weights())
    runnable = open_model(write(model, tmp_path / name))
    assert runnable.input_shape == (None, 8, 8, 1)
    assert runnable.channels_first
    expected = np.asarray(last(images.astype("float32")))
    np.testing.assert_allclose(runnable(images), expected, atol=1e-5)


@pytest.fixture(scope="module")
def quantised(model, digits, tmp_path_factory):
    """The network in 8 bits, its input and output too."""
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("quantised")
    write_saved_model(model, folder / "float")
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "float"))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    some = digits.images("train", 64)[0].astype("float32")
    converter.representative_dataset = lambda: ([image[None]] for image in some)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    path = folder / "int8.tflite"
    path.write_bytes(converter.convert())
    return path


@pytest.mark.large
def test_8_bit_models_are_given_and_give_real_values(quantised, model, images):
    runnable = open_model(quantised)
    assert runnable.dtype == "int8"
    assert runnable.resolution == pytest.approx(1 / 256)
    answers = runnable(images)
    expected = np.asarray(model(images.astype("float32"), training=False))
    assert np.abs(answers - expected).mean() < 0.03
    np.testing.assert_allclose(answers * 256, np.rint(answers * 256))


@pytest.mark.large
def test_8_bit_probabilities_are_known_as_such(quantised, measured):
    one, other = measured, run_evaluate(quantised, DIGITS, print_fn=id)
    assert other["outputs"] == "probabilities"
    assert abs(one["top1"] - other["top1"]) < 0.05
    assert other["nll"] < one["nll"] + 0.5


@pytest.mark.parametrize("shape", [(0, 8, 8, 1), (2, 8, 9, 1), (2, 8, 8, 3), (8, 8, 1)])
def test_images_that_do_not_fit_are_refused(shape, home):
    with pytest.raises(InputError, match=r"of shape \(None, 8, 8, 1\)\. Received: shape"):
        open_model(home / "model.tflite")(np.zeros(shape, np.uint8))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("bad.keras", "cannot be read as a Keras model"),
        ("bad.tflite", "cannot be read as a TFLite model"),
        ("bad.onnx", "cannot be read as an ONNX model"),
        ("bad", "cannot be read as a SavedModel"),
        ("cut.tflite", "cannot be read as a TFLite model"),
        ("bad.h5", "existing .keras, .tflite or .onnx file or a SavedModel folder"),
        ("missing.tflite", "existing .keras, .tflite or .onnx file or a SavedModel folder"),
        (".", "existing .keras, .tflite or .onnx file or a SavedModel folder"),
    ],
)
def test_what_is_no_model_is_one_error(name, words, home, tmp_path):
    if name.endswith(".onnx"):
        pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    for file in ("bad.keras", "bad.tflite", "bad.onnx", "bad.h5", "bad/saved_model.pb"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(b"\x08\x01no model at all")
    (tmp_path / "cut.tflite").write_bytes((home / "model.tflite").read_bytes()[:3000])
    with pytest.raises(InputError, match=words) as caught:
        open_model(tmp_path / name)
    assert "\n" not in str(caught.value)


def two_inputs():
    inputs = [keras.Input((8, 8, 1)), keras.Input((8, 8, 1))]
    both = keras.layers.Flatten()(keras.layers.Add()(inputs))
    return keras.Model(inputs, keras.layers.Dense(2)(both))


def test_two_inputs_are_one_error(tmp_path):
    with pytest.raises(InputError, match=r"must have one input\. Received: 2"):
        open_model(write(two_inputs(), tmp_path / "model.keras"))


@pytest.mark.parametrize("name", ["model.keras", "saved_model"])
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: foreign((8, 8, 2)), r"1 or 3 channels.*Received: an input of shape \(None, 8, 8"),
        (
            lambda: foreign(last=[keras.layers.Dense(1)]),
            r"two classes or more. Received: answers of shape \(None, 1",
        ),
        (lambda: foreign(last=[keras.layers.Reshape((5, 2))]), r"answers of shape \(None, 5, 2\)"),
    ],
)
def test_what_is_no_classifier_of_images_is_one_error(name, make, words, tmp_path):
    with pytest.raises(InputError, match=words):
        open_model(write(make(), tmp_path / name))


def test_without_onnx_runtime_the_error_says_what_to_install(monkeypatch, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"anything")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"pip install keras-resnets\[onnx\]"):
        open_model(tmp_path / "model.onnx")


@pytest.mark.parametrize("crops", ["ten", "multi"])
@pytest.mark.large
def test_crops_of_fixed_models_and_whole_images_of_others(crops, model, home, tmp_path):
    """The same weights, once for 8 x 8 and once for any size."""
    free = create_model(model.config.replace(input_shape=(None, None, 1)))
    free.set_weights(model.get_weights())
    write(free, tmp_path / "free.tflite")
    one = run_evaluate(home / "model.tflite", DIGITS, crops=crops, limit=30, print_fn=id)
    other = run_evaluate(tmp_path / "free.tflite", DIGITS, crops=crops, limit=30, print_fn=id)
    assert one["images"] == 30
    if crops == "ten":
        assert other["nll"] == pytest.approx(one["nll"], rel=1e-4)
        assert one["views"] == 5  # digits are not mirrored
    else:
        assert (one["views"], other["views"]) == (21, 5)
        assert other["nll"] != pytest.approx(one["nll"], rel=1e-2)


def test_what_is_written_is_what_is_returned(home, tmp_path):
    lines = []
    seen = []
    result = run_evaluate(
        home / "model.tflite",
        DIGITS,
        split="validation",
        output=tmp_path / "out",
        limit=100,
        batch_size=40,
        print_fn=lines.append,
        progress=lambda *numbers: seen.append(numbers),
    )
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "evaluation.json",
        "per_class.csv",
        "confusion.png",
        "calibration.png",
    }
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text()) == result
    assert sum(result["confusion"]["images"]) == result["images"] == 100
    assert seen == [(40, 100), (80, 100), (100, 100)]
    assert "validation: 100 images, one view an image" in " ".join(lines[0].split())
