"""What a backend does differently from Keras' operations; the one place that names one.

Keras 3 runs every grouped convolution on TensorFlow in an XLA cluster of its own, because
TensorFlow's plain CPU kernels have no gradient for it. Measured on two cores (8 x 28 x 28 x 128,
32 groups, forward and backward): 1294 ms so, 2 ms by oneDNN's kernel, 11 ms as a dense convolution
with a block-diagonal kernel. Where oneDNN's kernel is there it is used, elsewhere on a CPU the
dense form.
"""

import functools
import math

import keras
import numpy as np
from keras import ops

__all__ = [
    "convolve",
    "fused_batch_norm",
    "has_fused_batch_norm",
    "has_gpu",
    "is_concrete",
    "where_alive",
]


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
    if data_format == "channels_first" and not has_gpu():
        # TensorFlow's CPU kernels take channels last, but for some of oneDNN's.
        outputs = _convolve_tensorflow(
            ops.transpose(inputs, (0, 2, 3, 1)), kernel, strides, padding, dilation, "channels_last"
        )
        return ops.transpose(outputs, (0, 3, 1, 2))
    channels = inputs.shape[-1 if data_format == "channels_last" else 1]
    groups = channels // kernel.shape[2]
    if groups == 1:
        return ops.conv(inputs, kernel, strides, padding, data_format, dilation)
    if not has_gpu() and not _grouped_kernel_has_gradient(inputs.dtype.name):
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


def has_fused_batch_norm(dtype, data_format: str, of_batch: bool) -> bool:
    """Return whether `fused_batch_norm` computes what the stock layer computes, here.

    Args:
        dtype: Type of the inputs.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        of_batch: Whether the statistics are the batch's.
    """
    if keras.backend.backend() != "tensorflow":
        return False
    if keras.backend.standardize_dtype(dtype) not in ("float32", "bfloat16", "float16"):
        return False
    if of_batch:
        # XLA's E[x^2] - E[x]^2 has lost the variance at a mean of 100 deviations (1 % wrong).
        return not _in_xla()
    # Of the GPU's kernel for given statistics no gradient is deterministic: TensorFlow refuses.
    return not (has_gpu() and _is_deterministic())


def fused_batch_norm(
    inputs, gamma, beta, moving_mean, moving_variance, epsilon, momentum, data_format
):
    """Normalise by TensorFlow's kernel, all statistics in float32.

    Args:
        inputs: Batch of feature maps in float32, bfloat16 or float16.
        gamma: Scale, or None.
        beta: Offset, or None.
        moving_mean: Mean to normalise by, or to move.
        moving_variance: Variance to normalise by, or to move.
        epsilon: Added to variances.
        momentum: None to normalise by the moving statistics; a number to normalise by the batch's
            and return where they move the moving ones.
        data_format: ``"channels_last"`` or ``"channels_first"``.

    Returns:
        The outputs, the moved mean and the moved variance; the latter two None without `momentum`.
    """
    import tensorflow as tf

    if data_format == "channels_first" and not (has_gpu() or _in_xla()):
        # The transpositions meet those of the convolutions in front, and both are removed.
        outputs, *moved = fused_batch_norm(
            tf.transpose(inputs, (0, 2, 3, 1)),
            gamma,
            beta,
            moving_mean,
            moving_variance,
            epsilon,
            momentum,
            "channels_last",
        )
        return tf.transpose(outputs, (0, 3, 1, 2)), *moved
    mean, variance = tf.cast(moving_mean, "float32"), tf.cast(moving_variance, "float32")
    channels = mean.shape[0]
    statistics = (
        tf.ones((channels,)) if gamma is None else tf.cast(gamma, "float32"),
        tf.zeros((channels,)) if beta is None else tf.cast(beta, "float32"),
        mean,
        variance,
    )
    padding = 0 if has_gpu() or inputs.dtype == "float32" else -channels % 16
    if padding:
        # oneDNN's kernel for 16 bits takes 6 times as long where channels are no multiple of 16.
        inputs = tf.pad(inputs, [(0, 0)] * 3 + [(0, padding)])
        statistics = [tf.pad(values, [(0, padding)]) for values in statistics]
    outputs, *of_batch = _kernel(inputs, statistics, epsilon, momentum is not None, data_format)
    if padding:
        outputs, *of_batch = (values[..., :channels] for values in (outputs, *of_batch))
    if momentum is None:
        return outputs, None, None
    # The kernel gives N / (N - 1) times the batch's variance (for N = 1: zero).
    axes = (0, 1, 2) if data_format == "channels_last" else (0, 2, 3)
    weight = tf.constant(1.0 - momentum)
    corrected = weight - weight / _count(inputs, axes)
    return (
        outputs,
        mean + (of_batch[0] - mean) * weight,
        variance * momentum + of_batch[1] * corrected,
    )


def _kernel(inputs, statistics, epsilon, of_batch, data_format):
    """Return outputs, mean and variance of `FusedBatchNormV3`."""
    import tensorflow as tf

    scale, offset, mean, variance = statistics
    return tf.raw_ops.FusedBatchNormV3(
        x=inputs,
        scale=scale,
        offset=offset,
        mean=mean,
        variance=variance,
        epsilon=epsilon,
        exponential_avg_factor=1.0,
        data_format="NHWC" if data_format == "channels_last" else "NCHW",
        is_training=of_batch,
    )[:3]


def _count(inputs, axes):
    """Return the number of values that a statistic over some axes is taken from, as a float."""
    import tensorflow as tf

    sizes = [inputs.shape[axis] for axis in axes]
    if None not in sizes:
        return tf.constant(float(math.prod(sizes)))
    others = math.prod(size for axis, size in enumerate(inputs.shape) if axis not in axes)
    return tf.cast(tf.size(inputs, "int64") // others, "float32")


def where_alive(alive, compute, otherwise, layer):
    """Return what one of two functions gives, computing that one alone where the backend can.

    Outside a graph both are computed and one is chosen: a weight without a gradient would be None
    to the caller rather than zero.

    Args:
        alive: Scalar boolean tensor.
        compute: Called where `alive` holds.
        otherwise: Called where it does not; its result has the shape and type of the other's.
        layer: Whose variables `compute` uses. Those that it updates are updated where `alive`
            holds; from outside the condition, which a distribution and JAX ask for.
    """
    states = layer.non_trainable_variables
    values = [ops.copy(state) for state in states]

    def update():
        # The trainable ones too: a scope hides what the scope around it says of a variable.
        mapping = [(weight, weight.value) for weight in layer.trainable_variables]
        mapping += zip(states, values, strict=True)
        with keras.StatelessScope(state_mapping=mapping) as scope:
            outputs = compute()
        return [outputs, *(scope.get_current_value(state) for state in states)]

    outputs, *new = _condition(alive, update, lambda: [otherwise(), *values])
    for state, value in zip(states, new, strict=True):
        state.assign(value)
    return outputs


def _condition(alive, compute, otherwise):
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if tf.executing_eagerly():
            pairs = zip(compute(), otherwise(), strict=True)
            return [ops.where(alive, one, other) for one, other in pairs]
    return ops.cond(alive, compute, otherwise)


def _in_xla() -> bool:
    """Return whether what is traced now will be compiled by XLA."""
    import tensorflow as tf

    # TensorFlow says it nowhere public.
    from tensorflow.python.ops import control_flow_util

    return control_flow_util.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())


def has_gpu() -> bool:
    """Return whether TensorFlow sees a GPU."""
    import tensorflow as tf

    return bool(tf.config.get_visible_devices("GPU"))


def _is_deterministic() -> bool:
    # As Keras asks it; TensorFlow has no public way.
    from tensorflow.python.framework.config import is_op_determinism_enabled

    return is_op_determinism_enabled()


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


def is_concrete(x) -> bool:
    """Return whether `x` is an array, or a tensor that has values: not one that is being traced."""
    if isinstance(x, np.ndarray):
        return True
    if not ops.is_tensor(x) or keras.utils.is_keras_tensor(x):
        return False
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return isinstance(x, tf.Tensor) and not tf.is_symbolic_tensor(x)
    if keras.backend.backend() == "jax":
        import jax

        return not isinstance(x, jax.core.Tracer)
    return True
