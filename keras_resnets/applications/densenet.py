"""As ``keras.applications.densenet``: constructors, `preprocess_input`, `decode_predictions`."""

from keras_resnets.applications import imagenet_utils
from keras_resnets.applications.imagenet_utils import decode_predictions
from keras_resnets.models.applications import DenseNet121, DenseNet169, DenseNet201

__all__ = ["DenseNet121", "DenseNet169", "DenseNet201", "decode_predictions", "preprocess_input"]


def preprocess_input(x, data_format=None):
    """Prepare images as Keras' weights of these networks want them, mode ``"torch"``.

    See `keras_resnets.applications.imagenet_utils.preprocess_input`.
    """
    return imagenet_utils.preprocess_input(x, data_format, "torch")
