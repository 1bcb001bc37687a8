"""Activations by their names, where Keras' own cannot be run everywhere."""

import keras
from keras import ops

__all__ = ["OWN", "activation_function", "mish"]


@keras.saving.register_keras_serializable(package="keras_resnets")
def mish(x):
    """`keras.activations.mish` in operations that TensorFlow runs behind a batch normalisation.

    On a CPU its graph optimiser takes ``x * tanh(softplus(x))`` behind a normalisation in float32
    for one operation, and has none: "Fusion is not implemented: [FusedBatchNorm,Mish]". With
    ``n = e^x (e^x + 2)`` the same is ``x * n / (n + 2)``.

    Args:
        x: A tensor of floats.

    Example:
        >>> float(mish(1.0))
        0.8650984

    Reference:
        Misra 2019, arXiv:1908.08681, eq. 1.
    """
    x = ops.convert_to_tensor(x)
    # Beyond the bound the quotient is 1 in the type, and its parts would overflow.
    bound = 5 if keras.backend.standardize_dtype(x.dtype) == "float16" else 20
    power = ops.exp(ops.minimum(x, bound))
    number = power * (power + 2)
    return x * (number / (number + 2))


OWN = {"mish": mish}
"""Activations that are computed otherwise than by Keras' function of the name."""


def activation_function(name: str):
    """Return the function of a block's activation.

    Args:
        name: One of `ACTIVATIONS`.
    """
    return ops.relu if name == "relu" else keras.activations.get(OWN.get(name, name))
