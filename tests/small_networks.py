"""Small networks of every family: the listed ones with fewer blocks and channels."""

import dataclasses

import keras
import pytest
from tiers import matrix

import keras_resnets as kr
from keras_resnets.models.densenet_config import DenseNetConfig

FAMILIES = (
    "plain20_cifar",
    "resnet20_cifar",
    "resnet20_b_cifar",
    "resnet20_c_cifar",
    "resnet164_cifar",
    "preact_resnet20_cifar",
    "preact_resnet164_cifar",
    "wrn16_4_cifar",
    "wrn40_2_b131_cifar",
    "stochastic_depth_resnet110_cifar",
    "resnext29_8x64d_cifar",
    "densenet_40_12_cifar",
    "densenet_bc_100_12_cifar",
    "plain18",
    "resnet18",
    "resnet18_a",
    "resnet50",
    "resnet50_v1_5",
    "preact_resnet18",
    "preact_resnet50",
    "wide_resnet18_1_5",
    "wide_resnet50_2",
    "resnext50_32x4d",
    "se_resnet50",
    "se_resnext50_32x4d",
    "resnet50c",
    "resnet50d",
    "resnet50t",
    "resnet50_blur",
    "resnetv2_50x1_bit",
    "resnet_rs200",
    "stochastic_depth_resnet152",
    "densenet121",
)
"""A listed network of each family and of each of its options."""

KINDS = (
    "resnet20_cifar",
    "wrn16_4_cifar",
    "stochastic_depth_resnet110_cifar",
    "resnext50_32x4d",
    "resnet_rs200",
    "resnetv2_50x1_bit",
    "densenet121",
)
"""A network for each kind of layer."""

if keras.backend.backend() == "jax":
    FAMILIES = KINDS  # JAX compiles every operation anew for every shape

EACH_FAMILY = pytest.mark.parametrize("name", matrix(FAMILIES, KINDS))
"""Parametrises a test by the families' names."""


def small_config(name, **changes):
    """Return a listed network's configuration with one or two blocks a stage and few channels."""
    config = kr.model_config(name)
    stages = len(config.blocks)
    fields = {"blocks": (1, 2, 1, 1)[:stages], "classes": 5, "input_shape": (24, 24, 3)}
    if isinstance(config, DenseNetConfig):
        fields |= {"growth_rate": 4, "stem_width": 8}
    else:
        divide = max(1, config.widths[0] // 8)
        fields |= {"widths": tuple(width // divide for width in config.widths)}
        fields |= {"stem_width": 16 if config.stem in ("deep", "tiered") else 8}
        if config.attention:
            fields |= {"se_ratio": 0.5}  # two units could both be dead
        if config.cardinality > 1:
            fields |= {"cardinality": 4, "inner_width_factor": 2.0}
        if config.normalization == "group":
            fields |= {"norm_groups": 4}
        if config.final_survival < 1:
            fields |= {"final_survival": 0.5}
    return dataclasses.replace(config, **{**fields, **changes})


def small_model(name, data_format=None, dtype=None, **changes):
    """Return a small network of a family."""
    config = small_config(name, **changes)
    return kr.create_model(config, name=name, data_format=data_format, dtype=dtype)
