"""Data sets of TensorFlow Datasets: which names there are, what is prepared, what a download does.

The checks here read names and files alone. TensorFlow Datasets is imported to prepare a data set;
its own list of names takes ten seconds and asks the network.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import os
import re
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from keras_resnets.data.settings import DIGITS
from keras_resnets.errors import DataError, RunError
from keras_resnets.reading import check_regular, reason, size_in_words
from keras_resnets.verbosity import Printer

__all__ = [
    "DIGITS",
    "base_name",
    "check_place",
    "check_root",
    "data_root",
    "download_line",
    "is_known",
    "known_names",
    "list_is_complete",
    "open_builder",
    "prepare",
]

_LIBRARY = "tensorflow_datasets"

_INFO = "dataset_info.json"

_CLASS = re.compile(r"^class (\w+)\(([^)]*)\)", re.MULTILINE)

_NO_DATA_SET = re.compile(r"(Config|Info|Error|Test|Importer|Base)$")
"""How classes end that are not data sets."""

_MANUAL = Path("downloads", "manual")


def base_name(name: str) -> str:
    """Return a name without configuration, version and arguments.

    Example:
        >>> base_name("cifar10_corrupted/brightness_1:1.0.0")
        'cifar10_corrupted'
    """
    plain = re.split(r"[/:]", name, maxsplit=1)[0]
    if not re.search("[A-Z]", plain):
        return plain
    return _snake_case(plain)


@functools.lru_cache(maxsize=1)
def known_names() -> frozenset[str]:
    """Return the names that TensorFlow Datasets knows by its installed files, and our own.

    Example:
        >>> "cifar10" in known_names()
        True
    """
    names = {DIGITS}
    for folder in _library_folders():
        names |= {
            path.name
            for path in (folder / "datasets").glob("*")
            if path.is_dir() and not path.name.startswith("_")
        }
        for path in _sources(folder):
            for name, bases in _CLASS.findall(path.read_text("utf-8", errors="replace")):
                if not _NO_DATA_SET.search(name) and "Config" not in bases:
                    names.add(_snake_case(name))
    return frozenset(names)


def is_known(name: str, data_dir: str | os.PathLike | None = None) -> bool:
    """Return whether a name is that of a data set, by the files that are there.

    A prepared folder is enough, even without the code that made it.
    """
    return (
        name == DIGITS
        or bool(re.match(r"[\w-]+:[A-Za-z]", name))  # "huggingface:mnist", of a community
        or base_name(name) in known_names()
        or _is_prepared(name, data_dir)
    )


def list_is_complete() -> bool:
    """Return whether a name that is not known by files is not known at all.

    A program that has imported TensorFlow Datasets may have registered data sets of its own, and
    the library's files may not be where they were: then the library itself is asked, later.
    """
    return _LIBRARY not in sys.modules and len(known_names()) > 10


def data_root(data_dir: str | os.PathLike | None = None) -> Path:
    """Return the folder where TensorFlow Datasets keeps its data."""
    if data_dir is not None:
        return Path(data_dir).expanduser()
    given = os.environ.get("TFDS_DATA_DIR")
    return Path(given or "~/tensorflow_datasets").expanduser()


def check_place(
    name: str, data_dir: str | os.PathLike | None = None, download: bool = True
) -> None:
    """Check that a data set is prepared, or may be prepared where it would be.

    Raises:
        DataError: `data_dir` does not exist; or the data set is not prepared, and must not be
            downloaded or would be among files that are not TensorFlow Datasets'.
    """
    check_root(data_dir)
    root = data_root(data_dir)
    if _is_prepared(name, data_dir):
        return
    # A program that has imported the library may have given it further folders to look into.
    if not download and name != DIGITS and _LIBRARY not in sys.modules:
        raise _refusal(name, _size_by_files(name), root)
    _check_contents(name, data_dir, root)


def check_root(data_dir: str | os.PathLike | None) -> None:
    """Check that the folder where data sets would lie is there, where one is given.

    Raises:
        DataError: It is not.
    """
    root = data_root(data_dir)
    if data_dir is not None and not root.is_dir():
        what = "is a file, not a folder" if root.exists() else "does not exist"
        raise DataError(f"`data_dir` {str(data_dir)!r} {what}: make the folder first")


def open_builder(name: str, data_dir: str | os.PathLike | None = None):
    """Return the `tfds.core.DatasetBuilder` of a name.

    Raises:
        DataError: No data set has this name, or it cannot be opened.
    """
    import tensorflow_datasets as tfds

    import keras_resnets.data.digits  # noqa: F401  registers the embedded data set

    try:
        place = None if data_dir is None else str(data_root(data_dir))
        builder = tfds.builder(name, data_dir=place)
        for path in Path(builder.data_path).glob("*"):  # TensorFlow would wait for a pipe
            if not path.is_dir():
                check_regular(path)
        return builder
    except tfds.core.registered.DatasetNotFoundError as error:
        from keras_resnets.data.options import unknown_name

        raise unknown_name(name, tfds.core.registered.list_imported_builders()) from error
    except Exception as error:  # whatever a version, a configuration or a missing package can raise
        raise DataError(f"data set {name!r} cannot be opened: {reason(error)}") from error


def prepare(
    builder,
    name: str,
    data_dir: str | os.PathLike | None = None,
    *,
    download: bool = True,
    print_fn: Callable[[str], None] = print,
):
    """Return a builder whose data set is prepared, which takes a download where it is not yet.

    Everything is made in a folder of its own and moved when it is whole: what fails or is
    interrupted leaves nothing behind.

    Args:
        builder: What `open_builder` returned for the next two.
        name: The data set.
        data_dir: As for `load_data`.
        download: Whether a download is allowed.
        print_fn: Called with what is downloaded, how large it is, and where to.

    Raises:
        DataError: A download is needed and not allowed, or the folder holds other things.
        RunError: The data set cannot be prepared: no connection, no space.
    """
    if builder.data_path.exists():
        return builder
    print_fn = Printer(print_fn)
    root = _root(builder)
    line = download_line(builder, name, data_dir, download=download)
    if line is not None:
        print_fn(line)
    try:
        with _staged(root) as stage:
            watched = print_fn.verbose and name != DIGITS and sys.stderr.isatty()
            _generate(open_builder(name, stage), root, watched)
    except Exception as error:  # whatever a download, an archive or a disk can raise
        raise RunError(
            f"data set {name!r} cannot be prepared in {str(builder.data_path)!r} (--data-dir says "
            f"where a prepared copy lies): {reason(error)}"
        ) from error
    return open_builder(name, data_dir)


def download_line(
    builder, name: str, data_dir: str | os.PathLike | None = None, *, download: bool = True
) -> str | None:
    """Return what is downloaded to prepare a data set, how large it is, and where to.

    Args:
        builder: As for `prepare`, like the others.
        name: See there.
        data_dir: See there.
        download: See there.

    Returns:
        The line; None where there is nothing to download.

    Raises:
        DataError: As for `prepare`.
    """
    if builder.data_path.exists():
        return None
    root = _root(builder)
    if name == DIGITS:
        _check_contents(name, data_dir, root)
        return None
    _check_manual(builder, name, root)
    size = _size(builder)
    if not download:
        raise _refusal(name, size, root)
    _check_contents(name, data_dir, root)
    return f"downloading data set {name}, {size}, into\n{root}"


def _root(builder) -> Path:
    return Path(builder.data_path).parents[1 + bool(builder.builder_config)]


def _check_manual(builder, name: str, root: Path) -> None:
    """Refuse what the library cannot download, before anything is written."""
    place = root / _MANUAL
    if builder.MANUAL_DOWNLOAD_INSTRUCTIONS and not any(place.glob("*")):
        hint = " ".join(builder.MANUAL_DOWNLOAD_INSTRUCTIONS.split())
        raise DataError(f"data set {name!r} must be downloaded by hand into {str(place)!r}: {hint}")


def _generate(builder, root: Path, watched: bool) -> None:
    import tensorflow_datasets as tfds

    config = tfds.download.DownloadConfig(manual_dir=root / _MANUAL)
    # Progress bars are for people who watch; the embedded data takes a moment.
    with contextlib.nullcontext() if watched else _quiet(tfds):
        builder.download_and_prepare(download_config=config)


@contextlib.contextmanager
def _quiet(tfds):
    """Prepare without progress bars."""
    shown = tfds.core.utils.tqdm_utils._active  # there is a switch to turn, none to ask
    tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        if shown:
            tfds.enable_progress_bar()


@contextlib.contextmanager
def _staged(root: Path) -> Iterator[Path]:
    """Give a folder inside `root`; what is in it at the end, without an error, moves to `root`."""
    made = next((p for p in [*reversed(root.parents), root] if not p.exists()), None)
    root.mkdir(parents=True, exist_ok=True)
    _remove_stale(root)
    stage = root / f"{_partial()}{os.getpid()}"
    try:
        stage.mkdir()
        if (root / "downloads").is_dir():
            _borrow(root / "downloads", stage / "downloads")
        yield stage
        made = None
        _move_into(stage, root)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        if made is not None:
            _remove_empty(root, made)


def _partial() -> str:
    """Return how the name of a folder of this machine's begins."""
    return f".keras_resnets_download.{socket.gethostname()}."


def _remove_stale(root: Path) -> None:
    """Remove what processes of this machine left here that were killed."""
    for path in root.glob(f"{_partial()}*"):
        number = path.suffix.removeprefix(".")
        if number.isdecimal() and not _is_running(int(number)):
            shutil.rmtree(path, ignore_errors=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def _borrow(downloads: Path, place: Path) -> None:
    """Link to archives that are there, so that they are not downloaded again."""
    place.mkdir()
    for path in downloads.glob("*"):
        if path.name == "extracted":
            _borrow(path, place / path.name)
        elif path.name != _MANUAL.name:
            (place / path.name).symlink_to(path.resolve())


def _move_into(source: Path, target: Path) -> None:
    """Move a folder's contents into another; what is there already stays."""
    for path in list(source.iterdir()):
        there = target / path.name
        if path.is_symlink():
            continue
        if not there.exists():
            with contextlib.suppress(FileExistsError):  # another process was faster
                path.rename(there)
        elif path.is_dir() and not (there / _INFO).exists():
            _move_into(path, there)


def _remove_empty(root: Path, upto: Path) -> None:
    """Remove an empty folder and its parents up to one, as far as they are empty."""
    for path in (root, *root.parents):
        with contextlib.suppress(OSError):
            path.rmdir()
        if path == upto or path.exists():
            return


def _check_contents(name: str, data_dir, root: Path) -> None:
    """Refuse to prepare a data set in a folder of the user's own."""
    if data_dir is None and not os.environ.get("TFDS_DATA_DIR"):
        return  # the library's own place
    entries = sorted(p for p in root.glob("*") if not p.name.startswith("."))
    others = [p.name for p in entries if not _is_of_library(p)]
    if others and len(others) == len([p for p in entries if p.name != "downloads"]):
        some = ", ".join(others[:3]) + ", ..." * (len(others) > 3)
        raise DataError(
            f"data set {name!r} is not in {str(root)!r}, which holds other things than TensorFlow "
            f"Datasets data: {some}; give --data-dir an empty folder or one with such data"
        )


def _is_of_library(path: Path) -> bool:
    """Return whether a folder is a data set of the library, whole or not, or its downloads."""
    if not path.is_dir():
        return False
    if path.name == "downloads":
        return True
    patterns = ("*", "*/*")
    inner = [p for pattern in patterns for p in path.glob(pattern) if p.is_dir()]
    return any((p / _INFO).is_file() or p.name.startswith("incomplete.") for p in inner)


def _is_prepared(name: str, data_dir=None) -> bool:
    """Return whether some version of a data set lies in its folder."""
    base = base_name(name)
    if not re.fullmatch(r"\w+", base):
        return False
    folder = data_root(data_dir) / base
    version = re.search(r":(\d+\.\d+\.\d+)$", name)
    number = version[1] if version else "*"
    return any(
        path.is_file() for depth in ("", "*/") for path in folder.glob(f"{depth}{number}/{_INFO}")
    )


def _refusal(name: str, size: str, root: Path) -> DataError:
    return DataError(
        f"data set {name!r} is not prepared in {str(root)!r}: it would be downloaded, {size}, "
        "which --no-download (download=False) forbids"
    )


def _size(builder) -> str:
    size = int(builder.info.download_size or 0)
    if size:
        return size_in_words(size)
    urls = builder.url_infos or {}
    return _at_most(sum(info.size or 0 for info in urls.values()))


def _size_by_files(name: str) -> str:
    """Return the size of a download by the lists of checksums that the library comes with."""
    base = base_name(name)
    for folder in _library_folders():
        legacy = (p / "checksums.tsv" for p in folder.glob(f"*/{base}"))
        for path in (folder / "url_checksums" / f"{base}.txt", *legacy):
            if path.is_file():
                rows = [line.split("\t") for line in path.read_text("utf-8").splitlines()]
                sizes = [int(row[1]) for row in rows if len(row) > 1 and row[1].isdecimal()]
                return _at_most(sum(sizes))
    return _at_most(0)


def _at_most(size: int) -> str:
    return f"at most {size_in_words(size)}" if size else "of unknown size"


def _library_folders() -> list[Path]:
    spec = importlib.util.find_spec(_LIBRARY)
    return [] if spec is None else [Path(p) for p in spec.submodule_search_locations or ()]


def _sources(folder: Path) -> Iterator[Path]:
    """Give the modules in which data sets are defined the older way, a class each."""
    for part in sorted(folder.iterdir()):
        if part.is_dir() and part.name not in ("core", "datasets", "scripts", "testing", "proto"):
            yield from (p for p in part.rglob("*.py") if not p.name.endswith("_test.py"))


def _snake_case(name: str) -> str:
    """Return a class's name as a data set's, as TensorFlow Datasets does."""
    name = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()
