"""Residual networks as plain ones: the same function without any addition or shortcut.

A convolution can hand channels on unchanged, by a kernel that is one at its centre (a Dirac
kernel): they pass a ReLU if they are not negative. So the block's input is carried through the
block's convolutions, and the last of them adds what the shortcut would have added. Signed inputs,
of pre-activation blocks, are carried as ``relu(y)`` and ``relu(-y)``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from keras_resnets.errors import InputError
from keras_resnets.layers.geometry import PRE_ORDERS, folding_convolution
from keras_resnets.models.chain_config import ChainConfig, ChainSpec
from keras_resnets.models.config import NetworkConfig
from keras_resnets.models.network import Network
from keras_resnets.models.resnet_config import BlockSpec, ResNetConfig
from keras_resnets.surgery.layout import Link, block_links, joins, reducing
from keras_resnets.surgery.networks import (
    Weights,
    affine,
    check_network,
    compared,
    effective_kernel,
    rebuilt,
    weights_of,
)

__all__ = ["branch_gain", "chain_weights", "check_affine", "to_plain"]

_MOST_SHIFT = 16.0
"""Largest shift of a carried channel, in standard deviations of the channel.

``x = (y - shift) / scale`` loses the digits that the shift takes; where it is larger, or the scale
zero, x is carried itself."""


def to_plain(model: Network, print_fn: Callable[[str], None] | None = print) -> Network:
    """Return an identical network without additions and shortcuts.

    Convolutions, ReLUs, pooling and a dense layer alone, normalisation folded (the stem keeps its
    own; see `fold_batch_norm`). A basic block costs about twice as much as before, a bottleneck
    five times (its 3x3 convolution grouped); ``docs/surgery.md`` says when that pays.

    Args:
        model: A residual network of any block, activation order and shortcut; it is not changed.
        print_fn: Called with a line on the cost before and after; None for silence.

    Returns:
        A network of family ``chain``, ``config.origin`` holding the configuration it came from;
        `to_residual` takes it back. The same function in inference.

    Raises:
        InputError: The model is none of ours, no residual network, or has squeeze-and-excitation,
            gates or group normalisation, which no plain network computes.

    Example:
        >>> plain = to_plain(model)
        parameters 269,722 -> 502,042 (1.86x), multiply-adds 40,551,040 -> 77,120,128 (1.90x)

    Reference:
        Meng 2021, arXiv:2111.00687.
    """
    config = check_network(model, ResNetConfig, why="its blocks become plain convolutions")
    check_affine(model.name, config)
    chain = _Chain(config, weights_of(model)).run()
    new = _chain_config(config, chain.specs)
    if print_fn is not None:
        print_fn(compared(config, new))
    return rebuilt(model, new, chain.weights)


def check_affine(name: str, config: ResNetConfig) -> None:
    """Raise `InputError` for a network whose blocks are no convolutions and ReLUs at inference."""
    if config.activation != "relu":
        raise InputError(
            "`model` must have ReLUs, which hand on what is not negative. Received: model "
            f"{name!r} with activation={config.activation!r}"
        )
    for holds, what in (
        (config.attention is not None, "squeeze-and-excitation (attention='se')"),
        (config.shortcut_gate is not None, f"gates (shortcut_gate={config.shortcut_gate!r})"),
        (config.normalization != "batch", f"{config.normalization} normalisation"),
    ):
        if holds:
            raise InputError(
                f"`model` must be made of convolutions, batch normalisation and ReLUs. Received: "
                f"model {name!r} with {what}, whose factors depend on the image"
            )


def chain_weights(config: ResNetConfig, weights: Weights) -> Weights:
    """Return the weights of the chain that a network of these weights becomes."""
    return _Chain(config, weights).run().weights


def branch_gain(config: ResNetConfig, spec: BlockSpec) -> float:
    """Return the factor of a block's branch at inference: its scale and survival probability."""
    return config.branch_scale * (spec.survival if config.survival_mode == "batch" else 1.0)


def _chain_config(config: ResNetConfig, specs: list[ChainSpec]) -> ChainConfig:
    shared = {f.name: getattr(config, f.name) for f in dataclasses.fields(NetworkConfig)}
    shared |= {"dropout": 0.0, "weight_standardization": False, "output_stride": None}
    return ChainConfig(
        **shared,
        convolutions=tuple(specs),
        stem_end=config.stem_activation,
        origin=config,
    )


@dataclass
class _Stream:
    """How the channels F that lie between two convolutions hold the network's stream x.

    Attributes:
        x: Matrix with ``x = F @ x + shift``, or None where only the activated stream is held.
        shift: The shift; zero where a convolution of a branch reads x.
        activated: Matrix with ``relu(norm(x)) = F @ activated``, for blocks that activate.
    """

    x: np.ndarray | None
    shift: np.ndarray
    activated: np.ndarray | None = None


@dataclass
class _Pending:
    """A convolution whose output channels are chosen by what comes next.

    Attributes:
        spec: The convolution, still with the stream's channels.
        kernel: Its kernel.
        bias: Its bias.
    """

    spec: ChainSpec
    kernel: np.ndarray
    bias: np.ndarray


@dataclass
class _Chain:
    """Walks through a network and emits plain convolutions."""

    config: ResNetConfig
    old: Weights
    specs: list[ChainSpec] = field(default_factory=list)
    weights: Weights = field(default_factory=dict)

    def run(self) -> _Chain:
        """Emit everything; `specs` and `weights` hold it then."""
        config = self.config
        self._stem()
        for spec in config.block_specs():
            stream = self._encoded(spec)
            self._block(spec, stream)
        self._end()
        for name in ("predictions/kernel", "predictions/bias"):
            if name in self.old:
                self.weights[name] = self.old[name]
        return self

    def _stem(self):
        for path, value in self.old.items():
            if path.startswith(("stem_", "normalization/")):
                self.weights[path] = value
        for path in [p for p in self.weights if p.startswith("stem_conv") and "kernel" in p]:
            name = path.removesuffix("/kernel")
            self.weights[path] = effective_kernel(self.old, name, self.config)
        width = self.config.stem_width
        self.nonnegative = self.config.stem_activation == "norm_relu"
        self.stream = _Stream(np.eye(width), np.zeros(width)) if self.nonnegative else None
        spec = ChainSpec("stem_signs", 1, width)
        self.pending = _Pending(spec, np.eye(width)[None, None], np.zeros(width))

    # What a block reads.

    def _encoded(self, spec: BlockSpec) -> _Stream:
        """Emit what is pending in the form that a block reads."""
        if self.config.activation_order not in PRE_ORDERS or spec.preactivation == "none":
            return self.stream or self._emit_stream()
        scale, shift, spread = self._activation(f"{spec.name}/bn1")
        if spec.preactivation == "shared" or spec.shortcut == "none":
            return self._emit_activated(scale, shift)
        return self._emit_both(scale, shift, spread)

    def _activation(self, norm: str):
        """Return scale and shift in front of a block's first ReLU, and the channels' spread."""
        width = self.pending.kernel.shape[-1]
        if self.config.activation_order == "relu_only":
            return np.ones(width), np.zeros(width), np.ones(width)
        spread = np.sqrt(self.old[f"{norm}/moving_variance"] + self.config.bn_epsilon)
        return *affine(self.old, norm, self.config.bn_epsilon), spread

    def _emit_stream(self) -> _Stream:
        eye = np.eye(self.pending.kernel.shape[-1])
        zero = np.zeros(len(eye))
        if self.nonnegative:
            self._emit(eye, zero)
            return _Stream(eye, zero)
        self._emit(np.hstack([eye, -eye]), np.zeros(2 * len(eye)))
        return _Stream(np.vstack([eye, -eye]), zero)

    def _emit_activated(self, scale, shift) -> _Stream:
        self._emit(np.diag(scale), shift)
        return _Stream(None, np.zeros(len(scale)), np.eye(len(scale)))

    def _emit_both(self, scale, shift, spread) -> _Stream:
        """Carry ``relu(y)`` and ``relu(-y)``, where ``y = scale * x + shift``.

        Where x cannot be found from y again, ``relu(x)`` and ``relu(-x)`` besides ``relu(y)``.
        """
        width = len(scale)
        good = (scale != 0) & (np.abs(shift) <= _MOST_SHIFT * np.abs(scale) * spread)
        eye, forth = np.eye(width), np.diag(scale)
        emitted = np.hstack([forth, -forth[:, good], eye[:, ~good], -eye[:, ~good]])
        unshifted = np.zeros(2 * np.count_nonzero(~good))
        self._emit(emitted, np.concatenate([shift, -shift[good], unshifted]))
        inverse = np.where(good, 1 / np.where(good, scale, 1.0), 0.0)
        back = np.diag(inverse)
        x = np.vstack([back, -back[good], eye[~good], -eye[~good]])
        activated = np.eye(emitted.shape[1], width)
        return _Stream(x, -shift * inverse, activated)

    def _emit(self, matrix, shift, relu=True):
        """Emit the pending convolution, its channels combined by a matrix."""
        spec = self.pending.spec._replace(filters=matrix.shape[1], relu=relu)
        self._append(spec, self.pending.kernel @ matrix, self.pending.bias @ matrix + shift)

    def _append(self, spec: ChainSpec, kernel, bias):
        self.specs.append(spec)
        self.weights[f"{spec.name}/kernel"] = kernel
        self.weights[f"{spec.name}/bias"] = bias

    # One block.

    def _block(self, spec: BlockSpec, stream: _Stream):
        """Emit a block's convolutions but the last, which becomes the pending one."""
        config = self.config
        reads = stream.x if stream.activated is None else stream.activated
        through, constant, carried = self._shortcut(spec, stream)
        links = block_links(config, spec, len(reads), len(carried))
        reduction, joined = reducing(config, spec), joins(config, spec)
        gain = branch_gain(config, spec)
        for i, link in enumerate(links):
            kernel, bias = self._branch(spec, i)
            places = np.arange(len(carried)) if i else carried
            if i == 0:
                kernel = np.einsum("fc,hwco->hwfo", reads, kernel)
            kernel = _carrying(kernel, link, places, first=i == 0)
            bias = np.concatenate([np.zeros(link.carried_out), bias])
            row = ChainSpec(f"{spec.name}_conv{i + 1}", *_fields(link))
            if i == len(links) - 1 and not joined:
                kernel, bias = kernel * gain, bias * gain + constant
                center = kernel.shape[0] // 2
                kernel[center, center, places] += through[carried]
                self.pending = _Pending(row, kernel, bias)
                break
            if reduction is not None and reduction.behind == i:
                row = row._replace(reduction=reduction.parts(link.carried_out, link.branch.filters))
            last = i == len(links) - 1
            relu = not last or config.activation_order == "relu_before_addition"
            self._append(row._replace(relu=relu), kernel, bias)
        if joined:
            matrix = np.vstack([through[carried], gain * np.eye(spec.out_width)])
            row = ChainSpec(f"{spec.name}_join", 1, spec.out_width)
            self.pending = _Pending(row, matrix[None, None], constant)
        self._finish(spec)

    def _finish(self, spec: BlockSpec):
        """Apply what follows the addition but the ReLU."""
        order = self.config.activation_order
        if order == "bn_after_addition":
            count = len(self.config.branch(spec))
            scale, shift = affine(self.old, f"{spec.name}/bn{count}", self.config.bn_epsilon)
            pending = self.pending
            pending.kernel, pending.bias = pending.kernel * scale, pending.bias * scale + shift
        if order == "relu_before_addition":
            self.nonnegative &= not spec.shortcut.endswith("projection")
        else:
            self.nonnegative = True  # by the ReLU that `_emit` adds
        self.stream = None

    def _shortcut(self, spec: BlockSpec, stream: _Stream):
        """Return matrix and constant of what the shortcut puts out, and the channels it needs."""
        config = self.config
        if spec.shortcut == "none":
            reads = stream.x if stream.activated is None else stream.activated
            nothing = np.zeros(0, int)
            return np.zeros((len(reads), spec.out_width)), np.zeros(spec.out_width), nothing
        through = stream.activated if spec.preactivation == "shared" else stream.x
        constant, carried = stream.shift, np.flatnonzero(np.any(through != 0, axis=1))
        if spec.shortcut.endswith("projection"):
            path = f"{spec.name}/shortcut"
            kernel = effective_kernel(self.old, f"{path}/conv", config)[0, 0]
            bias = self.old.get(f"{path}/conv/bias", np.zeros(spec.out_width))
            if f"{path}/bn/gamma" in self.old:
                scale, bias = affine(self.old, f"{path}/bn", config.bn_epsilon)
                kernel = kernel * scale
            through, constant = through @ kernel, constant @ kernel + bias
        new = spec.out_width - through.shape[1]
        through, constant = np.pad(through, ((0, 0), (0, new))), np.pad(constant, (0, new))
        scale = config.shortcut_scale
        return through * scale, constant * scale, carried

    def _branch(self, spec: BlockSpec, i: int):
        """Return kernel and bias of a branch's convolution, with the normalisation behind it."""
        config, count = self.config, len(config_branch := self.config.branch(spec))
        path = f"{spec.name}/conv{i + 1}"
        kernel = effective_kernel(self.old, path, config)
        bias = self.old.get(f"{path}/bias", np.zeros(config_branch[i].filters))
        for number in range(count):
            norm = f"{spec.name}/bn{number + 1}"
            behind = folding_convolution(config.activation_order, number, count) == i
            if behind and f"{norm}/gamma" in self.old:
                scale, bias = affine(self.old, norm, config.bn_epsilon)
                kernel = kernel * scale
        return kernel, bias

    # Behind the last block.

    def _end(self):
        order = self.config.activation_order
        if order in PRE_ORDERS:
            scale, shift, _ = self._activation("final_bn")
            self._emit(np.diag(scale), shift)
        else:
            eye = np.eye(self.pending.kernel.shape[-1])
            self._emit(eye, np.zeros(len(eye)), relu=self.nonnegative)


def _fields(link: Link):
    """Return the fields of a `ChainSpec` between its name and its ReLU."""
    conv = link.conv
    return conv.kernel_size, conv.filters, conv.strides, conv.dilation, conv.groups


def _carrying(kernel, link: Link, places, first: bool):
    """Return a branch's kernel with the carried channels beside it.

    Args:
        kernel: The branch's; over all channels that come in where `first`.
        link: The convolution.
        places: Where the carried channels come in; they go out in front of the branch's.
        first: Whether the convolution is the block's first one.
    """
    size, out = kernel.shape[0], link.carried_out
    if first:
        depth, rows = kernel.shape[2], slice(None)
    elif link.conv.groups > 1:
        depth, rows = kernel.shape[2], slice(None)
        places = places % depth
    else:
        kernel = _dense(kernel, link.branch.groups)
        depth, rows = link.carried_in + kernel.shape[2], slice(link.carried_in, None)
    whole = np.zeros((size, size, depth, link.conv.filters))
    whole[:, :, rows, out:] = kernel
    if out:
        whole[size // 2, size // 2, places, np.arange(len(places))] = 1.0
    return whole


def _dense(kernel, groups: int):
    """Return the kernel of a grouped convolution as one without groups."""
    if groups == 1:
        return kernel
    size, _, depth, filters = kernel.shape
    whole = np.zeros((size, size, depth * groups, filters))
    per_group = filters // groups
    for g in range(groups):
        columns = slice(g * per_group, (g + 1) * per_group)
        whole[:, :, g * depth : (g + 1) * depth, columns] = kernel[..., columns]
    return whole
