"""Plain networks as residual ones: the same function, its convolutions relieved of the identity."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from keras_resnets.errors import InputError
from keras_resnets.models.chain_config import ChainConfig
from keras_resnets.models.network import Network
from keras_resnets.models.resnet_config import BlockSpec, ResNetConfig
from keras_resnets.surgery.folding import folded_weights
from keras_resnets.surgery.layout import block_links, joins
from keras_resnets.surgery.networks import (
    Weights,
    affine,
    check_network,
    compared,
    effective_kernel,
    rebuilt,
    weights_of,
)
from keras_resnets.surgery.plain import branch_gain, chain_weights
from keras_resnets.surgery.statistics import recalibrate_batch_norm

__all__ = ["to_residual"]

_LEAST_SCALE = 1e-3
"""Least scale of a normalisation that is kept as it is: the identity is divided by it."""

_DIRAC = 1e-6
"""Most that a carried channel's kernel may differ from the identity."""


def to_residual(
    model: Network, dataset=None, print_fn: Callable[[str], None] | None = print
) -> Network:
    """Return a residual network that computes what a plain one computes.

    Of a plain network of the catalog, each 3x3 convolution of stride 1 between equal widths becomes
    a residual branch: ``relu(norm(K * x)) = relu(norm(K' * x) + x)`` with ``K' = K - D s / gamma``,
    where D is the identity kernel and s the normalisation's deviation. The normalisation keeps its
    weights (where gamma is about zero, it is made anew), so that the network trains on. Of a
    network that `to_plain` made, its residual network comes back, with normalisation folded.

    Args:
        model: A plain network, ``shortcut="none"`` or of family ``chain``; it is not changed.
        dataset: Images to recalibrate the new branches' normalisations on, as for
            `recalibrate_batch_norm` with ``keep_function=True``: the same function, and statistics
            of the batch in training that are near the moving ones. None to leave it.
        print_fn: Called with lines on what was done; None for silence.

    Returns:
        A network with blocks of one convolution (``block="B(3)"``, ``shortcut="identity"``), or the
        residual network that a chain came from.

    Raises:
        InputError: The model is none of ours, has shortcuts already, or has no such convolutions;
            or a chain was trained since it was made, so that it no longer carries the shortcuts.

    Example:
        >>> residual = to_residual(create_model("plain20_cifar"))
        16 of 18 convolutions became residual branches
    """
    config = check_network(model, ResNetConfig, ChainConfig, why="convolutions become branches")
    weights = weights_of(model)
    if isinstance(config, ChainConfig):
        new, values = _from_chain(model.name, config, weights)
        message = "the residual network that the chain was made from, normalisation folded"
    else:
        new, values, count = _from_plain(model.name, config, weights)
        message = f"{count} of {sum(new.blocks)} convolutions became residual branches"
    if print_fn is not None:
        print_fn(message)
        print_fn(compared(config, new))
    model = rebuilt(model, new, values)
    if dataset is not None:
        model = recalibrate_batch_norm(model, dataset, keep_function=True)
    return model


def _from_plain(name: str, config: ResNetConfig, weights: Weights):
    _check_plain(name, config)
    per_block = 2 if config.block == "basic" else 1
    new = config.replace(
        block="B(3)",
        blocks=tuple(per_block * count for count in config.blocks),
        shortcut="identity",
        dropout=0.0,
        weight_standardization=False,
    )
    values = {path: v for path, v in weights.items() if not path.startswith("stage")}
    for path in [p for p in values if p.startswith("stem_conv") and p.endswith("/kernel")]:
        values[path] = effective_kernel(weights, path.removesuffix("/kernel"), config)
    specs = iter(new.block_specs())
    count = 0
    for old in config.block_specs():
        for i in range(1, per_block + 1):
            spec = next(specs)
            own = _one_block(weights, f"{old.name}/conv{i}", f"{old.name}/bn{i}", config)
            if spec.shortcut == "identity":
                own = _without_identity(own, config)
                count += 1
            values |= {f"{spec.name}/{part}": value for part, value in own.items()}
    return new, values, count


def _check_plain(name: str, config: ResNetConfig):
    for holds, what in (
        (config.shortcut != "none", f"shortcut={config.shortcut!r}"),
        (config.activation_order != "post", f"activation_order={config.activation_order!r}"),
        (config.block not in ("basic", "B(3)"), f"block={config.block!r}"),
        (config.inner_width_factor != 1, f"inner_width_factor={config.inner_width_factor}"),
        (config.attention is not None, f"attention={config.attention!r}"),
        (config.normalization != "batch", f"normalization={config.normalization!r}"),
        (config.antialias, "antialias=True"),
    ):
        if holds:
            raise InputError(
                "`model` must be a plain network of 3x3 convolutions, each with batch "
                "normalisation and ReLU behind it: shortcut='none', activation_order='post', "
                f"block='basic'. Received: model {name!r} with {what}"
            )


def _one_block(weights: Weights, conv: str, norm: str, config) -> Weights:
    """Return the weights of one convolution and its normalisation, by name in a block."""
    own = {"conv1/kernel": effective_kernel(weights, conv, config)}
    if f"{conv}/bias" in weights:
        own["conv1/bias"] = weights[f"{conv}/bias"]
    for part in ("gamma", "beta", "moving_mean", "moving_variance"):
        if f"{norm}/{part}" in weights:
            own[f"bn1/{part}"] = weights[f"{norm}/{part}"].copy()
    return own


def _without_identity(own: Weights, config: ResNetConfig) -> Weights:
    """Subtract the identity from what a convolution with its normalisation computes."""
    kernel = own["conv1/kernel"].copy()
    width, center = kernel.shape[-1], kernel.shape[0] // 2
    scale, shift = np.ones(width), np.zeros(width)
    if "bn1/gamma" in own:
        scale, shift = affine(own, "bn1", config.bn_epsilon)
    small = np.abs(scale) < _LEAST_SCALE
    # There the scale moves into the kernel, and the normalisation begins anew.
    kernel[..., small] *= scale[small]
    identity = np.where(small, 1.0, 1.0 / np.where(small, 1.0, scale))
    kernel[center, center] -= np.diag(identity)
    own = {**own, "conv1/kernel": kernel}
    if small.any():
        own["bn1/gamma"][small] = np.sqrt(1 + config.bn_epsilon)
        own["bn1/moving_variance"][small] = 1.0
        own["bn1/moving_mean"][small] = 0.0
        own["bn1/beta"][small] = shift[small]
    return own


def _from_chain(name: str, config: ChainConfig, weights: Weights):
    """Take the branches out of a chain again, as `to_plain` laid them."""
    origin = config.origin
    blocks = [] if origin is None else origin.block_specs()
    if not blocks or origin.activation_order != "post" or any(joins(origin, b) for b in blocks):
        what = "no origin" if origin is None else "an origin of other blocks"
        raise InputError(
            "`model`, if a chain, must come from `to_plain` and a network whose blocks have "
            "activation_order='post' and a shortcut that the block's last convolution can add. "
            f"Received: model {name!r} with {what}"
        )
    stem = {path: value for path, value in weights.items() if not path.startswith("stage")}
    values = stem if config.folded else folded_weights(config, stem)
    for spec in blocks:
        values |= _branch(origin, spec, weights)
    new = origin.replace(folded=True, weight_standardization=False)
    again = chain_weights(new, values)
    for path, value in weights.items():
        if path.startswith("stage") and np.abs(again[path] - value).max() > _DIRAC:
            raise InputError(
                "`model` must carry its shortcuts as `to_plain` left them. Received: model "
                f"{name!r}, trained since, whose {path!r} no longer does"
            )
    return new, values


def _branch(config: ResNetConfig, spec: BlockSpec, weights: Weights) -> Weights:
    """Return the weights of a residual block, taken from its row of convolutions."""
    carried = 0 if spec.shortcut == "none" else spec.in_width
    links = block_links(config, spec, spec.in_width, carried)
    values: Weights = {}
    for i, link in enumerate(links, start=1):
        row = f"{spec.name}_conv{i}"
        kernel, bias = weights[f"{row}/kernel"], weights[f"{row}/bias"]
        own = kernel[..., link.carried_out :]
        if i > 1 and link.conv.groups == 1:
            own = _grouped(own[:, :, link.carried_in :], link.branch.groups)
        values[f"{spec.name}/conv{i}/kernel"] = own
        values[f"{spec.name}/conv{i}/bias"] = bias[link.carried_out :]
    center = kernel.shape[0] // 2
    projection = kernel[center, center, :carried]
    if len(links) == 1:  # nothing tells the shortcut from the branch
        projection = np.zeros_like(projection)
    if spec.shortcut == "identity" and len(links) == 1:
        projection = config.shortcut_scale * np.eye(carried)
        own = own.copy()
        own[center, center] -= projection
    if spec.shortcut.endswith("projection"):
        path = f"{spec.name}/shortcut/conv"
        values[f"{path}/kernel"] = projection[None, None] / config.shortcut_scale
        values[f"{path}/bias"] = np.zeros(spec.out_width)
    gain = branch_gain(config, spec)
    values[f"{spec.name}/conv{len(links)}/kernel"] = own / gain
    values[f"{spec.name}/conv{len(links)}/bias"] = bias / gain
    return values


def _grouped(kernel, groups: int):
    """Return the kernel of a grouped convolution from one without groups."""
    depth, filters = kernel.shape[2] // groups, kernel.shape[3] // groups
    blocks = [
        kernel[:, :, g * depth : (g + 1) * depth, g * filters : (g + 1) * filters]
        for g in range(groups)
    ]
    return np.concatenate(blocks, axis=-1)
