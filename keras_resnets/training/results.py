"""What a finished training leaves on disk, and how good it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_resnets.data.load import ImageData
from keras_resnets.files import csv_text, replacing, write_text
from keras_resnets.models.network import Network
from keras_resnets.training.fit import HISTORY
from keras_resnets.training.losses import compile_for_evaluation

__all__ = ["accuracy", "predictions", "write_history", "write_model"]


def write_model(model: Network, path: str | Path) -> None:
    """Save a model without its optimizer's state, compiled so that `evaluate` works.

    Keras ignores ``include_optimizer=False`` for ``.keras`` files; the state, two thirds of a
    checkpoint and more, is left out by rebuilding the model.
    """
    clean = Network.from_config(model.get_config())
    clean.set_weights(model.get_weights())
    compile_for_evaluation(clean)
    with replacing(path) as beside:
        clean.save(beside)


def accuracy(model: Network, data: ImageData, split: str) -> float:
    """Return the part of a split's images whose top class is right."""
    labels, predicted = predictions(model, data, split)
    return float((labels == predicted).mean())


def predictions(model: Network, data: ImageData, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the class of each image of a split, and the one that a model predicts for it."""
    labels, predicted = [], []
    for images, numbers in data.evaluation_batches(split, 256):
        predicted.append(np.asarray(model(images, training=False)).argmax(-1))
        labels.append(numbers.numpy())
    return np.concatenate(labels), np.concatenate(predicted)


def write_history(history: list[dict], path: str | Path) -> None:
    """Write a training history as CSV."""
    write_text(path, csv_text(history, HISTORY))
