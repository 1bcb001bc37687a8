"""The machine: its names, its versions, its peak, and who else uses it."""

import importlib.metadata
import os
import platform
import re
from pathlib import Path

PEAKS = {"H100": 989, "H200": 989, "A100": 312, "L4": 121}
"""TFLOPS of dense bfloat16."""
_PACKAGES = (
    "tensorflow",
    "keras",
    "jax",
    "torch",
    "timm",
    "keras-hub",
    "onnxruntime",
    "ai-edge-litert",
)


def cpu() -> str:
    """Return the name of the CPU."""
    info = Path("/proc/cpuinfo")
    match = re.search(r"model name\s*: (.+)", info.read_text()) if info.exists() else None
    return match[1].strip() if match else platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{package} not installed"


def versions() -> str:
    """Return the versions of Python and of the libraries."""
    return ", ".join([f"Python {platform.python_version()}", *map(_version, _PACKAGES)])


def peak(gpu: str | None) -> float | None:
    """Return the operations a second that a GPU can do, None if they are not known."""
    known = [tflops for name, tflops in PEAKS.items() if re.search(rf"\b{name}\b", gpu or "")]
    return 1e12 * known[0] if known else None


class Others:
    """Tells how much of the CPU other processes took, which spoils the times."""

    def __init__(self):
        self._before = self._times()

    @staticmethod
    def _times() -> list[float]:
        """Return seconds of all CPUs, seconds that they were busy, and ours, ended children's too.

        Empty where the system does not tell.
        """
        path = Path("/proc/stat")
        if not path.exists():
            return []
        hertz = os.sysconf("SC_CLK_TCK")
        spent = [int(number) / hertz for number in path.read_text().split("\n")[0].split()[1:9]]
        return [sum(spent), sum(spent) - spent[3] - spent[4], sum(os.times()[:4])]

    def __str__(self):
        passed = [now - before for now, before in zip(self._times(), self._before, strict=True)]
        if not passed or not passed[0]:
            return "unknown"
        return f"took {max(0, (passed[1] - passed[2]) / passed[0]):.0%} of the CPU time of the run"
