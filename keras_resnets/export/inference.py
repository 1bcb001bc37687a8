"""A trained model as the fastest function of a batch that its framework can make of it."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable

import keras
import numpy as np

from keras_resnets.backends import require_backend
from keras_resnets.errors import InputError
from keras_resnets.export.tflite import convert_to_tflite, is_channels_first, is_float32
from keras_resnets.layers.backend import has_gpu
from keras_resnets.models.checks import check, is_int
from keras_resnets.models.integrity import is_quantized
from keras_resnets.models.network import Network
from keras_resnets.models.raw_images import image_dtype

__all__ = ["RUNTIMES", "InferenceFunction", "inference_function"]

RUNTIMES = ("auto", "graph", "frozen", "xla", "litert")


class InferenceFunction:
    """A model's inference, compiled; made by `inference_function`.

    Attributes:
        runtime: How it runs: ``"graph"``, ``"frozen"``, ``"xla"`` or ``"litert"``.
        seconds: Least seconds of a batch of what was tried, by runtime; empty if nothing was.

    Call arguments:
        images: Batch in the model's input shape. A network that takes raw images takes them of
            uint8, which is what was made ready and timed, or of any other type, for which a second
            function is made at the first such call.

    Returns of the call:
        The backend's tensor of outputs.
    """

    def __init__(self, function: Callable, shape, runtime: str, seconds: dict[str, float]):
        self._function = function
        self._shape = tuple(shape)
        self.runtime = runtime
        self.seconds = seconds

    def __call__(self, images):
        """Return the outputs for a batch.

        Raises:
            InputError: The images have another shape than the function was made for.
        """
        given = tuple(np.shape(images))
        known = zip(self._shape, given, strict=False)
        if len(given) != len(self._shape) or any(size not in (None, n) for size, n in known):
            raise InputError(f"`images` must be of shape {self._shape}. Received: shape {given}")
        return self._function(images)

    def __repr__(self):
        return f"<InferenceFunction runtime={self.runtime!r}>"


def inference_function(
    model: keras.Model, batch_size: int | None = None, runtime: str = "auto"
) -> InferenceFunction:
    """Return a function that computes a model's inference as fast as its framework can.

    The weights are those that the model has now. Whether the function follows a later training is
    the runtime's: ``"graph"`` and ``"xla"`` do on TensorFlow, ``"frozen"`` and ``"litert"`` do not.
    Make it anew after a training.

    Args:
        model: A functional model of one input and one output.
        batch_size: Images a call, if it is always the same; the function then takes no other.
        runtime: ``"graph"``, a TensorFlow graph; ``"frozen"``, one with the weights as constants,
            so that normalisations fold into the convolutions once and oneDNN reorders weights once;
            ``"xla"``, compiled by XLA; ``"litert"``, converted to TFLite and run on the CPU by
            LiteRT in this process (it needs a `batch_size`, and channels last); ``"auto"``,
            whichever of them is the fastest: with a `batch_size`, all that compute with the model's
            precision are timed on a batch of zeros, which takes seconds; without, XLA on a GPU and
            the frozen graph on a CPU. On JAX, XLA it is.

    Raises:
        InputError: An argument is illegal, ``"litert"`` is asked for a model that Keras quantised,
            or Keras runs on PyTorch.

    Example:
        >>> function = inference_function(create_model("resnet20_cifar"), batch_size=1)
        >>> function(np.zeros((1, 32, 32, 3), "float32")).shape
        TensorShape([1, 10])
    """
    if not isinstance(model, keras.Model):
        raise InputError(f"`model` must be a Keras model. Received: model={model!r}")
    ok = batch_size is None or (isinstance(batch_size, int) and is_int(batch_size))
    check(ok, "batch_size", "None or a positive integer", batch_size)
    if runtime not in RUNTIMES:
        raise InputError(
            f"`runtime` must be one of {', '.join(RUNTIMES)}. Received: runtime={runtime!r}"
        )
    require_backend("`inference_function`", "tensorflow", "jax")
    shape = _shape(model, batch_size)
    if keras.backend.backend() == "jax":
        return _jax_function(model, shape, runtime)
    signature = _signature(model, shape)
    if runtime == "litert" and None in signature.shape:
        raise InputError(
            "`runtime`='litert' needs a `batch_size` and a model of a fixed image size. "
            f"Received: batch_size={batch_size}, model for {tuple(signature.shape)}"
        )
    if runtime != "auto":
        return InferenceFunction(_made(runtime, model, signature), shape, runtime, {})
    if None in signature.shape:
        runtime = "xla" if has_gpu() else "frozen"
        return InferenceFunction(_made(runtime, model, signature), shape, runtime, {})
    names = [name for name in _MAKERS if name != "litert" or _litert_competes(model)]
    functions = {name: _made(name, model, signature) for name in names}
    seconds = _time(functions, np.zeros(signature.shape, signature.dtype.as_numpy_dtype))
    fastest = min(seconds, key=seconds.get)
    return InferenceFunction(functions[fastest], shape, fastest, seconds)


def _shape(model, batch_size) -> tuple:
    """Return the shape of a batch."""
    inputs, outputs = getattr(model, "inputs", None), getattr(model, "outputs", None)
    if not inputs or not outputs or len(inputs) != 1 or len(outputs) != 1:
        raise InputError(
            "`model` must be a functional model of one input and one output. Received: "
            f"model {model.name!r} with {len(inputs or ())} inputs and {len(outputs or ())} outputs"
        )
    return (batch_size, *inputs[0].shape[1:])


def _signature(model, shape):
    import tensorflow as tf

    return tf.TensorSpec(shape, image_dtype(model))


def _made(runtime, model, signature):
    """Return a function of images of the signature's type, and of any other if the model has one.

    Raw images are uint8, and what is not uint8 is never made so: it goes to a function of floats.
    """
    import tensorflow as tf

    make = _MAKERS[runtime]
    function = make(model, signature)
    other = tf.TensorSpec(signature.shape, model.inputs[0].dtype)
    if other.dtype == signature.dtype:
        return function
    make_other = functools.cache(lambda: make(model, other))

    def run(images):
        images = images if tf.is_tensor(images) else np.asarray(images)
        return function(images) if images.dtype == signature.dtype else make_other()(images)

    return run


def _graph(model, signature):
    function = _concrete(model, signature)
    return lambda images: function(_tensor(images, signature))


def _frozen(model, signature):
    # TensorFlow offers it nowhere else; its own TFLite converter takes it from there.
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    function = convert_variables_to_constants_v2(_concrete(model, signature))

    def run(images):
        (outputs,) = function(_tensor(images, signature))
        return outputs

    return run


def _xla(model, signature):
    import tensorflow as tf

    function = tf.function(
        lambda images: model(images, training=False),
        input_signature=[signature],
        jit_compile=True,
    )
    return lambda images: function(_tensor(images, signature))


def _concrete(model, signature):
    import tensorflow as tf

    function = tf.function(lambda images: model(images, training=False))
    return function.get_concrete_function(signature)


def _tensor(images, signature):
    import tensorflow as tf

    if tf.is_tensor(images):
        return tf.cast(images, signature.dtype) if signature.dtype.is_floating else images
    return tf.convert_to_tensor(np.asarray(images, signature.dtype.as_numpy_dtype))


def _litert(model, signature):
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    content = convert_to_tflite(model, _litert_dtype(model, signature))
    interpreter = Interpreter(model_content=content, num_threads=threads)
    (entry,) = interpreter.get_input_details()
    interpreter.resize_tensor_input(entry["index"], signature.shape)
    interpreter.allocate_tensors()
    (end,) = interpreter.get_output_details()

    def run(images):
        interpreter.set_tensor(entry["index"], np.asarray(images, entry["dtype"]))
        interpreter.invoke()
        return tf.convert_to_tensor(interpreter.get_tensor(end["index"]))

    return run


def _litert_dtype(model, signature):
    # Where the model has another type than float32, its float32 twin is what runs.
    own = isinstance(model, Network) and signature.dtype.is_floating
    return "float32" if own else signature.dtype.name


def _litert_competes(model) -> bool:
    """Return whether LiteRT would run the same computation on the same device."""
    return (
        isinstance(model, Network)
        and not has_gpu()
        and is_float32(model)
        and not is_quantized(model)
        and not is_channels_first(model)
    )


_MAKERS = {"graph": _graph, "frozen": _frozen, "xla": _xla, "litert": _litert}


def _time(functions, batch, rounds=7) -> dict[str, float]:
    """Return the least seconds of each function, called in turns; the first calls are left out.

    The least, since what another runtime's threads still do slows the next one, and never speeds.
    """
    import tensorflow as tf

    batch = tf.constant(batch)
    seconds = {name: [] for name in functions}
    for number in range(rounds + 2):
        for name, function in functions.items():
            began = time.perf_counter()
            np.asarray(function(batch))
            if number >= 2:
                seconds[name].append(time.perf_counter() - began)
    return {name: min(values) for name, values in seconds.items()}


def _jax_function(model, shape, runtime):
    import jax

    if runtime not in ("auto", "xla"):
        raise InputError(f"`runtime` must be 'auto' or 'xla' on JAX. Received: runtime={runtime!r}")
    weights = (
        [weight.value for weight in model.trainable_variables],
        [weight.value for weight in model.non_trainable_variables],
    )
    compiled = jax.jit(lambda *args: model.stateless_call(*args, training=False)[0])
    return InferenceFunction(lambda images: compiled(*weights, images), shape, "xla", {})
