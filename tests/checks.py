"""What every layer must do, and the tools to see it, on any backend."""

import contextlib
import inspect
import json
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from hypothesis import settings

BACKEND = keras.backend.backend()

if BACKEND == "jax":
    # It compiles every operation for every shape: quickly, rather than well.
    os.environ.setdefault(
        "XLA_FLAGS",
        "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
        "--xla_cpu_parallel_codegen_split_count=1",
    )

any_size = settings(
    deadline=None, derandomize=True, max_examples=10 if BACKEND == "jax" else 30, database=None
)
"""Settings of hypothesis for tests that draw sizes; each draw is a compilation on JAX."""

CLOSE = {"rtol": 1e-5, "atol": 1e-5}
"""Two float32 computations of one function: some hundred terms of size 1, rounded at 6e-8 each."""

EXACT_64 = {"rtol": 1e-10, "atol": 1e-10}
"""The same in float64, rounded at 1e-16 each."""

ODD = (7, 5)
SIZES = (ODD, (6, 6), (1, 1))
"""Heights and widths; what does not look at sizes is looked at for the first."""

POLICIES = {"float64": 1e-4, "mixed_bfloat16": 0.1, "mixed_float16": 0.02}
"""Dtype policies, and how far the largest output may be from float32's, as a part of it: about ten
roundings at 2^-9 and 2^-12 each, doubled for the cancellation in them."""


class Inputs(NamedTuple):
    """Shapes of a layer's inputs, without the batch, at any height and width.

    Attributes:
        channels: Channels of the input, or of each of several.
        strides: Stride of each input against the first.
    """

    channels: int | tuple[int, ...] = 4
    strides: tuple[int, ...] = ()

    def shapes(self, height, width, data_format="channels_last", batch=()):
        """Return the shape, or a list of the shapes."""
        if isinstance(self.channels, int):
            return _shape(height, width, self.channels, data_format, batch)
        return [
            _shape(height, width, channels, data_format, batch, stride)
            for channels, stride in zip(self.channels, self.strides, strict=True)
        ]

    def random(self, height, width, batch=3, seed=0):
        """Return normal numbers, as floats of 64 bits."""
        rng = np.random.default_rng(seed)
        return each(rng.standard_normal, self.shapes(height, width, batch=(batch,)))


def _shape(height, width, channels, data_format, batch, stride=1):
    sides = tuple(None if side is None else -(-side // stride) for side in (height, width))
    image = (channels, *sides) if data_format == "channels_first" else (*sides, channels)
    return (*batch, *image)


def check_layer(
    make: Callable[..., keras.layers.Layer],
    inputs: Inputs,
    parameters: int,
    folder,
    *,
    reached: Callable[[str], bool] | None = None,
    follows_data_format: bool = True,
):
    """Check all that every layer must do.

    Args:
        make: Makes the layer from ``data_format`` and ``dtype``; whatever it draws at random in
            training it draws with a seed.
        inputs: What it is called on.
        parameters: How many numbers all its weights hold.
        folder: Where to save models.
        reached: Says by its path whether the gradient reaches a weight of the newly made layer; by
            default, and for random weights, it reaches all of them.
        follows_data_format: Whether the layer is the same function in both data formats, in
            training too; one that draws a number for each pixel is not.
    """
    check_shapes(make, inputs)
    check_parameters(make, inputs, parameters)
    check_config(make, inputs)
    check_saving(make, inputs, folder)
    check_policies(make, inputs)
    check_channels_first(make, inputs, training=(False, True) if follows_data_format else (False,))
    check_gradients(make, inputs, reached)
    check_trainability(make, inputs)


def check_shapes(make, inputs):
    """What `compute_output_shape` says is what comes out, and is known without the size."""
    layer = built(make, inputs)
    for size in SIZES:
        outputs = shape_of(layer, inputs.random(*size))
        shape = layer.compute_output_shape(inputs.shapes(*size, batch=(3,)))
        assert tuple(shape) == outputs, size
    symbolic = layer(symbolic_inputs(inputs))
    assert symbolic.shape == (None, None, None, outputs[-1])
    assert symbolic.shape == tuple(
        layer.compute_output_shape(inputs.shapes(None, None, batch=(None,)))
    )


def check_parameters(make, inputs, parameters):
    """The layer has so many numbers in its weights, all of them after `build`."""
    layer = built(make, inputs)
    assert layer.count_params() == parameters
    run(layer, inputs.random(*ODD))
    assert layer.count_params() == parameters
    assert all(weight.dtype == "float32" for weight in layer.weights)


def check_config(make, inputs):
    """A layer made from a config has the same config and is the same function, draws included."""
    layer = built(make, inputs)
    randomize(layer)
    config = as_json(layer.get_config())
    serialized = as_json(keras.saving.serialize_keras_object(layer))
    with other_defaults():
        copies = [
            type(layer).from_config(config),
            keras.saving.deserialize_keras_object(serialized),
        ]
        assert as_json(layer.get_config()) == config
    x = inputs.random(*ODD)
    expected = {training: run(layer, x, training) for training in (False, True)}
    for copy in copies:
        assert type(copy) is type(layer)
        assert as_json(copy.get_config()) == config
        if not copy.built:
            with other_defaults():
                copy.build(inputs.shapes(6, 6, batch=(None,)))
            assert as_json(copy.get_config()) == config
        randomize(copy)
        for training in (False, True):
            np.testing.assert_array_equal(run(copy, x, training), expected[training])


def check_saving(make, inputs, folder):
    """A saved model comes back as the same function, also where Keras' defaults are others."""
    x = inputs.random(*ODD)
    for dtype in ("float32", "mixed_bfloat16"):
        layer = make(data_format="channels_last", dtype=dtype)
        tensors = symbolic_inputs(inputs)
        model = keras.Model(tensors, layer(tensors))
        randomize(model)
        path = folder / f"{dtype}.keras"
        model.save(path)
        with other_defaults():
            loaded = keras.saving.load_model(path)
        assert as_json(loaded.get_layer(layer.name).get_config()) == as_json(layer.get_config())
        for before, after in zip(model.weights, loaded.weights, strict=True):
            assert before.path == after.path
            assert before.dtype == after.dtype
            np.testing.assert_array_equal(numpy(before), numpy(after))
        np.testing.assert_array_equal(run(loaded, x), run(model, x))


def check_policies(make, inputs):
    """Each dtype policy gives outputs of its dtype that are finite, and near float32's."""
    layer = built(make, inputs)
    randomize(layer)
    x = inputs.random(*ODD)
    expected = run(layer, x)
    for policy, tolerance in POLICIES.items():
        with float64() if policy == "float64" else contextlib.nullcontext():
            other = built(make, inputs, dtype=policy)
            randomize(other)
            for training in (False,) if policy == "float64" else (False, True):
                outputs = call(other, x, training)
                assert keras.backend.standardize_dtype(outputs.dtype) == other.compute_dtype
                outputs = numpy(outputs)
                assert np.isfinite(outputs).all(), policy
                if not training:
                    far = np.abs(outputs - expected).max()
                    assert far <= tolerance * np.abs(expected).max(), policy
            assert all(weight.dtype == other.variable_dtype for weight in other.weights)


def check_channels_first(make, inputs, training):
    """Channels first is the same function of transposed images."""
    last = built(make, inputs)
    first = built(make, inputs, data_format="channels_first")
    for size in SIZES[:1] if BACKEND == "jax" else SIZES:
        x = inputs.random(*size)
        for mode in training:
            for layer in (last, first):
                randomize(layer)
            transposed = run(first, each(lambda v: v.transpose(0, 3, 1, 2), x), mode)
            assert transposed.shape == tuple(
                first.compute_output_shape(inputs.shapes(*size, "channels_first", (3,)))
            )
            np.testing.assert_allclose(
                transposed.transpose(0, 2, 3, 1), run(last, x, mode), **CLOSE
            )


def check_gradients(make, inputs, reached=None):
    """The gradient reaches every trainable weight, and where `reached` says so at the beginning."""
    layer = built(make, inputs)
    x = inputs.random(*ODD)
    if reached is not None:
        expected = {w.path: reached(w.path) for w in layer.trainable_variables}
        found = weight_gradients(layer, x, training=False)
        assert {path: bool(np.any(gradient)) for path, gradient in found.items()} == expected
    randomize(layer)
    for training in (False, True):
        for path, gradient in weight_gradients(layer, x, training).items():
            assert np.isfinite(gradient).all(), path
            assert training or np.any(gradient), path


def check_trainability(make, inputs):
    """Frozen layers come back frozen from a config, and train no further: no moving statistics."""
    names = sorted({part.name for part in sublayers(built(make, inputs))})
    for frozen in ("all", names[::2], names[1::2]):
        layer = built(make, inputs)
        for part in [layer] if frozen == "all" else sublayers(layer):
            if frozen == "all" or part.name in frozen:
                part.trainable = False
        config = as_json(layer.get_config())
        copy = type(layer).from_config(config)
        assert as_json(copy.get_config()) == config
        if not copy.built:
            copy.build(inputs.shapes(6, 6, batch=(None,)))
            assert as_json(copy.get_config()) == config
        assert [w.trainable for w in copy.weights] == [w.trainable for w in layer.weights]
        assert len(copy.trainable_variables) == len(layer.trainable_variables)
        assert frozen != "all" or not copy.trainable_variables
        for part in (layer, copy):
            randomize(part)
            before = {id(weight): numpy(weight) for weight in part.weights}
            run(part, inputs.random(*ODD), training=True)
            for owner in [part, *sublayers(part)]:
                for weight in owner._non_trainable_variables:
                    still = np.array_equal(numpy(weight), before[id(weight)])
                    assert still == (not owner.trainable), (frozen, weight.path)


def as_json(config):
    """Return a config as it is after it went through a file: tuples are lists there."""
    return json.loads(json.dumps(config))


def sublayers(layer):
    """Return the layers inside a layer, at any depth."""
    return layer._flatten_layers(include_self=False)


def built(make, inputs, data_format="channels_last", dtype="float32"):
    """Return a layer that is made and built, for images of any size."""
    layer = make(data_format=data_format, dtype=dtype)
    layer.build(inputs.shapes(None, None, data_format, batch=(None,)))
    return layer


def symbolic_inputs(inputs):
    """Return Keras inputs of any height and width."""
    return each(keras.Input, inputs.shapes(None, None))


def randomize(layer, seed=0):
    """Give every weight a random value, the same in every layer of the same shapes."""
    rng = np.random.default_rng(seed)
    for weight in layer.weights:
        values = rng.standard_normal(weight.shape)
        if weight.path.endswith(("variance", "gamma", "bias")):  # biases: that some ReLU is open
            values = 0.5 + np.abs(values)
        elif len(weight.shape) > 1:
            values = values / np.sqrt(np.prod(weight.shape[:-1]))
        weight.assign(values)


def call(layer, x, training=False):
    """Call a layer or model on arrays and return a tensor."""
    return layer(tensors_for(layer, x), **training_argument(layer, training))


def tensors_for(layer, x):
    """Return arrays as tensors of the dtype of a layer's weights, as they come from a data set."""
    return each(lambda v: keras.ops.convert_to_tensor(v, dtype=layer.variable_dtype), x)


def training_argument(layer, training):
    """Return ``{"training": training}`` where a layer takes it."""
    takes_it = "training" in inspect.signature(layer.call).parameters
    return {"training": training} if takes_it else {}


def run(layer, x, training=False):
    """Call a layer or model on arrays and return an array."""
    return numpy(call(layer, x, training))


def shape_of(layer, x):
    """Return the shape of what a layer puts out; JAX finds it without a compilation."""
    if BACKEND != "jax":
        return run(layer, x).shape
    import jax

    return jax.eval_shape(layer, tensors_for(layer, x)).shape


def compiled(function):
    """Return the function, compiled as a whole where the backend compiles its parts anyway."""
    if BACKEND != "jax":
        return function
    import jax

    return jax.jit(function)


def numpy(tensor):
    """Return a tensor's values; those of 16 bits as floats of 32."""
    if keras.backend.standardize_dtype(tensor.dtype) == "bfloat16":
        tensor = keras.ops.cast(tensor, "float32")
    return np.array(keras.ops.convert_to_numpy(tensor))


def weight_gradients(layer, x, training=False) -> dict[str, np.ndarray]:
    """Return the gradient of `gradients` for each trainable weight, by its path."""
    x, arguments = tensors_for(layer, x), training_argument(layer, training)
    # Converted outside: a variable is its value there.
    others = [keras.ops.convert_to_tensor(v) for v in layer.non_trainable_variables]

    def outputs(*weights):
        return layer.stateless_call(weights, others, x, **arguments)[0]

    weights = layer.trainable_variables
    found = gradients(outputs, [numpy(weight) for weight in weights])
    return {weight.path: value for weight, value in zip(weights, found, strict=True)}


def gradients(function, arrays) -> list[np.ndarray]:
    """Return the gradients, for each array, of a random linear form of ``function(*arrays)``."""

    def loss(*tensors):
        outputs = function(*tensors)
        weights = np.random.default_rng(1).standard_normal(outputs.shape)
        return keras.ops.sum(outputs * keras.ops.convert_to_tensor(weights, dtype=outputs.dtype))

    tensors = [keras.ops.convert_to_tensor(array) for array in arrays]
    if not tensors:
        return []
    if BACKEND == "jax":
        import jax

        found = jax.jit(jax.grad(loss, argnums=tuple(range(len(tensors)))))(*tensors)
    elif BACKEND == "torch":
        import torch

        leaves = [tensor.detach().requires_grad_() for tensor in tensors]
        # A ReLU that is closed, or a branch that was dropped, may leave a weight out of the graph.
        found = torch.autograd.grad(loss(*leaves), leaves, materialize_grads=True)
    else:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(tensors)
            value = loss(*tensors)
        found = tape.gradient(value, tensors)
    return [numpy(gradient) for gradient in found]


@contextlib.contextmanager
def other_defaults():
    """Set Keras' global data format and dtype policy to others than the layers under test have."""
    data_format, policy = keras.config.image_data_format(), keras.config.dtype_policy()
    keras.config.set_image_data_format("channels_first")
    keras.config.set_dtype_policy("mixed_float16")
    try:
        yield
    finally:
        keras.config.set_image_data_format(data_format)
        keras.config.set_dtype_policy(policy)


def float64():
    """Return a context in which the backend has numbers of 64 bits."""
    if BACKEND != "jax":
        return contextlib.nullcontext()
    import jax

    return jax.enable_x64(True)


def each(function: Callable[[Any], Any], value):
    """Apply a function to a value, or to each of a list."""
    return [function(v) for v in value] if isinstance(value, list) else function(value)
