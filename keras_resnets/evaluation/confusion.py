"""Which classes are taken for which: the cells of a confusion matrix that hold images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from keras_resnets.errors import InputError
from keras_resnets.reading import read_json, reason

__all__ = ["Confusion", "read_evaluation"]


@dataclass(frozen=True, eq=False)
class Confusion:
    """A confusion matrix, kept by its cells with images: there are no more of them than images.

    The whole matrix of 10,000 classes has 100 million cells. NumPy's functions take this for the
    whole matrix.

    Attributes:
        classes: Number of classes.
        true: True class of each cell; cells are sorted by it, and by the predicted class.
        predicted: Predicted class of each cell.
        images: Number of images in each cell.

    Example:
        >>> Confusion.of([0, 0, 1], [0, 1, 1], classes=2).tolist()
        [[1, 1], [0, 1]]
    """

    classes: int
    true: np.ndarray
    predicted: np.ndarray
    images: np.ndarray

    @classmethod
    def of(cls, labels, predicted, classes: int) -> Self:
        """Count the images of each pair of a true and a predicted class."""
        cells = np.asarray(labels, np.int64) * classes + np.asarray(predicted, np.int64)
        found, images = np.unique(cells, return_counts=True)
        return cls(classes, *np.divmod(found, classes), images)

    @classmethod
    def of_matrix(cls, matrix) -> Self:
        """Return the cells of a whole matrix, ``(classes, classes)``.

        Raises:
            InputError: It is not square.
        """
        if isinstance(matrix, cls):
            return matrix
        matrix = np.asarray(matrix)
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not len(matrix):
            raise InputError(
                "a confusion matrix must have a row and a column for each class. Received: shape "
                f"{matrix.shape}"
            )
        true, predicted = np.nonzero(matrix)
        return cls(len(matrix), true, predicted, matrix[true, predicted])

    @classmethod
    def from_json(cls, value: Any, classes: int) -> Self:
        """Return what `to_dict` returned, or the whole matrix as lists, as it was written before.

        Raises:
            InputError: It is neither.
        """
        try:
            if isinstance(value, list):
                found = cls.of_matrix(np.array(value, np.int64))
            else:
                columns = (
                    np.array(value[name], np.int64) for name in ("true", "predicted", "images")
                )
                found = cls(classes, *columns)
                sides = np.concatenate([found.true, found.predicted])
                if sides.size and not 0 <= sides.min() <= sides.max() < classes:
                    raise ValueError("a cell is of no class")
                if not len(found.true) == len(found.predicted) == len(found.images):
                    raise ValueError("its columns differ in length")
            if found.classes != classes:
                raise ValueError(f"it is of {found.classes} classes, not of {classes}")
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(f"the confusion matrix cannot be read: {reason(error)}") from error
        return found

    def to_dict(self) -> dict[str, list[int]]:
        """Return the columns ``true``, ``predicted`` and ``images`` as JSON-ready values."""
        columns = (("true", self.true), ("predicted", self.predicted), ("images", self.images))
        return {name: values.tolist() for name, values in columns}

    def dense(self) -> np.ndarray:
        """Return the whole matrix: number of images by true (row) and predicted class (column)."""
        matrix = np.zeros((self.classes, self.classes), np.int64)
        matrix[self.true, self.predicted] = self.images
        return matrix

    def __array__(self, dtype=None, copy=None):
        return self.dense().astype(dtype or np.int64, copy=False)

    def __len__(self):
        return self.classes

    def tolist(self) -> list[list[int]]:
        """Return the whole matrix as lists."""
        return self.dense().tolist()

    def row_sums(self) -> np.ndarray:
        """Return the images of each true class, ``(classes,)``."""
        return self._by_class(self.true, self.images)

    def column_sums(self) -> np.ndarray:
        """Return the images that each class was predicted for, ``(classes,)``."""
        return self._by_class(self.predicted, self.images)

    def diagonal(self) -> np.ndarray:
        """Return the images of each class that are right, ``(classes,)``."""
        right = self.true == self.predicted
        return self._by_class(self.true[right], self.images[right])

    def _by_class(self, classes, images) -> np.ndarray:
        sums = np.zeros(self.classes, np.int64)
        np.add.at(sums, classes, images)
        return sums

    def worst(self, count: int) -> list[tuple[int, int, int]]:
        """Return the largest cells of wrong images: true class, predicted class, images.

        Equal ones come in the order of the classes.
        """
        true, predicted, images = self._wrong()
        order = np.argsort(-images, kind="stable")[:count]
        return [(int(true[i]), int(predicted[i]), int(images[i])) for i in order]

    def most_confused(self) -> dict[int, tuple[int, int]]:
        """Return for each class with mistakes what it is most often taken for, and how often."""
        true, predicted, images = self._wrong()
        found: dict[int, tuple[int, int]] = {}
        for place in np.lexsort((predicted, -images, true)):
            found.setdefault(int(true[place]), (int(predicted[place]), int(images[place])))
        return found

    def _wrong(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        wrong = self.true != self.predicted
        return self.true[wrong], self.predicted[wrong], self.images[wrong]

    def parts(self, most: int = 1000) -> np.ndarray:
        """Return each cell's part of its true class's images, for a picture.

        Args:
            most: Most rows; with more classes, neighbours share a row and a column, and the largest
                of their parts shows.

        Returns:
            float64 array of as many rows as columns.
        """
        step = -(-self.classes // most)
        side = -(-self.classes // step)
        parts = np.zeros((side, side))
        values = self.images / np.maximum(self.row_sums(), 1)[self.true]
        np.maximum.at(parts, (self.true // step, self.predicted // step), values)
        return parts


def read_evaluation(path: str | Path) -> dict[str, Any]:
    """Return what `run_evaluate` has written, of this version or one before.

    Args:
        path: The file ``evaluation.json``, or the folder it lies in.

    Returns:
        The result of `run_evaluate`, with ``confusion`` as a `Confusion`.

    Raises:
        InputError: The file cannot be read, or is not of an evaluation.

    Example:
        >>> read_evaluation("evaluations/first")["confusion"].worst(1)
        [(3, 5, 17)]
    """
    path = Path(path)
    path = path / "evaluation.json" if path.is_dir() else path
    try:
        values = read_json(path)
        names = values["class_names"]
        return {**values, "confusion": Confusion.from_json(values["confusion"], len(names))}
    except InputError as error:
        raise InputError(f"{str(path)!r} is not an evaluation: {error}") from error
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{str(path)!r} is not an evaluation: {reason(error)}") from error
