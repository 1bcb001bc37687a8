import pytest

import keras_resnets as kr
from keras_resnets.analysis.description import (
    catalog_rows,
    part_rows,
    published_lines,
    summarize,
)


@pytest.mark.parametrize(
    "name, words",
    [
        ("plain20_cifar", ["20 layers", "no shortcuts"]),
        ("resnet50_v1_5", ["stride in the 3x3", "shortcut B", "1,000 classes"]),
        ("resnext50_32x4d", ["32 groups", "inner width x2"]),
        ("se_resnet50", ["squeeze-and-excitation"]),
        ("resnet50_blur", ["anti-aliased"]),
        ("resnetv2_50x1_bit", ["pre-activation", "group normalisation", "weight standardisation"]),
        ("stochastic_depth_resnet110_cifar", ["stochastic depth to 0.5 (batch)"]),
        ("densenet121", ["121 layers", "growth rate 32", "compression 0.5"]),
    ],
)
def test_summaries_name_what_is_special(name, words):
    summary = summarize(kr.model_config(name))
    for word in words:
        assert word in summary


@pytest.mark.parametrize("name", ["resnet50", "densenet121"])
def test_parts_add_up(name):
    config = kr.model_config(name)
    rows = part_rows(config)
    assert [row["part"] for row in rows] == ["stem", *(f"stage{i}" for i in (1, 2, 3, 4)), "head"]
    assert sum(row["params"] for row in rows) == kr.complexity(config).trainable_params


def test_published_numbers_stand_beside_the_counted():
    lines = published_lines("resnet50", 25_557_032)
    assert lines[0] == "He 2015: parameters 25.6 M (counted: 25,557,032)"
    assert "He 2015: error 22.85 % (imagenet_10crop_top1)" in lines
    assert published_lines("resnet38_cifar", 1) == []


def test_rows_sort_by_any_column():
    names = kr.list_models("*_cifar")
    for key in ("params", "macs"):
        values = [row[key] for row in catalog_rows(names, key)]
        assert values == sorted(values)
    errors = [(row["measure"], row["error"]) for row in catalog_rows(names, "error")]
    known = [error for error in errors if error != (None, None)]
    assert known == sorted(known)
    assert len({measure for measure, _ in known}) > 1
    assert errors[len(known) :] == [(None, None)] * (len(errors) - len(known))
    assert [row["name"] for row in catalog_rows(names)] == names
    with pytest.raises(kr.ConfigError, match="`sort` must be one of"):
        catalog_rows(names, "size")
