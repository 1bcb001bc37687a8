"""As ``keras.applications.resnet50``."""

from keras_resnets.applications.resnet import ResNet50, decode_predictions, preprocess_input

__all__ = ["ResNet50", "decode_predictions", "preprocess_input"]
