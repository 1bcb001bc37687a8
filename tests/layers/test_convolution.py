"""The convolution, against a loop over pixels; the ways a backend may compute it; its kernels."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import references
from checks import (
    BACKEND,
    CLOSE,
    EXACT_64,
    Inputs,
    any_size,
    built,
    float64,
    gradients,
    numpy,
    randomize,
    run,
)
from hypothesis import given
from hypothesis import strategies as st

from keras_resnets.layers import SymmetricConv2D, backend
from keras_resnets.layers.convolution import he_normal

on_tensorflow = [
    pytest.mark.tensorflow,
    pytest.mark.skipif(BACKEND != "tensorflow", reason="needs the TensorFlow backend"),
]


def standardized(kernel):
    mean, deviation = kernel.mean(axis=(0, 1, 2)), kernel.std(axis=(0, 1, 2))
    return (kernel - mean) / deviation


@any_size
@given(
    side=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    kernel=st.sampled_from((1, 3, 5)),
    stride_or_dilation=st.sampled_from(((1, 1), (2, 1), (3, 1), (1, 2), (1, 3))),
    groups=st.sampled_from((1, 2, 4)),
    standardize=st.booleans(),
    first=st.booleans(),
)
def test_it_equals_the_loop_over_pixels(
    side, kernel, stride_or_dilation, groups, standardize, first
):
    strides, dilation = stride_or_dilation
    data_format = "channels_first" if first else "channels_last"
    with float64():
        layer = SymmetricConv2D(
            8,
            kernel,
            strides,
            data_format,
            # A kernel of one number an output has no variance.
            standardize and (kernel > 1 or groups < 4),
            dilation_rate=dilation,
            groups=groups,
            dtype="float64",
        )
        x = Inputs(4).random(*side, batch=2)
        fed = x.transpose(0, 3, 1, 2) if first else x
        layer.build(fed.shape)
        randomize(layer)
        outputs = run(layer, fed)
        weights = references.values(numpy(layer.kernel))
    if layer.standardize:
        weights = standardized(weights)
    expected = references.convolution(x, weights, strides, dilation)
    if first:
        outputs = outputs.transpose(0, 2, 3, 1)
    # Standardising adds 1e-10 to a variance of about 1 / fan-in.
    close = {"rtol": 1e-7, "atol": 1e-7} if layer.standardize else EXACT_64
    np.testing.assert_allclose(outputs, expected, **close)


def test_bias_and_activation():
    def make(data_format, dtype):
        # As many filters as columns, which must not be taken for each other.
        return SymmetricConv2D(6, 3, 2, data_format, use_bias=True, activation="relu", dtype=dtype)

    x = Inputs(4).random(11, 11)
    for data_format, order in (("channels_last", (0, 1, 2, 3)), ("channels_first", (0, 3, 1, 2))):
        layer = built(make, Inputs(4), data_format)
        randomize(layer)
        expected = references.convolution(x, numpy(layer.kernel), 2) + numpy(layer.bias)
        outputs = run(layer, x.transpose(order))
        np.testing.assert_allclose(outputs, references.relu(expected).transpose(order), **CLOSE)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_small_kernels_are_standardized_in_float32(dtype):
    # Their variance, 1e-8, is below what float16 holds well.
    layer = SymmetricConv2D(8, 3, standardize=True, dtype=dtype)
    layer.build((None, 6, 6, 4))
    kernel = 1e-4 * np.random.default_rng(0).standard_normal(layer.kernel.shape)
    layer.kernel.assign(kernel)
    x = Inputs(4).random(6, 6)
    outputs = numpy(layer(keras.ops.convert_to_tensor(x, dtype="float32")))
    scale = np.sqrt(kernel.var(axis=(0, 1, 2)) / (kernel.var(axis=(0, 1, 2)) + 1e-10))
    expected = references.convolution(x, standardized(kernel)) * scale
    # Inputs, kernel and output rounded to 8 bits, 36 terms.
    np.testing.assert_allclose(outputs, expected, atol=0.02 * np.abs(expected).max())


@pytest.mark.parametrize("fan, terms", [("fan_in", 9 * 16), ("fan_out", 9 * 64)])
def test_kernels_are_he_normal_and_not_truncated(fan, terms):
    kernel = numpy(he_normal(fan)(shape=(3, 3, 16, 64)))
    deviation = np.sqrt(2 / terms)
    # 9216 draws: the deviation of a deviation is 1 / sqrt(2 * 9216) = 0.7 %, of a mean 1 %.
    assert kernel.std() == pytest.approx(deviation, rel=0.035)
    assert abs(kernel.mean()) < 0.05 * deviation
    # Of a truncated normal none would be beyond 2.3 deviations; of this one 2 % are.
    assert np.mean(np.abs(kernel) > 2.4 * deviation) == pytest.approx(0.0164, rel=0.4)


def convolutions(x, kernel, strides, padding, data_format="channels_last"):
    """Return the value and the gradients of the convolution that the backend chooses."""

    def function(x, kernel):
        return backend.convolve(x, kernel, strides, padding, 1, data_format)

    value = function(*map(keras.ops.convert_to_tensor, (x, kernel)))
    return [numpy(value), *gradients(function, [x, kernel])]


@pytest.fixture
def cleared_cache():
    """Let the backend find out again what it can do, before and after the test."""
    cached = backend._grouped_kernel_has_gradient  # a test may put another in its place
    cached.cache_clear()
    yield
    cached.cache_clear()


@pytest.mark.parametrize("path", ["grouped kernel", "block-diagonal kernel"])
@pytest.mark.parametrize("strides, padding", [(1, "same"), (2, "valid")])
@pytest.mark.parametrize("groups", [1, 2, 4, 8])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_every_way_to_convolve_is_one_function(
    path, strides, padding, groups, data_format, monkeypatch, cleared_cache
):
    """Value and gradients equal those of the convolutions of each group alone."""
    if path == "block-diagonal kernel":
        monkeypatch.setattr(backend, "_grouped_kernel_has_gradient", lambda dtype: False)
    rng = np.random.default_rng(groups)
    x = rng.standard_normal((2, 7, 6, 8)).astype("float32")
    kernel = rng.standard_normal((3, 3, 8 // groups, 16)).astype("float32")
    first = data_format == "channels_first"

    def apart(x, kernel):
        if first:
            x = keras.ops.transpose(x, (0, 2, 3, 1))
        pairs = zip(
            keras.ops.split(x, groups, axis=3), keras.ops.split(kernel, groups, axis=3), strict=True
        )
        outputs = [
            keras.ops.conv(own, kernels, strides, padding, "channels_last")
            for own, kernels in pairs
        ]
        outputs = keras.ops.concatenate(outputs, axis=3)
        return keras.ops.transpose(outputs, (0, 3, 1, 2)) if first else outputs

    x = x.transpose(0, 3, 1, 2) if first else x
    found = convolutions(x, kernel, strides, padding, data_format)
    value = numpy(apart(*map(keras.ops.convert_to_tensor, (x, kernel))))
    for actual, expected in zip(found, [value, *gradients(apart, [x, kernel])], strict=True):
        assert actual.shape == expected.shape
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


class TestOnTensorFlow:
    pytestmark = on_tensorflow

    @pytest.mark.parametrize("has_gradient", [True, False])
    def test_a_grouped_kernel_is_used_where_it_can_be_trained(
        self, has_gradient, monkeypatch, cleared_cache
    ):
        import tensorflow as tf

        if not has_gradient:

            def refuse(*args, **kwargs):
                raise tf.errors.UnimplementedError(None, None, "no grouped kernel")

            monkeypatch.setattr(tf.nn, "conv2d", refuse)
        assert backend._grouped_kernel_has_gradient("float32") == has_gradient
        monkeypatch.undo()
        layer = SymmetricConv2D(8, 3, groups=4)
        layer.build((None, 5, 5, 8))
        graph = tf.function(layer).get_concrete_function(tf.TensorSpec((2, 5, 5, 8))).graph
        kernels = [op.inputs[1].shape for op in graph.get_operations() if op.type == "Conv2D"]
        assert kernels == [(3, 3, 2 if has_gradient else 8, 8)]

    def test_no_1x1_convolution_has_a_stride(self):
        """Its filter gradient corrupts memory (TensorFlow 2.21, CPU)."""
        import tensorflow as tf

        layer = SymmetricConv2D(16, 1, 2)
        layer.build((None, 8, 8, 8))

        def train(x):
            with tf.GradientTape() as tape:
                value = tf.reduce_sum(layer(x) ** 2)
            return tape.gradient(value, layer.trainable_variables)

        graph = tf.function(train).get_concrete_function(tf.TensorSpec((7, 8, 8, 8))).graph
        strides = [
            list(op.get_attr("strides"))
            for op in graph.get_operations()
            if op.type.startswith("Conv2D")
        ]
        assert len(strides) >= 2  # forwards, and the kernel's gradient
        assert all(stride == [1, 1, 1, 1] for stride in strides)

    @pytest.mark.large
    def test_a_projection_trains_on_an_odd_batch(self):
        """The same, as it shows: in a process of its own, which it would bring down."""
        program = (
            "import numpy as np, keras\n"
            "from keras_resnets.layers import BasicBlock\n"
            "model = keras.Sequential([keras.Input((8, 8, 8)),\n"
            "    BasicBlock(16, 2, 'projection'), keras.layers.Flatten(), keras.layers.Dense(1)])\n"
            "model.compile('sgd', 'mse')\n"
            "model.fit(np.ones((35, 8, 8, 8)), np.ones(35), batch_size=7, epochs=4, verbose=0)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
