"""Networks that normalise raw images: nothing wraps, and gradients reach the image."""

import warnings
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_resnets as kr
from keras_resnets.layers import ImageNormalization
from keras_resnets.models.raw_images import image_dtype

BACKEND = keras.backend.backend()
OLD = Path(__file__).parents[1] / "data" / "raw_uint8_input"
"""A network and its answers, saved when the input was uint8 and the layer Keras' own."""

CONFIG = kr.ResNetConfig(
    blocks=(1, 1),
    widths=(4, 8),
    stem_width=4,
    input_shape=(8, 8, 3),
    classes=5,
    input_mean=(120.0, 110, 100),
    input_std=(60.0, 50, 40),
)
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3)).astype("uint8")
SCALED = (PIXELS / 255).astype("float32")
LABELS = np.arange(6) % 5


@pytest.fixture(scope="module")
def model():
    model = kr.create_model(CONFIG)
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


@pytest.fixture(scope="module")
def expected(model):
    return np.asarray(model(PIXELS))


@pytest.mark.parametrize("dtype", ["int16", "uint16", "int32", "int64", "float16", "float64"])
def test_any_type_is_the_same_image(model, expected, dtype):
    np.testing.assert_array_equal(np.asarray(model(PIXELS.astype(dtype))), expected)


def test_predict_takes_bytes_and_floats_alike(model, expected):
    of_bytes = model.predict(PIXELS, verbose=0)
    np.testing.assert_array_equal(model.predict(PIXELS.astype("float32"), verbose=0), of_bytes)
    np.testing.assert_allclose(of_bytes, expected, atol=1e-6)


@pytest.mark.parametrize("policy", [None, "mixed_bfloat16"])
@pytest.mark.parametrize("dtype, value", [("uint16", 300), ("int32", -7), ("float32", 0.75)])
def test_values_stay_what_they_are(dtype, value, policy):
    normalize = kr.create_model(CONFIG, dtype=policy).get_layer("normalization")
    image = np.full((1, 8, 8, 3), value, dtype)
    want = (value - np.array(CONFIG.input_mean)) / np.array(CONFIG.input_std)
    found = np.asarray(normalize(keras.ops.convert_to_tensor(image)))
    assert found.dtype == "float32"
    np.testing.assert_allclose(found[0, 0, 0], want, rtol=1e-6)
    model = kr.create_model(CONFIG, dtype=policy)
    whole = keras.Model(model.inputs, model.get_layer("normalization").output)
    np.testing.assert_allclose(np.asarray(whole(image))[0, 0, 0], want, rtol=1e-6)


@pytest.mark.tensorflow
def test_gradients_reach_the_image(model):
    import tensorflow as tf

    image = tf.Variable(PIXELS.astype("float32"))
    with tf.GradientTape() as tape:
        score = tf.reduce_sum(model(image)[:, 0])
    saliency = np.abs(tape.gradient(score, image))
    assert (saliency.max((1, 2, 3)) > 0).all()


@pytest.mark.tensorflow
def test_a_float64_network_computes_on_float64_pixels():
    image = PIXELS[:1] + 1e-9  # float32 knows no such pixel
    for changes in ({}, {"input_mean": None, "input_std": None}):
        model = kr.create_model(CONFIG, dtype="float64", **changes)
        assert model.inputs[0].dtype == "float64"
        moved = np.abs(np.asarray(model(image)) - np.asarray(model(PIXELS[:1]))).max()
        assert 0 < moved < 1e-8


# The warning


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        part = slice(2 * index, 2 * index + 2)
        return SCALED[part], LABELS[part]


def generator():
    batches = Batches()
    return (batches[i] for i in range(3))


def dataset(images, labels=LABELS):
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(6).batch(2)


QUIET = {"verbose": 0}
WARNED = {
    "call": lambda model: model(SCALED),
    "call on a tensor": lambda model: model(keras.ops.convert_to_tensor(SCALED)),
    "-1 to 1": lambda model: model(SCALED * 2 - 1),
    "standardised": lambda model: model(SCALED * 4 - 2),
    "float16": lambda model: model(SCALED.astype("float16")),
    "predict": lambda model: model.predict(SCALED, **QUIET),
    "predict a list": lambda model: model.predict([SCALED], **QUIET),
    "fit": lambda model: model.fit(SCALED, LABELS, **QUIET),
    "fit, validation": lambda model: model.fit(
        PIXELS, LABELS, validation_data=(SCALED, LABELS), **QUIET
    ),
    "evaluate": lambda model: model.evaluate(x=SCALED, y=LABELS, **QUIET),
    "a batch": lambda model: model.train_on_batch(SCALED, LABELS),
    "a PyDataset": lambda model: model.fit(Batches(), **QUIET),
    "a generator": lambda model: model.fit(generator(), **QUIET),
    "a tf.data.Dataset": lambda model: model.fit(dataset(SCALED), epochs=2, **QUIET),
}
SILENT = {
    "bytes": lambda model: (model(PIXELS), model.predict(PIXELS, **QUIET)),
    "floats to 255": lambda model: model.predict(PIXELS.astype("float32"), **QUIET),
    "black bytes": lambda model: model(PIXELS * 0),
    "ones in bytes": lambda model: model.predict(PIXELS // 255, **QUIET),
    "black floats": lambda model: model(SCALED * 0),
    "a tf.data.Dataset of bytes": lambda model: model.evaluate(dataset(PIXELS), **QUIET),
    "a tf.data.Dataset of floats": lambda model: model.evaluate(
        dataset(PIXELS.astype("float32")), **QUIET
    ),
}


def warned(run, model):
    """Return the warnings about images that a model gives."""
    model._warned_of_scaled = False
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run(model)
    return [str(one.message) for one in caught if "raw images" in str(one.message)]


@pytest.mark.parametrize("run", WARNED.values(), ids=WARNED)
@pytest.mark.sampled(2)
def test_scaled_images_are_told_of_once(run, model):
    (message,) = warned(lambda model: (run(model), model(SCALED)), model)
    assert f"model {model.name!r}" in message
    assert "values from 0 to 255" in message


@pytest.mark.parametrize("run", SILENT.values(), ids=SILENT)
def test_raw_images_are_not_told_of(run, model):
    assert warned(run, model) == []


def _in_a_sequential(model):
    keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Rescaling(1 / 255), model])


def _behind_augmentation(model):
    image = keras.Input((8, 8, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(image)
    model(keras.layers.RandomFlip("horizontal")(x))


def _upon_a_tensor(model):
    image = keras.Input((8, 8, 3))
    x = keras.layers.Normalization(mean=120.0, variance=3600.0, name="standard")(image)
    kr.create_model(model.config, input_tensor=x)


@pytest.mark.parametrize("build", [_in_a_sequential, _behind_augmentation, _upon_a_tensor])
def test_a_layer_that_scales_in_front_of_the_network_is_named(build, model):
    (message,) = warned(build, model)
    assert "takes values from 0 to 255" in message
    assert "the output of layer '" in message


def test_layers_in_front_that_scale_nothing_say_nothing(model):
    def build(model):
        image = keras.Input((8, 8, 3))
        x = keras.layers.Rescaling(255.0)(keras.layers.Rescaling(1 / 255)(image))
        model(keras.layers.RandomFlip()(x))
        model(keras.layers.Conv2D(3, 1)(keras.layers.Rescaling(1 / 255)(image)))

    assert warned(build, model) == []


def test_a_network_that_normalises_nothing_says_nothing():
    model = kr.create_model(CONFIG, input_mean=None, input_std=None)
    assert warned(lambda model: (model(SCALED), model.predict(SCALED, **QUIET)), model) == []


def test_no_batch_is_lost_or_computed_twice(model):
    calls = []

    class Counted(Batches):
        def __getitem__(self, index):
            calls.append(index)
            return super().__getitem__(index)

    def counted():
        counting = Counted()
        yield from (counting[i] for i in range(3))

    model._warned_of_scaled = False
    with pytest.warns(UserWarning, match="raw images"):
        history = model.fit(counted(), **QUIET)
    assert calls == [0, 1, 2]
    assert len(history.history["loss"]) == 1


# Files and types


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_files_with_a_uint8_input_load_and_wrap_no_more(suffix):
    model = keras.saving.load_model(OLD.with_suffix(suffix))
    assert isinstance(model, type(kr.create_model(CONFIG)))
    assert model.config.input_mean == (120.0, 110.0, 100.0)
    assert isinstance(model.get_layer("normalization"), ImageNormalization)
    assert model.inputs[0].dtype == "float32"
    saved = np.load(OLD.with_suffix(".npz"))
    outputs = np.asarray(model(saved["images"], training=False))
    np.testing.assert_allclose(outputs, saved["outputs"], atol=1e-6)
    bright = np.full((1, 8, 8, 3), 300, "uint16")
    np.testing.assert_array_equal(
        np.asarray(model(bright)), np.asarray(model(bright.astype("float32")))
    )


def test_images_are_kept_in_bytes_for_networks_that_normalise_them(model):
    assert image_dtype(model) == "uint8"
    assert image_dtype(kr.create_model(CONFIG, dtype="float64")) == "uint8"
    assert image_dtype(kr.create_model(CONFIG, input_mean=None, input_std=None)) == "float32"
    image = keras.Input((8, 8, 3))
    assert image_dtype(keras.Model(image, model(image))) == "float32"


def test_the_layer_refuses_other_channels():
    with pytest.raises(ValueError, match="`std` positive"):
        ImageNormalization([1.0, 2.0], [1.0, 0.0])
    with pytest.raises(ValueError, match="Received: 1 numbers for images of 3 channels"):
        ImageNormalization([1.0], [1.0])(np.zeros((1, 2, 2, 3)))
