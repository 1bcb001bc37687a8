"""Networks made deeper and wider without a change of what they compute (Chen 2016)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from keras_resnets.errors import InputError
from keras_resnets.layers.style import ACTIVATIONS
from keras_resnets.models.catalog import model_config
from keras_resnets.models.checks import is_int
from keras_resnets.models.config import NetworkConfig
from keras_resnets.models.families import DenseNetConfig, ResNetConfig
from keras_resnets.models.field_groups import HEAD, IMAGES
from keras_resnets.models.network import Network
from keras_resnets.models.resnet_config import BlockSpec
from keras_resnets.surgery.channels import FRESH, Walk, moved, received, splits
from keras_resnets.surgery.networks import (
    Weights,
    assign,
    check_network,
    compared,
    identity_affine,
    rebuilt,
    weights_of,
)
from keras_resnets.surgery.optimizers import carry_optimizer, check_compiled
from keras_resnets.surgery.survival import survivals

__all__ = ["deepen", "target", "widen"]

_IMAGES_AND_CLASSES = (*IMAGES, *HEAD)
_WIDTHS = ("widths", "stem_width", "inner_width_factor", "growth_rate", "se_ratio")


def deepen(
    model: Network,
    stage: int | str | None = None,
    blocks: int | None = None,
    *,
    to: NetworkConfig | str | None = None,
    optimizer: bool = False,
    print_fn: Callable[[str], None] | None = print,
) -> Network:
    """Return a deeper network of the same function.

    New blocks come at the end of a stage and begin as the identity: by a zero scale and shift of
    the last normalisation, or a zero last convolution where no normalisation follows it, never both
    (no gradient would flow). The same function in inference, and in training as far as the new
    blocks go: all but those that need a normalisation or a projection to be the identity (plain
    networks, ``bn_after_addition``, shortcut C). Of a dense network's new layers, nobody reads the
    output at first.

    Args:
        model: The network; it is not changed.
        stage: Stage to lengthen, ``2`` or ``"stage2"``; with `blocks`.
        blocks: Number of blocks to add to it.
        to: In the place of both, the configuration to reach, or its name in the catalog (images
            and classes are then the model's); nothing but ``blocks`` may differ.
        optimizer: Whether to compile the new network like the old one, with its optimizer's state,
            so that `fit` goes on without a jump.
        print_fn: Called with a line on the cost before and after; None for silence.

    Returns:
        The deeper network; gradients reach each of its weights after at most two steps. Without a
        classifier, a dense network puts out its new features too.

    Raises:
        InputError: The model is none of ours, the stage or the target illegal, or a block of this
            kind cannot be the identity and learn.

    Example:
        >>> deeper = deepen(model, to="resnet32_cifar")
        parameters 269,722 -> 464,154 (1.72x), multiply-adds 40,551,040 -> 68,862,592 (1.70x)

    Reference:
        Chen 2016, arXiv:1511.05641 (Net2Net); Goyal 2017, arXiv:1706.02677, section 5.1.
    """
    config = check_network(model, ResNetConfig, DenseNetConfig, why="its blocks are the stages'")
    if (to is None) == (stage is None and blocks is None):
        raise InputError(
            "`deepen` takes `stage` and `blocks`, or `to`. "
            f"Received: stage={stage!r}, blocks={blocks!r}, to={to!r}"
        )
    new = _longer(config, stage, blocks) if to is None else target(config, to, ("blocks",))
    fewer = len(new.blocks) != len(config.blocks) or any(
        b < a for a, b in zip(config.blocks, new.blocks, strict=False)
    )
    if fewer:
        raise InputError(
            f"`to` must have at least as many blocks in each of {len(config.blocks)} stages as the "
            f"model. Received: blocks={new.blocks}, the model's are {config.blocks}"
        )
    if optimizer:
        check_compiled(model)
    if isinstance(config, ResNetConfig):
        _check_identity(model, config)
    move = _Deepening(model, config, new)
    return _grown(model, new, move, optimizer, print_fn)


def _longer(config, stage, blocks):
    number = stage
    if isinstance(stage, str) and stage.removeprefix("stage").isdecimal():
        number = int(stage.removeprefix("stage"))
    if not is_int(number) or number > len(config.blocks):
        raise InputError(
            f"`stage` must be a stage from 1 to {len(config.blocks)}. Received: stage={stage!r}"
        )
    if not is_int(blocks):
        raise InputError(f"`blocks` must be a positive integer. Received: blocks={blocks!r}")
    counts = list(config.blocks)
    counts[number - 1] += int(blocks)
    return config.replace(blocks=tuple(counts))


def target(config: NetworkConfig, to, fields: tuple[str, ...]) -> NetworkConfig:
    """Return the configuration to reach, checked to differ in some fields alone.

    Args:
        config: The network's.
        to: What the user gave: a configuration or a name of the catalog.
        fields: What may differ.

    Raises:
        InputError: It is neither, or differs in another field.
    """
    if isinstance(to, str):
        to = model_config(to)
        if type(to) is type(config):
            to = to.replace(**{name: getattr(config, name) for name in _IMAGES_AND_CLASSES})
    if not isinstance(to, NetworkConfig):
        raise InputError(
            f"`to` must be a configuration or the name of a network. Received: to={to!r}"
        )
    if type(to) is not type(config):
        raise InputError(
            f"`to` must be of the model's family, {config.family}. Received: family {to.family}"
        )
    known = [field.name for field in dataclasses.fields(config)]
    for name in known:
        if name not in fields and getattr(to, name) != getattr(config, name):
            legal = ", ".join(f"`{field}`" for field in fields if field in known)
            raise InputError(
                f"`to` must differ from the model's configuration in {legal} alone. Received: "
                f"{name}={getattr(to, name)!r}, the model's is {getattr(config, name)!r}"
            )
    return to


def _check_identity(model, config: ResNetConfig):
    """Raise `InputError` where no block of the kind can be the identity and learn."""
    order, standardized = config.activation_order, config.weight_standardization
    ends_in_conv = config.folded or order in ("pre", "bn_after_addition")
    group = config.normalization == "group"
    plain = config.shortcut == "none"
    projects = config.shortcut == "C"
    inner = [config.branch(s)[0].filters for s in config.block_specs()]
    outer = [s.out_width for s in config.block_specs()]
    for holds, why in (
        (config.shortcut_gate is not None, "its gates never open fully"),
        (config.shortcut_scale != 1, f"its shortcuts are scaled by {config.shortcut_scale:g}"),
        (order == "relu_before_addition", "no gradient passes the ReLU of a branch of zeros"),
        (ends_in_conv and standardized, "a zero kernel cannot be standardised"),
        (order in ("post", "bn_after_addition") and not ACTIVATIONS[config.activation].idempotent,
         f"its activation={config.activation!r} would act a second time on what it gave"),
        (order == "bn_after_addition" and group, "group normalisation is no identity"),
        (projects and group, "group normalisation is no identity"),
        (projects and order in ("pre", "relu_only"), "its projections read an activated input"),
        (plain and (group or standardized), "its convolutions are normalised by themselves"),
        (plain and order != "post", "its input may be negative and meets a ReLU"),
        (plain and config.attention is not None, "its attention is no identity"),
        (plain and config.cardinality > 1, "its groups do not see each other"),
        (plain and any(i < o for i, o in zip(inner, outer, strict=True)),
         "its inner convolutions are narrower than its input"),
    ):  # fmt: skip
        if holds:
            raise InputError(
                f"`model` must be of blocks that can be the identity and learn. Received: model "
                f"{model.name!r}, of which a new block cannot: {why}"
            )


class _Deepening:
    """Makes the weights of a deeper network from a network's."""

    def __init__(self, model, old, new):
        self.model, self.old, self.new = model, old, new
        self.moves = None
        if isinstance(new, DenseNetConfig):
            self.moves = Walk(old, new, _old_then_fresh).run()

    def __call__(self, weights: Weights, fresh: Weights, split: bool = True) -> Weights:
        if self.moves is not None:
            return moved(self.moves, weights, fresh)
        scaled = survivals(self.model, self.old, self.new, weights) if split else weights
        return {path: scaled.get(path, value) for path, value in fresh.items()}

    def begun(self, weights: Weights) -> Weights:
        """Return the weights with new blocks that begin as the identity."""
        if isinstance(self.new, DenseNetConfig):
            return weights
        known = {spec.name for spec in self.old.block_specs()}
        for spec in self.new.block_specs():
            if spec.name not in known:
                weights = weights | _identity_block(self.new, spec, weights)
        return weights


def _old_then_fresh(space, old, new, groups):
    return np.concatenate([np.arange(old), np.full(new - old, FRESH)])


def _identity_block(config: ResNetConfig, spec: BlockSpec, weights: Weights) -> Weights:
    """Return those weights of a new block that make it the identity."""
    own: Weights = {}
    count = len(config.branch(spec))
    norm = f"{spec.name}/{'gn' if config.normalization == 'group' else 'bn'}{count}"
    after_addition = config.activation_order == "bn_after_addition"
    if spec.shortcut == "none":
        for i, conv in enumerate(config.branch(spec), start=1):
            path = f"{spec.name}/conv{i}"
            kernel = weights[f"{path}/kernel"].copy()
            width, center = spec.out_width, kernel.shape[0] // 2
            kernel[:, :, :, :width] = 0
            kernel[center, center, :width, :width] = np.eye(width)
            own[f"{path}/kernel"] = kernel
            if f"{path}/bias" not in weights:
                own |= identity_affine(f"{spec.name}/bn{i}", conv.filters, config.bn_epsilon)
        return own
    if f"{norm}/gamma" in weights and config.activation_order != "pre" and not after_addition:
        own[f"{norm}/gamma"] = np.zeros(spec.out_width)
        own[f"{norm}/beta"] = np.zeros(spec.out_width)
    else:
        path = f"{spec.name}/conv{count}/kernel"
        own[path] = np.zeros_like(weights[path])
    if after_addition:
        own |= identity_affine(norm, spec.out_width, config.bn_epsilon)
    if spec.shortcut.endswith("projection"):
        path = f"{spec.name}/shortcut"
        own[f"{path}/conv/kernel"] = np.eye(spec.out_width)[None, None]
        if f"{path}/bn/gamma" in weights:
            own |= identity_affine(f"{path}/bn", spec.out_width, config.bn_epsilon)
    return own


def widen(
    model: Network,
    to: NetworkConfig | str,
    *,
    optimizer: bool = False,
    seed: int = 0,
    print_fn: Callable[[str], None] | None = print,
) -> Network:
    """Return a wider network of the same function.

    New channels are copies of old ones, in the order 0 0 1 1 (so that groups stay together), their
    normalisation with its statistics too; what reads them shares the old weight out among the
    copies, unequally, so that they grow apart. Channels that a padding shortcut would leave zero,
    and all those without a channel to copy, begin at random and are read by zeros. A residual
    stream has one map for all its writers and readers.

    Args:
        model: The network, post- or pre-activation or dense; it is not changed.
        to: The configuration to reach, or its name in the catalog (images and classes are then the
            model's); nothing may differ but ``widths``, ``stem_width``, ``inner_width_factor`` and
            ``se_ratio``, or ``growth_rate`` and ``stem_width``.
        optimizer: Whether to compile the new network like the old one, with its optimizer's state,
            so that `fit` goes on without a jump.
        seed: Of the unequal shares.
        print_fn: Called with a line on the cost before and after; None for silence.

    Returns:
        The wider network. Without a classifier, its features are the old ones, repeated.

    Raises:
        InputError: The model is none of ours, the target differs in anything else, is narrower
            somewhere, or needs another kind of shortcut; the network has group normalisation and a
            width does not become a multiple; or it has weight standardisation.

    Example:
        >>> wider = widen(model, model.config.replace(stem_width=32, widths=(32, 64, 128)))
        parameters 269,722 -> 1,073,962 (3.98x), multiply-adds 40,551,040 -> 161,318,144 (3.98x)

    Reference:
        Chen 2016, arXiv:1511.05641, section 2.2 (Net2WiderNet).
    """
    config = check_network(model, ResNetConfig, DenseNetConfig, why="its widths are the stages'")
    new = target(config, to, _WIDTHS)
    if config.weight_standardization:
        raise InputError(
            "`model` must compute with its kernels as they are. Received: model "
            f"{model.name!r} with weight_standardization=True, which undoes shared weights"
        )
    if optimizer:
        check_compiled(model)
    return _grown(model, new, _Widening(config, new, seed), optimizer, print_fn)


class _Widening:
    """Makes the weights of a wider network from a network's."""

    def __init__(self, old, new, seed):
        self.config = old
        self.moves = Walk(old, new, self.choose).run()
        rng = np.random.default_rng(seed)
        self.factors = {
            path: splits(move.read, rng)
            for path, move in self.moves.items()
            if move.read is not None
        }

    def choose(self, space, old, new, groups):
        """Repeat each channel, in each group as often as in the others."""
        if new < old:
            raise InputError(
                "`to` must be at least as wide as the model everywhere. "
                + received(space, old, new)
            )
        if self.config.normalization == "group" and new != old and (not old or new % old):
            raise InputError(
                "`to` must be a multiple of the model's widths where normalisation is by groups. "
                + received(space, old, new)
            )
        if not old:
            return np.full(new, FRESH)
        per_group = np.arange(new // groups) * (old // groups) // (new // groups)
        return (np.arange(groups)[:, None] * (old // groups) + per_group).ravel()

    def __call__(self, weights: Weights, fresh: Weights, split: bool = True) -> Weights:
        return moved(self.moves, weights, fresh, self.factors if split else None)

    def begun(self, weights: Weights) -> Weights:
        """Return the weights as they are: nothing else is new."""
        return weights


def _grown(model, new: NetworkConfig, move, optimizer: bool, print_fn) -> Network:
    grown = rebuilt(model, new, {})
    assign(grown, move.begun(move(weights_of(model), weights_of(grown), True)))
    if optimizer:
        carry_optimizer(model, grown, move)
    if print_fn is not None:
        print_fn(compared(model.config, new))
    return grown
