"""Export to TensorFlow's SavedModel."""

from __future__ import annotations

from pathlib import Path

import keras

from keras_resnets.backends import require_backend
from keras_resnets.export.verify import Verification, answers, check_images, verify
from keras_resnets.files import replacing_folder
from keras_resnets.models.raw_images import image_dtype

__all__ = ["export_saved_model", "write_saved_model"]


def export_saved_model(model: keras.Model, path: str | Path, images) -> Verification:
    """Write a SavedModel and compare it with the model, reloaded by TensorFlow alone.

    The model serves under ``serve`` (and ``serving_default``): a batch of images in, the
    predictions out. An existing folder is replaced only when the new one agrees with the model.

    Args:
        model: The model.
        path: The folder to write.
        images: Batch of images to compare on, in the model's input type and shape.

    Returns:
        How the export compares.

    Raises:
        InputError: The images do not fit the model, or Keras runs on PyTorch.
        ExportMismatchError: The export disagrees with the model; nothing is left behind.

    Example:
        >>> print(export_saved_model(model, "saved_model", images))
        saved_model: 276 images, largest difference 1.2e-07, agreement 100.00%, 0.45 MB
    """
    require_backend("`export_saved_model`", "tensorflow", "jax")
    images = check_images(model, images)
    expected = answers(lambda batch: model(batch, training=False), images)
    with replacing_folder(path) as beside:
        write_saved_model(model, beside)
        result = verify("saved_model", beside, expected, run_saved_model(beside, images))
    return Verification(**{**vars(result), "path": str(path)})


def write_saved_model(model: keras.Model, path: str | Path, dtype: str | None = None) -> None:
    """Write a SavedModel without comparing it.

    Args:
        model: The model.
        path: The folder to write.
        dtype: Type of the images it takes; by default the type that images are kept in, ``uint8``
            for a network that takes raw ones.
    """
    import tensorflow as tf

    def serve(images):
        return model(images, training=False)

    spec = tf.TensorSpec(model.inputs[0].shape, dtype or image_dtype(model), name="image")
    archive = keras.export.ExportArchive()
    # No archive.track(model): it would write every weight twice (keras issue 23553).
    archive.add_endpoint("serve", serve, input_signature=[spec])
    archive.write_out(str(path), verbose=False)


def run_saved_model(path: str | Path, images):
    """Return a SavedModel's answers."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))  # kept while its function runs
    return answers(lambda batch: loaded.serve(tf.constant(batch)), images)
