"""Gradients of a model's weights, on whichever backend."""

import checks
import keras
import numpy as np


def check_reached(make, inputs):
    """Check that gradients are finite and reach every trainable weight of a network at inference.

    By chance all of a few channels are dead in one of a dozen networks: each weight must be reached
    in one of four that differ in their first weights.

    Args:
        make: Function that makes the network anew.
        inputs: Images.

    Returns:
        The last network.
    """
    reached = set()
    for seed in range(4):
        keras.utils.set_random_seed(seed)
        model = make()
        for path, gradient in gradients(model, inputs).items():
            assert np.isfinite(gradient).all(), path
            if np.abs(gradient).max() > 0:
                reached.add(path)
        missing = {weight.path for weight in model.trainable_variables} - reached
        if not missing:
            return model
    raise AssertionError(f"no gradient reaches {sorted(missing)}")


def gradients(model, inputs, training=False):
    """Return the gradient of a random form of the outputs by the path of each trainable weight."""
    fixed = [variable.value for variable in model.non_trainable_variables]

    def function(*values):
        outputs, _ = model.stateless_call(list(values), fixed, inputs, training=training)
        return outputs

    found = checks.gradients(function, [v.value for v in model.trainable_variables])
    return {v.path: gradient for v, gradient in zip(model.trainable_variables, found, strict=True)}
