"""What an image of a class counts in the loss, where classes have unlike numbers of images."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from keras_resnets.errors import ConfigError, InputError, nearest
from keras_resnets.files import plain_cell
from keras_resnets.reading import parse_json, read_text, reason

__all__ = [
    "BALANCED",
    "check_class_weights",
    "check_weight_names",
    "class_weight_vector",
    "read_class_weights",
]

BALANCED = "balanced"


def read_class_weights(text: str) -> str | dict[str, float]:
    """Return the value of ``--class-weights``: ``"balanced"``, or the weights in a file.

    Args:
        text: ``balanced``; or the path of a ``.json`` file, ``{"cat": 2.0, "dog": 1.0}``, or of a
            ``.csv`` file of class and weight, with or without a line of headings.

    Raises:
        InputError: There is no such file, or it cannot be read; the message names the line.

    Example:
        >>> read_class_weights("balanced")
        'balanced'
    """
    if text == BALANCED:
        return BALANCED
    path = Path(text).expanduser()
    if path.suffix.lower() not in (".json", ".csv") or not path.is_file():
        raise InputError(
            "`--class-weights` must be 'balanced' or an existing .json or .csv file. "
            f"Received: {text}"
        )
    try:
        content = read_text(path)
        read = _from_json if path.suffix.lower() == ".json" else _from_csv
        weights = read(content)
        check_class_weights(weights)
    except (OSError, ValueError, csv.Error) as error:  # what decoding, JSON and our checks raise
        why = reason(error) if isinstance(error, OSError) else error
        raise InputError(f"class weights {text!r} cannot be read: {why}") from error
    return weights


def _from_json(content: str) -> dict[str, float]:
    def unique(pairs):
        names = [name for name, _ in pairs]
        _check_unique(names)
        return dict(pairs)

    return parse_json(content, object_pairs_hook=unique)


def _from_csv(content: str) -> dict[str, float]:
    lines = "\n".join(content.splitlines())  # any line ends
    rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(lines))]
    rows = [(number, row) for number, row in enumerate(rows, start=1) if any(row)]
    weights = {}
    for place, (number, row) in enumerate(rows):
        if len(row) != 2:
            raise InputError(f"line {number} must be a class and a weight. Received: {row}")
        name, weight = plain_cell(row[0]), row[1]
        try:
            value = float(weight)
        except ValueError:
            if place == 0:
                continue  # headings
            raise InputError(
                f"line {number}: the weight must be a number. Received: {weight!r}"
            ) from None
        if name in weights:
            raise InputError(f"class {name!r} is given twice")
        weights[name] = value
    return weights


def _check_unique(names: Sequence[str]) -> None:
    if len({*names}) < len(names):
        twice, _ = Counter(names).most_common(1)[0]
        raise InputError(f"class {twice!r} is given twice")


def check_class_weights(weights) -> None:
    """Raise `ConfigError` for class weights that no data set can have."""
    if weights is None or weights == BALANCED:
        return
    if not isinstance(weights, Mapping) or not weights:
        raise ConfigError(
            "`class_weights` must be None, 'balanced' or a weight for each class by its name. "
            f"Received: class_weights={weights!r}"
        )
    for name, weight in weights.items():
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not math.isfinite(weight) or weight < 0:
            raise ConfigError(
                "`class_weights` must be finite numbers of at least 0. "
                f"Received: {weight!r} for class {name!r}"
            )
    if not any(weights.values()):
        raise ConfigError("`class_weights` must not all be 0")


def check_weight_names(weights, class_names: Sequence[str] | None) -> None:
    """Check that class weights are of all classes and of no others.

    Args:
        weights: As for `class_weight_vector`, or None.
        class_names: The classes; None where they are not known yet, and nothing is checked.

    Raises:
        ConfigError: They are not.
    """
    if not isinstance(weights, Mapping) or class_names is None:
        return
    for name in weights:
        if name not in class_names:
            raise ConfigError(
                f"`class_weights` names {name!r}, which is not a class{nearest(name, class_names)}"
            )
    missing = [name for name in class_names if name not in weights]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise ConfigError(
            f"`class_weights` must name every class. Missing: {', '.join(missing[:3])}{more}"
        )


def class_weight_vector(
    weights: str | Mapping[str, float], class_names: Sequence[str], counts: Sequence[int]
) -> list[float]:
    """Return each class's weight, such that the mean over the training images is 1.

    So only the ratios of given weights count, and the learning rate means what it means without
    them. ``"balanced"`` weighs a class by N / (C n): N images, n of them of this class, C classes
    that have images (King and Zeng 2001, as in scikit-learn).

    Args:
        weights: ``"balanced"``, or a weight for each class by its name.
        class_names: The classes, in the order of their labels.
        counts: Training images of each.

    Raises:
        ConfigError: A name is not a class, a class has no weight, or no image would count.

    Example:
        >>> class_weight_vector("balanced", ("cat", "dog"), (30, 10))
        [0.6666666666666666, 2.0]
    """
    counts = [int(count) for count in counts]
    if weights == BALANCED:
        seen = sum(count > 0 for count in counts)
        return [sum(counts) / (seen * count) if count else 0.0 for count in counts]
    check_weight_names(weights, class_names)
    values = [float(weights[name]) for name in class_names]
    total = sum(value * count for value, count in zip(values, counts, strict=True))
    if not total:
        raise ConfigError("`class_weights` are 0 for every class that has training images")
    return [value * sum(counts) / total for value in values]
