"""As ``keras.applications.resnet_v2``, without its networks.

ResNet50V2 in keras.applications has the stride in a stage's last block; the paper's pre-activation
network is `keras_resnets.PreActResNet50`.
"""

from keras_resnets.applications import imagenet_utils
from keras_resnets.applications.imagenet_utils import decode_predictions

__all__ = ["decode_predictions", "preprocess_input"]


def preprocess_input(x, data_format=None):
    """Prepare images as Keras' weights of these networks want them, mode ``"tf"``.

    See `keras_resnets.applications.imagenet_utils.preprocess_input`.
    """
    return imagenet_utils.preprocess_input(x, data_format, "tf")
