"""The model class: a functional Keras model that carries its configuration."""

import inspect
from functools import partial

import keras

from keras_resnets.errors import ConfigError

# They register what a saved model is made of.
from keras_resnets.layers import (  # noqa: F401
    attention,
    blocks,
    convolution,
    dense,
    merges,
    normalization,
    resampling,
    shortcuts,
    stochastic_depth,
)
from keras_resnets.layers.parts import Composite
from keras_resnets.models import freezing, navigation
from keras_resnets.models.config import NetworkConfig, config_from_dict
from keras_resnets.models.rematerialization import REMATERIALIZATIONS, rematerialized

__all__ = ["Network"]


def _in_training(operation):
    """Return a function that calls an operation of a graph as in training."""
    if "training" in inspect.signature(operation.call).parameters:
        return partial(operation, training=True)
    return operation


@keras.saving.register_keras_serializable(package="keras_resnets")
class Network(keras.Model):
    """A functional model built from a configuration, which it keeps through save and load.

    Made by `keras_resnets.create_model`; everything that holds for a functional `keras.Model`
    holds for it.
    """

    # No __init__: Keras turns a subclass without one into a functional model.

    _network_config: NetworkConfig | None = None
    _remat: str | None = None

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
    def remat(self) -> str | None:
        """What is computed again in the backward pass of training instead of being kept.

        None for nothing, ``"block"`` to keep the input of each block alone, ``"stage"`` that of
        each stage. Memory for activations shrinks, a step takes about a third longer; results
        are the same. It holds for this model, called as a whole; a model made from its layers
        (`keras.Model(network.input, ...)`) keeps everything.

        Raises:
            ConfigError: Set to anything else, or where the network puts out more than its end.
        """
        return self._remat

    @remat.setter
    def remat(self, value):
        if value not in REMATERIALIZATIONS:
            raise ConfigError(
                f"`remat` must be None, 'block' or 'stage'. Received: remat={value!r}"
            )
        if value is not None and (len(self.outputs) > 1 or not self._stage_blocks()):
            raise ConfigError(
                "`remat` needs a network of blocks with one output. "
                f"Received: remat={value!r} for model {self.name!r}"
            )
        self._remat = value
        self.train_function = None

    def _stage_blocks(self) -> dict:
        """Layers of the blocks by the name of their stage."""
        stages = {}
        for layer in self.layers:
            stage, _, block = layer.name.partition("_block")
            if block and isinstance(layer, Composite):
                stages.setdefault(stage, []).append(layer)
        return stages

    def call(self, inputs, training=None, mask=None, **kwargs):
        if self._remat is None or not training:
            return super().call(inputs, training=training, mask=mask, **kwargs)
        stages = self._stage_blocks().values()
        if self._remat == "block":
            stages = [[block] for stage in stages for block in stage]
        instead = {}
        for stage in stages:
            # The node of the first block computes them all, the others hand on.
            instead |= dict.fromkeys(stage, lambda x: x)
            instead[stage[0]] = rematerialized(stage)
        outputs = self._run_through_graph(
            self._standardize_inputs(inputs),
            operation_fn=lambda op: instead.get(op) or _in_training(op),
        )
        return keras.tree.flatten(outputs)[0]

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

    def walk_layers(self) -> list[tuple[str, keras.layers.Layer]]:
        """Return every layer with its path, in order: `keras_resnets.walk_layers`."""
        return navigation.walk_layers(self)

    def get_layer(self, name=None, index=None):
        """Return a layer by its name, its path into a block, or its index in ``layers``.

        Args:
            name: ``"stage2_block3"`` or ``"stage2_block3/bn2"``.
            index: Instead of it, a place in ``model.layers``.

        Raises:
            ValueError: There is no such layer; the message names the nearest.
        """
        if index is not None or not isinstance(name, str):
            return super().get_layer(name, index)
        return navigation.get_layer(self, name)

    def freeze(self, through=None, batch_norm=True, *, until=None, types=None):
        """Keep first layers, or layers of some types, as they are: `keras_resnets.freeze`."""
        return freezing.freeze(self, through, batch_norm, until=until, types=types)

    def unfreeze(self, start=None, batch_norm=True, *, types=None):
        """Make last layers, or layers of some types, trainable: `keras_resnets.unfreeze`."""
        return freezing.unfreeze(self, start, batch_norm, types=types)

    def get_config(self):
        config = super().get_config()
        if self._network_config is not None:
            config["network"] = self._network_config.to_dict()
        if self._remat is not None:
            config["remat"] = self._remat
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        network = config.pop("network", None)
        remat = config.pop("remat", None)
        model = super().from_config(config, custom_objects=custom_objects)
        if network is not None:
            model._network_config = config_from_dict(network)
        model.remat = remat
        return model
