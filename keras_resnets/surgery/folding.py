"""Batch normalisation folded into the convolutions that it follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from keras_resnets.errors import InputError
from keras_resnets.layers.geometry import KERNELS, NORMALIZING_ORDERS, folding_convolution
from keras_resnets.models.catalog import model_config
from keras_resnets.models.config import NetworkConfig
from keras_resnets.models.families import DenseNetConfig, ResNetConfig
from keras_resnets.models.network import Network
from keras_resnets.surgery.networks import (
    Weights,
    affine,
    check_network,
    compared,
    effective_kernel,
    rebuilt,
    weights_of,
)

__all__ = ["Folding", "fold_batch_norm", "foldings"]

_SHARED_SUM = "its input is a sum that the shortcut reads too"
_SUM = "its input is a sum, which no convolution puts out"
_CONCATENATION = "its input is a concatenation that other layers read too"
_POOLED = "a pooling lies between it and the stem's convolution"
_AFTER = "it follows the addition, whose shortcut would have to be scaled too"


@dataclass(frozen=True)
class Folding:
    """What becomes of one batch normalisation.

    Attributes:
        norm: Path of the normalisation, ``stage1_block1/bn1``.
        into: Path of the convolution it is folded into, None where it is kept.
        reason: Why it is kept; empty where it is folded.
    """

    norm: str
    into: str | None
    reason: str = ""


def foldings(config: NetworkConfig | str) -> list[Folding]:
    """Say of each batch normalisation of a network where it can be folded, or why it is kept.

    A normalisation is folded into a convolution that it follows directly, never forward into one
    that it precedes: that one pads with zeros, which the normalisation would not leave zero.

    Args:
        config: The network's configuration, or its name in the catalog.

    Raises:
        ConfigError: The name is unknown.

    Example:
        >>> [fold.into for fold in foldings("resnet20_cifar")][:2]
        ['stem_conv', 'stage1_block1/conv1']
    """
    if not isinstance(config, NetworkConfig):
        config = model_config(config)
    if config.folded:
        config = config.replace(folded=False)
    found = []
    convolutions = config.stem_convolutions()
    for i, conv in enumerate(convolutions, start=1):
        suffix = str(i) if len(convolutions) > 1 else ""
        if conv.activation != "none":
            found.append(Folding(f"stem_bn{suffix}", f"stem_conv{suffix}"))
    if isinstance(config, ResNetConfig):
        found += _residual(config)
    elif isinstance(config, DenseNetConfig):
        found += _dense(config)
    return found


def _residual(config):
    order = config.activation_order
    count = len(KERNELS[config.block])
    for number, spec in enumerate(config.block_specs()):
        for i in range(count):
            if order == "pre" and i == 0 and spec.preactivation == "none":
                continue
            conv = folding_convolution(order, i, count)
            into = None if conv is None else f"{spec.name}/conv{conv + 1}"
            reason = ""
            if into is None:
                reason = _SUM if spec.preactivation == "shared" else _SHARED_SUM
                if number == 0 and spec.preactivation == "shared":
                    reason = _POOLED
                reason = _AFTER if order == "bn_after_addition" else reason
            yield Folding(f"{spec.name}/bn{i + 1}", into, reason)
        if spec.shortcut.endswith("projection") and order in NORMALIZING_ORDERS:
            yield Folding(f"{spec.name}/shortcut/bn", f"{spec.name}/shortcut/conv")
    if order == "pre":
        yield Folding("final_bn", None, _SUM)


def _dense(config):
    for spec in config.block_specs():
        single = spec.transition or not config.bottleneck
        yield Folding(f"{spec.name}/bn{'' if single else 1}", None, _CONCATENATION)
        if not single:
            yield Folding(f"{spec.name}/bn2", f"{spec.name}/conv1")
    yield Folding("final_bn", None, _CONCATENATION)


def fold_batch_norm(model: Network, print_fn: Callable[[str], None] | None = print) -> Network:
    """Return a network for inference whose convolutions hold the normalisations behind them.

    ``K' = K * scale`` and ``b' = shift`` (see `foldings` for which ones). Pre-activation networks
    and dense ones keep the normalisations that read a sum or a concatenation. In a pre-activation
    network whose first block shares its activation, that activation moves into the stem.

    Args:
        model: The network; it is not changed.
        print_fn: Called with lines that say what was kept and why; None for silence.

    Returns:
        A network of the same function in inference, with ``config.folded``. In training it has no
        batch statistics where a normalisation was folded.

    Raises:
        InputError: The model is none of ours, or normalises by groups, whose statistics belong to
            each image.

    Example:
        >>> folded = fold_batch_norm(model)
        folded 19 of 19 batch normalisations
        parameters 269,722 -> 269,034 (1.00x), multiply-adds 40,551,040 -> 40,551,040 (1.00x)
    """
    config = check_network(model)
    if config.normalization != "batch":
        raise InputError(
            "`model` must have batch normalisation, which is the same function of every image. "
            f"Received: model {model.name!r} with {config.normalization} normalisation"
        )
    weights = weights_of(model)
    if not config.folded:
        config, weights = _activated_in_stem(config, weights)
        weights = folded_weights(config, weights)
    found = foldings(config)
    new = config.replace(folded=True, weight_standardization=False)
    if print_fn is not None:
        for line in _report(found):
            print_fn(line)
        print_fn(compared(model.config, new))
    return rebuilt(model, new, weights)


def _activated_in_stem(config, weights):
    """Move a first activation that branch and shortcut share into the stem, where it folds."""
    movable = (
        isinstance(config, ResNetConfig)
        and config.activation_order == "pre"
        and config.stem_pool in ("none", "conv")
        and config.block_specs()[0].preactivation == "shared"
    )
    if not movable:
        return config, weights
    suffix = "" if len(config.stem_convolutions()) == 1 else len(config.stem_convolutions())
    first = config.block_specs()[0].name
    moved = {
        path.replace(f"{first}/bn1/", f"stem_bn{suffix}/"): value for path, value in weights.items()
    }
    return config.replace(first_activation="stem"), moved


def folded_weights(config: NetworkConfig, weights: Weights) -> Weights:
    """Return the weights of a network with its normalisations folded (`foldings`)."""
    kernels = [path for path in weights if path.endswith("/kernel") and weights[path].ndim == 4]
    new = dict(weights)
    for path in kernels:
        if not path.endswith("merge/gate/kernel"):  # gates are never standardised
            new[path] = effective_kernel(weights, path.removesuffix("/kernel"), config)
    for fold in foldings(config):
        if fold.into is None:
            continue
        scale, shift = affine(weights, fold.norm, config.bn_epsilon)
        for name in ("gamma", "beta", "moving_mean", "moving_variance"):
            del new[f"{fold.norm}/{name}"]
        new[f"{fold.into}/kernel"] = new[f"{fold.into}/kernel"] * scale
        new[f"{fold.into}/bias"] = shift
    return new


def _report(found: list[Folding]):
    kept: dict[str, list[str]] = {}
    for fold in found:
        if fold.into is None:
            kept.setdefault(fold.reason, []).append(fold.norm)
    count = sum(map(len, kept.values()))
    yield f"folded {len(found) - count} of {len(found)} batch normalisations"
    for reason, norms in kept.items():
        shown = ", ".join(norms[:3]) + (", ..." if len(norms) > 3 else "")
        yield f"kept {len(norms)} ({shown}): {reason}"
