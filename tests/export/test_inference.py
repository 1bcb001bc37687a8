"""Functions made for inference answer what the model answers."""

import itertools

import keras
import numpy as np
import pytest
from small_networks import small_config

import keras_resnets as kr
from keras_resnets.errors import InputError
from keras_resnets.export import inference_function
from keras_resnets.export.inference import RUNTIMES


@pytest.fixture(scope="module")
def network():
    """A network with statistics that are not those of a new one."""
    keras.utils.set_random_seed(1)
    model = kr.create_model(small_config("resnet20_cifar"))
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if "moving" in weight.name:
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    return model


def images(network, count):
    return np.random.default_rng(1).standard_normal((count, *network.input_shape[1:]), "float32")


@pytest.mark.parametrize(
    "runtime, batch_size",
    [*itertools.product(["graph", "frozen", "xla", "auto"], [None, 2]), ("litert", 2)],
)
@pytest.mark.sampled(2)
def test_answers_are_the_models(network, runtime, batch_size):
    function = inference_function(network, batch_size, runtime)
    batch = images(network, 2)
    expected = np.asarray(network(batch, training=False))
    np.testing.assert_allclose(np.asarray(function(batch)), expected, rtol=1e-4, atol=1e-5)
    assert function.runtime == runtime or (runtime == "auto" and function.runtime in RUNTIMES)
    assert type(function(batch)) is type(network(batch))


def test_any_batch_size_where_none_is_given(network):
    function = inference_function(network)
    assert [function(images(network, count)).shape[0] for count in (1, 3)] == [1, 3]


@pytest.mark.parametrize("runtime", ["graph", "frozen", "xla", "litert"])
@pytest.mark.sampled(1)
def test_lists_and_other_floats_are_taken(network, runtime):
    batch = images(network, 1)
    function = inference_function(network, 1, runtime)
    for given in (batch.tolist(), batch.astype("float64")):
        np.testing.assert_array_equal(np.asarray(function(given)), np.asarray(function(batch)))


@pytest.mark.large
def test_the_fastest_is_chosen(network):
    function = inference_function(network, 1)
    assert set(function.seconds) == {"graph", "frozen", "xla", "litert"}
    assert function.seconds[function.runtime] == min(function.seconds.values())


def test_frozen_weights_do_not_follow_a_training(network):
    batch = images(network, 1)
    frozen = inference_function(network, 1, "frozen")
    before = np.asarray(frozen(batch))
    kernel = network.get_layer("predictions").kernel
    value = kernel.numpy()
    kernel.assign(value * 2)
    try:
        np.testing.assert_array_equal(np.asarray(frozen(batch)), before)
    finally:
        kernel.assign(value)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"batch_size": 0}, "`batch_size` must be None or a positive integer"),
        ({"batch_size": True}, "`batch_size` must be"),
        ({"batch_size": 1.5}, "`batch_size` must be"),
        ({"runtime": "fast"}, "`runtime` must be one of auto, graph, frozen, xla, litert"),
        ({"runtime": "litert"}, "`runtime`='litert' needs a `batch_size`"),
    ],
)
def test_wrong_arguments_are_refused(network, arguments, message):
    with pytest.raises(InputError, match=message):
        inference_function(network, **arguments)


def test_images_of_another_shape_are_refused(network):
    function = inference_function(network, 2, "graph")
    with pytest.raises(InputError, match=r"`images` must be of shape .* Received: shape"):
        function(images(network, 3))
    with pytest.raises(InputError, match="`images` must be of shape"):
        inference_function(network, runtime="graph")(images(network, 1)[0])


def test_several_outputs_are_refused(network):
    features = keras.Model(network.input, kr.feature_pyramid(network, by="stage"))
    with pytest.raises(InputError, match="one input and one output"):
        inference_function(features)


def test_what_is_no_model_is_refused():
    with pytest.raises(InputError, match="`model` must be a Keras model"):
        inference_function("resnet20_cifar")


@pytest.mark.large
def test_another_precision_is_no_competitor():
    model = kr.create_model(small_config("resnet20_cifar"), dtype="mixed_bfloat16")
    assert "litert" not in inference_function(model, 1).seconds


def operations(run):
    """Count the operations that TensorFlow runs, after its graph optimiser, by type."""
    from keras_resnets.training.profiling import operation_times

    return {row.operation: row.calls for row in operation_times(run)}


@pytest.mark.parametrize("runtime", ["graph", "frozen"])
def test_normalisations_fold_into_the_convolutions(runtime):
    """What Keras' own layer leaves to be done one by one."""
    batch = np.zeros((2, 16, 16, 3), "float32")

    def run(normalization):
        inputs = x = keras.Input(batch.shape[1:])
        for _ in range(3):
            x = keras.layers.Conv2D(16, 3, padding="same", use_bias=False)(x)
            x = keras.layers.ReLU()(normalization()(x))
        function = inference_function(keras.Model(inputs, x), 2, runtime)
        function(batch)
        return operations(lambda: function(batch))

    fused = run(kr.layers.BatchNormalization)
    assert not any("BatchNorm" in name or name in ("Rsqrt", "Mul") for name in fused), fused
    convolutions = {name: calls for name, calls in fused.items() if "Conv2D" in name}
    assert sum(convolutions.values()) == 3
    assert all("Fused" in name for name in convolutions) or fused.get("Relu", 0) == 0
    if runtime == "graph":
        assert run(keras.layers.BatchNormalization).get("Mul", 0) >= 3


@pytest.mark.large
def test_tflite_has_nothing_left_of_the_normalisations(network, tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    kr.export.export_tflite(network, tmp_path / "model.tflite", images(network, 2))
    interpreter = Interpreter(str(tmp_path / "model.tflite"))
    names = [detail["op_name"] for detail in interpreter._get_ops_details()]
    convolutions = sum(
        "conv" in weight.path and "kernel" in weight.path for weight in network.weights
    )
    assert names.count("CONV_2D") == convolutions
    assert not {"MUL", "SUB", "RSQRT"} & set(names)
