"""A new network in the likeness of a built one; with another classifier, for one."""

from __future__ import annotations

from collections.abc import Callable

from keras_resnets.errors import ConfigError
from keras_resnets.layers.convolution import SymmetricConv2D
from keras_resnets.layers.navigation import walk_layers
from keras_resnets.models.builder import create_model
from keras_resnets.models.checks import check_choice
from keras_resnets.models.config import NetworkConfig
from keras_resnets.models.heads import POOLINGS
from keras_resnets.models.integrity import check_as_built
from keras_resnets.models.network import Network
from keras_resnets.models.weights import assign, weights_of

__all__ = ["in_likeness", "reset_classifier"]


def in_likeness(model: Network, config: NetworkConfig, name: str | None = None) -> Network:
    """Return a new network of a configuration, with what a built one has besides its own.

    Args:
        model: Where name, data format, dtype policy, what is frozen, and `Network.remat` come from.
        config: The new network's configuration.
        name: Its name; the model's by default.

    Returns:
        A network with weights of its own, as they begin.
    """
    first = next(x for x in model.layers if isinstance(x, SymmetricConv2D))
    new = create_model(
        config,
        name=name or model.name,
        data_format=first.data_format,
        dtype=model.dtype_policy,
        layer_prefix=model.layer_prefix,
    )
    _copy_trainability(model, new)
    if model.remat is not None and new._stage_blocks():
        new.remat = model.remat
    return new


def _copy_trainability(model, new):
    known = {path: layer.trainable for path, layer in walk_layers(model)}
    # Outer layers first: each hands its state down to those inside.
    for path, layer in walk_layers(new):
        if known.get(path, layer.trainable) != layer.trainable:
            layer.trainable = known[path]


def reset_classifier(
    model: Network,
    classes: int | None = None,
    *,
    pooling: str | None = None,
    head_dropout: float | None = None,
    classifier_activation: str | Callable | None = "keep",
    name: str | None = None,
) -> Network:
    """Return the network with a new classifier, or with none, and the same weights otherwise.

    timm's method of that name. What was frozen in the body stays frozen; the new classifier is
    trainable.

    Args:
        model: A network of ours, with a classifier or without; it is not changed.
        classes: Number of classes; None or 0 for no classifier: pooled features come out.
        pooling: The pooling in front of the classifier, or of the features: ``"avg"``, ``"max"``,
            ``"avgmax"`` or ``"catavgmax"``; the model's by default.
        head_dropout: Rate of the dropout in front of the classifier; the model's by default.
        classifier_activation: Activation of the classifier, as for `create_model`; the model's by
            default.
        name: Name of the new network; the model's by default.

    Returns:
        A network that is not compiled.

    Raises:
        InputError: The model is not a keras_resnets model as it was built (`check_as_built`).
        ConfigError: An argument is illegal.

    Example:
        >>> model = reset_classifier(create_model("resnet20_cifar"), 100, head_dropout=0.2)
        >>> model.output_shape
        (None, 100)
        >>> reset_classifier(model).output_shape
        (None, 64)
    """
    check_as_built(model)
    config = _with_head(model.config, classes, pooling, head_dropout, classifier_activation)
    new = in_likeness(model, config, name)
    head = f"{model.layer_prefix}predictions/"
    assign(new, {path: v for path, v in weights_of(model).items() if not path.startswith(head)})
    if config.include_top:
        new.get_layer(f"{model.layer_prefix}predictions").trainable = True
    return new


def _with_head(config, classes, pooling, head_dropout, activation) -> NetworkConfig:
    check_choice("pooling", pooling, (*POOLINGS, None))
    now = config.head_pooling if config.include_top else config.pooling
    pooling = pooling or now or "avg"
    if classes is None or (classes == 0 and classes is not False):
        if head_dropout:
            raise ConfigError(
                "`head_dropout` and `classes` disagree: there is no classifier. "
                f"Received: head_dropout={head_dropout!r}, classes={classes!r}"
            )
        neutral = {"head_pooling": "avg", "head_dropout": 0.0}
        return config.replace(include_top=False, pooling=pooling, **neutral)
    changes = {} if head_dropout is None else {"head_dropout": head_dropout}
    if activation != "keep":
        changes["classifier_activation"] = activation
    return config.replace(
        include_top=True, pooling=None, head_pooling=pooling, classes=classes, **changes
    )
