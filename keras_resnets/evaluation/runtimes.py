"""A classifier in any of its file formats as one function from raw images to outputs."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_resnets.errors import InputError, RunError
from keras_resnets.models.files import FORMATS, check_model_file
from keras_resnets.reading import reason

__all__ = ["Runnable", "open_model"]

PIECE = 64
"""Most images given at once to a model of an open batch size."""


@dataclass(frozen=True)
class Runnable:
    """A classifier that was read from a file; made by `open_model`.

    Attributes:
        path: The file or folder.
        format: ``"keras"``, ``"saved_model"``, ``"tflite"`` or ``"onnx"``.
        input_shape: ``(batch, height, width, channels)``, None where anything goes; this order for
            a channels-first model too.
        dtype: Type of the model's input.
        classes: Number of outputs, None if the file does not say.
        channels_first: Whether the model takes ``(batch, channels, height, width)``; images are
            given channels last all the same.
        resolution: Step of a quantised output, 0 otherwise.
        run: Function from a batch, as the runtime takes it, to the outputs.
        encode: Function from raw values to the input's type.

    Call arguments:
        images: Batch of raw images (0 to 255), ``(n, height, width, channels)``, of any length: a
            model of a fixed batch is fed in pieces, the last one filled up with zeros.

    Returns of the call:
        float64 array ``(n, classes)``, dequantised, of probabilities or logits as the model has
        them; `Scores` tells which.
    """

    path: Path
    format: str
    input_shape: tuple[int | None, ...]
    dtype: str
    classes: int | None
    channels_first: bool
    resolution: float
    run: Callable
    encode: Callable

    def __call__(self, images) -> np.ndarray:
        """Return the outputs for a batch.

        Raises:
            InputError: There are no images, or they have another shape than the model takes.
            RunError: The runtime fails on them.
        """
        images = np.asarray(images)
        want = (None, *self.input_shape[1:])
        known = zip(want, images.shape, strict=False)
        if images.ndim != 4 or not len(images) or any(a not in (None, b) for a, b in known):
            raise InputError(
                f"`images` must be a non-empty batch of shape {want}. Received: shape "
                f"{images.shape}"
            )
        size = self.input_shape[0] or PIECE
        return np.concatenate(
            [self._piece(images[i : i + size]) for i in range(0, len(images), size)]
        )

    def _piece(self, images) -> np.ndarray:
        count, missing = len(images), (self.input_shape[0] or 0) - len(images)
        if missing > 0:
            images = np.pad(images, [(0, missing), (0, 0), (0, 0), (0, 0)])
        if self.channels_first:
            images = images.transpose(0, 3, 1, 2)
        batch = np.ascontiguousarray(self.encode(images))
        try:
            outputs = np.asarray(self.run(batch))
        except Exception as error:  # whatever a runtime can raise on a damaged file
            raise RunError(f"{str(self.path)!r} cannot be run: {reason(error)}") from error
        if outputs.ndim != 2 or len(outputs) < count:
            raise RunError(
                f"{str(self.path)!r} answers {count} images with shape {outputs.shape}, not with a "
                "number for each class"
            )
        return outputs[:count].astype(np.float64)

    def __repr__(self):
        return f"<Runnable {self.format} {str(self.path)!r} for {self.input_shape}>"


@dataclass(frozen=True)
class _Opened:
    """What a runtime says of a model: shapes as the file has them, None where open."""

    run: Callable
    input_shape: tuple
    dtype: np.dtype
    output_shape: tuple
    quantization: tuple[float, int] = (0.0, 0)
    resolution: float = 0.0


def open_model(path: str | Path) -> Runnable:
    """Return a model that is ready to run, in the runtime of its format.

    ``.keras`` files run in Keras, SavedModel folders in TensorFlow, ``.tflite`` files in LiteRT and
    ``.onnx`` files in ONNX Runtime (the extra ``onnx``).

    Args:
        path: The file, or the SavedModel's folder.

    Raises:
        InputError: It is of no known format, cannot be read, is no classifier of images (one image
            in, one vector of two numbers or more out), or its runtime is not installed.

    Example:
        >>> model = open_model("model.tflite")
        >>> model(images).shape
        (276, 10)
    """
    form = check_model_file(path)
    try:
        opened = _OPENERS[form](Path(path))
    except InputError:
        raise
    except Exception as error:  # whatever a runtime can raise on a damaged or foreign file
        raise InputError(
            f"{str(path)!r} cannot be read as {FORMATS[form]}: {reason(error)}"
        ) from error
    if len(opened.output_shape) != 2 or (opened.output_shape[1] or 2) < 2:
        raise InputError(
            f"{str(path)!r} must answer with a number for each of two classes or more. Received: "
            f"answers of shape {opened.output_shape}"
        )
    shape, channels_first = _channels_last(path, opened.input_shape)
    return Runnable(
        path=Path(path),
        format=form,
        input_shape=shape,
        dtype=opened.dtype.name,
        classes=opened.output_shape[1],
        channels_first=channels_first,
        resolution=opened.resolution,
        run=opened.run,
        encode=_encoder(opened.dtype, *opened.quantization),
    )


def _channels_last(path, shape) -> tuple[tuple, bool]:
    """Return an input shape with the channels last, and whether they were first."""
    if len(shape) == 4 and shape[3] in (1, 3):
        return shape, False
    if len(shape) == 4 and shape[1] in (1, 3):
        return (shape[0], *shape[2:], shape[1]), True
    raise InputError(
        f"{str(path)!r} must take images of 1 or 3 channels, (batch, height, width, channels). "
        f"Received: an input of shape {shape}"
    )


def _encoder(dtype: np.dtype, scale: float, zero: int) -> Callable:
    """Return the function that turns raw values into an input's type."""
    if not np.issubdtype(dtype, np.integer):
        return lambda values: values.astype(dtype, copy=False)
    lowest, highest = np.iinfo(dtype).min, np.iinfo(dtype).max

    def encode(values):
        if values.dtype == dtype and not scale:
            return values
        values = values / scale + zero if scale else values
        return np.clip(np.rint(values), lowest, highest).astype(dtype)

    return encode


def _only(items, what: str, path):
    """Return the only one of a model's inputs or outputs."""
    items = list(items)
    if len(items) != 1:
        raise InputError(f"{str(path)!r} must have one {what}. Received: {len(items)}")
    return items[0]


def _keras(path: Path) -> _Opened:
    import keras

    from keras_resnets.export.inference import inference_function
    from keras_resnets.models.raw_images import image_dtype
    from keras_resnets.models.saved import read_model

    model = read_model(path, compile=False)
    entry = _only(getattr(model, "inputs", None) or (), "input", path)
    end = _only(getattr(model, "outputs", None) or (), "output", path)
    runtime = "xla" if keras.backend.backend() == "jax" else "graph"
    function = inference_function(model, runtime=runtime)
    return _Opened(
        run=function,
        input_shape=tuple(entry.shape),
        dtype=np.dtype(image_dtype(model)),
        output_shape=tuple(end.shape),
    )


def _saved_model(path: Path) -> _Opened:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    signatures = dict(getattr(loaded, "signatures", {}))
    if "serving_default" not in signatures:
        raise InputError(
            f"{str(path)!r} must have the signature 'serving_default'. "
            f"Received: {', '.join(signatures) or 'no signatures'}"
        )
    function = signatures["serving_default"]
    entry = _only(function.structured_input_signature[1].values(), "input", path)
    end = _only(function.structured_outputs.values(), "output", path)

    def run(batch, owner=loaded):  # its variables go when it goes
        (outputs,) = function(**{entry.name: tf.constant(batch)}).values()
        return outputs.numpy()

    return _Opened(run, tuple(entry.shape), np.dtype(entry.dtype.as_numpy_dtype), tuple(end.shape))


def _tflite(path: Path) -> _Opened:
    from ai_edge_litert.interpreter import Interpreter

    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    interpreter = Interpreter(model_path=str(path), num_threads=threads)
    entry = _only(interpreter.get_input_details(), "input", path)
    end = _only(interpreter.get_output_details(), "output", path)
    interpreter.allocate_tensors()
    allocated = tuple(entry["shape"])
    scale, zero = end["quantization"]

    def run(batch):
        nonlocal allocated
        if batch.shape != allocated:
            interpreter.resize_tensor_input(entry["index"], batch.shape)
            interpreter.allocate_tensors()
            allocated = batch.shape
        interpreter.set_tensor(entry["index"], batch)
        interpreter.invoke()
        outputs = interpreter.get_tensor(end["index"])
        return (outputs.astype(np.float64) - zero) * scale if scale else outputs

    return _Opened(
        run=run,
        input_shape=_open_sides(entry),
        dtype=np.dtype(entry["dtype"]),
        output_shape=_open_sides(end),
        quantization=entry["quantization"],
        resolution=float(scale),
    )


def _open_sides(details) -> tuple[int | None, ...]:
    sides = details["shape_signature"] if len(details["shape_signature"]) else details["shape"]
    return tuple(None if side < 0 else int(side) for side in sides)


def _onnx(path: Path) -> _Opened:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        str(path), options, providers=onnxruntime.get_available_providers()
    )
    entry = _only(session.get_inputs(), "input", path)
    end = _only(session.get_outputs(), "output", path)
    sides = [tuple(s if isinstance(s, int) else None for s in x.shape) for x in (entry, end)]
    return _Opened(
        run=lambda batch: session.run([end.name], {entry.name: batch})[0],
        input_shape=sides[0],
        dtype=np.dtype(_ONNX_TYPES[entry.type]),
        output_shape=sides[1],
    )


_ONNX_TYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
}

_OPENERS = {"keras": _keras, "saved_model": _saved_model, "tflite": _tflite, "onnx": _onnx}
