"""The classifier of a network: its activation, and another classifier in its place."""

from __future__ import annotations

import keras

from keras_resnets.errors import ConfigError
from keras_resnets.models.config import NetworkConfig

__all__ = ["classifier_activation"]


def classifier_activation(config: NetworkConfig, dtype: str):
    """Return the activation of a network's classifier as Keras' layers take it.

    Args:
        config: The network's configuration.
        dtype: Dtype of the classifier.

    Raises:
        ConfigError: It cannot be made from its configuration: it is not registered with Keras.
    """
    value = config.classifier_activation
    if not isinstance(value, dict):
        return value
    serialized = dict(value)
    if isinstance(value["config"], dict):
        serialized["config"] = {**value["config"], "dtype": dtype}
    try:
        return keras.activations.get(serialized)
    except Exception as error:  # whatever a class that is not there, or another one, can raise
        raise ConfigError(
            "`classifier_activation` must be known to Keras: import the module that registers it. "
            f"Received: classifier_activation={dict(value)}"
        ) from error
