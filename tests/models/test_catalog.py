import csv
import fnmatch
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import keras_resnets as kr
from keras_resnets.models import published
from keras_resnets.models.config import config_from_dict

PAPERS = list(
    csv.DictReader((Path(__file__).parents[1] / "data" / "papers.csv").open(encoding="utf-8"))
)


@pytest.mark.parametrize("row", PAPERS, ids=lambda row: f"{row['name']}-{row['classes']}")
def test_cost_is_the_papers(row):
    cost = kr.complexity(kr.model_config(row["name"], classes=int(row["classes"])))
    assert cost.trainable_params == int(row["trainable_params"])
    if row["macs"]:
        assert cost.macs == int(row["macs"])


@pytest.mark.parametrize("depth, macs", [(50, 231_211_008), (101, 231_211_008), (152, 231_211_008)])
def test_v1_5_costs_more_by_the_known_amount(depth, macs):
    v1, v1_5 = kr.complexity(f"resnet{depth}"), kr.complexity(f"resnet{depth}_v1_5")
    assert v1_5.macs - v1.macs == macs
    assert v1_5.trainable_params == v1.trainable_params


@pytest.mark.parametrize("name", kr.list_models())
def test_listed_names_resolve_and_round_trip(name):
    config = kr.model_config(name)
    assert config_from_dict(config.to_dict()) == config
    said = published(name)
    if said is not None and said.params_millions is not None and "1001" not in name:
        # As printed: rounded, to two digits at the least; "10.2M" for 1001 layers leaves BN out.
        counted = kr.complexity(name).trainable_params / 1e6
        assert counted == pytest.approx(said.params_millions, rel=0.03, abs=0.05)


def test_list_models_wants_a_pattern():
    with pytest.raises(kr.ConfigError, match="`pattern` must be a string"):
        kr.list_models(5)


def test_every_published_name_exists():
    from keras_resnets.models.papers import _table

    assert set(_table()) <= set(kr.list_models())


def test_listing_is_in_natural_order_and_takes_wildcards():
    names = kr.list_models()
    assert len(set(names)) == len(names)
    assert names.index("resnet20_cifar") < names.index("resnet110_cifar")
    assert names.index("wrn16_4_cifar") < names.index("wrn28_10_cifar")
    assert kr.list_models("*wrn*") == [name for name in names if fnmatch.fnmatch(name, "*wrn*")]
    assert kr.list_models("nothing*") == []


@given(st.integers(1, 40))
@settings(deadline=None, max_examples=20)
def test_any_legal_depth_resolves(n):
    assert kr.model_config(f"resnet{6 * n + 2}_basic_cifar").depth == 6 * n + 2
    assert kr.model_config(f"preact_resnet{9 * n + 2}_bottleneck_cifar").depth == 9 * n + 2
    # WRN counts its three projections, which `depth` does not.
    assert kr.model_config(f"wrn{6 * n + 4}_1_cifar").depth == 6 * n + 2
    assert kr.model_config(f"densenet_bc_{6 * n + 4}_12_cifar").depth == 6 * n + 4
    assert kr.model_config(f"densenet_{3 * n + 4}_24_cifar").depth == 3 * n + 4


ILLEGAL = {
    "resnet21_cifar": "20",
    "resnet2_cifar": "8",
    "resnet99999999999999999999_cifar": "nearest legal: 99999999999999999",
    "wrn16_99999999999_cifar": "`widths` must be",
    "resnet\uff12\uff10_cifar": "no model is named",
    "resnet45_basic_cifar": "44, 50",
    "plain21_cifar": "20, 26",
    "wrn17_4_cifar": "16, 22",
    "wrn16_0_cifar": "at least 1",
    "wrn16_4_b333_cifar": "b131",
    "densenet_bc_41_12_cifar": "40, 46",
    "densenet_40_0_cifar": "at least 1",
    "resnet51": "nearest legal: 50",
    "preact_resnet99": "nearest legal: 101",
    "resnet18_v1_5": "26, 50, 101, 152, 200",
    "densenet120": "nearest legal: 121",
    "resnet_rs51": "nearest legal: 50",
    "wide_resnet18_0": "multiple of 1/64",
    "resnetv2_50x0_bit": "at least 1",
    "resnet20_cifa": "nearest: ",
    "wrn28_11_cifa": "nearest: .*wrn28_10_cifar",
    "xyz": "keras-resnets list",
}


@pytest.mark.parametrize("name, hint", ILLEGAL.items())
def test_illegal_names_say_what_is_legal(name, hint):
    with pytest.raises(kr.ConfigError, match=hint):
        kr.model_config(name)


@pytest.mark.parametrize("name", [None, 20, ["resnet20_cifar"]])
def test_names_must_be_strings(name):
    with pytest.raises(kr.ConfigError, match="`name` must be a model's name"):
        kr.model_config(name)


PAPERS_CHOICES = {
    "resnet20_cifar": {"shortcut": "A", "weight_decay": 1e-4, "bn_momentum": 0.9},
    "resnet50": {"bottleneck_stride": "1x1", "bn_epsilon": 1e-5},
    "resnet50_v1_5": {"bottleneck_stride": "3x3"},
    "wrn28_10_cifar": {"weight_decay": 5e-4, "first_activation": "block", "stem_width": 16},
    "preact_resnet164_cifar": {"block": "bottleneck", "first_activation": "shared"},
    "preact_resnet50": {"first_activation": "stem"},
    "stochastic_depth_resnet110_cifar": {
        "final_survival": 0.5,
        "survival_mode": "batch",
        "shortcut": "A_pool",
    },
    "densenet_40_12_cifar": {"stem_width": 16, "compression": 1.0, "bottleneck": False},
    "densenet_bc_100_12_cifar": {"stem_width": 24, "compression": 0.5, "bottleneck": True},
    "densenet264": {"blocks": (6, 12, 64, 48)},
    "resnet_rs420": {"stem_pool": "conv", "se_ratio": 0.25, "blocks": (4, 44, 87, 4)},
    "resnetv2_152x4_bit": {"stem_width": 256, "normalization": "group"},
    "wide_resnet50_2": {"inner_width_factor": 2.0, "widths": (64, 128, 256, 512)},
}


@pytest.mark.parametrize("name, fields", PAPERS_CHOICES.items())
def test_each_papers_choice_is_the_default(name, fields):
    config = kr.model_config(name)
    assert {field: getattr(config, field) for field in fields} == fields
