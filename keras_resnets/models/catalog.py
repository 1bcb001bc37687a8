"""The papers' networks by name, each a configuration; names of any legal depth resolve.

Pure Python, like the configurations. A family is a pattern of names, a function from the words in
a name to a configuration, and the names that the papers have.
"""

from __future__ import annotations

import fnmatch
import functools
import itertools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from keras_resnets.errors import ConfigError, nearest
from keras_resnets.layers.geometry import KERNELS
from keras_resnets.models.config import NetworkConfig
from keras_resnets.models.densenet_config import DenseNetConfig
from keras_resnets.models.names import bare, peers, spellings, suffixed
from keras_resnets.models.resnet_config import ResNetConfig

__all__ = ["canonical_name", "list_models", "model_config", "natural"]

# How the authors decay and initialise: He 2015 follows arXiv:1502.01852; the Torch code that most
# others built on (fb.resnet.torch) takes the fan-out; Zagoruyko 2016 the fan-in.
_HE_2015 = {"weight_decay": 1e-4, "initializer": "fan_in"}
_TORCH = {"weight_decay": 1e-4, "initializer": "fan_out"}
# Goyal 2017 (section 5.1) and He 2018 (section 3.1) begin branches at zero and spare normalisation
# and biases; so does ResNet-RS.
_SPARING = {**_TORCH, "decay": "kernels", "zero_init_residual": True}
_WRN = {"weight_decay": 5e-4, "initializer": "fan_in"}

_CIFAR_WIDTHS = (16, 32, 64)
_IMAGENET_WIDTHS = (64, 128, 256, 512)

# CIFAR


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


def _resnet(depth: int, kind: str | None, option: str | None = None, **fields) -> ResNetConfig:
    """Basic blocks, 6n+2, or bottlenecks, 9n+2.

    A depth that is both takes the papers' choice: bottlenecks from 164 layers on. Basic blocks
    have the parameter-free shortcut A, bottlenecks projections (their first unit widens 16 to 64).
    """
    if kind is None:
        legal = [kind for kind, step in (("basic", 6), ("bottleneck", 9)) if depth % step == 2]
        if not legal or depth < 8:
            around = range(max(8, depth - 6), depth + 7)
            near = [n for n in around if 2 in (n % 6, n % 9)] or [8]
            raise ConfigError(
                "depth of a CIFAR ResNet must be 6n+2 (basic blocks: 8, 14, 20, 26, ...) or 9n+2 "
                f"(bottlenecks: 11, 20, 29, ...). Received: depth={depth}; nearest legal: "
                f"{', '.join(map(str, near))}"
            )
        kind = legal[-1] if depth >= 164 else legal[0]
    per_block, shortcut = (2, "A") if kind == "basic" else (3, "B")
    shortcut = option.upper() if option else shortcut
    what = f"CIFAR ResNet of {kind} blocks"
    return _cifar(depth, per_block, what, **{**_HE_2015, "shortcut": shortcut, **fields})


def _cifar_pre(depth: int, kind: str | None) -> ResNetConfig:
    return _resnet(depth, kind, activation_order="pre", first_activation="shared", **_TORCH)


def _cifar_plain(depth: int) -> ResNetConfig:
    return _cifar(depth, 2, "CIFAR plain net", shortcut="none", **_HE_2015)


def _cifar_wide(depth: int, factor: int, block: str | None = None) -> ResNetConfig:
    if factor < 1:
        raise ConfigError(f"width of a WRN must be at least 1. Received: width={factor}")
    kind = "basic" if block in (None, "33") else f"B({','.join(str(block))})"
    if kind not in KERNELS:
        legal = ", ".join(f"b{name[2:-1].replace(',', '')}" for name in KERNELS if name[0] == "B")
        raise ConfigError(f"block of a WRN must be one of b33, {legal}. Received: block='b{block}'")
    # The paper counts two convolutions a block, whatever the block (Table 2: B(1,3,1) has "depth
    # 40" and 1.4 M parameters with six blocks a group).
    blocks = _blocks_per_stage(depth, 2, 4, "WRN")
    return ResNetConfig(
        blocks=(blocks,) * 3,
        widths=tuple(factor * width for width in _CIFAR_WIDTHS),
        block=kind,
        activation_order="pre",
        shortcut="B",
        **_WRN,
    )


def _cifar_stochastic(depth: int) -> ResNetConfig:
    what = "CIFAR stochastic-depth ResNet"
    return _cifar(depth, 2, what, shortcut="A_pool", final_survival=0.5, **_TORCH)


def _cifar_resnext(depth: int, cardinality: int, base: int) -> ResNetConfig:
    blocks = _blocks_per_stage(depth, 3, 2, "CIFAR ResNeXt")
    return ResNetConfig(
        blocks=(blocks,) * 3,
        widths=(64, 128, 256),
        stem_width=64,
        block="bottleneck",
        bottleneck_stride="3x3",
        cardinality=cardinality,
        inner_width_factor=cardinality * base / 64,
        **_TORCH | {"weight_decay": 5e-4},
    )


def _cifar_densenet(kind: str | None, depth: int, growth: int) -> DenseNetConfig:
    kind = kind or ""
    bottleneck = "b" in kind
    if growth < 1:
        raise ConfigError(f"growth rate of a DenseNet must be at least 1. Received: {growth}")
    what = "DenseNet with bottlenecks" if bottleneck else "DenseNet"
    layers = _blocks_per_stage(depth, 2 if bottleneck else 1, 4, what)
    return DenseNetConfig(
        blocks=(layers,) * 3,
        growth_rate=growth,
        bottleneck=bottleneck,
        compression=0.5 if "c" in kind else 1.0,
        stem_width=2 * growth if kind == "bc" else 16,
        **_TORCH,
    )


# ImageNet

_IMAGENET = {"input_shape": (224, 224, 3), "classes": 1000, "stem": "imagenet", "stem_width": 64}
_V1_5 = {"bottleneck_stride": "3x3"}

_DEPTHS = {
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    26: ("bottleneck", (2, 2, 2, 2)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
    152: ("bottleneck", (3, 8, 36, 3)),
    200: ("bottleneck", (3, 24, 36, 3)),
}
_RS_DEPTHS = {
    50: ((3, 4, 6, 3), 160),
    101: ((3, 4, 23, 3), 192),
    152: ((3, 8, 36, 3), 256),
    200: ((3, 24, 36, 3), 256),
    270: ((4, 29, 53, 4), 256),
    350: ((4, 36, 72, 4), 256),
    420: ((4, 44, 87, 4), 320),
}
"""Blocks of each stage, and a resolution that the paper reports the network at."""
_DENSE_DEPTHS = {
    121: ((6, 12, 24, 16), 32),
    161: ((6, 12, 36, 24), 48),
    169: ((6, 12, 32, 32), 32),
    201: ((6, 12, 48, 32), 32),
    264: ((6, 12, 64, 48), 32),
}
"""Layers of each block, and growth rate (161: the authors' "wider DenseNet")."""


def _lookup(depth: int, depths: Iterable[int], what: str) -> int:
    if depth not in depths:
        legal = sorted(depths)
        closest = min(legal, key=lambda d: abs(d - depth))
        raise ConfigError(
            f"depth of {what} must be one of {', '.join(map(str, legal))}. "
            f"Received: depth={depth}; nearest legal: {closest}"
        )
    return depth


def _imagenet(depth: int, depths: Iterable[int], what: str, **fields) -> ResNetConfig:
    block, blocks = _DEPTHS[_lookup(depth, depths, what)]
    if block == "basic":
        fields.pop("bottleneck_stride", None)
    return ResNetConfig(
        blocks=blocks, block=block, **{"widths": _IMAGENET_WIDTHS, **_IMAGENET, **fields}
    )


_ALL = tuple(_DEPTHS)
_DEEP = (50, 101, 152, 200)


def _imagenet_resnet(depth: int, option: str | None = None) -> ResNetConfig:
    shortcut = option.upper() if option else "B"
    return _imagenet(depth, _ALL, "a ResNet", shortcut=shortcut, **_HE_2015)


def _imagenet_v1_5(depth: int) -> ResNetConfig:
    return _imagenet(depth, (26, *_DEEP), "a ResNet v1.5", **_V1_5, **_SPARING)


def _imagenet_plain(depth: int) -> ResNetConfig:
    return _imagenet(depth, (18, 34), "a plain net", shortcut="none", **_HE_2015)


def _imagenet_pre(depth: int) -> ResNetConfig:
    fields = {"activation_order": "pre", "first_activation": "stem"}
    return _imagenet(depth, _ALL, "a pre-activation ResNet", **fields, **_V1_5, **_TORCH)


def _imagenet_wide(depth: int, factor: str) -> ResNetConfig:
    value = float(factor.replace("_", "."))
    what = "a wide ResNet"
    if _DEPTHS[_lookup(depth, _ALL, what)][0] == "bottleneck":
        return _imagenet(depth, _ALL, what, inner_width_factor=value, **_V1_5, **_TORCH)
    widths = tuple(value * width for width in _IMAGENET_WIDTHS)
    if value <= 0 or any(width % 1 for width in widths):
        raise ConfigError(
            f"width of {what} must be a positive multiple of 1/64. Received: width={factor}"
        )
    return _imagenet(depth, _ALL, what, widths=tuple(map(int, widths)), **_TORCH)


def _imagenet_resnext(depth: int, cardinality: int, base: int, **fields) -> ResNetConfig:
    fields |= {"cardinality": cardinality, "inner_width_factor": cardinality * base / 64}
    return _imagenet(depth, (26, *_DEEP), "a ResNeXt", **fields, **_V1_5, **_TORCH)


def _se_resnext(depth: int, cardinality: int, base: int) -> ResNetConfig:
    return _imagenet_resnext(depth, cardinality, base, attention="se")


def _se_resnet(depth: int) -> ResNetConfig:
    return _imagenet(depth, _ALL, "an SE-ResNet", attention="se", **_TORCH)


def _imagenet_variant(depth: int, variant: str) -> ResNetConfig:
    fields = {
        "c": {"stem": "deep"},
        "d": {"stem": "deep", "shortcut": "D"},
        "t": {"stem": "tiered", "shortcut": "D"},
    }[variant]
    return _imagenet(depth, _ALL, f"a ResNet-{variant.upper()}", **fields, **_V1_5, **_SPARING)


def _imagenet_blur(depth: int) -> ResNetConfig:
    fields = {"antialias": True, "stem_pool": "blur"}
    return _imagenet(depth, _ALL, "an anti-aliased ResNet", **fields, **_V1_5, **_TORCH)


def _bit(depth: int, factor: int) -> ResNetConfig:
    if factor < 1:
        raise ConfigError(f"width of a BiT ResNet must be at least 1. Received: width={factor}")
    return _imagenet(
        depth,
        _DEEP,
        "a BiT ResNet",
        widths=tuple(factor * width for width in _IMAGENET_WIDTHS),
        activation_order="pre",
        normalization="group",
        weight_standardization=True,
        **_V1_5,
        **{"stem_width": 64 * factor, "weight_decay": 1e-4},
    )


def _rs(depth: int) -> ResNetConfig:
    blocks, size = _RS_DEPTHS[_lookup(depth, _RS_DEPTHS, "a ResNet-RS")]
    imagenet = {"input_shape": (size, size, 3), "stem": "deep", "stem_pool": "conv"}
    return ResNetConfig(
        blocks=blocks,
        widths=_IMAGENET_WIDTHS,
        block="bottleneck",
        shortcut="D",
        attention="se",
        se_ratio=0.25,
        final_survival=0.9 if depth >= 200 else 1.0,
        survival_mode="sample",
        **_V1_5,
        **_IMAGENET | imagenet,
        **_SPARING | {"weight_decay": 4e-5},
    )


def _imagenet_stochastic(depth: int) -> ResNetConfig:
    what = "a stochastic-depth ResNet"
    return _imagenet(depth, _ALL, what, final_survival=0.5, **_V1_5, **_TORCH)


def _imagenet_densenet(depth: int) -> DenseNetConfig:
    blocks, growth = _DENSE_DEPTHS[_lookup(depth, _DENSE_DEPTHS, "a DenseNet")]
    fields = {**_IMAGENET, **_TORCH, "stem_width": 2 * growth}
    return DenseNetConfig(blocks=blocks, growth_rate=growth, **fields)


# Names


@dataclass(frozen=True)
class _Family:
    """Names of one family: how to read them, and the papers'."""

    regex: str
    make: Callable[..., NetworkConfig]
    names: tuple[str, ...]


def _names(template: str, *columns: Iterable) -> tuple[str, ...]:
    return tuple(template.format(*row) for row in itertools.product(*columns))


_KIND = r"(?:_(?P<kind>basic|bottleneck))?"
_OPTION = r"(?:_(?P<option>[abc]))?"
_DEPTH = r"(?P<depth>[0-9]+)"
_GROUPS = r"_(?P<cardinality>[0-9]+)x(?P<base>[0-9]+)d"
_WIDE = (
    *("16_4", "16_8", "16_10", "22_8", "22_10", "28_2", "28_10", "28_12"),
    *("40_1", "40_2", "40_4", "40_8", "40_10"),
    *("22_2_b313", "40_2_b13", "40_2_b31", "40_2_b131", "40_2_b311"),
)
_FAMILIES = (
    _Family(rf"plain{_DEPTH}_cifar", _cifar_plain, _names("plain{}_cifar", (20, 32, 44, 56, 110))),
    _Family(
        rf"resnet{_DEPTH}{_KIND}{_OPTION}_cifar",
        _resnet,
        _names("resnet{}_cifar", (20, 32, 44, 56, 110, 164, 1001, 1202)),
    ),
    _Family(
        rf"preact_resnet{_DEPTH}{_KIND}_cifar",
        _cifar_pre,
        _names("preact_resnet{}_cifar", (20, 56, 110, 164, 1001, 1202)),
    ),
    _Family(
        rf"wrn{_DEPTH}_(?P<factor>[0-9]+)(?:_b(?P<block>[0-9]+))?_cifar",
        _cifar_wide,
        _names("wrn{}_cifar", _WIDE),
    ),
    _Family(
        rf"stochastic_depth_resnet{_DEPTH}_cifar",
        _cifar_stochastic,
        _names("stochastic_depth_resnet{}_cifar", (110, 1202)),
    ),
    _Family(
        rf"resnext{_DEPTH}{_GROUPS}_cifar",
        _cifar_resnext,
        _names("resnext29_{}_cifar", ("8x64d", "16x64d")),
    ),
    _Family(
        rf"densenet(?:_(?P<kind>b|c|bc))?_{_DEPTH}_(?P<growth>[0-9]+)_cifar",
        _cifar_densenet,
        _names("densenet_{}_cifar", ("40_12", "100_12", "100_24"))
        + _names("densenet_bc_{}_cifar", ("100_12", "190_40", "250_24", "40_36", "40_48", "40_60")),
    ),
    _Family(rf"plain{_DEPTH}", _imagenet_plain, _names("plain{}", (18, 34))),
    _Family(
        rf"resnet{_DEPTH}{_OPTION}",
        _imagenet_resnet,
        _names("resnet{}", (18, 34, 50, 101, 152)) + _names("resnet{}_{}", (18, 34), "ac"),
    ),
    _Family(rf"resnet{_DEPTH}_v1_5", _imagenet_v1_5, _names("resnet{}_v1_5", (50, 101, 152))),
    _Family(
        rf"preact_resnet{_DEPTH}",
        _imagenet_pre,
        _names("preact_resnet{}", (18, 34, 50, 101, 152, 200)),
    ),
    _Family(
        rf"wide_resnet{_DEPTH}_(?P<factor>[0-9]+(?:[._][0-9]+)?)",
        _imagenet_wide,
        _names("wide_resnet{}_{}", (18, 34), ("1_5", 2, 3)) + _names("wide_resnet{}_2", (50, 101)),
    ),
    _Family(
        rf"resnext{_DEPTH}{_GROUPS}",
        _imagenet_resnext,
        _names("resnext{}_{}", (50, 101), ("32x4d", "32x8d", "64x4d")),
    ),
    _Family(
        rf"se_resnext{_DEPTH}{_GROUPS}",
        _se_resnext,
        _names("se_resnext{}_{}", (50, 101), ("32x4d", "32x8d", "64x4d")),
    ),
    _Family(rf"se_resnet{_DEPTH}", _se_resnet, _names("se_resnet{}", (18, 34, 50, 101, 152))),
    _Family(
        rf"resnet{_DEPTH}(?P<variant>[cdt])",
        _imagenet_variant,
        _names("resnet{}d", (18, 34)) + _names("resnet{}{}", (50, 101, 152), "cdt"),
    ),
    _Family(
        rf"resnet{_DEPTH}_blur", _imagenet_blur, _names("resnet{}_blur", (18, 34, 50, 101, 152))
    ),
    _Family(
        rf"resnetv2_{_DEPTH}x(?P<factor>[0-9]+)_bit",
        _bit,
        _names("resnetv2_{}_bit", ("50x1", "50x3", "101x1", "101x3", "152x2", "152x4")),
    ),
    _Family(rf"resnet_rs{_DEPTH}", _rs, _names("resnet_rs{}", _RS_DEPTHS)),
    _Family(
        rf"stochastic_depth_resnet{_DEPTH}", _imagenet_stochastic, ("stochastic_depth_resnet152",)
    ),
    _Family(rf"densenet{_DEPTH}", _imagenet_densenet, _names("densenet{}", _DENSE_DEPTHS)),
)


def natural(name: str) -> list:
    """Return a key that sorts numbers in names by value."""
    return [
        (0, int(part), "") if part.isdigit() else (1, 0, part)
        for part in re.findall(r"[0-9]+|[^0-9]+", name)
    ]


@functools.cache
def _listed() -> tuple[str, ...]:
    return tuple(sorted((name for family in _FAMILIES for name in family.names), key=natural))


def list_models(pattern: str = "*") -> list[str]:
    """Return the names of the papers' networks in natural order.

    Any other legal depth or width resolves too, ``resnet38_cifar`` or ``wrn52_1_cifar``.

    Args:
        pattern: Shell-style wildcards, ``"*wrn*"``, in upper or lower case; or one name in any
            spelling that `model_config` understands.

    Raises:
        ConfigError: `pattern` is no string.

    Example:
        >>> list_models("plain*_cifar")[:2]
        ['plain20_cifar', 'plain32_cifar']
    """
    if not isinstance(pattern, str):
        raise ConfigError(f"`pattern` must be a string. Received: pattern={pattern!r}")
    found = fnmatch.filter(_listed(), pattern) or fnmatch.filter(_listed(), pattern.lower())
    if found or set(pattern) & set("*?["):
        return found
    try:
        return [canonical_name(pattern)]
    except ConfigError:
        cifar = suffixed(pattern)
        return [cifar] if cifar in _listed() else []


def model_config(name: str, **overrides) -> NetworkConfig:
    """Return the configuration of a named network.

    Args:
        name: A name of `list_models`, or one like it with another legal depth or width, in any
            spelling that is clear (`canonical_name`).
        **overrides: Fields of the configuration to change, ``classes=100``.

    Raises:
        ConfigError: No family has such a name (the nearest names are given), its depth or width is
            not legal (the nearest legal ones are given), or an override is wrong.

    Example:
        >>> model_config("wrn28_10_cifar").widths
        (160, 320, 640)
    """
    config = _named(canonical_name(name))
    return config.replace(**overrides) if overrides else config


def canonical_name(name: str) -> str:
    """Return the catalog's spelling of a network's name.

    Other spellings are understood where they can mean one network alone (``"ResNet-50"``,
    ``"WRN-28-10"``, ``"seresnext50_32x4d"``). The name of another library's network that is not
    the one here is refused, with the difference.

    Args:
        name: The name.

    Raises:
        ConfigError: As for `model_config`.

    Example:
        >>> canonical_name("WideResNet-28-10")
        'wrn28_10_cifar'
    """
    if not isinstance(name, str):
        raise ConfigError(f"`name` must be a model's name. Received: name={name!r}")
    if _resolves(name):
        return name
    for other in peers(name):
        if not _resolves(other.meant):
            continue
        raise ConfigError(f"no model is named {name!r}; did you mean {other.meant!r}? {other.why}")
    found = [spelling for spelling in spellings(name) if _resolves(spelling)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(f"no model is named {name!r}; it can mean {' or '.join(found)}")
    raise _unknown(name)


def _unknown(name: str) -> ConfigError:
    """Return the error of a name that means no network, with what it may have meant."""
    own = bare(name)
    if _resolves(suffixed(own)):
        return ConfigError(f"no model is named {name!r}; did you mean {suffixed(own)!r}?")
    for spelling in (own, *spellings(own)):
        try:
            _named(spelling)
        except _NoFamily:
            continue
        except ConfigError as error:  # a depth or a width that is not legal
            return error
    hint = nearest(own, _listed()) or "; `keras-resnets list` shows the names"
    return ConfigError(f"no model is named {name!r}{hint}")


def _resolves(name: str) -> bool:
    try:
        _named(name)
    except ConfigError:
        return False
    return True


class _NoFamily(ConfigError):
    """No family has such names."""


@functools.lru_cache(maxsize=512)
def _named(name: str) -> NetworkConfig:
    for family in _FAMILIES:
        match = re.fullmatch(family.regex, name)
        if match:
            words = match.groupdict()
            as_text = ("factor", "block") if family.make is _imagenet_wide else ("block",)
            return family.make(
                **{
                    key: int(word) if word and word.isdigit() and key not in as_text else word
                    for key, word in words.items()
                }
            )
    raise _NoFamily(f"no model is named {name!r}")
