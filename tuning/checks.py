"""What a search is asked to do, checked before TensorFlow is imported."""

from __future__ import annotations

from pathlib import Path

from keras_resnets.backends import require_backend
from keras_resnets.data.options import (
    check_data,
    image_sides,
    known_classes,
    known_image_size,
    known_shape,
)
from keras_resnets.errors import ConfigError
from keras_resnets.models.families import ResNetConfig
from keras_resnets.run_folder import RunFolder
from keras_resnets.training.class_weights import check_weight_names
from keras_resnets.training.planning import check_image_size
from keras_resnets.training.recipes import load_recipe
from keras_resnets.training.settings import TrainingSettings
from keras_resnets.tuning.length import search_length
from keras_resnets.tuning.settings import NETWORK_SIZE, RECIPE, SearchSettings
from keras_resnets.tuning.space import Budget
from keras_resnets.tuning.winner import DELIVERED

__all__ = ["check_candidate_size", "check_search"]

_FILES = (*DELIVERED, "report.html", "trials.csv", "trials/", "winner.json", "worker.log")


def check_search(settings: SearchSettings, run_dir: str | Path) -> RunFolder:
    """Return the run folder of a search, after the checks that need no data.

    Args:
        settings: The search.
        run_dir: The folder.

    Raises:
        InputError: A name, a path or the folder is wrong, or the images or the budget are too
            small for any candidate; nothing is written.

    Example:
        >>> check_search(SearchSettings(dataset="cifar10", max_params=10), "runs/first")
        ConfigError: `max_params` is below the smallest candidate, which has at least ...
    """
    require_backend("a search", "tensorflow", "jax")
    source = check_data(settings.data)
    size = known_image_size(settings, source, NETWORK_SIZE)
    if size is not None:
        check_candidate_size(settings, (*size, settings.channels or 1))
    check_weight_names(settings.class_weights, known_classes(settings, source))
    fitted = settings if source is None else settings.fit_to(source.sizes["train"])
    _check_budget(settings)
    return RunFolder(run_dir, "search", settings.to_dict(), search_length(fitted), _FILES)


def check_candidate_size(settings: SearchSettings, image_shape: tuple[int, int, int]) -> None:
    """Raise `ConfigError` where images are smaller than the candidates' total stride.

    Args:
        settings: The search.
        image_shape: ``(height, width, channels)`` of the images.
    """
    stages = settings.space.stages  # all that the stride depends on
    config = ResNetConfig(input_shape=image_shape, blocks=(1,) * stages, widths=(8,) * stages)
    check_image_size(config, TrainingSettings(recipe=load_recipe(RECIPE)))


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
