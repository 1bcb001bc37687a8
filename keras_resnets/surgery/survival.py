"""Stochastic depth taken out of a trained network."""

from __future__ import annotations

from keras_resnets.errors import InputError
from keras_resnets.layers.geometry import KERNELS, folding_convolution
from keras_resnets.layers.style import ACTIVATIONS
from keras_resnets.models.families import ResNetConfig
from keras_resnets.models.network import Network
from keras_resnets.models.resnet_config import BlockSpec
from keras_resnets.surgery.networks import Weights, check_network, rebuilt, weights_of

__all__ = ["scale_branch", "stochastic_depth_to_inference", "survivals", "without_drops"]


def stochastic_depth_to_inference(model: Network) -> Network:
    """Return the network without stochastic depth: the same function at inference.

    In the paper's mode a branch is multiplied by its survival probability at inference (Huang 2016,
    eq. 5); here the weights at its end are.  The modern mode scales in training alone, so that
    nothing is left to do.

    Args:
        model: A network with ``final_survival`` below 1; it is not changed.

    Returns:
        A network with ``final_survival=1``: no branch is dropped in training either.

    Raises:
        InputError: The model is none of ours, or a branch ends in a standardised convolution, which
            no scale of its weights changes.

    Example:
        >>> stochastic_depth_to_inference(model).config.final_survival
        1.0
    """
    config = check_network(model, ResNetConfig, why="others have no stochastic depth")
    new = config.replace(final_survival=1.0)
    weights = survivals(model, config, new, weights_of(model))
    return rebuilt(model, new, weights)


def without_drops(model: Network) -> Network:
    """Return the network without stochastic depth, and without dropout of any kind."""
    still = stochastic_depth_to_inference(model)
    kinds = ("dropout", "shortcut_dropout", "head_dropout", "drop_block")
    new = still.config.replace(**dict.fromkeys(kinds, 0.0))
    return rebuilt(model, new, weights_of(still))


def survivals(model, old: ResNetConfig, new: ResNetConfig, weights: Weights) -> Weights:
    """Return weights with branches scaled for other survival probabilities at inference.

    Args:
        model: The network, for messages.
        old: Its configuration.
        new: The configuration to be, with the blocks of `old` under their names.
        weights: Weights by the names of `new`.
    """
    weights = dict(weights)
    after = {spec.name: spec for spec in new.block_specs()}
    for spec in old.block_specs():
        if spec.name not in after or "batch" not in (old.survival_mode, new.survival_mode):
            continue
        before = spec.survival if old.survival_mode == "batch" else 1.0
        now = after[spec.name].survival if new.survival_mode == "batch" else 1.0
        if before != now:
            scale_branch(model, old, spec, weights, before / now)
    return weights


def scale_branch(
    model, config: ResNetConfig, spec: BlockSpec, weights: Weights, factor: float
) -> None:
    """Multiply what a block's branch puts out, in place in its weights."""
    count = len(KERNELS[config.block])
    order = config.activation_order
    if order == "relu_before_addition" and not ACTIVATIONS[config.activation].homogeneous:
        raise InputError(
            "`model` must end its branches in something that can be scaled. Received: model "
            f"{model.name!r} with activation={config.activation!r} and activation_order={order!r}"
        )
    norm = next(
        (f"{spec.name}/bn{i + 1}" for i in range(count)
         if folding_convolution(order, i, count) == count - 1),
        None,
    )  # fmt: skip
    norm = norm and norm.replace("/bn", "/gn" if config.normalization == "group" else "/bn")
    conv = f"{spec.name}/conv{count}"
    names = [f"{norm}/gamma", f"{norm}/beta"]
    if norm is None or names[0] not in weights:
        names = [f"{conv}/kernel", f"{conv}/bias"]
        if config.weight_standardization:
            raise InputError(
                "`model` must end its branches in something that can be scaled. Received: model "
                f"{model.name!r} with weight_standardization=True and activation_order={order!r}"
            )
    for name in names:
        if name in weights:
            weights[name] = weights[name] * factor
    attention = f"{spec.name}/attention/reduce/kernel"
    if attention in weights:  # it sees the branch scaled, and must answer as before
        weights[attention] = weights[attention] / factor
