"""What keras-hub's `run_vision_backbone_test` asks of its backbones, asked of every family.

The behaviours of keras_hub/src/tests/test_case.py in our words. `LISTED` holds those that are
others here, with the reason.
"""

import json

import keras
import numpy as np
import pytest
from small_networks import FAMILIES, KINDS, small_config
from tiers import matrix

import keras_resnets as kr

pytestmark = pytest.mark.tensorflow  # on JAX each case is many compilations

LISTED = {
    "the name of a backbone is its class's": "networks are named by the catalog; "
    "test_the_name_is_the_catalogs",
    "classifiers compute in 16 bits": "the head is float32 under mixed policies, as the papers' "
    "trainings have it; test_the_head_is_float32_under_mixed_policies",
    "channels_first is not tried on TensorFlow's CPU": "it runs here; test_data_format",
    "a token embedding and sequences of other lengths": "images have none; images of other sizes "
    "are in test_called",
}
"""Cases of theirs that are others here."""

every_family = pytest.mark.parametrize(
    "name", matrix(FAMILIES, ["resnet20_cifar", "densenet121"], KINDS)
)
SIZE = (24, 24)


def backbone(name, **options):
    """Return a network without a classifier; `input_shape` in the order of the data format."""
    config = small_config(name, include_top=False, input_shape=(*SIZE, 3))
    return kr.create_model(config, name=name, **options)


def images(count=2, size=SIZE):
    return np.random.default_rng(0).uniform(size=(count, *size, 3)).astype("float32")


def values(tensor):
    return keras.ops.convert_to_numpy(tensor)


def text(config):
    return json.dumps(config, sort_keys=True)


@every_family
def test_config_round_trips(name):
    """The same config and the same attributes, from `from_config` and from JSON."""
    model = backbone(name)
    config, attributes = text(model.get_config()), set(dir(model))
    copies = [
        type(model).from_config(model.get_config()),
        keras.saving.deserialize_keras_object(
            json.loads(text(keras.saving.serialize_keras_object(model)))
        ),
    ]
    for copy in copies:
        assert text(copy.get_config()) == config
        assert set(dir(copy)) == attributes
        assert copy.config == model.config
        copy.set_weights(model.get_weights())
        np.testing.assert_array_equal(values(copy(images())), values(model(images())))


@every_family
def test_called(name):
    """Eagerly, by `predict` on arrays and, on images of other sizes, as the shapes say."""
    model = kr.create_model(small_config(name, include_top=False, input_shape=(None, None, 3)))
    outputs = values(model(images()))
    assert outputs.shape == tuple(model.compute_output_shape((2, *SIZE, 3)))
    np.testing.assert_allclose(model.predict(images(), verbose=0), outputs, atol=1e-4)
    for size in ((17, 9), (8, 40)):
        shape = tuple(model.compute_output_shape((1, *size, 3)))
        assert values(model(images(1, size))).shape == shape


@pytest.mark.tensorflow
def test_predicts_a_dataset():
    import tensorflow as tf

    model = backbone("resnet20_cifar")
    dataset = tf.data.Dataset.from_tensor_slices(images(4)).batch(2)
    np.testing.assert_allclose(
        model.predict(dataset, verbose=0), values(model(images(4))), atol=1e-5
    )


def test_the_name_is_the_catalogs():
    assert kr.create_model("resnet20_cifar", include_top=False).name == "resnet20_cifar"


@every_family
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "bfloat16"])
@pytest.mark.parametrize("pooling", [None, pytest.param("avg", marks=pytest.mark.large)])
@pytest.mark.sampled(2)
def test_precision(name, policy, pooling):
    """Outputs, weights, every layer and the model itself are of the policy."""
    model = backbone(name, dtype=policy, pooling=pooling)
    policy = keras.dtype_policies.get(policy)
    if pooling is None:  # the head is float32 under mixed policies, see LISTED
        outputs = model(images())
        spec = model.compute_output_spec(keras.KerasTensor((2, *SIZE, 3), "float32"))
        for tensor in (outputs, spec):
            assert keras.backend.standardize_dtype(tensor.dtype) == policy.compute_dtype
    for weight in model.weights:
        if keras.backend.is_float_dtype(weight.dtype):
            assert weight.dtype == policy.variable_dtype, weight.path
    for layer in model._flatten_layers():
        fixed = isinstance(layer, keras.layers.InputLayer) or layer.name.endswith("_pool")
        if not fixed or layer.name == "stem_pool":
            assert layer.compute_dtype == policy.compute_dtype, layer.name
            assert layer.variable_dtype == policy.variable_dtype, layer.name


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_the_head_is_float32_under_mixed_policies(policy):
    model = kr.create_model(small_config("resnet20_cifar"), dtype=policy)
    assert model.get_layer("predictions").compute_dtype == "float32"
    assert keras.backend.standardize_dtype(model(images()).dtype) == "float32"


@pytest.mark.parametrize("mode", ["int8", "float8"])
@pytest.mark.parametrize("name", ["resnet20_cifar", "se_resnet50"])
@pytest.mark.sampled(1)
def test_quantised_by_a_map_of_policies(name, mode):
    """A `DTypePolicyMap` reaches every dense layer, and comes back from a config."""
    config = small_config(name)
    model = kr.create_model(config, name="net")
    policies = keras.dtype_policies.DTypePolicyMap("float32")
    dense = [part for part in model._flatten_layers() if isinstance(part, keras.layers.Dense)]
    for layer in dense:
        policies[layer.path] = keras.dtype_policies.get(f"{mode}_from_float32")
    model = kr.create_model(config, name="net", dtype=policies)
    found = [part for part in model._flatten_layers() if isinstance(part, keras.layers.Dense)]
    assert {layer.quantization_mode for layer in found} == {mode}
    model(images())
    again = type(model).from_config(model.get_config())
    assert text(again.get_config()) == text(model.get_config())
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(values(again(images())), values(model(images())))


@every_family
def test_pyramid_outputs(name):
    """Feature maps by level, each of half the size of the one before, from one functional model."""
    model = backbone(name)
    pyramid = kr.feature_pyramid(model)
    outputs = keras.Model(model.inputs, pyramid)(images())
    assert isinstance(outputs, dict)
    assert sorted(outputs) == sorted(pyramid)
    for level, maps in outputs.items():
        side = -(-SIZE[0] // 2 ** int(level.removeprefix("P")))
        assert tuple(maps.shape[1:3]) == (side, side), level


@every_family
def test_data_format(name):
    """The same function of transposed images, by Keras' global data format."""
    last = backbone(name, data_format="channels_last")
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        first = kr.create_model(last.config, name=name)
    finally:
        keras.config.set_image_data_format(before)
    first.set_weights(last.get_weights())
    found = values(first(images().transpose(0, 3, 1, 2)))
    np.testing.assert_allclose(found.transpose(0, 2, 3, 1), values(last(images())), atol=1e-4)


@every_family
def test_saved_and_loaded(name, tmp_path):
    model = backbone(name)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert type(again) is type(model)
    np.testing.assert_array_equal(values(again(images())), values(model(images())))


def test_each_listed_case_has_a_reason():
    assert all(LISTED.values())
