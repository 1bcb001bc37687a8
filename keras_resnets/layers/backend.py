"""What a backend does differently from Keras' operations; the one place that names one.

Keras 3 runs every grouped convolution on TensorFlow in an XLA cluster of its own, because
TensorFlow's plain CPU kernels have no gradient for it. Measured on two cores (8 x 28 x 28 x 128,
32 groups, forward and backward): 1294 ms so, 2 ms by oneDNN's kernel, 11 ms as a dense convolution
with a block-diagonal kernel. Where oneDNN's kernel is there it is used, elsewhere on a CPU the
dense form.
"""

import functools

import keras
from keras import ops

__all__ = ["convolve"]


def convolve(inputs, kernel, strides, padding, dilation, data_format):
    """Convolve, grouped where the kernel has fewer input channels than the inputs.

    Args:
        inputs: Batch of feature maps.
        kernel: ``(height, width, channels / groups, filters)``.
        strides: Stride.
        padding: ``"same"`` or ``"valid"``.
        dilation: Distance of the kernel's taps.
        data_format: ``"channels_last"`` or ``"channels_first"``.
    """
    if keras.backend.backend() == "tensorflow":
        return _convolve_tensorflow(inputs, kernel, strides, padding, dilation, data_format)
    return ops.conv(inputs, kernel, strides, padding, data_format, dilation)


def _convolve_tensorflow(inputs, kernel, strides, padding, dilation, data_format):
    if data_format == "channels_first" and not _has_gpu():
        # TensorFlow's CPU kernels take channels last, but for some of oneDNN's.
        outputs = _convolve_tensorflow(
            ops.transpose(inputs, (0, 2, 3, 1)), kernel, strides, padding, dilation, "channels_last"
        )
        return ops.transpose(outputs, (0, 3, 1, 2))
    channels = inputs.shape[-1 if data_format == "channels_last" else 1]
    groups = channels // kernel.shape[2]
    if groups == 1:
        return ops.conv(inputs, kernel, strides, padding, data_format, dilation)
    if not _has_gpu() and not _grouped_kernel_has_gradient(inputs.dtype.name):
        kernel = _block_diagonal(kernel, groups)
        return ops.conv(inputs, kernel, strides, padding, data_format, dilation)
    import tensorflow as tf

    return tf.nn.convolution(
        inputs,
        ops.convert_to_tensor(kernel),
        strides,
        padding.upper(),
        data_format="NHWC" if data_format == "channels_last" else "NCHW",
        dilations=dilation,
    )


def _block_diagonal(kernel, groups):
    """Return the dense kernel of a grouped convolution."""
    kernel = ops.convert_to_tensor(kernel)
    depth, filters = kernel.shape[2:]
    rows = ops.reshape(ops.arange(groups * depth) // depth, (-1, 1))
    columns = ops.reshape(ops.arange(filters) // (filters // groups), (1, -1))
    own = ops.cast(ops.equal(rows, columns), kernel.dtype)
    return ops.tile(kernel, (1, 1, groups, 1)) * own


@functools.cache
def _has_gpu() -> bool:
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


@functools.cache
def _grouped_kernel_has_gradient(dtype: str) -> bool:
    """Try, outside any graph, whether this build can train a grouped convolution on the CPU."""
    import tensorflow as tf

    with tf.init_scope(), tf.device("CPU:0"):
        inputs = tf.zeros((1, 4, 4, 4), dtype)
        kernel = tf.zeros((3, 3, 2, 4), dtype)
        try:
            with tf.GradientTape() as tape:
                tape.watch([inputs, kernel])
                outputs = tf.nn.conv2d(inputs, kernel, 1, "SAME")
            tape.gradient(outputs, [inputs, kernel])
        except (tf.errors.UnimplementedError, tf.errors.InvalidArgumentError):
            return False
    return True
