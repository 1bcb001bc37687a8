import dataclasses
import json

import numpy as np
import pytest

import keras_resnets as kr
from keras_resnets.models.config import config_from_dict


def test_configs_are_values():
    config = kr.ResNetConfig(blocks=[2, 2], widths=[8, 16])
    assert config == kr.ResNetConfig(blocks=(2, 2), widths=(8, 16))
    assert hash(config) == hash(kr.ResNetConfig(blocks=(2, 2), widths=(8, 16)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.classes = 3


def test_the_number_of_stages_can_be_replaced():
    config = kr.ResNetConfig().replace(blocks=(1, 1), widths=(4, 8))
    assert config.stage_strides == (1, 2)
    assert kr.ResNetConfig(strides=(1, 2, 2)) == kr.ResNetConfig()
    assert kr.ResNetConfig(strides=(2, 2, 1)).stage_strides == (2, 2, 1)
    with pytest.raises(kr.ConfigError, match="`strides` and `blocks`"):
        kr.ResNetConfig(strides=(2, 2, 1)).replace(blocks=(1, 1), widths=(4, 8))


def test_numpy_numbers_are_numbers():
    config = kr.ResNetConfig(
        blocks=np.array([1, 1]),
        widths=(np.int64(4), 8),
        classes=np.int32(3),
        dropout=np.float32(0.5),
        input_mean=np.ones(3),
        input_std=np.ones(3),
    )
    assert config_from_dict(json.loads(config.to_json())) == config


@pytest.mark.parametrize(
    "config",
    [
        kr.ResNetConfig(input_mean=[1, 2, 3], input_std=(4, 5, 6)),
        kr.ResNetConfig(input_shape=(None, None, 1), classifier_activation=None),
        kr.DenseNetConfig(blocks=(2, 3), growth_rate=4),
    ],
    ids=["raw", "open", "dense"],
)
def test_json_round_trip(config):
    assert config_from_dict(json.loads(config.to_json())) == config


ILLEGAL_FIELDS = {
    "input_shape": [(32, 32), (0, 32, 3), (32, 32, None), "32x32x3", None, (32.0, 32, 3)],
    "classes": [0, -1, 2.5, True, "10"],
    "include_top": [1, None],
    "classifier_activation": ["softmaxx", 1],
    "pooling": ["mean", True],
    "head_pooling": ["mean", None],
    "head_dropout": [1, "0.1"],
    "blocks": [(), (0, 1), 3, "333", (1.5,), (1_000_000, 1, 1)],
    "widths": [(16, 32), (0, 1, 2), 16, (10**30, 1, 1)],
    "strides": [(1, 2), (0, 1, 2)],
    "stem": ["big", None],
    "stem_width": [0, "16", True],
    "stem_pool": ["avg", 2],
    "block": ["Basic", "B(5,5)", None],
    "bottleneck_stride": ["2x2"],
    "inner_width_factor": [0, -1, "2", float("nan")],
    "cardinality": [0, 1.5, True],
    "activation_order": ["after", None],
    "first_activation": ["none"],
    "folded": [None, 1, "yes"],
    "shortcut": ["E", "equal", None],
    "shortcut_scale": [0, -1.0],
    "shortcut_gate": ["open"],
    "shortcut_dropout": [1.0, -0.1],
    "attention": ["eca"],
    "se_ratio": [0, 2],
    "antialias": [1],
    "dropout": [1, -0.5, "0.1"],
    "final_survival": [0, 1.1, None],
    "survival_mode": ["block"],
    "activation": ["tanhh", None, "softmax"],
    "normalization": ["layer"],
    "norm_groups": [0],
    "initializer": ["he"],
    "weight_decay": [-1e-4, float("inf")],
    "decay": ["biases", None],
    "bn_momentum": [1.0],
    "bn_epsilon": [0],
    "output_stride": [3, 16, 0, "8"],
    "drop_block": [1, -0.1, "0.1"],
    "drop_block_size": [0, 2.5],
    "zero_init_residual": ["yes"],
}


@pytest.mark.parametrize(
    "field, value", [(field, value) for field, values in ILLEGAL_FIELDS.items() for value in values]
)
def test_an_illegal_field_is_named_with_what_was_received(field, value):
    with pytest.raises(kr.ConfigError) as error:
        kr.ResNetConfig(**{field: value})
    assert f"`{field}`" in str(error.value)
    assert "Received: " in str(error.value)


def test_every_field_has_an_illegal_value_here():
    fields = {field.name for field in dataclasses.fields(kr.ResNetConfig)}
    numbers_of_any_kind = {"gate_bias", "branch_scale", "weight_standardization"}
    assert fields - numbers_of_any_kind - {"input_mean", "input_std"} == set(ILLEGAL_FIELDS)


DISAGREEMENTS = [
    ("cardinality", "block", {"cardinality": 2}),
    ("bottleneck_stride", "block", {"bottleneck_stride": "3x3"}),
    (
        "cardinality",
        "inner_width_factor",
        {"block": "bottleneck", "cardinality": 32, "inner_width_factor": 1.0},
    ),
    ("first_activation", "activation_order", {"first_activation": "stem"}),
    (
        "zero_init_residual",
        "activation_order",
        {"zero_init_residual": True, "activation_order": "relu_before_addition"},
    ),
    (
        "zero_init_residual",
        "weight_standardization",
        {
            "zero_init_residual": True,
            "activation_order": "pre",
            "weight_standardization": True,
        },
    ),
    ("final_survival", "shortcut", {"shortcut": "none", "final_survival": 0.5}),
    ("shortcut_gate", "shortcut", {"shortcut": "none", "shortcut_gate": "exclusive"}),
    ("shortcut_dropout", "shortcut", {"shortcut": "none", "shortcut_dropout": 0.5}),
    ("zero_init_residual", "shortcut", {"shortcut": "none", "zero_init_residual": True}),
    (
        "shortcut_scale",
        "shortcut_gate",
        {"shortcut_scale": 0.5, "shortcut_gate": "exclusive"},
    ),
    ("folded", "normalization", {"folded": True, "normalization": "group", "norm_groups": 8}),
    ("antialias", "block", {"block": "B(3)", "antialias": True}),
    ("final_survival", "shortcut", {"shortcut": "identity", "final_survival": 0.5}),
    (
        "zero_init_residual",
        "weight_standardization",
        {"zero_init_residual": True, "folded": True, "weight_standardization": True},
    ),
    ("norm_groups", "stem_width", {"normalization": "group"}),
    ("norm_groups", "widths", {"normalization": "group", "stem_width": 32}),
    ("shortcut", "widths", {"shortcut": "A", "widths": (32, 16, 8)}),
    ("widths", "blocks", {"widths": (8, 16)}),
    ("output_stride", "stem", {"output_stride": 8}),
    ("stem_width", "stem", {"stem": "tiered", "stem_width": 20}),
    ("pooling", "include_top", {"pooling": "max"}),
    ("head_pooling", "include_top", {"include_top": False, "head_pooling": "max"}),
    ("head_dropout", "include_top", {"include_top": False, "head_dropout": 0.1}),
]


@pytest.mark.parametrize("one, other, fields", DISAGREEMENTS)
def test_two_options_at_odds_are_both_named(one, other, fields):
    with pytest.raises(kr.ConfigError) as error:
        kr.ResNetConfig(**fields)
    assert f"`{one}`" in str(error.value)
    assert f"`{other}`" in str(error.value) or f"{other}=" in str(error.value)


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"growth_rate": 0}, "`growth_rate`"),
        ({"bottleneck": 1}, "`bottleneck`"),
        ({"compression": 1.5}, "`compression`"),
        ({"compression": 0.001}, "`compression`"),
        ({"blocks": ()}, "`blocks`"),
        ({"normalization": "group", "stem_width": 16}, "`norm_groups` and `growth_rate`"),
    ],
)
def test_densenet_fields_are_checked(fields, words):
    with pytest.raises(kr.ConfigError, match=words):
        kr.DenseNetConfig(**fields)


@pytest.mark.parametrize(
    "mean, std, words",
    [
        ((1,), (1,), "3 numbers"),
        ((1, 2, 3), None, "`input_std`"),
        (None, (1, 2, 3), "`input_mean`"),
        ((1, 2, 3), (1, 0, 1), "positive"),
    ],
)
def test_input_statistics_are_checked(mean, std, words):
    with pytest.raises(kr.ConfigError, match=words):
        kr.ResNetConfig(input_mean=mean, input_std=std)


def test_unknown_fields_name_the_nearest():
    with pytest.raises(kr.ConfigError, match="no field 'clases'; nearest: classes"):
        kr.ResNetConfig().replace(clases=3)
    with pytest.raises(kr.ConfigError, match="no field 'depth'"):
        config_from_dict({"family": "resnet", "depth": 20})
    with pytest.raises(kr.ConfigError, match="`family`"):
        config_from_dict({"family": "vgg"})
    with pytest.raises(kr.ConfigError, match="`family`"):
        config_from_dict({"family": []})
    with pytest.raises(kr.ConfigError, match="must be a dict"):
        config_from_dict([1])


def test_survival_falls_linearly_from_the_first_block():
    config = kr.model_config("stochastic_depth_resnet110_cifar")
    rates = [spec.survival for spec in config.block_specs()]
    assert rates[0] == pytest.approx(1 - 1 / 108)
    assert rates[-1] == 0.5
    # Huang 2016, section 4: 40 of 54 blocks are expected in a pass.
    assert sum(rates) == pytest.approx(40.25)


def test_one_block_may_drop():
    config = kr.ResNetConfig(blocks=(1,), widths=(8,), final_survival=0.3)
    assert [spec.survival for spec in config.block_specs()] == [pytest.approx(0.3)]


@pytest.mark.parametrize(
    "name, strides, expected",
    [("resnet50", 8, [(1, 1), (1, 1), (1, 2), (2, 4)]), ("resnet50", 16, [(1, 1)] * 3 + [(1, 2)])],
)
def test_output_stride_becomes_dilation(name, strides, expected):
    config = kr.model_config(name, output_stride=strides)
    assert config.total_stride == strides
    assert [(step.before, step.after) for step in config.stage_steps()] == expected
