"""What a shell offers to complete: names of networks, recipes, data sets and settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from click.shell_completion import CompletionItem

__all__ = ["complete_datasets", "complete_models", "complete_recipes", "complete_settings"]


def _completer(names: Callable[[], Iterable[str]], kind: str | None = None):
    """Return a completer of names that also offers paths of a kind, ``"file"`` or ``"dir"``."""

    def complete(context, param, incomplete):
        path = incomplete.startswith((".", "/", "~"))
        found = [] if path else sorted(n for n in names() if n.startswith(incomplete))
        items = [CompletionItem(name) for name in found]
        if kind is not None and not items:
            items.append(CompletionItem(incomplete, type=kind))
        return items

    return complete


def _models() -> list[str]:
    from keras_resnets.models.catalog import list_models

    return list_models()


def _recipes() -> list[str]:
    from keras_resnets.training.recipes import recipe_names

    return recipe_names()


def _datasets() -> Iterable[str]:
    from keras_resnets.data.prepared import known_names

    return known_names()


def _settings() -> list[str]:
    from keras_resnets.training.recipes.names import setting_names

    return [f"{name}=" for name in setting_names()]


complete_models = _completer(_models)
complete_recipes = _completer(_recipes, "file")
complete_datasets = _completer(_datasets, "dir")
complete_settings = _completer(_settings)
