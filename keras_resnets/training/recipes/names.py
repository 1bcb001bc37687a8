"""Names of a recipe's settings, as users write them."""

from __future__ import annotations

import json
import tomllib

import pydantic

from keras_resnets.errors import ConfigError, nearest
from keras_resnets.training.recipes.recipe import Recipe

__all__ = ["parse_settings", "resolve", "setting_names"]

_DESCRIPTIVE = {"name", "description", "source", "published", "notes"}
"""Fields that tell of a recipe: nothing to set."""

_SHORT = {"lr": "learning_rate", "wd": "weight_decay"}


def _paths() -> list[tuple[str, ...]]:
    """Return the path of every setting: ``("epochs",)``, ``("optimizer", "momentum")``."""
    paths = []
    for name, field in Recipe.model_fields.items():
        if name in _DESCRIPTIVE:
            continue
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
            paths += [(name, inner) for inner in kind.model_fields]
        else:
            paths.append((name,))
    return paths


def setting_names() -> list[str]:
    """Return the names of all settings, those of tables after the table's.

    Example:
        >>> "optimizer.learning_rate" in setting_names()
        True
    """
    return sorted(".".join(path) for path in _paths())


def resolve(name: str) -> tuple[str, ...]:
    """Return the path of the setting that a name means.

    Args:
        name: ``"optimizer.momentum"``, ``"momentum"``, ``"lr"``, ``"network.dropout"``.

    Raises:
        ConfigError: No setting has this name, or several have.

    Example:
        >>> resolve("lr")
        ('optimizer', 'learning_rate')
    """
    *tables, last = name.replace("-", "_").split(".")
    path = (*tables, _SHORT.get(last, last))
    paths = _paths()
    if path in paths or (len(path) == 2 and path[0] == "network"):
        return path
    fitting = [known for known in paths if known[-len(path) :] == path]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = " or ".join(".".join(known) for known in fitting)
        raise ConfigError(f"`{name}` may be {names}: give the table too")
    known = nearest(path[-1], sorted({known[-1] for known in paths}))
    raise ConfigError(f"`{name}` is not a setting of a recipe{known}")


def parse_settings(pairs) -> dict[str, object]:
    """Return settings from texts such as ``"lr=0.05"``; values are TOML, or words.

    Raises:
        ConfigError: A text has no ``=``, its name is unknown, or two give one setting two values.

    Example:
        >>> parse_settings(["lr=0.05", "crop=pad", "milestones=[10, 20]"])
        {'optimizer.learning_rate': 0.05, 'augmentation.crop': 'pad', ...}
    """
    settings = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"a setting must be NAME=VALUE, lr=0.05. Received: {pair}")
        setting, value = ".".join(resolve(name.strip())), _value(text.strip())
        if setting in settings and settings[setting] != value:
            raise ConfigError(
                f"`{setting}` is set twice, to {settings[setting]} and to {value}: give it once"
            )
        settings[setting] = value
    return settings


def _value(text: str):
    if text.lower() == "none":
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return tomllib.loads(f"value = {json.dumps(text)}")["value"]
