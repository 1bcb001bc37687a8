"""As ``keras.applications.resnet``: constructors, `preprocess_input`, `decode_predictions`."""

from keras_resnets.applications import imagenet_utils
from keras_resnets.applications.imagenet_utils import decode_predictions
from keras_resnets.models.applications import ResNet50, ResNet101, ResNet152

__all__ = ["ResNet50", "ResNet101", "ResNet152", "decode_predictions", "preprocess_input"]


def preprocess_input(x, data_format=None):
    """Prepare images as Keras' weights of these networks want them, mode ``"caffe"``.

    See `keras_resnets.applications.imagenet_utils.preprocess_input`.
    """
    return imagenet_utils.preprocess_input(x, data_format, "caffe")
