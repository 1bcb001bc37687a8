"""Gradients of a layer's or model's weights, on whichever backend."""

import keras
import numpy as np
from keras import ops


def weighted_sum(outputs):
    """A scalar whose gradient differs between outputs."""
    weights = np.cos(np.arange(int(np.prod(outputs.shape)))).reshape(outputs.shape)
    return ops.sum(ops.cast(outputs, "float32") * weights.astype("float32"))


def gradients(model, inputs, training=False):
    """Return the gradient of a weighted sum of the outputs by the path of each trainable weight."""
    variables = model.trainable_variables
    if keras.backend.backend() == "jax":
        import jax

        fixed = [variable.value for variable in model.non_trainable_variables]

        def loss(values):
            outputs, _ = model.stateless_call(values, fixed, inputs, training=training)
            return weighted_sum(outputs)

        found = jax.grad(loss)([variable.value for variable in variables])
    else:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = weighted_sum(model(inputs, training=training))
        found = tape.gradient(loss, [variable.value for variable in variables])
    return {
        variable.path: None if gradient is None else np.asarray(gradient, "float32")
        for variable, gradient in zip(variables, found, strict=True)
    }
