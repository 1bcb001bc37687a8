"""Model files and folders, judged by their first bytes: no framework is needed to refuse one."""

from __future__ import annotations

import importlib.util
import json
import zipfile
from collections.abc import Collection
from pathlib import Path

from keras_resnets.errors import InputError

__all__ = ["FORMATS", "check_model_file", "check_network_file"]

FORMATS = {
    "keras": "a Keras model",
    "saved_model": "a SavedModel",
    "tflite": "a TFLite model",
    "onnx": "an ONNX model",
}

_NETWORK = "keras_resnets>Network"
"""Name under which `Network` is registered with Keras."""

_CHUNK = 1 << 20


def check_model_file(
    path: str | Path, formats: Collection[str] = tuple(FORMATS), argument: str = "MODEL"
) -> str:
    """Return a model's format, after a look at what is in its file or folder.

    Args:
        path: The file, or the SavedModel's folder.
        formats: Formats that will do, of `FORMATS`.
        argument: What the user calls it.

    Raises:
        InputError: There is no such file, it is of another format, it is damaged, or what runs it
            is not installed.

    Example:
        >>> check_model_file("runs/first/model.tflite")
        'tflite'
        >>> check_model_file("runs/first/cut.keras")
        InputError: 'runs/first/cut.keras' cannot be read as a Keras model: it is cut short
    """
    place = Path(path)
    form, reason = _format(place)
    if form not in formats:
        reason = reason or f"it is {FORMATS[form]}"
        raise InputError(
            f"`{argument}` must be an existing {_expected(formats)}. Received: {path} ({reason})"
        )
    fault = _FAULTS[form](place)
    if fault is not None:
        raise InputError(f"{str(path)!r} cannot be read as {FORMATS[form]}: {fault}")
    if form == "onnx" and importlib.util.find_spec("onnxruntime") is None:
        raise InputError(
            f"{str(path)!r} needs ONNX Runtime to run: pip install keras-resnets[onnx]"
        )
    return form


def check_network_file(path: str | Path, argument: str = "MODEL") -> None:
    """Check that a ``.keras`` file holds a network of this package, as it was built.

    Args:
        path: The file.
        argument: What the user calls it.

    Raises:
        InputError: As for `check_model_file`, or it holds another model.
    """
    check_model_file(path, ("keras",), argument)
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    kind = config.get("registered_name") if isinstance(config, dict) else None
    if kind != _NETWORK:
        found = config.get("class_name") if isinstance(config, dict) else None
        raise InputError(
            f"`{argument}` must be a keras_resnets model. Received: {str(path)!r}, which holds a "
            f"{found or 'model of another kind'}"
        )


def _format(place: Path) -> tuple[str | None, str | None]:
    """Return a path's format by its name, or None and why it has none."""
    try:
        if place.is_dir():
            if (place / "saved_model.pb").is_file():
                return "saved_model", None
            return None, "it is a folder without a saved_model.pb"
        if not place.exists():
            return None, "it does not exist"
    except OSError as error:  # a name too long, a folder that cannot be looked into
        return None, (error.strerror or str(error)).lower()
    kind = place.suffix.removeprefix(".")
    if kind in FORMATS and kind != "saved_model":
        return kind, None
    return None, "its name ends otherwise"


def _expected(formats: Collection[str]) -> str:
    suffixes = [f".{form}" for form in FORMATS if form in formats and form != "saved_model"]
    *others, last = suffixes
    files = f"{', '.join(others)} or {last} file" if others else f"{last} file"
    return files + (" or a SavedModel folder" if "saved_model" in formats else "")


def _keras_fault(path: Path) -> str | None:
    head, fault = _head(path)
    if fault is not None:
        return fault
    if head.startswith(b"\x89HDF"):
        return "it is an HDF5 file, whose name should end in .h5"
    if not head.startswith(b"PK"):
        return "it is not a zip archive, as .keras files are"
    try:
        with zipfile.ZipFile(path) as archive:
            return _archive_fault(archive)
    except (zipfile.BadZipFile, EOFError, NotImplementedError):
        return "it is cut short or damaged"
    except OSError as error:
        return (error.strerror or str(error)).lower()


def _archive_fault(archive: zipfile.ZipFile) -> str | None:
    names = set(archive.namelist())
    weights = [name for name in names if name.endswith(".weights.h5")]
    for missing, there in (
        ("config.json", "config.json" in names),
        ("metadata.json", "metadata.json" in names),
        ("weights", bool(weights)),
    ):
        if not there:
            return f"it is a zip archive without {missing}, not one that Keras wrote"
    for name in ("config.json", "metadata.json"):
        try:
            json.loads(archive.read(name))
        except ValueError:
            return f"{name} inside is damaged"
    for name in weights:
        with archive.open(name) as file:
            if file.read(4) != b"\x89HDF":
                return f"{name} inside is damaged"
    return None


def _saved_model_fault(path: Path) -> str | None:
    graph = path / "saved_model.pb"
    _, fault = _head(graph)
    if fault is not None:
        return f"saved_model.pb: {fault}"
    variables = path / "variables"
    index = variables / "variables.index"
    whole = index.is_file() and any(variables.glob("variables.data-*"))
    if not whole and _contains(graph, (b"VarHandleOp", b"VariableV2")):
        return "the weights in its folder variables/ are missing"
    if whole and not index.stat().st_size:
        return "variables/variables.index is empty"
    return None


def _tflite_fault(path: Path) -> str | None:
    head, fault = _head(path)
    if fault is None and head[4:8] != b"TFL3":
        return "it is not a TFLite file"
    return fault


def _onnx_fault(path: Path) -> str | None:
    return _head(path)[1]


_FAULTS = {
    "keras": _keras_fault,
    "saved_model": _saved_model_fault,
    "tflite": _tflite_fault,
    "onnx": _onnx_fault,
}


def _head(path: Path) -> tuple[bytes, str | None]:
    """Return a file's first bytes, or why there are none."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        return b"", (error.strerror or str(error)).lower()
    return head, None if head else "it is empty"


def _contains(path: Path, words: tuple[bytes, ...]) -> bool:
    """Return whether a file, however large, has one of some words in it."""
    longest = max(map(len, words))
    with path.open("rb") as file:
        before = b""
        while chunk := file.read(_CHUNK):
            if any(word in before + chunk for word in words):
                return True
            before = chunk[-longest:]
    return False
