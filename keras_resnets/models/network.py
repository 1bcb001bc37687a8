"""The model class: a functional Keras model that carries its configuration."""

import inspect
from functools import partial

import keras
from keras.src.utils import io_utils

from keras_resnets.errors import ConfigError, InputError
from keras_resnets.files import replacing

# They register what a saved model is made of.
from keras_resnets.layers import (  # noqa: F401
    attention,
    blocks,
    convolution,
    dense,
    drop_block,
    image_normalization,
    merges,
    normalization,
    resampling,
    shortcuts,
    stochastic_depth,
)
from keras_resnets.layers.convolution import SymmetricConv2D
from keras_resnets.layers.parts import Composite
from keras_resnets.models import freezing, navigation, onnx_files
from keras_resnets.models.config import NetworkConfig, config_from_dict
from keras_resnets.models.dtypes import give_policy
from keras_resnets.models.raw_images import (
    image_dtype,
    looked_at,
    modernized,
    warn_if_rescaled,
    warn_if_scaled,
)
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
    _layer_prefix: str = ""
    _warned_of_scaled: bool = False

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
    def takes_raw_images(self) -> bool:
        """Whether the model was built to take raw images and normalises them itself."""
        return self._network_config is not None and self._network_config.takes_raw_images

    @property
    def layer_prefix(self) -> str:
        """What is in front of the name of every layer; nothing by default."""
        return self._layer_prefix

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
            stage, _, block = self._own_name(layer).partition("_block")
            if block and isinstance(layer, Composite):
                stages.setdefault(stage, []).append(layer)
        return stages

    def _own_name(self, layer) -> str:
        """Return a layer's name without the prefix."""
        return layer.name.removeprefix(self._layer_prefix)

    def fit(self, x=None, *args, **kwargs):
        return super().fit(self._looked_at(x), *args, **kwargs)

    def evaluate(self, x=None, *args, **kwargs):
        return super().evaluate(self._looked_at(x), *args, **kwargs)

    def predict(self, x, *args, **kwargs):
        return super().predict(self._looked_at(x), *args, **kwargs)

    def train_on_batch(self, x, *args, **kwargs):
        return super().train_on_batch(self._looked_at(x), *args, **kwargs)

    def test_on_batch(self, x, *args, **kwargs):
        return super().test_on_batch(self._looked_at(x), *args, **kwargs)

    def predict_on_batch(self, x):
        return super().predict_on_batch(self._looked_at(x))

    def _looked_at(self, data):
        """Return data whose first batch is looked at: images of floats may be scaled already."""
        if data is None or self._warned_of_scaled or not self.takes_raw_images:
            return data
        return looked_at(data, self._warn_if_scaled)

    def _warn_if_scaled(self, images):
        if self.takes_raw_images and not self._warned_of_scaled:
            self._warned_of_scaled = warn_if_scaled(images, self.name) or warn_if_rescaled(
                images, self.name
            )

    def compute_output_spec(self, inputs, *args, **kwargs):
        self._warn_if_scaled(inputs)
        return super().compute_output_spec(inputs, *args, **kwargs)

    def call(self, inputs, training=None, mask=None, **kwargs):
        self._warn_if_scaled(inputs)
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
    def feature_info(self) -> tuple:
        """Channels and stride of each stage's feature map, in the order of `stages`.

        Example:
            >>> create_model("resnet50").feature_info[0]
            FeatureInfo(name='stage1', channels=256, stride=4)
        """
        return self.config.feature_info

    @property
    def stages(self) -> dict:
        """Symbolic output of each stage by name: ``stage1``, ``stage2``, ...

        The last stage of a pre-activation network ends behind the network's last BN and activation.
        """
        outputs = {}
        for layer in self.layers:
            name = self._own_name(layer)
            stage, _, block = name.partition("_block")
            if block or name.startswith("final_"):
                stage = stage if block else next(reversed(outputs))
                outputs[stage] = layer.output
        return outputs

    def save(self, filepath, *args, **kwargs):
        if str(filepath).endswith((".h5", ".hdf5")):
            what = self._too_new_for_h5()
            if what:
                raise InputError(
                    f"a network with {what} cannot be read again from the older .h5 format: save "
                    f"it as .keras. Received: filepath={str(filepath)!r}"
                )
        return super().save(filepath, *args, **kwargs)

    def _too_new_for_h5(self) -> str | None:
        """Return what Keras writes into ``.h5`` files and cannot read there, None for nothing."""
        if any(weight.dtype == "bfloat16" for weight in self.weights):
            return "weights in bfloat16"
        for path, layer in self.walk_layers():
            if layer.quantization_mode == "float8":
                return f"layer {path!r} quantised to float8"
            # Blocks do not say how their layers are adapted: .keras files have them merged.
            if "/" in path and getattr(layer, "lora_enabled", False):
                return f"layer {path!r} adapted by LoRA"
        return None

    def export(
        self, filepath, format="tf_saved_model", verbose=None, input_signature=None, **kwargs
    ):
        """Export the model for inference, as `keras.Model.export` does.

        Args:
            filepath: The file or folder.
            format: ``"tf_saved_model"``, ``"onnx"``, ``"litert"`` or another of Keras'.
            verbose: Whether a message is printed.
            input_signature: Shape and type of the input. By default of uint8 where the network
                takes raw images, as the exports of `keras_resnets.export` have it.
            **kwargs: As for Keras.

        Raises:
            InputError: ONNX has no operation for something in the network; nothing is written.
        """
        # Keras exports to ONNX what was called once, whether it knows the graph or not.
        self._called = True
        ours = format in ("tf_saved_model", "onnx", "litert") and image_dtype(self) == "uint8"
        if input_signature is None and ours:
            (image,) = self.inputs
            input_signature = [keras.InputSpec(dtype="uint8", shape=image.shape, name=image.name)]
        if format != "onnx" or keras.backend.backend() != "tensorflow":
            return super().export(filepath, format, verbose, input_signature, **kwargs)
        for path, layer in self.walk_layers():
            if layer.compute_dtype == "bfloat16":
                raise InputError(
                    f"model {self.name!r} cannot be exported to ONNX, whose convolutions take no "
                    "bfloat16: rebuild it under dtype 'float32', the weights are the same. "
                    f"Received: layer {path!r} computes in bfloat16"
                )
        with replacing(filepath) as beside:
            super().export(str(beside), format, False, input_signature, **kwargs)
            onnx_files.check_operations(beside, f"model {self.name!r}")
        if verbose is not False:
            io_utils.print_msg(f"Saved artifact at '{filepath}'.")

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
        if self._layer_prefix:
            config["layer_prefix"] = self._layer_prefix
        config["dtype"] = keras.dtype_policies.serialize(self.dtype_policy)
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = modernized(dict(config))
        network = config.pop("network", None)
        remat = config.pop("remat", None)
        prefix = config.pop("layer_prefix", "")
        dtype = config.pop("dtype", None)
        model = super().from_config(config, custom_objects=custom_objects)
        if network is not None:
            model._network_config = config_from_dict(network)
        model._layer_prefix = prefix
        give_policy(model, dtype or _policy_of_the_stem(model))
        model.remat = remat
        return model


def _policy_of_the_stem(model):
    """Return the policy of a model whose configuration, of an earlier version, has none."""
    convolutions = (x for x in model.layers if isinstance(x, SymmetricConv2D))
    return next((x.dtype_policy for x in convolutions), model.dtype_policy)


# Files of Keras' older format, ``.h5``, name a model's class without its package, and Keras seeks
# such a name among the user's classes and then here. Registering the bare name with Keras would
# hide a class of the user's that has it.
vars(keras.src.layers).setdefault("Network", Network)
