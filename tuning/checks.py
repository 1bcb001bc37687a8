"""What a search is asked to do, checked before TensorFlow is imported."""

from __future__ import annotations

from pathlib import Path

from keras_resnets.data.options import check_data, image_sides, known_shape
from keras_resnets.errors import ConfigError
from keras_resnets.models.families import ResNetConfig
from keras_resnets.run_folder import RunFolder
from keras_resnets.tuning.length import search_length
from keras_resnets.tuning.settings import SearchSettings
from keras_resnets.tuning.space import Budget

__all__ = ["check_search"]


def check_search(settings: SearchSettings, run_dir: str | Path) -> RunFolder:
    """Return the run folder of a search, after the checks that need no data.

    Args:
        settings: The search.
        run_dir: The folder.

    Raises:
        InputError: A name, a path or the folder is wrong, or the budget is below the cheapest
            candidate; nothing is written.

    Example:
        >>> check_search(SearchSettings(dataset="cifar10", max_params=10), "runs/first")
        ConfigError: `max_params` is below the smallest candidate, which has at least ...
    """
    source = check_data(settings.data)
    fitted = settings if source is None else settings.fit_to(source.sizes["train"])
    _check_budget(settings)
    return RunFolder(run_dir, "search", settings.to_dict(), search_length(fitted))


def _check_budget(settings: SearchSettings) -> None:
    known = known_shape(settings)
    if known is not None:
        shape, classes = known
        base = ResNetConfig(input_shape=shape, classes=classes)
        settings.space.within(Budget(settings.max_params, settings.max_macs), base)
        return
    # Whatever the images are: one channel and two classes are the fewest there can be.
    sides = image_sides(settings, 32)
    least = ResNetConfig(input_shape=(*sides, settings.channels or 1), classes=2)
    params, macs = settings.space.cheapest(least)
    if settings.max_params is not None and params > settings.max_params:
        raise ConfigError(
            f"`max_params` is below the smallest candidate, which has at least {params:,} "
            f"parameters. Received: max_params={settings.max_params}"
        )
    sized = settings.image_size is not None
    if sized and settings.max_macs is not None and macs > settings.max_macs:
        raise ConfigError(
            f"`max_macs` is below the cheapest candidate, which needs at least {macs:,} "
            f"multiply-adds. Received: max_macs={settings.max_macs}"
        )
