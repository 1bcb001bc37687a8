"""Recipes by name: those of the package, and users' own files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from keras_resnets.errors import ConfigError, nearest
from keras_resnets.reading import read_toml, reason
from keras_resnets.training.recipes.recipe import Recipe, displaced

__all__ = ["load_recipe", "recipe_names", "recipe_toml"]

_FOLDER = Path(__file__).parent


def recipe_names() -> list[str]:
    """Return the names of the package's recipes.

    Example:
        >>> "quick" in recipe_names()
        True
    """
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def load_recipe(name: str | Path) -> Recipe:
    """Return a recipe by its name or from a file.

    Args:
        name: A name of `recipe_names`, or the path of a TOML file. A file may build on another
            recipe, ``extends = "wrn-cifar"`` (a name, or a path relative to the file), and give
            only what differs.

    Raises:
        ConfigError: No recipe has this name, the file cannot be read, or a value is illegal.

    Example:
        >>> load_recipe("he2015-cifar").iterations
        64000
    """
    path, content = _content(name, _FOLDER, ())
    content["name"] = path.stem
    return Recipe.parse(content, f"recipe {path.stem}:")


def recipe_toml(name: str | Path) -> str:
    """Return a recipe's file as text.

    Raises:
        ConfigError: As for `load_recipe`.
    """
    load_recipe(name)
    return _path(name, _FOLDER).read_text("utf-8")


def _path(name: str | Path, folder: Path) -> Path:
    text = str(name)
    if text in recipe_names():
        return _FOLDER / f"{text}.toml"
    path = Path(text).expanduser()
    if path.suffix == ".toml":
        if folder != _FOLDER and not path.is_absolute():
            path = folder / path
        if not path.is_file():
            raise ConfigError(f"recipe file {str(path)!r} does not exist")
        return path
    known = nearest(text, recipe_names()) or f"; recipes: {', '.join(recipe_names())}"
    raise ConfigError(f"no recipe is named {text!r}{known} (a file's name ends in .toml)")


def _content(name, folder: Path, seen: tuple[Path, ...]) -> tuple[Path, dict[str, Any]]:
    """Return a recipe's path and content, with that of the recipes it builds on."""
    path = _path(name, folder).resolve()
    if path in seen:
        raise ConfigError(f"recipe file {str(path)!r} builds on itself")
    try:
        content = read_toml(path)
    except (OSError, ValueError) as error:
        why = reason(error) if isinstance(error, OSError) else error
        raise ConfigError(f"recipe file {str(path)!r} cannot be read: {why}") from error
    base = content.pop("extends", None)
    if path.parent != _FOLDER.resolve():  # users' numbers hold; the package's are for large sets
        content = displaced(content.keys()) | content
    if base is None:
        return path, content
    if not isinstance(base, str):
        raise ConfigError(
            f"`extends` must be the name of a recipe or of a file. Received: {json.dumps(base)}"
        )
    _, below = _content(base, path.parent, (*seen, path))
    schedule = content.get("schedule")
    if isinstance(schedule, dict) and schedule.get("kind", "step") != "step":
        below.get("schedule", {}).pop("milestones", None)
    if "ema" in content or "ema_memory" in content:
        below.pop("ema", None)
        below.pop("ema_memory", None)
    if "epochs" in content or "iterations" in content:
        below.pop("epochs", None)
        below.pop("iterations", None)
    return path, _merged(below, content)


def _merged(below: dict, above: dict) -> dict:
    merged = dict(below)
    for name, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = _merged(merged[name], value) if both else value
    return merged
