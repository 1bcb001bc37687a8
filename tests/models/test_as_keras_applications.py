"""What keras.applications' own tests ask of its models, asked of every ImageNet constructor.

The behaviours of keras/src/applications/applications_test.py (Keras 3.15) in our words. Cases that
our networks do not have are in `LISTED`, each with its reason and the test that asserts it.
"""

import inspect

import keras
import pytest
from keras import layers
from tiers import matrix

import keras_resnets as kr
from keras_resnets.models.constructor_table import TABLE
from keras_resnets.models.integrity import weightless

pytestmark = pytest.mark.tensorflow  # shapes alone, the same on each backend

WIDTHS = {
    "ResNet18": 512,
    "ResNet34": 512,
    "PreActResNet18": 512,
    "PreActResNet34": 512,
    "WideResNet18_2": 1024,
    "WideResNet34_2": 1024,
    "SEResNet18": 512,
    "SEResNet34": 512,
    "BiTResNet50x3": 6144,
    "BiTResNet101x3": 6144,
    "BiTResNet152x4": 8192,
    "BiTResNet152x2": 4096,
    "DenseNet121": 1024,
    "DenseNet161": 2208,
    "DenseNet169": 1664,
    "DenseNet201": 1920,
    "DenseNet264": 2688,
}
"""Channels of the last feature maps, as the papers' tables have them; of all others 2048."""

QUICK = ("ResNet50", "DenseNet121")
SHALLOWEST = (
    *QUICK,
    "ResNet18",
    "PreActResNet18",
    "PreActResNet50",
    "WideResNet50_2",
    "ResNeXt50_32x4d",
    "SEResNet50",
    "ResNet50D",
    "BiTResNet50x1",
    "ResNetRS50",
)
"""Of each kind of block one, which stands for the others in the other data format."""


NAMES = [name for name, *_ in TABLE]
CASES = [(name, form) for name in NAMES for form in ("channels_last", "channels_first")]
PLAIN = [(name, "channels_last") for name in QUICK]
KINDS = [(name, form) for name, form in CASES if name in SHALLOWEST]
every_network = pytest.mark.parametrize(
    "name, data_format",
    matrix(CASES, PLAIN, [*KINDS, *((name, "channels_last") for name in NAMES)]),
)
every_kind = pytest.mark.parametrize("name, data_format", matrix(CASES, PLAIN, KINDS))


LISTED = {
    "weights='imagenet'": "no weights are downloaded; see test_pretrained_weights_are_refused",
    "a picture of an elephant": "needs those weights",
    "preprocess_input": "raw images are normalised inside; see test_constructors_normalise",
}
"""Cases of theirs that are others here."""


@pytest.fixture
def make(name):
    """Return the constructor of a name."""
    return getattr(kr, name)


@pytest.fixture
def width(name):
    """Return how many channels its last feature maps have."""
    return WIDTHS.get(name, 2048)


@pytest.fixture(autouse=True)
def as_given():
    """Their tests set Keras' data format for the whole process."""
    before = keras.config.image_data_format()
    with weightless():
        yield
    keras.config.set_image_data_format(before)


def shaped(height, width, channels, data_format):
    """Return a shape of theirs in the data format, which Keras is set to as well."""
    keras.config.set_image_data_format(data_format)
    return (channels, height, width) if data_format == "channels_first" else (height, width, channels)  # fmt: skip  # noqa: E501


@every_kind
@pytest.mark.parametrize("channels", [1, 4])
def test_notop_variable_input_channels(make, width, data_format, channels):
    model = make(
        weights=None, include_top=False, input_shape=shaped(None, None, channels, data_format)
    )
    assert tuple(model.outputs[0].shape) == (None, *shaped(None, None, width, data_format))


@every_kind
def test_notop_custom_input_shape(make, width, data_format):
    model = make(weights=None, include_top=False, input_shape=shaped(123, 123, 3, data_format))
    sides = {16: 8, 32: 4}[_stride(model)]
    assert tuple(model.outputs[0].shape) == (None, *shaped(sides, sides, width, data_format))


def _stride(model):
    stride = model.config.stem_stride
    for step in model.config.stage_steps():
        stride *= step.strides
    return stride


@every_kind
def test_notop_custom_input_tensor(make, width, data_format):
    image = keras.Input(shaped(200, 200, 4, data_format), name="custom_input")
    inputs = layers.Conv2D(3, (2, 2), padding="valid", strides=(2, 2))(image)
    model = make(weights=None, include_top=False, input_tensor=inputs)
    axis = 1 if data_format == "channels_first" else -1
    assert model.outputs[0].shape[axis] == width
    assert model.input is image


@every_kind
@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_pooling(make, width, data_format, pooling):
    keras.config.set_image_data_format(data_format)
    model = make(weights=None, include_top=False, pooling=pooling)
    assert tuple(model.outputs[0].shape) == (None, width)


@every_network
def test_classifier(make, width, data_format):
    """By default 1000 classes with softmax, of images of a fixed size, and a name."""
    keras.config.set_image_data_format(data_format)
    model = make(weights=None)
    assert tuple(model.outputs[0].shape) == (None, 1000)
    assert model.layers[-1].activation.__name__ == "softmax"
    assert tuple(model.layers[-1].kernel.shape) == (width, 1000)
    assert None not in model.input_shape[1:]
    assert model.name == inspect.signature(make).parameters["name"].default


@every_kind
def test_classes_activation_and_name(make, width, data_format):
    model = make(
        weights=None,
        classes=7,
        classifier_activation=None,
        input_shape=shaped(64, 64, 3, data_format),
        name="mine",
    )
    assert tuple(model.outputs[0].shape) == (None, 7)
    assert model.layers[-1].activation.__name__ == "linear"
    assert model.name == "mine"


@every_kind
def test_serialized_and_deserialized(make, width, data_format):
    keras.config.set_image_data_format(data_format)
    model = make(weights=None)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model))
    assert [v.path for v in again.weights] == [v.path for v in model.weights]
    assert [v.shape for v in again.weights] == [v.shape for v in model.weights]
    assert again.output_shape == model.output_shape


@pytest.mark.parametrize("name", QUICK)
def test_pretrained_weights_are_refused(make):
    with pytest.raises(kr.ConfigError, match="no weights are downloaded"):
        make(weights="imagenet")


def test_constructors_normalise():
    model = kr.ResNet18(input_mean=(1.0, 2.0, 3.0), input_std=(1.0, 1.0, 1.0))
    assert model.config.takes_raw_images


def test_each_listed_case_has_a_reason():
    assert all(LISTED.values())
