"""What the papers say of their networks: size and error, by catalog name.

The facts are in ``published.csv``: name, source, parameters in millions as printed, and errors in
percent, each ``measurement=value``.
"""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass
from importlib import resources

__all__ = ["Published", "published"]


@dataclass(frozen=True)
class Published:
    """A paper's numbers for one network.

    Attributes:
        source: Author and year.
        params_millions: Parameters as printed, in millions, or None.
        errors: Error in percent by measurement, ``cifar10_aug`` or ``imagenet_1crop_top1``.
    """

    source: str
    params_millions: float | None
    errors: dict[str, float]

    @property
    def error(self) -> tuple[str, float] | None:
        """The measurement to compare networks by: the first one listed, or None."""
        return next(iter(self.errors.items()), None)


@functools.cache
def _table() -> dict[str, Published]:
    text = resources.files("keras_resnets.models").joinpath("published.csv").read_text("utf-8")
    return {
        row["name"]: Published(
            row["source"],
            float(row["params_millions"]) if row["params_millions"] else None,
            {
                name: float(value)
                for name, value in (pair.split("=") for pair in row["errors"].split())
            },
        )
        for row in csv.DictReader(text.splitlines())
    }


def published(name: str) -> Published | None:
    """Return what the paper says of a network, or None.

    Args:
        name: Catalog name.

    Example:
        >>> published("resnet20_cifar").errors["cifar10_aug"]
        8.75
    """
    return _table().get(name)
