"""Recipes: how a network is trained, as data; one TOML file each."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "files": ["load_recipe", "recipe_names", "recipe_toml"],
        "recipe": ["Loss", "Optimizer", "Recipe", "Schedule", "Transfer"],
    },
)
