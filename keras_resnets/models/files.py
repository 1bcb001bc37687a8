"""Model files and folders, judged by their first bytes: no framework is needed to refuse one."""

from __future__ import annotations

import importlib.util
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path

from keras_resnets.errors import InputError
from keras_resnets.reading import check_regular, irregular, parse_json, reason, size_in_words
from keras_resnets.words import count

__all__ = [
    "FORMATS",
    "MOST_CONFIG",
    "MOST_EXPANSION",
    "archived_config",
    "check_archive",
    "check_model_file",
    "check_network_file",
]

FORMATS = {
    "keras": "a Keras model",
    "saved_model": "a SavedModel",
    "tflite": "a TFLite model",
    "onnx": "an ONNX model",
}

_NETWORK = "keras_resnets>Network"
"""Name under which `Network` is registered with Keras."""

_CHUNK = 1 << 20

MOST_CONFIG = 64 << 20
"""Most bytes of a JSON member of an archive; the largest network of the catalog has 300 kB."""

MOST_EXPANSION = 100
"""How many times larger than in the archive a member may be; Keras does not compress weights, and
JSON of a deep network shrinks to a fiftieth."""

_BLOCK = 1000
"""Least bytes of a block in an HDF5 file: the headers of its groups and arrays alone have more."""

_SMALL = 16 << 20
"""Bytes that a member may have whatever it was compressed from."""

_BAD_ARCHIVE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
"""What a damaged, encrypted or foreign zip archive raises."""


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
    config = archived_config(path)
    kind = config.get("registered_name") if isinstance(config, dict) else None
    if kind != _NETWORK:
        found = config.get("class_name") if isinstance(config, dict) else None
        raise InputError(
            f"`{argument}` must be a keras_resnets model. Received: {str(path)!r}, which holds a "
            f"{found or 'model of another kind'}"
        )


def archived_config(path: str | Path):
    """Return the ``config.json`` of a ``.keras`` file.

    Raises:
        InputError: The file, or what it says, cannot be read.
        OSError: There is no such file, or it is not a file.
    """
    try:
        check_regular(path)
        with zipfile.ZipFile(path) as archive:
            return parse_json(_member(archive, "config.json"))
    except (*_BAD_ARCHIVE, KeyError, ValueError) as error:
        raise InputError(f"{str(path)!r} is damaged: {reason(error)}") from error


def check_archive(path: str | Path) -> None:
    """Check a ``.keras`` file's checksums, and that a network in it is no larger than its weights.

    Keras reads weights here and there in the file, and checks neither: a flipped bit would change
    answers, and a configuration of a few bytes would ask for all memory there is.

    Args:
        path: A file that `check_model_file` takes.

    Raises:
        InputError: A checksum is wrong, or the network is too large.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                with archive.open(name) as file:
                    while file.read(_CHUNK):
                        pass
            weights = [x for x in archive.infolist() if x.filename.endswith(".weights.h5")]
            fault = _size_fault(archived_config(path), max(x.file_size for x in weights))
    except _BAD_ARCHIVE as error:
        fault = f"it is damaged: {reason(error)}"
    if fault is not None:
        raise InputError(f"{str(path)!r} cannot be read as {FORMATS['keras']}: {fault}")


def _size_fault(config, available: int) -> str | None:
    """Return why weights of some bytes cannot be those of an archived network, None if they can."""
    from keras_resnets.models.config import config_from_dict
    from keras_resnets.models.cost import complexity

    if not isinstance(config, dict) or config.get("registered_name") != _NETWORK:
        return None
    try:
        network = config_from_dict(config["config"]["network"])
        blocks = sum(network.blocks)
        least = _BLOCK * blocks
        if least <= available:
            least = complexity(network).total_params
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, OverflowError) as error:
        return f"config.json inside describes no network: {reason(error)}"
    if least > available:
        return (
            f"config.json inside describes a network of {count(blocks, 'block')} and at least "
            f"{size_in_words(least)}; its weights have {size_in_words(available)}"
        )
    return None


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    info = archive.getinfo(name)
    if info.file_size > MOST_CONFIG:
        raise ValueError(
            f"{name} inside has {size_in_words(info.file_size)}; at most "
            f"{size_in_words(MOST_CONFIG)} are read"
        )
    return archive.read(name)


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
    if (kind := irregular(place)) is not None:
        return None, kind
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
    except _BAD_ARCHIVE:
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
    for info in archive.infolist():
        if info.file_size > max(_SMALL, MOST_EXPANSION * info.compress_size):
            return (
                f"{info.filename} inside grows from {size_in_words(info.compress_size)} to "
                f"{size_in_words(info.file_size)}, more than {MOST_EXPANSION} times"
            )
    for name in ("config.json", "metadata.json"):
        if archive.getinfo(name).file_size > MOST_CONFIG:
            return f"{name} inside has more than {size_in_words(MOST_CONFIG)}"
        try:
            parse_json(archive.read(name))
        except ValueError:
            return f"{name} inside is damaged"
    for name in weights:
        with archive.open(name) as file:
            if file.read(4) != b"\x89HDF":
                return f"{name} inside is damaged"
    return None


def _saved_model_fault(path: Path) -> str | None:
    graph = path / "saved_model.pb"
    for inner in path.rglob("*"):
        if not inner.is_dir() and (kind := _irregular_or_gone(inner)) is not None:
            return f"{inner.relative_to(path)}: {kind}"
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


def _irregular_or_gone(path: Path) -> str | None:
    try:
        return irregular(path)
    except OSError as error:  # a broken link
        return reason(error).lower()


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
        check_regular(path)
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
