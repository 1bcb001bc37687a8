"""Settings say what is wrong with them."""

import json
import math

import pytest

from keras_resnets.errors import ConfigError
from keras_resnets.training import TrainingSettings

NAN = math.nan


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("epochs", (0, -1, 1.5, "3", None, True, NAN), "a positive integer"),
        ("batch_size", (0, -1, 64.0, "64", False), "a positive integer"),
        ("learning_rate", (0, -0.1, "0.1", None, NAN, math.inf), "a positive number"),
        ("momentum", (-0.1, 1, 1.5, NAN), "a number in [0, 1)"),
        ("weight_decay", (-1e-9, NAN, math.inf), "a number of at least 0"),
        ("warmup", (-0.1, 1, NAN), "a number in [0, 1)"),
        ("seed", (-1, 2**31, 0.5, "0"), "an integer in [0, 2**31)"),
        ("augment", (1, "no", None), "a bool"),
        ("xla", (1, "no"), "None or a bool"),
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
    "changes",
    [
        {},
        {"epochs": 1, "batch_size": 1},
        {"learning_rate": 1e-9, "momentum": 0, "weight_decay": 0, "warmup": 0},
        {"seed": 2**31 - 1, "augment": False, "warmup": 0.99},
        {"precision": "mixed_bfloat16", "xla": True},
    ],
)
def test_legal_values_survive_json(changes):
    settings = TrainingSettings(**changes)
    assert TrainingSettings(**json.loads(json.dumps(settings.to_dict()))) == settings
    for name, value in changes.items():
        assert getattr(settings, name) == value


def test_replace_checks_like_new_settings():
    settings = TrainingSettings(epochs=5)
    assert settings.replace(seed=3) == TrainingSettings(epochs=5, seed=3)
    with pytest.raises(ConfigError, match="`epochs`"):
        settings.replace(epochs=0)


def test_settings_cannot_be_changed():
    with pytest.raises(AttributeError):
        TrainingSettings().epochs = 3
