"""What the layers of keras.applications' networks are called here.

Pure Python. The names follow from the depth: ``conv4_block6_out`` is ``stage3_block6``.
"""

from __future__ import annotations

import re

from keras_resnets.errors import InputError
from keras_resnets.models.catalog import model_config
from keras_resnets.models.densenet_config import DenseNetConfig

__all__ = ["KERAS_NETWORKS", "keras_layer_paths", "nearest_path"]

KERAS_NETWORKS = {
    **{f"ResNet{depth}": f"resnet{depth}" for depth in (50, 101, 152)},
    **{f"ResNet{depth}V2": f"preact_resnet{depth}" for depth in (50, 101, 152)},
    **{f"DenseNet{depth}": f"densenet{depth}" for depth in (121, 169, 201)},
}
"""Networks of keras.applications, and ours: the same but for ResNetV2 (stride in a stage's last
block there, in its first here and in the paper)."""

_STEM = {
    "conv1_pad": "stem_conv",
    "conv1_conv": "stem_conv",
    "conv1_bn": "stem_bn",
    "conv1_relu": "stem_relu",
    "pool1_pad": "stem_pool",
    "pool1_pool": "stem_pool",
}
_HEAD = {"avg_pool": "avg_pool", "predictions": "predictions"}
_V1 = {
    **{f"{i}_conv": f"conv{i}" for i in (1, 2, 3)},
    **{f"{i}_bn": f"bn{i}" for i in (1, 2, 3)},
    "0_conv": "shortcut/conv",
    "0_bn": "shortcut/bn",
    # No layers of their own here: what the block computes with them is inside it.
    **dict.fromkeys(("1_relu", "2_relu", "add", "out"), ""),
}
_V2 = {
    "preact_bn": "bn1",
    "1_conv": "conv1",
    "1_bn": "bn2",
    "2_conv": "conv2",
    "2_bn": "bn3",
    "3_conv": "conv3",
    "0_conv": "shortcut/conv",
    **dict.fromkeys(("preact_relu", "1_relu", "2_pad", "2_relu", "out"), ""),
}
_DENSE = {
    "0_bn": "bn1",
    "1_conv": "conv1",
    "1_bn": "bn2",
    "2_conv": "conv2",
    **dict.fromkeys(("0_relu", "1_relu", "concat"), ""),
}
_TRANSITION = {"bn": "bn", "conv": "conv", "relu": "", "pool": ""}
_DENSE_STEM = {"zero_padding2d": "stem_conv", "zero_padding2d_1": "stem_pool", "pool1": "stem_pool"}


def keras_layer_paths(name: str) -> dict[str, str]:
    """Return the path here of each layer of a network of keras.applications.

    Args:
        name: ``"ResNet50"``, ``"ResNet101"``, ``"ResNet152"``, the same with ``V2``,
            ``"DenseNet121"``, ``"DenseNet169"`` or ``"DenseNet201"``.

    Returns:
        Paths for `get_layer` by Keras' names; padding, ReLU and addition layers, which are no
        layers here, have the path of what they are part of. The input layer is left out, whose
        name Keras counts. Of a V2 network some layers have no counterpart (the pooling in the
        shortcut of a stage's last block); they are left out too.

    Raises:
        InputError: keras.applications has no such residual network.

    Example:
        >>> keras_layer_paths("ResNet50")["conv4_block6_out"]
        'stage3_block6'
    """
    if name not in KERAS_NETWORKS:
        raise InputError(
            f"`name` must be one of {', '.join(KERAS_NETWORKS)}. Received: name={name!r}"
        )
    config = model_config(KERAS_NETWORKS[name])
    if isinstance(config, DenseNetConfig):
        return _dense_paths(config.blocks)
    paths = _v2_paths(config.blocks) if name.endswith("V2") else _v1_paths(config.blocks)
    return paths | _HEAD


def nearest_path(name: str, kind: str = "v1") -> str | None:
    """Return the path here of a layer's name in keras.applications' networks, None if it is not.

    Args:
        name: The name.
        kind: Which network it is meant for: ``"v1"``, ``"v2"`` (pre-activation) or ``"dense"``.

    Example:
        >>> nearest_path("conv5_block3_out")
        'stage4_block3'
    """
    stage = re.fullmatch(r"(conv|pool)([2-5])_(?:block([0-9]+)_)?(\w+)", str(name))
    if stage is None:
        final = {"post_bn": "final_bn", "post_relu": "final_relu"}
        final |= {"bn": "final_bn", "relu": "final_relu"} if kind == "dense" else {}
        return (_STEM | _HEAD | final).get(str(name))
    where, number, block, part = stage.groups()
    if where == "pool":
        inside, place = _TRANSITION.get(part), f"transition{int(number) - 1}"
    else:
        inside = {"v1": _V1, "v2": _V2, "dense": _DENSE}[kind].get(part)
        place = f"stage{int(number) - 1}_block{block}"
    return None if inside is None else _join(place, inside)


def _v1_paths(blocks):
    return _STEM | {
        f"conv{stage + 1}_block{block}_{part}": _join(f"stage{stage}_block{block}", inside)
        for stage, count in enumerate(blocks, start=1)
        for block in range(1, count + 1)
        for part, inside in _V1.items()
        if block == 1 or not part.startswith("0_")
    }


def _v2_paths(blocks):
    # The stem has no normalisation there: the first block's does its work.
    stem = {name: path for name, path in _STEM.items() if name not in ("conv1_bn", "conv1_relu")}
    paths = {
        f"conv{stage + 1}_block{block}_{part}": _join(f"stage{stage}_block{block}", inside)
        for stage, count in enumerate(blocks, start=1)
        for block in range(1, count + 1)
        for part, inside in _V2.items()
        if block == 1 or part != "0_conv"
    }
    first = {"conv2_block1_preact_bn": "stem_bn", "conv2_block1_preact_relu": "stem_relu"}
    return stem | paths | first | {"post_bn": "final_bn", "post_relu": "final_relu"}


def _dense_paths(blocks):
    paths = _DENSE_STEM | {name: _STEM[name] for name in ("conv1_conv", "conv1_bn", "conv1_relu")}
    for stage, count in enumerate(blocks, start=1):
        paths |= {
            f"conv{stage + 1}_block{block}_{part}": _join(f"stage{stage}_block{block}", inside)
            for block in range(1, count + 1)
            for part, inside in _DENSE.items()
        }
        if stage < len(blocks):
            paths |= {
                f"pool{stage + 1}_{part}": _join(f"transition{stage}", inside)
                for part, inside in _TRANSITION.items()
            }
    return paths | {"bn": "final_bn", "relu": "final_relu"} | _HEAD


def _join(block, inside):
    return f"{block}/{inside}" if inside else block
