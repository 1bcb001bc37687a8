"""What a training is asked to do, checked before TensorFlow is imported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keras_resnets.data.options import NOT_RESULTS, check_data
from keras_resnets.models.catalog import model_config
from keras_resnets.models.config import NetworkConfig
from keras_resnets.models.files import check_network_file
from keras_resnets.run_folder import RunFolder
from keras_resnets.training.length import training_length
from keras_resnets.training.settings import TrainingSettings

__all__ = ["check_training", "run_identity"]


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
    if isinstance(model, str):
        model_config(model)
    check_data(data)
    if settings.init is not None:
        check_network_file(settings.init, "init")
    identity = run_identity(model, data, settings)
    return RunFolder(run_dir, "train", identity, training_length(settings))


def run_identity(model, data: dict[str, Any], settings: TrainingSettings) -> dict[str, Any]:
    """Return what makes a run's results what they are; where the data lies does not."""
    return {
        "model": model if isinstance(model, str) else model.to_dict(),
        **{key: value for key, value in data.items() if key not in NOT_RESULTS},
        **settings.to_dict(),
    }
