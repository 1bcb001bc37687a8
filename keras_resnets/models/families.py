"""All families of configurations: importing this registers them."""

from keras_resnets.models.chain_config import ChainConfig
from keras_resnets.models.densenet_config import DenseNetConfig
from keras_resnets.models.resnet_config import ResNetConfig

__all__ = ["ChainConfig", "DenseNetConfig", "ResNetConfig"]
