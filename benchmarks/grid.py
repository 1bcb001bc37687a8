"""What is measured: networks and measures. Nothing here imports a framework."""

from __future__ import annotations

import dataclasses
import re

import keras_resnets as kr
from keras_resnets.errors import ConfigError, nearest

NETWORKS = {
    "resnet50": 16,
    "resnet20_cifar": 128,
    "wrn16_4_cifar": 64,
    "densenet_bc_40_12_cifar": 64,
}
"""The networks of a run with no options, and the images of their training steps."""

_OTHERS = {"resnet50_v1_5": 16}
_ELSE = 64

_FAMILIES = {
    "resnet50": r"resnet50",
    "resnet50_v1_5": r"resnet50_v1_5",
    "resnet": r"resnet(\d+)_cifar",
    "wrn": r"wrn(\d+)_(\d+)_cifar",
    "densenet_bc": r"densenet_bc_(\d+)_(\d+)_cifar",
}


@dataclasses.dataclass(frozen=True)
class Measure:
    """One thing that is measured.

    Attributes:
        title: Its name in the table.
        unit: Its unit in the table.
        scale: Units in a second, or in a byte.
        passes: Forward passes that have as many multiply-adds, 0 where no images are computed.
    """

    title: str
    unit: str = "s"
    scale: float = 1.0
    passes: int = 0


MEASURES = {
    "step": Measure("training step", "ms", 1e3, 3),  # forward, and twice that backward
    "infer1": Measure("inference, batch 1", "ms", 1e3, 1),
    "infer32": Measure("inference, batch 32", "ms", 1e3, 1),
    "build": Measure("build"),
    "first_step": Measure("build and first step"),
    "save": Measure("save"),
    "load": Measure("load"),
    "memory": Measure("peak memory", "MB", 1e-6),
}
INFERENCE = ("infer1", "infer32")


@dataclasses.dataclass(frozen=True)
class Network:
    """A network to measure.

    Attributes:
        name: Its name in the catalog.
        size: Height and width of its images.
        classes: Number of classes.
        batch: Images of a training step.
        family: ``"resnet50"``, ``"resnet50_v1_5"``, ``"resnet"``, ``"wrn"`` or ``"densenet_bc"``.
        numbers: Depth, and width or growth rate.
    """

    name: str
    size: int
    classes: int
    batch: int
    family: str
    numbers: tuple[int, ...]

    def images(self, measure: str) -> int:
        """Return the images of one training step or inference."""
        return int(measure.removeprefix("infer")) if measure in INFERENCE else self.batch


def find_network(name: str, batch: int | None = None) -> Network:
    """Return a network by its name.

    Raises:
        ConfigError: The sides do not have such a network.
    """
    known = NETWORKS | _OTHERS
    for family, pattern in _FAMILIES.items():
        if match := re.fullmatch(pattern, name):
            config = kr.model_config(name)
            size, _, _ = config.input_shape
            batch = batch or known.get(name, _ELSE)
            numbers = tuple(map(int, match.groups()))
            return Network(name, size, config.classes, batch, family, numbers)
    raise ConfigError(
        f"expected {', '.join(known)}, or one for CIFAR like these of another depth and width"
        f"{nearest(name, known)}. Received: {name}"
    )
