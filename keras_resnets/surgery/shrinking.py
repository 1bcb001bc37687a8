"""Networks made narrower and shallower: no longer the same function."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from keras_resnets.errors import InputError, nearest
from keras_resnets.models.checks import check_choice
from keras_resnets.models.config import NetworkConfig
from keras_resnets.models.families import DenseNetConfig, ResNetConfig
from keras_resnets.models.network import Network
from keras_resnets.surgery.channels import Walk, moved, received
from keras_resnets.surgery.growth import target
from keras_resnets.surgery.networks import assign, check_network, compared, rebuilt, weights_of
from keras_resnets.surgery.survival import scale_branch

__all__ = ["CRITERIA", "drop_blocks", "narrow"]

CRITERIA = ("l1", "scale", "random")
"""How channels to keep are chosen: by the sum of the absolute weights that write them (Li 2017,
arXiv:1608.08710), by the absolute scales of their normalisations (Liu 2017, arXiv:1708.06519), or
at random. Of a residual stream, the sums over all its layers count."""

_WIDTHS = ("widths", "stem_width", "inner_width_factor", "growth_rate", "se_ratio")


def narrow(
    model: Network,
    to: NetworkConfig | str,
    *,
    criterion: str = "l1",
    seed: int = 0,
    print_fn: Callable[[str], None] | None = print,
) -> Network:
    """Return a narrower network, made of some of a network's channels.

    Not the same function: train it on, or `recalibrate_batch_norm` at least. Layers that share a
    residual stream keep the same channels of it.

    Args:
        model: The network; it is not changed.
        to: The configuration to reach, as for `widen`.
        criterion: One of `CRITERIA`.
        seed: Of the choice at random.
        print_fn: Called with a line on the cost before and after; None for silence.

    Returns:
        The narrower network.

    Raises:
        InputError: The model is none of ours, the criterion unknown, or the target differs in
            anything but widths, is wider somewhere, or needs another kind of shortcut.

    Example:
        >>> smaller = narrow(model, model.config.replace(stem_width=8, widths=(8, 16, 32)))
        parameters 269,722 -> 68,050 (0.25x), multiply-adds 40,551,040 -> 10,248,512 (0.25x)
    """
    config = check_network(model, ResNetConfig, DenseNetConfig, why="its widths are the stages'")
    check_choice("criterion", criterion, CRITERIA)
    new = target(config, to, _WIDTHS)
    weights = weights_of(model)
    keep = _Keep(_scores(config, weights, criterion, seed))
    moves = Walk(config, new, keep).run()
    narrower = rebuilt(model, new, {})
    assign(narrower, moved(moves, weights, weights_of(narrower)))
    if print_fn is not None:
        print_fn(compared(config, new))
    return narrower


class _Keep:
    """Chooses the channels with the highest scores."""

    def __init__(self, scores):
        self.scores = scores

    def __call__(self, space, old, new, groups):
        if new > old:
            raise InputError(
                "`to` must be at most as wide as the model everywhere. " + received(space, old, new)
            )
        scores = self.scores[space].reshape(groups, -1)
        # The same places of every group, whose kernels they share.
        best = np.argsort(-scores.sum(0), kind="stable")[: new // groups]
        return (np.arange(groups)[:, None] * (old // groups) + np.sort(best)).ravel()


def _scores(config, weights, criterion, seed):
    """Return a score for each channel that is free to keep or not, by where it is chosen."""
    ids = _Ids()
    moves = Walk(config, config, ids, append=lambda first, _, second: np.r_[first, second]).run()
    scores = np.zeros(ids.count)
    if criterion == "random":
        scores = np.random.default_rng(seed).permutation(ids.count).astype("float64")
    for path, move in moves.items():
        if path == "predictions":  # writes classes, which are no channels
            continue
        if criterion == "l1" and move.read is not None:
            kernel = np.abs(weights[f"{path}/kernel"])
            np.add.at(scores, move.write, kernel.sum(tuple(range(kernel.ndim - 1))))
        elif criterion == "scale" and move.read is None:
            np.add.at(scores, move.write, np.abs(weights[f"{path}/gamma"]))
    return {space: scores[places] for space, places in ids.spaces.items()}


class _Ids:
    """Gives each channel that is chosen anywhere a number of its own."""

    def __init__(self):
        self.count = 0
        self.spaces: dict[str, np.ndarray] = {}

    def __call__(self, space, old, new, groups):
        self.spaces[space] = np.arange(self.count, self.count + old)
        self.count += old
        return self.spaces[space]


def drop_blocks(
    model: Network,
    blocks: str | Sequence[str],
    *,
    print_fn: Callable[[str], None] | None = print,
) -> Network:
    """Return the network without some of its residual blocks, whose input goes on past them.

    Not the same function: what is lost by a block is what its branch contributed (Veit 2016,
    section 4.1, "lesions").

    Args:
        model: The network; it is not changed.
        blocks: Names of blocks that do not change the shape, ``"stage2_block3"``. Those behind them
            in their stage move up.
        print_fn: Called with a line on the cost before and after; None for silence.

    Returns:
        The shallower network.

    Raises:
        InputError: The model is none of ours; a name is unknown, a block changes the shape, or it
            is the only one of its stage.

    Example:
        >>> shallower = drop_blocks(model, ["stage2_block3", "stage3_block3"])
        parameters 269,722 -> 177,178 (0.66x), multiply-adds 40,551,040 -> 31,113,856 (0.77x)

    Reference:
        Veit 2016, arXiv:1605.06431.
    """
    config = check_network(model, ResNetConfig, why="the other blocks are not residual")
    names = [blocks] if isinstance(blocks, str) else blocks
    if not isinstance(names, list | tuple | set) or not names:
        raise InputError(f"`blocks` must be names of blocks. Received: blocks={blocks!r}")
    specs = {spec.name: spec for spec in config.block_specs()}
    for name in names:
        if name not in specs:
            known = nearest(str(name), specs) or f"; the model has {', '.join(specs)}"
            raise InputError(f"`blocks` must name blocks of the model. Received: {name!r}{known}")
        if specs[name].changes_shape:
            raise InputError(
                "`blocks` must name blocks whose output has the shape of their input. "
                f"Received: {name!r}, which puts out {specs[name].out_width} channels with stride "
                f"{specs[name].strides}, from {specs[name].in_width}"
            )
    counts = list(config.blocks)
    for name in set(names):
        counts[specs[name].stage - 1] -= 1
    if 0 in counts:
        raise InputError(
            "`blocks` must leave one block in every stage. "
            f"Received: all {config.blocks[counts.index(0)]} of stage {counts.index(0) + 1}"
        )
    new = config.replace(blocks=tuple(counts))
    weights = weights_of(model)
    left = [spec for spec in config.block_specs() if spec.name not in names]
    values = {path: v for path, v in weights.items() if path.partition("/")[0] not in specs}
    for before, after in zip(left, new.block_specs(), strict=True):
        if before.shortcut != after.shortcut or before.preactivation != after.preactivation:
            raise InputError(
                "`blocks` must leave every stage's first block, which has another activation or "
                f"shortcut. Received: blocks={names}, behind which {before.name!r} would be first"
            )
        own = {p: v for p, v in weights.items() if p.startswith(f"{before.name}/")}
        if config.survival_mode == "batch" and before.survival != after.survival:
            scale_branch(model, config, before, own, before.survival / after.survival)
        prefix = len(before.name)
        values |= {f"{after.name}{path[prefix:]}": value for path, value in own.items()}
    if print_fn is not None:
        print_fn(compared(config, new))
    return rebuilt(model, new, values)
