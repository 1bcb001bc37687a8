"""Export to TFLite (LiteRT)."""

from __future__ import annotations

import tempfile
from pathlib import Path

import keras
import numpy as np

from keras_resnets.backends import require_backend
from keras_resnets.errors import InputError
from keras_resnets.export.saved_model import write_saved_model
from keras_resnets.export.verify import Verification, answers, check_images, verify
from keras_resnets.files import replacing
from keras_resnets.models.builder import create_model
from keras_resnets.models.integrity import check_as_built, check_not_quantized
from keras_resnets.models.network import Network
from keras_resnets.models.weights import assign, weights_of

__all__ = ["convert_to_tflite", "export_tflite", "run_tflite"]


def export_tflite(model: keras.Model, path: str | Path, images) -> Verification:
    """Write a TFLite file and compare it with the model, run by LiteRT without TensorFlow.

    Built-in operations only, so that what converts also runs on a device. A model under a 16-bit
    policy is converted as its float32 twin, with which it is compared. The batch size is open:
    1 unless the runtime resizes the input.

    Args:
        model: The model, channels last.
        path: The file to write.
        images: Batch of images to compare on, in the model's input type and shape.

    Returns:
        How the export compares.

    Raises:
        InputError: The images do not fit the model, or the model is channels first, quantised by
            Keras, or under a 16-bit policy and none of ours, or Keras runs on PyTorch.
        ExportMismatchError: The export disagrees with the model; nothing is left behind.

    Example:
        >>> print(export_tflite(model, "model.tflite", images))
        tflite: 276 images, largest difference 2.4e-07, agreement 100.00%, 0.20 MB
    """
    require_backend("`export_tflite`", "tensorflow", "jax")
    _check_convertible(model)
    images = check_images(model, images)
    model = _float32_twin(model)
    expected = answers(lambda batch: model(batch, training=False), images)
    with replacing(path) as beside:
        beside.write_bytes(_convert(model))
        result = verify("tflite", beside, expected, run_tflite(beside, images))
    return Verification(**{**vars(result), "path": str(path)})


def convert_to_tflite(model: keras.Model, dtype: str | None = None) -> bytes:
    """Return a model as the bytes of a TFLite file; one under a 16-bit policy as its float32 twin.

    Args:
        model: The model.
        dtype: Type of the images it takes; by default as for `write_saved_model`.

    Raises:
        InputError: The model is channels first, quantised by Keras, or under a 16-bit policy and
            none of ours.
    """
    _check_convertible(model)
    return _convert(_float32_twin(model), dtype)


def _convert(model: keras.Model, dtype: str | None = None) -> bytes:
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        write_saved_model(model, folder, dtype)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        return converter.convert()


def _check_convertible(model) -> None:
    refuse_channels_first(model)
    check_not_quantized(model, "`model`", "TFLite has no operations for what Keras computes then")


def refuse_channels_first(model: keras.Model) -> None:
    """Raise `InputError` for a model that takes channels-first images."""
    if is_channels_first(model):
        raise InputError(
            "exports take channels-last images. Received: a channels_first model; rebuild it "
            "with data_format='channels_last', the weights are the same"
        )


def is_channels_first(model: keras.Model) -> bool:
    """Return whether a model takes channels-first images."""
    return any(getattr(x, "data_format", None) == "channels_first" for x in model.layers)


def is_float32(model: keras.Model) -> bool:
    """Return whether all of a model's layers compute in float32."""
    return all(layer.compute_dtype == "float32" for layer in model.layers)


def _float32_twin(model: keras.Model) -> keras.Model:
    if is_float32(model):
        return model
    if not isinstance(model, Network):
        raise InputError(
            "a model under a 16-bit policy cannot be converted to TFLite unless create_model built "
            f"it. Received: model {model.name!r}; rebuild it under the policy 'float32'"
        )
    config = check_as_built(model)
    twin = create_model(config, name=model.name, data_format="channels_last", dtype="float32")
    assign(twin, weights_of(model))
    return twin


def run_tflite(path: str | Path, images) -> np.ndarray:
    """Return a TFLite file's answers."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    runner = interpreter.get_signature_runner()
    (name,) = runner.get_input_details()

    def run(batch):
        (output,) = runner(**{name: batch}).values()
        return output

    return answers(run, np.asarray(images))
