"""Training that begins with another model's weights: which, in which order, how fast."""

from __future__ import annotations

from keras_resnets.errors import ConfigError
from keras_resnets.models.config import NetworkConfig
from keras_resnets.models.field_groups import TRAINING
from keras_resnets.models.freezing import freeze
from keras_resnets.models.integrity import check_as_built, check_own_weights
from keras_resnets.models.network import Network
from keras_resnets.models.saved import read_model
from keras_resnets.models.weights import assign, weights_of

__all__ = ["copy_weights", "parts", "rate_multipliers", "read_start", "thaw", "transfer_config"]

_FREE = ("input_shape", "classes", "classifier_activation", *TRAINING)
"""What may differ between a model and the network that begins with its weights."""

_STATISTICS = ("input_mean", "input_std")


def read_start(path: str) -> Network:
    """Return the network in a file.

    Raises:
        InputError: It is not a Keras model, not a keras_resnets network, or one whose layers are
            no longer those that its configuration builds.
    """
    model = read_model(path, compile=False)
    check_as_built(model, f"`init` {str(path)!r}")
    return model


def transfer_config(config: NetworkConfig, start: NetworkConfig) -> NetworkConfig:
    """Return `config` with the normalisation of images that the start's weights know.

    Raises:
        ConfigError: The two networks have other weights but for the head.
    """
    names = [name for name in (*_FREE, *_STATISTICS) if hasattr(config, name)]
    known = {name: getattr(config, name) for name in names}
    if start.input_shape[-1] != config.input_shape[-1]:
        raise ConfigError(
            f"`init` takes images of {start.input_shape[-1]} channels; the data set's have "
            f"{config.input_shape[-1]}"
        )
    if type(start) is not type(config) or start.replace(**known) != config:
        differing = [
            name
            for name, value in config.to_dict().items()
            if name not in known and start.to_dict().get(name) != value
        ]
        raise ConfigError(
            "`init` must be the network that is trained, but for its head. "
            f"It differs in {', '.join(differing) or 'its kind'}"
        )
    if start.input_mean is None:
        return config
    return config.replace(**{name: getattr(start, name) for name in _STATISTICS})


def copy_weights(model: Network, start: Network) -> None:
    """Give a network another's weights; the head keeps its own where the classes are others.

    Args:
        model: The network that takes them.
        start: The one that has them; kernels adapted by LoRA are read with their adaptation.

    Raises:
        InputError: One of the two no longer has the weights that its configuration builds: a layer
            is quantised or changed, or in `model` adapted by LoRA; the message names the layer.
    """
    check_own_weights(model)
    check_as_built(start, "`start`")
    theirs = {
        path.removeprefix(start.layer_prefix): value for path, value in weights_of(start).items()
    }
    fitting = {}
    for variable in model.weights:
        value = theirs.get(variable.path.removeprefix(model.layer_prefix))
        if value is not None and value.shape == tuple(variable.shape):
            fitting[variable.path] = value
    assign(model, fitting)


def parts(model: Network) -> list[str]:
    """Return the parts of a network from the head to the stem: ``head, stage3, ..., stem``.

    Example:
        >>> parts(create_model("resnet20_cifar"))
        ['head', 'stage3', 'stage2', 'stage1', 'stem']
    """
    return ["head", *reversed(model.stages), "stem"]


def thaw(model: Network, count: int) -> None:
    """Make the last parts of a network trainable, and freeze the others.

    Args:
        model: The network; compile it again afterwards.
        count: Number of parts, from the head; at least one.
    """
    names = parts(model)
    through = names[count] if count < len(names) else model.layers[0].name
    freeze(model, through=through)


def rate_multipliers(model: Network, decay: float) -> dict[str, float]:
    """Return each part's factor of the learning rate, by the beginning of its weights' paths.

    Example:
        >>> rate_multipliers(create_model("resnet20_cifar"), 0.5)["stage2_"]
        0.25
    """
    if decay == 1:
        return {}
    rates, prefix = {}, model.layer_prefix
    for depth, name in enumerate(parts(model)):
        if name != "head":
            rates[f"{prefix}{name}_"] = decay**depth
        if name.startswith("stage"):  # a dense stage ends with its transition
            rates[f"{prefix}transition{name.removeprefix('stage')}/"] = decay**depth
    return rates
