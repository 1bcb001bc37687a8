"""Fewer pixels: each way against a loop over pixels, at any size."""

import keras
import numpy as np
import pytest
import references
from checks import CLOSE, Inputs, any_size, compiled, numpy, run
from hypothesis import given
from hypothesis import strategies as st

from keras_resnets.layers import BlurPool, SymmetricMaxPool
from keras_resnets.layers.resampling import average_pool, blur_pool, reduced_shape, subsample

sides = st.integers(1, 9)


def images(height, width, shift=0.0):
    return (Inputs(3).random(height, width, batch=2) + shift).astype("float32")


def applied(function, x, *arguments):
    """Apply a function in both data formats, see that they agree, and return the result."""

    def run_in(data_format, order):
        in_format = compiled(lambda v: function(v, *arguments, data_format))
        return numpy(in_format(keras.ops.convert_to_tensor(x.transpose(order))))

    first = run_in("channels_first", (0, 3, 1, 2)).transpose(0, 2, 3, 1)
    last = run_in("channels_last", (0, 1, 2, 3))
    np.testing.assert_allclose(first, last, **CLOSE)
    return last


@any_size
@given(sides, sides, st.sampled_from((1, 2, 3)), st.sampled_from((0.0, -9.0, 9.0)))
def test_max_pool_sees_no_border(height, width, strides, shift):
    # All below zero too, where a border of zeros would win.
    x = images(height, width, shift)
    outputs = run(SymmetricMaxPool(strides, "channels_last"), x)
    np.testing.assert_array_equal(outputs, references.pool(x, np.max, 3, strides, before=1))


@any_size
@given(
    sides,
    sides,
    st.sampled_from(((2, 2), (2, 1), (3, 3), (3, 1), (4, 4), (4, 2))),
    st.sampled_from((1, 2, 3)),
)
def test_average_pool_begins_at_the_first_pixel(height, width, window, dilation):
    size, strides = window
    x = images(height, width)
    outputs = applied(lambda v, *rest: average_pool(v, size, strides, *rest, dilation=dilation), x)
    np.testing.assert_allclose(outputs, references.average(x, size, strides, dilation), **CLOSE)


@any_size
@given(sides, sides, st.sampled_from((1, 2, 3)))
def test_blur(height, width, strides):
    x = images(height, width)
    np.testing.assert_allclose(applied(blur_pool, x, strides), references.blur(x, strides), **CLOSE)
    np.testing.assert_array_equal(
        run(BlurPool(strides, "channels_last"), x), applied(blur_pool, x, strides)
    )


@any_size
@given(sides, sides, st.sampled_from((1, 2, 3)))
def test_averages_and_blurs_keep_a_constant(height, width, strides):
    x = np.full((2, height, width, 3), 3.0, "float32")
    for outputs in (
        applied(blur_pool, x, strides),
        applied(lambda v, *rest: average_pool(v, 2, strides, *rest), x),
        applied(lambda v, *rest: average_pool(v, 2, strides, *rest, dilation=2), x),
    ):
        np.testing.assert_allclose(outputs, 3.0, rtol=1e-6)


@any_size
@given(sides, sides, st.sampled_from((1, 2, 3)))
def test_subsampling_begins_at_the_first_pixel(height, width, strides):
    x = images(height, width)
    outputs = applied(subsample, x, strides)
    np.testing.assert_array_equal(outputs, x[:, ::strides, ::strides])
    assert outputs.shape == reduced_shape(x.shape, strides, "channels_last")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_dilated_averages_of_16_bits_stay_in_16_bits(dtype):
    x = images(5, 6)
    tensor = keras.ops.convert_to_tensor(x, dtype=dtype)
    for dilation in (1, 2):
        outputs = average_pool(tensor, 2, 1, "channels_last", dilation)
        assert keras.backend.standardize_dtype(outputs.dtype) == dtype
        expected = references.average(numpy(tensor), 2, 1, dilation)
        np.testing.assert_allclose(numpy(outputs), expected, atol=0.05)
