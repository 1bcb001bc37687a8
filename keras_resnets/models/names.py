"""Names as people write them: other spellings of ours, and other libraries' names.

Pure Python. A spelling is understood where it can mean one network alone. A name that is another
network elsewhere builds nothing: it is answered with the name here and the difference.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from keras_resnets.models.constructor_table import TABLE

__all__ = ["Peer", "bare", "peers", "spellings", "suffixed"]

_CONSTRUCTORS = {row[0]: row[1] for row in TABLE}

_REWRITES = (
    (r"pre_?act(?:ivation)?_?resnet", "preact_resnet"),
    (r"stochastic_?depth_?resnet", "stochastic_depth_resnet"),
    (r"wide_?resnet", "wide_resnet"),
    (r"se_?(resnet|resnext)", r"se_\1"),
    (r"resnet_?rs_?(?=[0-9])", "resnet_rs"),
    (r"plain_?(?:net)?_?(?=[0-9])", "plain"),
    (r"dense_?net_?(?=[0-9]+$)", "densenet"),
    (r"dense_?net_?(bc|b|c)_?([0-9]+)_k?([0-9]+)(_cifar)?$", r"densenet_\1_\2_\3_cifar"),
    (r"bit_?r(?:esnet_?)?([0-9]+x[0-9]+)$", r"resnetv2_\1_bit"),
    (r"((?:[a-z]+_)*(?:resnet|resnext|wrn))_(?=[0-9])", r"\1"),
    (r"(resnet[0-9]+)_?v_?1_?5$", r"\1_v1_5"),
    (r"(resnet[0-9]+)_?v_?1$", r"\1"),
    # keras-hub's and PaddlePaddle's "vd" is He 2018's ResNet-D.
    (r"resnet_?vd_?([0-9]+)$", r"resnet\1d"),
    (r"resnet([0-9]+)_?vd$", r"resnet\1d"),
)
"""From the beginning of a name in lower case, words parted by underscores, to the catalog's."""


class Peer(NamedTuple):
    """Another library's network that is not the one of that name here.

    Attributes:
        meant: The nearest name here.
        why: What differs, in a sentence.
    """

    meant: str
    why: str


_NO_WEIGHTS = "No weights are downloaded."
_PEERS = (
    (
        r"(?:timm|microsoft|(?:torch)?vision)/resnet_?(50|101|152)",
        "resnet{}_v1_5",
        "There resnet has the stride in the 3x3 convolution; the paper's network is "
        f"'resnet{{}}'. {_NO_WEIGHTS}",
    ),
    (
        r"(?:\w+/)?bit_?([0-9]+)",
        "resnetv2_{}x1_bit",
        f"BiT's own pooling pads with zeros. {_NO_WEIGHTS}",
    ),
    (
        r"(?:bit[_/])?[sm]_?r(?:esnet_?)?([0-9]+x[0-9]+)(?:[_/]\w+)?",
        "resnetv2_{}_bit",
        f"BiT's own pooling pads with zeros. {_NO_WEIGHTS}",
    ),
    (
        r"resnet_?([0-9]+)_?v2(?:_imagenet)?",
        "preact_resnet{}",
        "Another network: ResNetV2 in keras.applications has the stride in a stage's last block, "
        "the paper's network in its first.",
    ),
    (
        r"resnet_?v2_?([0-9]+)[dt]?(?:_\w+)?",
        "preact_resnet{}",
        "Another network: resnetv2 in timm activates the input of the first block once more, in "
        "keras-hub has the stride in a stage's last block.",
    ),
    (
        r"resnet_?v2_?([0-9]+x[0-9]+)_?bitm?(?:_\w+)?",
        "resnetv2_{}_bit",
        f"BiT's own pooling pads with zeros. {_NO_WEIGHTS}",
    ),
    (
        r"seresnet(18|34)(?:_\w+)?",
        "se_resnet{}",
        "Another network: timm's rounds the width of the squeeze to a multiple of 8.",
    ),
    (
        r"seresnet([0-9]+)(?:_\w+)?",
        "se_resnet{}",
        "Another network: timm's has the stride in the 3x3 convolution, as "
        "bottleneck_stride='3x3' has it here; the paper's in the first 1x1.",
    ),
    (
        r"resnet_?blur([0-9]+)(?:_\w+)?",
        "resnet{}_blur",
        "Another network: timm's reflects the border and does not blur the shortcut.",
    ),
    (
        r"resnet10t(?:_\w+)?",
        "resnet18d",
        "timm's resnet10t is resnet18d with stem='tiered', blocks=(1, 1, 1, 1).",
    ),
    (
        r"resnet14t(?:_\w+)?",
        "resnet26t",
        "timm's resnet14t is resnet26t with blocks=(1, 1, 1, 1).",
    ),
    (
        r"(?:tv_)?resnet(50|101|152)_(?:\w+_)?in[0-9]+k\w*",
        "resnet{}_v1_5",
        f"timm's resnet has the stride in the 3x3 convolution. {_NO_WEIGHTS}",
    ),
    (
        r"tv_resnet(50|101|152)",
        "resnet{}_v1_5",
        f"torchvision's resnet has the stride in the 3x3 convolution. {_NO_WEIGHTS}",
    ),
    (r"resnext_?(50|101)", "resnext{}_32x4d", "A ResNeXt's name says its groups and their width."),
    (
        r"se_?resnext_?(50|101)",
        "se_resnext{}_32x4d",
        "A ResNeXt's name says its groups and their width.",
    ),
    (
        r"densenet_?([0-9]+)_k?([0-9]+)",
        "densenet_{}_{}_cifar",
        "Or 'densenet_bc_{}_{}_cifar', with bottlenecks and compression.",
    ),
    (r"(\w+?)_(?:imagenet|in1k)(?:_\w+)?", "{}", _NO_WEIGHTS),
    (r"cifar(?:100?)?_(\w+)", "{}_cifar", "`classes` says how many classes."),
    (r"(\w+)_cifar100?", "{}_cifar", "`classes` says how many classes."),
)
"""Names of other libraries, in the form of `_plain`; what is meant here, and why it is not it."""


def peers(name: str) -> list[Peer]:
    """Return the networks here that another library's name can come nearest to, the best first.

    Whose network it is may stand in front (``"timm/"``), and which weights behind
    (``".a1_in1k"``). Whether the networks exist is not looked at.

    Example:
        >>> peers("ResNet50V2")[0].meant
        'preact_resnet50'
        >>> peers("timm/resnet18.a1_in1k")[-1].meant
        'resnet18'
    """
    parts = _parts(name)
    untagged = bare(name)
    found = [_peer(known) for known in dict.fromkeys(("/".join(parts[-2:]), parts[-1], untagged))]
    if untagged != name.strip():
        found += [Peer(meant, _NO_WEIGHTS) for meant in spellings(untagged)]
    return [one for one in found if one is not None]


def bare(name: str) -> str:
    """Return a network's name without whose it is, and without a tag behind a dot.

    Example:
        >>> bare("timm/resnet18.a1_in1k")
        'resnet18'
    """
    return re.sub(r"\.[A-Za-z]\w*$", "", _parts(name)[-1])


def _parts(name: str) -> list[str]:
    return [part for part in re.split("[/:]+", name.strip()) if part] or [""]


def _peer(name: str) -> Peer | None:
    plain = _plain(name)
    for regex, meant, why in _PEERS:
        # Our own spelling of SE-ResNet-50 is not timm's.
        if regex.startswith("seresnet") and name != name.lower():
            continue
        match = re.fullmatch(regex, plain)
        if match:
            return Peer(spellings(meant.format(*match.groups()))[0], why.format(*match.groups()))
    return None


def spellings(name: str) -> list[str]:
    """Return what a name can mean in the catalog's spelling; whether it exists is not looked at.

    Example:
        >>> spellings("Wide-ResNet-28-10")
        ['wide_resnet28_10', 'wrn28_10_cifar']
    """
    if name in _CONSTRUCTORS:
        return [_CONSTRUCTORS[name]]
    plain = _plain(name)
    for regex, replacement in _REWRITES:
        plain = re.sub(f"^{regex}", replacement, plain)
    found = [plain]
    wide = re.fullmatch(r"(?:wide_resnet|wrn)([0-9]+)_([0-9]+)", plain)
    if wide:  # WRN-d-k is a CIFAR network or an ImageNet one, as the depth says
        found = ["wide_resnet{}_{}".format(*wide.groups()), "wrn{}_{}_cifar".format(*wide.groups())]
    if re.fullmatch(r"resnext[0-9]+_[0-9]+x[0-9]+d", plain):
        found.append(f"{plain}_cifar")
    lettered = re.fullmatch(r"(resnet[0-9]+)_([cdt])", plain)
    if lettered:  # shortcut C of a ResNet, or He 2018's ResNet-C
        found.append("".join(lettered.groups()))
    return found


def suffixed(name: str) -> str:
    """Return the name of the CIFAR network that a name without ``_cifar`` may mean."""
    return f"{spellings(name)[0]}_cifar"


def _plain(name: str) -> str:
    """Return a name in lower case, its words parted by single underscores."""
    words = re.sub(r"[\s\-.,_]+", "_", name.strip().lower())
    return words.strip("_")
