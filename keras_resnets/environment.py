"""What a run was computed with: versions, threads, the device."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

from keras_resnets._version import __version__

__all__ = ["run_environment"]

_PACKAGES = ("keras", "tensorflow", "numpy", "keras-tuner")


def run_environment(device: str = "CPU") -> dict[str, Any]:
    """Return what figures may depend on beside the settings and the data, as JSON-ready values.

    Args:
        device: ``"CPU"``, or the name of the GPU, as `choose_execution` has it.

    Returns:
        ``versions`` by the packages' names, ``backend`` of Keras, ``threads`` (``intra`` and
        ``inter`` as TensorFlow is set, 0 for its own choice; ``cpus`` that the process may use) and
        ``device``, a CPU by its model's name.

    Example:
        >>> run_environment()["versions"]["keras"]
        '3.15.1'
    """
    import keras
    import tensorflow as tf

    backend = keras.backend.backend()
    names = dict.fromkeys((*_PACKAGES, backend))
    versions = {"keras_resnets": __version__, "python": platform.python_version()}
    return {
        "versions": versions | {name: _version(name) for name in names},
        "backend": backend,
        "threads": {
            "intra": tf.config.threading.get_intra_op_parallelism_threads(),
            "inter": tf.config.threading.get_inter_op_parallelism_threads(),
            "cpus": _cpus(),
        },
        "device": _cpu_model() if device == "CPU" else device,
        "system": platform.platform(),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(models), "") or platform.processor() or f"CPU ({platform.machine()})"
