"""Batch normalisation by TensorFlow's fused kernels."""

import keras

from keras_resnets.layers.backend import fused_batch_norm, has_fused_batch_norm

__all__ = ["BatchNormalization"]


@keras.saving.register_keras_serializable(package="keras_resnets")
class BatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization`, computed by one kernel where TensorFlow has one.

    Arguments, weights, names, configuration and results are the stock layer's; weights and
    configurations of the one load into the other (weights files name the class, hence this one's
    name). Keras 3 computes the statistics and the
    normalisation from some twenty operations in float32; here a feature map of four dimensions in
    float32, bfloat16 or float16 goes through TensorFlow's fused kernel, with all statistics in
    float32, forward and backward. At inference the operation folds into the convolution in front of
    it, by TensorFlow's graph optimiser as by TFLite's converter. What is so fused with a ReLU
    answers 0 where its input is not a number, as `keras.layers.Conv2D(activation="relu")` does in a
    graph on a CPU; the stock layer hands NaN on.

    The stock computation remains on other backends, for other ranks, axes and types, with a mask,
    with `renorm`, for synchronised statistics, and for statistics of a batch under XLA, which fuses
    the stock operations itself and whose own kernel loses the variance of inputs far from zero.
    Where TensorFlow's kernels need channels last (on a CPU), channels-first inputs are transposed.

    Args:
        **kwargs: Arguments of `keras.layers.BatchNormalization`.

    Call arguments:
        inputs: Tensor of any rank.
        training: Whether to normalise by the statistics of the batch (and update the moving ones)
            or by the moving ones.
        mask: As for the stock layer.

    Input shape:
        Any.

    Output shape:
        The input's.

    Example:
        >>> BatchNormalization()(np.ones((2, 4, 4, 8)), training=True).shape
        (2, 4, 4, 8)

    Reference:
        Ioffe 2015, arXiv:1502.03167, Algorithms 1 and 2.
    """

    def call(self, inputs, training=None, mask=None):
        of_batch = bool(training) and self.trainable
        if mask is not None or not self._fuses(inputs, of_batch):
            return super().call(inputs, training=training, mask=mask)
        outputs, mean, variance = fused_batch_norm(
            inputs,
            self.gamma,
            self.beta,
            self.moving_mean,
            self.moving_variance,
            self.epsilon,
            self.momentum if of_batch else None,
            self._layout,
        )
        if of_batch:
            self.moving_mean.assign(mean)
            self.moving_variance.assign(variance)
        return outputs

    @property
    def _layout(self):
        """Where the kernel finds the channels, None if it cannot."""
        return {1: "channels_first", 3: "channels_last", -1: "channels_last"}.get(self.axis)

    def _fuses(self, inputs, of_batch):
        return (
            not getattr(self, "renorm", False)  # Keras 3.14 and later
            and not (of_batch and self.synchronized)
            and len(inputs.shape) == 4
            and self._layout is not None
            and has_fused_batch_norm(inputs.dtype, self._layout, of_batch)
        )
