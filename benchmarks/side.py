"""What the sides have in common. Nothing heavy is imported before a side starts."""

from __future__ import annotations

import gc
import tempfile
from pathlib import Path

from benchmarks.grid import MEASURES, Network

LEARNING = {"lr": 0.01, "momentum": 0.9}
"""The optimiser's numbers, on all sides."""


class UnsupportedError(Exception):
    """What a side cannot do; the message says why."""


class Side:
    """A way to run a network.

    Args:
        network: The network.
        threads: Threads of a CPU to use.
        precision: ``"float32"`` or ``"mixed_bfloat16"``.

    Attributes:
        name: In the table.
        library: What `--sides` selects it by.
        measures: What it is measured in.
        families: Families of networks that it has; all by default.
        on_gpu: Whether it is measured on a GPU.
        exact: Whether it must have exactly our trainable parameters.
        note: What is not the same as in ours.
        suffix: Of the files that it saves.
        answering: What to say of the last function that `predictor` returned.
    """

    name = library = note = answering = ""
    measures = tuple(MEASURES)
    families: tuple[str, ...] | None = None
    on_gpu = exact = True
    suffix = ".keras"

    def __init__(self, network: Network, threads: int, precision: str):
        self.network, self.threads, self.precision = network, threads, precision
        self._folder = tempfile.TemporaryDirectory(prefix="keras_resnets_speed_")
        self.folder = Path(self._folder.name)

    @classmethod
    def has(cls, network: Network) -> bool:
        """Say whether the library has a network."""
        return cls.families is None or network.family in cls.families

    def images(self, count: int):
        """Return a fixed batch of images, channels last, and labels."""
        import numpy as np

        rng = np.random.default_rng(0)
        size = self.network.size
        x = rng.standard_normal((count, size, size, 3), dtype="float32")
        return x, rng.integers(0, self.network.classes, count)

    def start(self) -> None:
        """Import the library and set it up."""

    def gpu(self) -> str | None:
        """Return the name of the GPU, None if there is none."""

    def gpu_bytes(self) -> int:
        """Return the most memory of the GPU that was in use."""

    def tidy(self) -> None:
        """Forget what is left of earlier models."""
        gc.collect()

    def build(self):
        """Return a new model."""

    def parameters(self, model) -> int:
        """Return the number of a model's trainable parameters."""

    def compile(self, model):
        """Return what `train` takes: the model, ready for training."""

    def about(self, trained) -> str:
        """Return what to say of what `compile` returned."""
        return ""

    def steps_at_once(self, trained) -> int:
        """Return the number of training steps that are one operation."""
        return 1

    def train(self, trained, steps: int) -> float:
        """Return the seconds of so many training steps, to the loss of the last one."""

    def predictor(self, model, count: int):
        """Return a function of no arguments that answers for a fixed batch of so many images."""

    def wait(self, answer) -> None:
        """Wait until an answer is there."""

    def save(self, model, path: Path) -> None:
        """Write a model."""

    def load(self, path: Path):
        """Return a model read from a file."""
