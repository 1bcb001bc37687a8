"""The model class: a functional Keras model that carries its configuration."""

import keras

# They register what a saved model is made of.
from keras_resnets.layers import (  # noqa: F401
    attention,
    blocks,
    convolution,
    dense,
    merges,
    resampling,
    shortcuts,
    stochastic_depth,
)
from keras_resnets.models.config import NetworkConfig, config_from_dict

__all__ = ["Network"]


@keras.saving.register_keras_serializable(package="keras_resnets")
class Network(keras.Model):
    """A functional model built from a configuration, which it keeps through save and load.

    Made by `keras_resnets.create_model`; everything that holds for a functional `keras.Model`
    holds for it.
    """

    # No __init__: Keras turns a subclass without one into a functional model.

    _network_config: NetworkConfig | None = None

    @property
    def config(self) -> NetworkConfig:
        """The configuration the model was built from.

        Raises:
            AttributeError: The model was made from another's layers and has no configuration.
        """
        if self._network_config is None:
            raise AttributeError(
                f"model {self.name!r} was not built from a configuration: use create_model"
            )
        return self._network_config

    @property
    def stages(self) -> dict:
        """Symbolic output of each stage by name: ``stage1``, ``stage2``, ...

        The last stage of a pre-activation network ends behind the network's last BN and ReLU.
        """
        outputs = {}
        for layer in self.layers:
            stage, _, block = layer.name.partition("_block")
            if block or layer.name in ("final_bn", "final_gn", "final_relu"):
                stage = stage if block else next(reversed(outputs))
                outputs[stage] = layer.output
        return outputs

    def get_config(self):
        config = super().get_config()
        if self._network_config is not None:
            config["network"] = self._network_config.to_dict()
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        network = config.pop("network", None)
        model = super().from_config(config, custom_objects=custom_objects)
        if network is not None:
            model._network_config = config_from_dict(network)
        return model
