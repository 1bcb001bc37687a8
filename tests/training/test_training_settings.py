"""Settings say what is wrong with them."""

import json
import math

import pytest

from keras_resnets.errors import ConfigError
from keras_resnets.training import TrainingSettings
from keras_resnets.training.recipes import load_recipe

NAN = math.nan


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("epochs", (0, -1, 1.5, "3", True, NAN), "a positive integer"),
        ("batch_size", (0, -1, 64.0, "64", False), "a positive integer"),
        ("accumulate", (0, -1, 2.0, None), "a positive integer"),
        ("patience", (0, -1, 2.0, True), "a positive integer"),
        ("seed", (-1, 2**31, 0.5, "0", True), "an integer in [0, 2**31)"),
        ("all_data", (1, "no", None), "a bool"),
        ("sync_batch_norm", (1, "no", None), "a bool"),
        ("xla", (1, "no"), "None or a bool"),
        ("strategy", ("miror", None), "one of none, auto, mirrored, multiworker, tpu"),
        ("recipe", (1, None), "a recipe or its name"),
        (
            "precision",
            ("float16", None, 16),
            "one of auto, float32, mixed_bfloat16, mixed_float16",
        ),
    ],
)
def test_an_illegal_value_is_named(name, values, expected):
    for value in values:
        with pytest.raises(ConfigError) as caught:
            TrainingSettings(**{name: value})
        assert str(caught.value) == f"`{name}` must be {expected}. Received: {name}={value!r}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipe": "quik"}, "nearest: quick"),
        ({"recipe": {"epochs": 0}}, "`recipe.epochs` must be greater"),
        ({"batch_size": 100, "accumulate": 3}, "`accumulate` must divide `batch_size`"),
        ({"all_data": True, "patience": 3}, "`all_data` leaves no validation images"),
        ({"all_data": True, "recipe": "he2015-imagenet"}, "`all_data` leaves no validation images"),
    ],
)
def test_settings_that_disagree_are_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        TrainingSettings(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"epochs": 1, "batch_size": 1},
        {"recipe": "he2015-cifar", "all_data": True, "init": "model.keras"},
        {"recipe": "rsb-a1", "accumulate": 8, "strategy": "none"},
        {"seed": 2**31 - 1, "patience": 3},
        {"precision": "mixed_bfloat16", "xla": True},
    ],
)
def test_legal_values_survive_json(changes):
    settings = TrainingSettings(**changes)
    assert TrainingSettings(**json.loads(json.dumps(settings.to_dict()))) == settings
    for name, value in changes.items():
        expected = load_recipe(value) if name == "recipe" else value
        assert getattr(settings, name) == expected


def test_replace_checks_like_new_settings():
    settings = TrainingSettings(epochs=5)
    assert settings.replace(seed=3) == TrainingSettings(epochs=5, seed=3)
    with pytest.raises(ConfigError, match="`epochs`"):
        settings.replace(epochs=0)
    with pytest.raises(ConfigError, match="momentum"):
        settings.set(momentum=2)


def test_settings_cannot_be_changed():
    with pytest.raises(AttributeError):
        TrainingSettings().epochs = 3
    with pytest.raises(ValueError, match="frozen"):
        TrainingSettings().recipe.epochs = 3
