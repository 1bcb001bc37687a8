"""A trained model as the fastest function of a batch that its framework can make of it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import keras
import numpy as np

from keras_resnets.errors import InputError

__all__ = ["RUNTIMES", "InferenceFunction", "inference_function"]

RUNTIMES = ("auto", "graph", "frozen", "xla")


class InferenceFunction:
    """A model's inference, compiled; made by `inference_function`.

    Attributes:
        runtime: How it runs: ``"graph"``, ``"frozen"`` or ``"xla"``.
        seconds: Median seconds of a batch of what was tried, by runtime; empty if nothing was.

    Call arguments:
        images: Batch in the model's input shape and type.

    Returns of the call:
        The backend's tensor of outputs.
    """

    def __init__(self, function: Callable, runtime: str, seconds: dict[str, float]):
        self._function = function
        self.runtime = runtime
        self.seconds = seconds

    def __call__(self, images):
        """Return the outputs for a batch."""
        return self._function(images)

    def __repr__(self):
        return f"<InferenceFunction runtime={self.runtime!r}>"


def inference_function(
    model: keras.Model, batch_size: int | None = None, runtime: str = "auto"
) -> InferenceFunction:
    """Return a function that computes a model's inference as fast as its framework can.

    The weights are those that the model has now: what the frozen function computes does not follow
    a later training.

    Args:
        model: The model.
        batch_size: Images a call, if it is always the same; the function then takes no other.
        runtime: ``"graph"``, a TensorFlow graph; ``"frozen"``, one with the weights as constants,
            so that normalisations fold into the convolutions once and oneDNN reorders weights once;
            ``"xla"``, compiled by XLA; ``"auto"``, whichever of them is the fastest: with a
            `batch_size`, all are timed on a batch of zeros, which takes seconds; without, XLA on a
            GPU and the frozen graph on a CPU. On JAX, XLA it is.

    Raises:
        InputError: An argument is illegal.

    Example:
        >>> function = inference_function(create_model("resnet20_cifar"), batch_size=1)
        >>> function(np.zeros((1, 32, 32, 3), "float32")).shape
        TensorShape([1, 10])
    """
    if not isinstance(model, keras.Model):
        raise InputError(f"`model` must be a Keras model. Received: model={model!r}")
    ok = batch_size is None or (isinstance(batch_size, int) and batch_size > 0)
    if not ok or isinstance(batch_size, bool):
        raise InputError(
            f"`batch_size` must be None or a positive integer. Received: batch_size={batch_size!r}"
        )
    if runtime not in RUNTIMES:
        raise InputError(
            f"`runtime` must be one of {', '.join(RUNTIMES)}. Received: runtime={runtime!r}"
        )
    if keras.backend.backend() == "jax":
        return _jax_function(model, runtime)
    signature = _signature(model, batch_size)
    if runtime != "auto":
        return InferenceFunction(_MAKERS[runtime](model, signature), runtime, {})
    if None in signature.shape:
        runtime = "xla" if _has_gpu() else "frozen"
        return InferenceFunction(_MAKERS[runtime](model, signature), runtime, {})
    functions = {name: make(model, signature) for name, make in _MAKERS.items()}
    seconds = _time(functions, np.zeros(signature.shape, signature.dtype.as_numpy_dtype))
    fastest = min(seconds, key=seconds.get)
    return InferenceFunction(functions[fastest], fastest, seconds)


def _signature(model, batch_size):
    import tensorflow as tf

    if len(model.inputs) != 1:
        raise InputError(f"`model` must have one input. Received: {len(model.inputs)} inputs")
    (entry,) = model.inputs
    return tf.TensorSpec((batch_size, *entry.shape[1:]), entry.dtype)


def _graph(model, signature):
    import tensorflow as tf

    function = tf.function(lambda images: model(images, training=False))
    return function.get_concrete_function(signature)


def _frozen(model, signature):
    # TensorFlow offers it nowhere else; its own TFLite converter takes it from there.
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    function = convert_variables_to_constants_v2(_graph(model, signature))
    dtype = signature.dtype

    def run(images):
        (outputs,) = function(_tensor(images, dtype))
        return outputs

    return run


def _xla(model, signature):
    import tensorflow as tf

    return tf.function(
        lambda images: model(images, training=False),
        input_signature=[signature],
        jit_compile=True,
    )


def _tensor(images, dtype):
    import tensorflow as tf

    return tf.convert_to_tensor(images, dtype)


_MAKERS = {"graph": _graph, "frozen": _frozen, "xla": _xla}


def _time(functions, batch, rounds=7) -> dict[str, float]:
    """Return the median seconds of each function, called in turns; the first call is left out."""
    import tensorflow as tf

    batch = tf.constant(batch)
    seconds = {name: [] for name in functions}
    for number in range(rounds + 2):
        for name, function in functions.items():
            began = time.perf_counter()
            np.asarray(function(batch))
            if number >= 2:
                seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


def _jax_function(model, runtime):
    import jax

    if runtime not in ("auto", "xla"):
        raise InputError(f"`runtime` must be 'auto' or 'xla' on JAX. Received: runtime={runtime!r}")
    weights = (
        [weight.value for weight in model.trainable_variables],
        [weight.value for weight in model.non_trainable_variables],
    )
    compiled = jax.jit(lambda *args: model.stateless_call(*args, training=False)[0])
    return InferenceFunction(lambda images: compiled(*weights, images), "xla", {})


def _has_gpu() -> bool:
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))
