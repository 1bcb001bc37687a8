"""Computing activations again in the backward pass instead of keeping them (Chen 2016)."""

import keras
from keras import ops

__all__ = ["REMATERIALIZATIONS", "rematerialized"]

REMATERIALIZATIONS = (None, "block", "stage")
"""What a network keeps in training: everything, each block's input, or each stage's."""


def rematerialized(layers, training=True):
    """Return a function that calls layers one after another and keeps its input alone.

    The forward pass drops all that the layers compute inside; the backward pass computes it again.
    Both passes are the same: the second draws the same coins, and updates no moving statistics.
    (`keras.remat` and `tf.recompute_grad` on the layers themselves would update them twice and draw
    anew, and the gradient would be another network's.)

    Args:
        layers: Built layers, each called on what the one before puts out.
        training: Passed to the layers that know it.

    Returns:
        Function from the first layer's inputs to the last one's outputs.
    """
    trainable = [weight for layer in layers for weight in layer.trainable_variables]
    states = [weight for layer in layers for weight in layer.non_trainable_variables]

    def pure(inputs, trainable_values, state_values):
        """Compute with given values of all variables; return the new ones beside the outputs."""
        mapping = [*zip(trainable, trainable_values, strict=True)]
        mapping += zip(states, state_values, strict=True)
        with keras.StatelessScope(state_mapping=mapping) as scope:
            outputs = inputs
            for layer in layers:
                outputs = layer(outputs, training=training)
        return outputs, [scope.get_current_value(state) for state in states]

    def call(inputs):
        # Read here, once: a TensorFlow variable in their place would be read again, later.
        values = [ops.copy(state) for state in states]
        # The states are no arguments: nothing that is derived reaches them.
        compute = keras.remat(lambda x, weights: pure(x, weights, values))
        outputs, new = compute(inputs, [ops.copy(weight) for weight in trainable])
        for state, value in zip(states, new, strict=True):
            state.assign(value)
        return outputs

    return call
