"""The fused batch normalisation against the stock layer, which it must equal."""

import itertools
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
from checks import CLOSE
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_resnets.layers import BatchNormalization

Stock = keras.layers.BatchNormalization

needs_tensorflow = pytest.mark.tensorflow

MODES = {"training": (True, True), "inference": (False, True), "frozen": (True, False)}
"""By name, the argument `training` and whether the layer is trainable."""


def pair(shape, policy="float32", **options):
    """Return the fused and the stock layer with the same random weights."""
    layers = []
    for kind in (BatchNormalization, Stock):
        layer = kind(dtype=policy, name="bn", **options)
        layer.build(shape)
        rng = np.random.default_rng(5)
        layer.set_weights([rng.uniform(0.5, 2, weight.shape) for weight in layer.weights])
        layers.append(layer)
    return layers


def run(layer, inputs, training, jit=False, mask=None):
    """Return outputs, the gradients of inputs and trainable weights, and the state behind it."""
    import tensorflow as tf

    inputs = tf.cast(inputs, layer.compute_dtype)

    @tf.function(jit_compile=jit)
    def step(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=training, mask=mask)
            # Not linear, since the gradient of a sum vanishes behind a normalisation.
            loss = tf.reduce_sum(tf.sin(tf.cast(outputs, "float32")))
        weights = [weight.value for weight in layer.trainable_weights]
        return outputs, tape.gradient(loss, [inputs, *weights])

    outputs, gradients = step(inputs)
    arrays = [outputs, *gradients, *(weight.value for weight in layer.non_trainable_weights)]
    return [np.asarray(tf.cast(array, "float64")) for array in arrays]


def check_equal(fused, stock, tolerance):
    for ours, theirs in zip(fused, stock, strict=True):
        scale = max(1.0, np.abs(theirs).max())
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * scale)


def images(shape, mean=0.0):
    return np.random.default_rng(0).standard_normal(shape).astype("float32") + mean


@needs_tensorflow
@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("training, trainable", MODES.values(), ids=MODES)
@pytest.mark.parametrize(
    "shape, mean",
    [((4, 5, 3, 6), 0.0), ((1, 4, 4, 16), 3.0), ((1, 1, 1, 4), 1.0), ((2, 1, 1, 4), 0.0)],
)
@pytest.mark.sampled(3)
def test_equals_the_stock_layer(shape, mean, training, trainable, axis, jit):
    layers = pair(shape, axis=axis)
    for layer in layers:
        layer.trainable = trainable
    results = [run(layer, images(shape, mean), training, jit) for layer in layers]
    # Sums of a hundred terms, rounded at 6e-8 each, divided by deviations of 1; two values alone
    # may lie close together and are divided by what is left between them.
    check_equal(*results, 2e-5 if shape[0] != 2 else 1e-3)


@needs_tensorflow
@pytest.mark.parametrize("jit", [False, True])
def test_keeps_the_variance_of_inputs_far_from_zero(jit):
    """By E[x^2] - E[x]^2 in float32 it would be wrong by a percent."""
    shape = (8, 6, 6, 8)
    fused, stock = (run(layer, images(shape, 100.0), True, jit) for layer in pair(shape))
    check_equal(fused, stock, 3e-4)
    exact = 0.9 * 1 + 0.1 * images(shape, 100.0).astype("float64").var((0, 1, 2))
    layer = BatchNormalization(momentum=0.9)
    layer.build(shape)
    moved = run(layer, images(shape, 100.0), True, jit)[-1]
    np.testing.assert_allclose(moved, exact, rtol=1e-5)


@needs_tensorflow
@pytest.mark.parametrize("channels", [16, 20])
@pytest.mark.parametrize("training, trainable", MODES.values(), ids=MODES)
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.sampled(6)
def test_statistics_are_float32_under_mixed_precision(policy, training, trainable, channels):
    shape = (8, 4, 4, channels)
    layers = pair(shape, policy)
    for layer in layers:
        layer.trainable = trainable
    inputs = images(shape, 1.0)
    outputs, *gradients_and_state = run(layers[0], inputs, training)
    reference = run(layers[1], inputs, training)
    # Outputs are rounded to 8 bits (11 in float16) once by either side.
    rounding = {"mixed_bfloat16": 2.0**-8, "mixed_float16": 2.0**-11}[policy]
    check_equal([outputs], reference[:1], rounding)
    check_equal(gradients_and_state[:-2], reference[1:-2], 4 * rounding)
    # The statistics are those of the inputs as they come, in float32.
    moved = gradients_and_state[-2:]
    assert all(weight.dtype == "float32" for weight in layers[0].weights)
    if training and trainable:
        import tensorflow as tf

        exact = np.asarray(tf.cast(tf.cast(inputs, layers[0].compute_dtype), "float64"))
        rng = np.random.default_rng(5)
        before = [rng.uniform(0.5, 2, channels) for _ in range(4)][2:]
        for new, old, batch in zip(
            moved, before, (exact.mean((0, 1, 2)), exact.var((0, 1, 2))), strict=True
        ):
            np.testing.assert_allclose(new, 0.99 * old + 0.01 * batch, rtol=1e-6)


@needs_tensorflow
@pytest.mark.parametrize("scale, center", [*itertools.product([True, False], repeat=2)])
def test_without_scale_or_offset(scale, center):
    shape = (3, 4, 4, 5)
    layers = pair(shape, scale=scale, center=center, epsilon=1e-3, momentum=0.7)
    check_equal(*(run(layer, images(shape), True) for layer in layers), 2e-5)


@needs_tensorflow
@settings(deadline=None, derandomize=True, max_examples=15, database=None)
@given(
    sides=st.tuples(*(st.integers(1, 6) for _ in range(4))),
    momentum=st.sampled_from([0.0, 0.5, 0.99]),
)
@pytest.mark.large
def test_any_size_moves_the_statistics_alike(sides, momentum):
    layers = pair(sides, momentum=momentum)
    fused, stock = (run(layer, images(sides), True) for layer in layers)
    check_equal(fused[-2:], stock[-2:], 1e-5)


@needs_tensorflow
@pytest.mark.parametrize(
    "why, shape, options, policy",
    [
        ("rank 2", (6, 4), {}, "float32"),
        ("rank 3", (3, 6, 4), {}, "float32"),
        ("rank 5", (2, 2, 3, 2, 4), {}, "float32"),
        ("axis 2", (2, 3, 4, 3), {"axis": 2}, "float32"),
        ("float64", (2, 3, 4, 3), {}, "float64"),
        ("renorm", (2, 3, 4, 3), {"renorm": True}, "float32"),
        ("synchronized", (2, 3, 4, 3), {"synchronized": True}, "float32"),
    ],
)
@pytest.mark.sampled(3)
def test_what_the_kernel_cannot_do_is_computed_by_the_stock_layer(why, shape, options, policy):
    layers = pair(shape, policy, **options)
    fused, stock = (run(layer, images(shape), True) for layer in layers)
    for ours, theirs in zip(fused, stock, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=why)


@needs_tensorflow
def test_a_mask_is_respected():
    shape = (2, 3, 4, 3)
    mask = np.random.default_rng(1).random(shape[:-1]) < 0.5
    fused, stock = (run(layer, images(shape), True, mask=mask) for layer in pair(shape))
    for ours, theirs in zip(fused, stock, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@needs_tensorflow
def test_the_kernel_is_used():
    """In training and inference, channels last and first, in one operation; not under XLA."""
    import tensorflow as tf

    def kernels(training, axis=-1, jit=False):
        layer = BatchNormalization(axis=axis)
        function = tf.function(lambda x: layer(x, training=training), jit_compile=jit)
        graph = function.get_concrete_function(tf.TensorSpec((None, 4, 4, 4))).graph
        return sum(op.type == "FusedBatchNormV3" for op in graph.get_operations())

    assert [kernels(True), kernels(False), kernels(True, 1), kernels(False, 1)] == [1] * 4


def test_configurations_and_weights_are_interchangeable(tmp_path):
    options = {"momentum": 0.8, "epsilon": 2e-3, "scale": False, "gamma_regularizer": "l2"}
    fused, stock = pair((2, 3, 3, 4), **options)
    assert isinstance(fused, Stock)
    assert fused.get_config() == stock.get_config()
    assert [w.path for w in fused.weights] == [w.path for w in stock.weights]
    for kind, config in (
        (Stock, fused.get_config()),
        (BatchNormalization, stock.get_config()),
    ):
        layer = kind.from_config(config)
        layer.build((2, 3, 3, 4))
        layer.set_weights(fused.get_weights())
        np.testing.assert_allclose(
            np.asarray(layer(images((2, 3, 3, 4)))),
            np.asarray(stock(images((2, 3, 3, 4)))),
            **CLOSE,
        )
    inputs = keras.Input((3, 3, 4))
    one, other = (
        keras.Model(inputs, kind.from_config(fused.get_config())(inputs))
        for kind in (BatchNormalization, Stock)
    )
    one.layers[1].set_weights(fused.get_weights())
    one.save_weights(tmp_path / "one.weights.h5")
    other.load_weights(tmp_path / "one.weights.h5")
    for ours, theirs in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


SYNCHRONIZED = """
    import numpy as np, tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    from keras_resnets.layers import BatchNormalization
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    images = np.random.default_rng(0).normal(size=(8, 3, 3, 4)).astype("float32")
    with strategy.scope():
        layer = BatchNormalization(momentum=0.0, synchronized=True)
        layer.build((None, 3, 3, 4))
    parts = strategy.experimental_distribute_values_from_function(
        lambda c: tf.constant(images[4 * c.replica_id_in_sync_group:][:4])
    )
    step = tf.function(lambda x: strategy.run(lambda x: layer(x, training=True), args=(x,)))
    step(parts)
    np.testing.assert_allclose(layer.moving_mean.numpy(), images.mean((0, 1, 2)), atol=1e-5)
    np.testing.assert_allclose(layer.moving_variance.numpy(), images.var((0, 1, 2)), atol=1e-5)
"""


@needs_tensorflow
@pytest.mark.large
def test_synchronized_statistics_are_those_of_all_replicas():
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SYNCHRONIZED)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
