"""Which option of the command means which setting of a recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras_resnets.errors import ConfigError

__all__ = ["OPTIONS", "recipe_changes"]

OPTIONS = {
    "--lr": ("optimizer.learning_rate",),
    "--lr-rule": ("optimizer.scaling",),
    "--epochs": ("epochs", "iterations"),
    "--batch-size": ("batch_size",),
}
"""For each option, the setting it gives, and others that it leaves no room for."""

_INTO_RECIPE = ("--lr", "--lr-rule")
"""Options that change the recipe; the others are settings of the run, beside the recipe."""


def recipe_changes(changes: Sequence[str], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``--set`` and the other options change of a recipe.

    Args:
        changes: Texts of ``--set``, ``"lr=0.05"``.
        given: Values of the options of `OPTIONS`, None for those that were not given.

    Raises:
        ConfigError: A text is illegal, or two options give one setting two values.

    Example:
        >>> recipe_changes(["mixup=0.2"], {"--lr": 0.05})
        {'augmentation.mixup': 0.2, 'optimizer.learning_rate': 0.05}
    """
    from keras_resnets.training.recipes.names import parse_settings

    values = parse_settings(changes)
    for option, value in given.items():
        setting = OPTIONS[option][0]
        for name in OPTIONS[option] if value is not None else ():
            if name in values and (name != setting or values[name] != value):
                raise ConfigError(
                    f"`{option} {value}` and `--set {name}={values[name]}` contradict each other: "
                    "give one of them"
                )
        if value is not None and option in _INTO_RECIPE:
            values[setting] = value
    return values
