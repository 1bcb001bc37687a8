"""Gradients of a model's weights, on whichever backend."""

import checks


def gradients(model, inputs, training=False):
    """Return the gradient of a random form of the outputs by the path of each trainable weight."""
    fixed = [variable.value for variable in model.non_trainable_variables]

    def function(*values):
        outputs, _ = model.stateless_call(list(values), fixed, inputs, training=training)
        return outputs

    found = checks.gradients(function, [v.value for v in model.trainable_variables])
    return {v.path: gradient for v, gradient in zip(model.trainable_variables, found, strict=True)}
