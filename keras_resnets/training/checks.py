"""What a training is asked to do, checked before TensorFlow is imported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keras_resnets.backends import require_backend
from keras_resnets.data.folder import FolderSource
from keras_resnets.data.options import (
    NOT_RESULTS,
    check_data,
    known_classes,
    known_image_size,
)
from keras_resnets.data.settings import DataSettings
from keras_resnets.models.catalog import canonical_name, model_config
from keras_resnets.models.config import NetworkConfig
from keras_resnets.models.files import check_network_file
from keras_resnets.run_folder import RunFolder
from keras_resnets.training.class_weights import check_weight_names
from keras_resnets.training.generations import generation_files
from keras_resnets.training.length import training_length
from keras_resnets.training.planning import check_image_size
from keras_resnets.training.settings import TrainingSettings

__all__ = ["check_training", "network_size", "run_identity"]

_FILES = (
    "model.keras",
    "best.keras",
    "config.json",
    "recipe.json",
    "history.csv",
    "curves.png",
    "profile.csv",
    *generation_files("checkpoint.keras"),
)


def check_training(
    model: str | NetworkConfig,
    data: dict[str, Any],
    settings: TrainingSettings,
    run_dir: str | Path,
) -> RunFolder:
    """Return the run folder of a training, after the checks that need no data.

    Args:
        model: Catalog name, or a configuration.
        data: Arguments of `load_data`.
        settings: How to train.
        run_dir: The folder.

    Raises:
        InputError: A name, a path or the folder is wrong; nothing is written.

    Example:
        >>> check_training("resnet20_cifar", {"name": "photos"}, TrainingSettings(), "runs/first")
    """
    require_backend("training by a recipe", "tensorflow", "jax")
    config = model_config(model) if isinstance(model, str) else model
    source = check_data(data)
    _check_plan(config, source, DataSettings.from_arguments(**data), settings)
    if settings.init is not None:
        check_network_file(settings.init, "init")
    identity = run_identity(model, data, settings)
    return RunFolder(run_dir, "train", identity, training_length(settings), _FILES)


def _check_plan(config, source: FolderSource | None, data: DataSettings, settings) -> None:
    """Check what is known before the images are opened: all of a folder and the digits."""
    size = known_image_size(data, source, network_size(config))
    if size is not None:
        check_image_size(config.replace(input_shape=(*size, config.input_shape[2])), settings)
    check_weight_names(settings.class_weights, known_classes(data, source))
    if source is not None:
        splits = ("train", "validation") if settings.all_data else ("train",)
        settings.fit_to(sum(source.sizes[split] for split in splits))


def network_size(config: NetworkConfig) -> tuple[int, int] | None:
    """Return the size of images that a network was made for, None if it takes any."""
    height, width, _ = config.input_shape
    return None if None in (height, width) else (height, width)


def run_identity(model, data: dict[str, Any], settings: TrainingSettings) -> dict[str, Any]:
    """Return what makes a run's results what they are; where the data lies does not."""
    return {
        "model": canonical_name(model) if isinstance(model, str) else model.to_dict(),
        **{key: value for key, value in data.items() if key not in NOT_RESULTS},
        **settings.to_dict(),
    }
