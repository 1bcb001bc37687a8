"""The papers' networks by name, each a configuration; names of any legal depth resolve.

Pure Python, like the configurations.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable
from dataclasses import dataclass

from keras_resnets.errors import ConfigError, nearest
from keras_resnets.models.config import ResNetConfig

__all__ = ["list_models", "model_config"]

_CIFAR_WIDTHS = (16, 32, 64)


def _blocks_per_stage(depth: int, per_block: int, offset: int, what: str) -> int:
    """Return n of a depth that is ``3 * per_block * n + offset`` (three stages)."""
    step = 3 * per_block
    blocks, rest = divmod(depth - offset, step)
    if rest or blocks < 1:
        below = step * max(blocks, 1) + offset
        legal = ", ".join(str(step * n + offset) for n in (1, 2, 3, 4))
        raise ConfigError(
            f"depth of a {what} must be {step}n+{offset} ({legal}, ...). Received: depth={depth}; "
            f"nearest legal: {below if blocks < 1 else f'{below}, {below + step}'}"
        )
    return blocks


def _cifar(depth: int, per_block: int, what: str, **fields) -> ResNetConfig:
    blocks = _blocks_per_stage(depth, per_block, 2, what)
    return ResNetConfig(
        blocks=(blocks,) * 3,
        block="basic" if per_block == 2 else "bottleneck",
        **{"widths": _CIFAR_WIDTHS, **fields},
    )


def _resnet(depth: int, kind: str | None, **fields) -> ResNetConfig:
    """Basic blocks, 6n+2, or bottlenecks, 9n+2.

    A depth that is both takes the papers' choice: bottlenecks from 164 layers on. Basic blocks
    have the parameter-free shortcut A, bottlenecks projections (their first unit widens 16 to 64).
    """
    if kind is None:
        legal = [kind for kind, step in (("basic", 6), ("bottleneck", 9)) if depth % step == 2]
        if not legal or depth < 8:
            near = sorted({n for n in range(8, depth + 10) if 2 in (n % 6, n % 9)})
            near = [n for n in near if abs(n - depth) <= 6] or near[:1]
            raise ConfigError(
                "depth of a CIFAR ResNet must be 6n+2 (basic blocks: 8, 14, 20, 26, ...) or 9n+2 "
                f"(bottlenecks: 11, 20, 29, ...). Received: depth={depth}; nearest legal: "
                f"{', '.join(map(str, near))}"
            )
        kind = legal[-1] if depth >= 164 else legal[0]
    per_block, shortcut = (2, "A") if kind == "basic" else (3, "B")
    what = f"CIFAR ResNet of {kind} blocks"
    return _cifar(depth, per_block, what, shortcut=shortcut, **fields)


def _pre(depth: int, kind: str | None) -> ResNetConfig:
    return _resnet(depth, kind, activation_order="pre")


def _plain(depth: int) -> ResNetConfig:
    return _cifar(depth, 2, "CIFAR plain net", shortcut="none")


def _wide(depth: int, factor: int) -> ResNetConfig:
    if factor < 1:
        raise ConfigError(f"width of a WRN must be at least 1. Received: width={factor}")
    blocks = _blocks_per_stage(depth, 2, 4, "WRN")
    return ResNetConfig(
        blocks=(blocks,) * 3,
        widths=tuple(factor * width for width in _CIFAR_WIDTHS),
        activation_order="pre",
        shortcut="B",
    )


def _stochastic(depth: int) -> ResNetConfig:
    return _cifar(depth, 2, "CIFAR stochastic-depth ResNet", shortcut="A_pool", final_survival=0.5)


@dataclass(frozen=True)
class _Pattern:
    """Names of one family: how to read them, and the papers' depths."""

    regex: str
    make: Callable[..., ResNetConfig]
    names: tuple[str, ...]


_KIND = r"(?:_(?P<kind>basic|bottleneck))?"
_PATTERNS = (
    _Pattern(
        r"plain(?P<depth>\d+)_cifar",
        _plain,
        tuple(f"plain{d}_cifar" for d in (20, 32, 44, 56, 110)),
    ),
    _Pattern(
        rf"resnet(?P<depth>\d+){_KIND}_cifar",
        _resnet,
        tuple(f"resnet{d}_cifar" for d in (20, 32, 44, 56, 110, 164, 1202)),
    ),
    _Pattern(
        rf"preact_resnet(?P<depth>\d+){_KIND}_cifar",
        _pre,
        tuple(f"preact_resnet{d}_cifar" for d in (20, 56, 110, 164, 1001)),
    ),
    _Pattern(
        r"wrn(?P<depth>\d+)_(?P<factor>\d+)_cifar",
        _wide,
        tuple(
            f"wrn{d}_{k}_cifar"
            for d, k in ((16, 4), (16, 8), (22, 8), (28, 10), (40, 2), (40, 4), (40, 10))
        ),
    ),
    _Pattern(
        r"stochastic_depth_resnet(?P<depth>\d+)_cifar",
        _stochastic,
        ("stochastic_depth_resnet110_cifar", "stochastic_depth_resnet1202_cifar"),
    ),
)


def _natural(name: str) -> list:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def list_models(pattern: str = "*") -> list[str]:
    """Return the names of the papers' networks in natural order.

    Any other legal depth or width resolves too, ``resnet38_cifar`` or ``wrn52_1_cifar``.

    Args:
        pattern: Shell-style wildcards, ``"*wrn*"``.

    Example:
        >>> list_models("plain*")[:2]
        ['plain20_cifar', 'plain32_cifar']
    """
    names = [name for family in _PATTERNS for name in family.names]
    return sorted(fnmatch.filter(names, pattern), key=_natural)


def model_config(name: str, **overrides) -> ResNetConfig:
    """Return the configuration of a named network.

    Args:
        name: A name of `list_models`, or one like it with another legal depth or width.
        **overrides: Fields of the configuration to change, ``classes=100``.

    Raises:
        ConfigError: No family has such a name (the nearest names are given), its depth or width is
            not legal (the nearest legal ones are given), or an override is wrong.

    Example:
        >>> model_config("wrn28_10_cifar").widths
        (160, 320, 640)
    """
    if not isinstance(name, str):
        raise ConfigError(f"`name` must be a model's name. Received: name={name!r}")
    for family in _PATTERNS:
        match = re.fullmatch(family.regex, name)
        if match:
            words = match.groupdict()
            config = family.make(
                **{k: int(v) if v and v.isdigit() else v for k, v in words.items()}
            )
            return config.replace(**overrides) if overrides else config
    hint = nearest(name, list_models()) or "; `keras-resnets list` shows the names"
    raise ConfigError(f"no model is named {name!r}{hint}")
