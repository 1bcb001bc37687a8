"""Exports agree with the model in the runtime that serves them, or are not written."""

import io
import re

import keras
import numpy as np
import pytest

from keras_resnets import ResNetConfig, create_model
from keras_resnets.errors import ExportMismatchError, InputError
from keras_resnets.export import export_saved_model, export_tflite
from keras_resnets.export import saved_model as saved_model_module
from keras_resnets.export import tflite as tflite_module
from keras_resnets.models.raw_images import image_dtype

EXPORTS = {"saved_model": export_saved_model, "tflite": export_tflite}

VARIANTS = {
    "post, pad": {"shortcut": "A"},
    "plain logits": {"shortcut": "none", "classifier_activation": None},
    "pre, bottleneck": {"activation_order": "pre", "block": "bottleneck"},
    "v1.5 bottleneck, projections": {
        "block": "bottleneck",
        "bottleneck_stride": "3x3",
        "shortcut": "C",
    },
    "random branches, pooled": {"shortcut": "A_pool", "final_survival": 0.5},
    "random samples, ResNet-D, dropout": {
        "shortcut": "D",
        "final_survival": 0.6,
        "survival_mode": "sample",
        "dropout": 0.3,
    },
    "features": {"include_top": False, "pooling": "avg"},
    "any size": {"input_shape": (None, None, 1)},
    "normalised images": {"input_mean": None, "input_std": None},
}


@pytest.fixture(scope="module")
def images(digits):
    return digits.images("test", 33)[0]


def _stirred(weight, rng):
    factor, term = rng.uniform(0.8, 1.2, weight.shape), rng.uniform(-0.05, 0.05, weight.shape)
    return (weight.astype("float64") * factor + term).astype(weight.dtype)


@pytest.fixture(scope="module")
def make(digits):
    """Build a model for digits whose weights, moving statistics too, are not the initial ones."""
    keras.utils.set_random_seed(0)

    def make(dtype=None, data_format=None, **changes):
        config = ResNetConfig(blocks=(1, 1), widths=(4, 8), stem_width=4)
        config = digits.adapt(config).replace(**changes)
        model = create_model(config, dtype=dtype, data_format=data_format)
        rng = np.random.default_rng(0)
        model.set_weights([_stirred(weight, rng) for weight in model.get_weights()])
        return model

    return make


@pytest.fixture(scope="module")
def model(make):
    return make()


def _serve(kind, path, batch):
    """Run an export by nothing but its runtime."""
    if kind == "saved_model":
        import tensorflow as tf

        loaded = tf.saved_model.load(str(path))
        (answers,) = loaded.signatures["serving_default"](tf.constant(batch)).values()
        return answers.numpy()
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    (details,) = interpreter.get_input_details()
    interpreter.resize_tensor_input(details["index"], batch.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(details["index"], batch)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def _dtype(model):
    return np.dtype(image_dtype(model))


@pytest.mark.parametrize("kind", EXPORTS)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.sampled(2)
def test_every_kind_of_network_exports(variant, kind, make, images, tmp_path):
    model = make(**VARIANTS[variant])
    result = EXPORTS[kind](model, tmp_path / "deep" / kind, images)
    batch = images.astype(_dtype(model))
    assert _dtype(model) == ("float32" if variant == "normalised images" else "uint8")
    expected = np.asarray(model(batch, training=False))
    for size in (1, 2, 33):  # whatever the batch
        answers = _serve(kind, result.path, batch[:size])
        np.testing.assert_allclose(answers, expected[:size], atol=1e-5 * abs(expected).max())
    assert (result.format, result.images, result.agreement) == (kind, 33, 1)
    assert 0 <= result.largest_difference < 1e-5 * abs(expected).max()
    assert result.path == str(tmp_path / "deep" / kind)
    if kind == "tflite":
        _assert_built_in_operations_only(result.path)
        assert result.bytes == (tmp_path / "deep" / kind).stat().st_size


def _assert_built_in_operations_only(path):
    from ai_edge_litert.interpreter import Interpreter

    # TensorFlow's own operations are in the file by name, "FlexConv2D"; built-in ones by number.
    names = {op["op_name"] for op in Interpreter(model_path=path)._get_ops_details()}
    assert "CONV_2D" in names
    assert not [name for name in names if not re.fullmatch(r"[A-Z0-9_]+", name)]
    assert not [name for name in names if "CUSTOM" in name]


@pytest.mark.parametrize("kind", EXPORTS)
@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "float16"])
@pytest.mark.large
def test_models_of_16_bits_export(dtype, kind, make, images, tmp_path):
    model = make(dtype=dtype)
    EXPORTS[kind](model, tmp_path / kind, images)
    answers = _serve(kind, tmp_path / kind, images)
    expected = np.asarray(model(images, training=False))
    np.testing.assert_allclose(answers, expected, atol=0.05)
    assert np.mean(answers.argmax(-1) == expected.argmax(-1)) > 0.8


@pytest.mark.large
def test_the_tflite_file_of_a_16_bit_model_is_its_float32_twins(make, images, tmp_path):
    model = make(dtype="mixed_bfloat16")
    keras.config.set_image_data_format("channels_first")  # must not reach the twin
    try:
        export_tflite(model, tmp_path / "model.tflite", images)
    finally:
        keras.config.set_image_data_format("channels_last")
    twin = make()
    twin.set_weights(model.get_weights())
    answers = _serve("tflite", tmp_path / "model.tflite", images)
    np.testing.assert_allclose(answers, np.asarray(twin(images, training=False)), atol=1e-5)


def test_a_saved_model_stores_its_weights_once(make, images, tmp_path):
    model = make(widths=(64, 128), stem_width=64)
    result = export_saved_model(model, tmp_path / "saved_model", images)
    weights = sum(weight.nbytes for weight in model.get_weights())
    variables = sum(p.stat().st_size for p in (tmp_path / "saved_model/variables").iterdir())
    assert weights > 1e6
    assert weights <= variables < 1.1 * weights
    files = [path for path in (tmp_path / "saved_model").rglob("*") if path.is_file()]
    assert result.bytes == sum(path.stat().st_size for path in files)


def test_the_saved_models_endpoint_takes_raw_images_by_name(model, images, tmp_path):
    import tensorflow as tf

    export_saved_model(model, tmp_path / "saved_model", images)
    loaded = tf.saved_model.load(str(tmp_path / "saved_model"))
    assert sorted(loaded.signatures) == ["serve", "serving_default"]
    (spec,) = loaded.signatures["serve"].structured_input_signature[1].values()
    assert (spec.name, spec.dtype, spec.shape.as_list()) == ("image", tf.uint8, [None, 8, 8, 1])
    # Any platform's serving asks a signature by name, with a batch of its own.
    (answers,) = loaded.signatures["serve"](image=tf.constant(images[:3])).values()
    assert answers.shape == (3, 10)


# A disagreement is found, whatever causes it


def _disturb(model):
    """Change one kernel a little."""
    layer = model.get_layer("stem_conv")
    layer.kernel.assign(layer.kernel * 1.01)


def _break_saved_model(monkeypatch, model):
    write = saved_model_module.write_saved_model

    def disturbed(model, path):
        _disturb(model)
        write(model, path)

    monkeypatch.setattr(saved_model_module, "write_saved_model", disturbed)


def _break_tflite(monkeypatch, model):
    convert = tflite_module._convert

    def disturbed(model):
        _disturb(model)
        return convert(model)

    monkeypatch.setattr(tflite_module, "_convert", disturbed)


BREAK = {"saved_model": _break_saved_model, "tflite": _break_tflite}


@pytest.mark.parametrize("kind", EXPORTS)
@pytest.mark.parametrize("good", [True, False], ids=["good one there", "nothing there"])
@pytest.mark.sampled(1)
def test_a_disagreement_is_an_error_and_leaves_nothing(
    good, kind, make, images, tmp_path, tree, monkeypatch
):
    model = make()
    if good:
        EXPORTS[kind](model, tmp_path / kind, images)
    before = tree(tmp_path)
    BREAK[kind](monkeypatch, model)
    with pytest.raises(ExportMismatchError, match=rf"^{kind} export differs from the model by"):
        EXPORTS[kind](model, tmp_path / kind, images)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("kind", EXPORTS)
@pytest.mark.large
def test_an_export_replaces_the_last_one(kind, make, images, tmp_path):
    for changes in ({}, {"classes": 3}):
        EXPORTS[kind](make(**changes), tmp_path / kind, images)
    assert _serve(kind, tmp_path / kind, images).shape == (33, 3)
    assert [path.name for path in tmp_path.iterdir()] == [kind]


# What does not fit is refused


@pytest.mark.parametrize("kind", EXPORTS)
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros((0, 8, 8, 1), np.uint8), r"\(None, 8, 8, 1\).*\(0, 8, 8, 1\)"),
        (np.zeros((2, 8, 9, 1), np.uint8), r"\(None, 8, 8, 1\).*\(2, 8, 9, 1\)"),
        (np.zeros((2, 8, 8, 3), np.uint8), r"\(None, 8, 8, 1\).*\(2, 8, 8, 3\)"),
        (np.zeros((8, 8, 1), np.uint8), r"\(None, 8, 8, 1\).*\(8, 8, 1\)"),
        (np.float32(0), r"\(None, 8, 8, 1\).*\(\)"),
        (np.full((2, 8, 8, 1), 0.5), "raw images of type uint8.*float64, values from 0.5 to 0.5"),
        (np.full((2, 8, 8, 1), -3), "raw images of type uint8.*int64, values from -3 to -3"),
    ],
)
def test_images_that_do_not_fit_are_refused(wrong, message, kind, model, tmp_path, tree):
    with pytest.raises(InputError, match=f"`images` must be.*{message}"):
        EXPORTS[kind](model, tmp_path / kind, wrong)
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("kind", EXPORTS)
@pytest.mark.sampled(1)
def test_raw_images_may_come_in_another_type(kind, model, images, tmp_path):
    result = EXPORTS[kind](model, tmp_path / kind, images.astype("float64"))
    assert result.agreement == 1


def test_a_channels_first_model_is_refused_by_tflite(make, images, tmp_path, tree):
    model = make(data_format="channels_first")
    with pytest.raises(InputError, match="Received: a channels_first model; rebuild it with"):
        export_tflite(model, tmp_path / "model.tflite", images.transpose(0, 3, 1, 2))
    assert tree(tmp_path) == {}


def _foreign(dtype):
    return keras.Sequential(
        [
            keras.Input((8, 8, 1), dtype="uint8"),
            keras.layers.Rescaling(1 / 255, dtype="float32"),
            keras.layers.Conv2D(4, 3, dtype=dtype),
            keras.layers.GlobalAveragePooling2D(dtype="float32"),
        ],
        name="foreign",
    )


@pytest.mark.parametrize("kind", EXPORTS)
@pytest.mark.sampled(1)
def test_other_keras_models_export_too(kind, images, tmp_path):
    assert EXPORTS[kind](_foreign("float32"), tmp_path / kind, images).agreement == 1


def test_a_16_bit_model_that_is_not_ours_is_refused_by_tflite(images, tmp_path, tree):
    with pytest.raises(InputError, match=r"16-bit policy .* Received: model 'foreign'"):
        export_tflite(_foreign("mixed_bfloat16"), tmp_path / "model.tflite", images)
    assert tree(tmp_path) == {}


def test_the_result_reads_as_a_line(model, images, tmp_path):
    text = io.StringIO()
    print(export_tflite(model, tmp_path / "model.tflite", images), file=text)
    assert re.fullmatch(
        r"tflite: 33 images, largest difference \d\.\de-\d\d, agreement 100\.00%, 0\.\d\d MB\n",
        text.getvalue(),
    )
