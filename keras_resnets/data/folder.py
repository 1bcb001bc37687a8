"""A folder of images as a data source: what is in it, checked, and decoded on demand."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Iterable
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np

from keras_resnets.data.decoding import Decoder, decode_pixels
from keras_resnets.data.formats import Header, UnreadableImage, read_header, read_image
from keras_resnets.data.labels import read_labels
from keras_resnets.data.layout import SPLITS, Layout, read_layout
from keras_resnets.data.settings import DataSettings
from keras_resnets.errors import DataError
from keras_resnets.words import count, cut

__all__ = [
    "FolderSource",
    "decode_files",
    "decode_original",
    "pixel_digest",
    "place_in",
    "read_headers",
    "unreadable_error",
]

_THREADS = 8
"""Files opened at once: disks and networks answer late."""

_SHOWN = 20
"""Unreadable files named in a message before the rest is counted."""


class FolderSource:
    """Images of a folder in three splits, by their headers alone.

    A missing test or validation split is cut from the training images of each class: every tenth,
    in the order of a hash of its name.

    Args:
        settings: The folder and how to read it.
        progress: Called with the numbers of files looked at and of all.

    Attributes:
        class_names: The classes, in the order of their labels.
        files: ``(path, label)`` of the images of each split.
        headers: What is in each file, by path.
        unreadable: Why each file that was left out cannot be decoded, by path.
        digests: Where unreadable files are skipped, a hash of each image's pixels, by path.

    Raises:
        DataError: The folder cannot be read as classes, or files in it cannot be decoded.
    """

    def __init__(self, settings: DataSettings, progress: Callable[[int, int], None] | None = None):
        self.root = Path(settings.dataset).expanduser()
        self.name = self.root.resolve().name
        if settings.labels is None:
            found = read_layout(self.root, settings.layout)
        else:
            found = read_labels(self.root, settings.labels)
        self.how, self.left_out = found.how, found.left_out
        paths = [path for files in found.files.values() for path, _ in files]
        self.headers, self.unreadable = read_headers(paths, progress)
        if settings.skip_unreadable:
            # Decoded whole: what only training would find must be left out before it begins.
            self.digests, damaged = decode_files(list(self.headers), progress)
            self.unreadable |= damaged
        elif self.unreadable:
            raise unreadable_error(self.unreadable)
        self._take(found)
        self._cut_missing_splits()
        # Shuffling reaches some gigabytes far: the classes must not come one after another.
        for files in self.files.values():
            files.sort(key=lambda example: _stable_order(example[0], self.root))

    def _take(self, found: Layout) -> None:
        """Keep the readable files; a class that none is left of is left out."""
        readable = {
            split: [(path, label) for path, label in files if path not in self.unreadable]
            for split, files in found.files.items()
        }
        left = sorted({label for _, label in readable.get("train", [])})
        for label in set(range(len(found.class_names))) - set(left):
            self.left_out[f"class {found.class_names[label]}, without a readable image"] += 1
        self.class_names = [found.class_names[label] for label in left]
        if len(left) < 2:
            raise DataError(
                f"dataset folder {str(self.root)!r} must hold at least two classes of readable "
                f"images. Received: {len(left)} ({', '.join(self.class_names) or 'none'})"
            )
        number = {label: place for place, label in enumerate(left)}
        self.files = {
            split: [(path, number[label]) for path, label in files if label in number]
            for split, files in readable.items()
        }
        if self.unreadable:
            self.left_out["unreadable files"] += len(self.unreadable)

    def _cut_missing_splits(self) -> None:
        """Cut every tenth image of a class from the training images; one at least, of two."""
        self.cut = [split for split in ("test", "validation") if not self.files.get(split)]
        of_class: dict[int, list] = {label: [] for label in range(len(self.class_names))}
        for example in sorted(self.files["train"], key=lambda e: _stable_order(e[0], self.root)):
            of_class[example[1]].append(example)
        for split in self.cut:
            self.files[split] = []
            for label, examples in of_class.items():
                count = max(1, len(examples) // 10) if len(examples) > 1 else 0
                self.files[split] += examples[:count]
                of_class[label] = examples[count:]
        self.files["train"] = [example for examples in of_class.values() for example in examples]

    @property
    def sizes(self) -> dict[str, int]:
        """Number of images of each split."""
        return {split: len(self.files[split]) for split in SPLITS}

    def labels(self, split: str) -> np.ndarray:
        """Return the labels of a split."""
        return np.array([label for _, label in self.files[split]], np.int64)

    @functools.cached_property
    def image_sizes(self) -> set[tuple[int, int]]:
        """``(height, width)`` of the images, each once."""
        return {(self.headers[path].height, self.headers[path].width) for path in self.paths()}

    @property
    def is_grey(self) -> bool:
        """Whether no image has colours."""
        return all(self.headers[path].grey for path in self.paths())

    def paths(self) -> Iterable[Path]:
        """Return the files of all splits."""
        return (path for split in SPLITS for path, _ in self.files[split])

    def listing(self) -> str:
        """Return the name, size and class of every file, which differ when the folder does."""
        rows = (
            f"{split} {label} {place_in(path, self.root)} {self.headers[path].bytes}"
            for split, files in sorted(self.files.items())
            for path, label in files
        )
        return "\n".join(rows)

    def summary(self) -> list[str]:
        """Return lines that say how the folder was read, and what was left out and why."""
        sizes = ", ".join(f"{self.sizes[split]:,} {split}" for split in SPLITS)
        cut = f" (cut from train: {' and '.join(sorted(self.cut))})" if self.cut else ""
        lines = [f"{self.how}: {len(self.class_names):,} classes; {sizes}{cut}"]
        if self.left_out:
            reasons = ", ".join(f"{why}: {count:,}" for why, count in self.left_out.most_common())
            lines.append(f"left out: {reasons}")
        return lines

    def originals(self, split: str):
        """Return a split as a `tf.data.Dataset` of ((path, EXIF orientation), int64 label).

        `decode_original` makes an image of the first.
        """
        import tensorflow as tf

        paths = [str(path) for path, _ in self.files[split]]
        turns = np.array(
            [self.headers[path].orientation for path, _ in self.files[split]], np.int32
        )
        return tf.data.Dataset.from_tensor_slices(((paths, turns), self.labels(split)))

    def undecodable(self) -> DataError | None:
        """Decode every file; return the error that names those that cannot be."""
        _, bad = decode_files(list(self.paths()))
        return unreadable_error(bad) if bad else None


def decode_original(decoder: Decoder, original):
    """Return the image of a path and its orientation, of any size, in a graph."""
    import tensorflow as tf

    path, orientation = original
    return decoder.decode(tf.io.read_file(path), orientation)


def read_headers(
    paths: list[Path], progress: Callable[[int, int], None] | None = None
) -> tuple[dict[Path, Header], dict[Path, str]]:
    """Read the headers of files.

    Args:
        paths: The files.
        progress: Called with the numbers of files read and of all.

    Returns:
        The headers by path, and for the files that cannot be read the reasons.

    Example:
        >>> headers, unreadable = read_headers([Path("a.jpg")])
    """
    return _sorted_out(read_header, paths, progress)


def decode_files(
    paths: list[Path], progress: Callable[[int, int], None] | None = None
) -> tuple[dict[Path, bytes], dict[Path, str]]:
    """Decode files whole.

    Args:
        paths: The files.
        progress: Called with the numbers of files decoded and of all.

    Returns:
        A hash of the pixels by path, and for the files that cannot be decoded the reasons.

    Example:
        >>> decode_files([Path("half.jpg")])[1]
        {PosixPath('half.jpg'): 'image file is truncated (12 bytes not processed)'}
    """
    return _sorted_out(_file_digest, paths, progress)


def _file_digest(path: Path) -> bytes:
    return pixel_digest(read_image(path))


def pixel_digest(data: bytes) -> bytes:
    """Return a hash of an image's pixels: equal images of two formats have the same.

    Raises:
        UnreadableImage: It cannot be decoded.
    """
    pixels = decode_pixels(data, 3)
    return hashlib.blake2b(pixels.tobytes() + repr(pixels.shape).encode(), digest_size=16).digest()


_LAST: dict[Callable, dict[Path, tuple]] = {}
"""Results of the last files read by each function: a command looks at a folder before it imports
TensorFlow, and again behind it."""


def _sorted_out(function, paths, progress):
    """Return the results of a function of each path, and the reasons where it fails."""
    known, now = _LAST.get(function, {}), {}

    def attempt(path):
        try:
            stat = path.stat()
            state = (stat.st_size, stat.st_mtime_ns)
            if path in known and known[path][0] == state:
                return path, known[path]
            return path, (state, function(path), None)
        except UnreadableImage as error:
            return path, (state, None, str(error))
        except OSError as error:
            return path, (None, None, error.strerror or str(error))

    with ThreadPool(_THREADS) as pool:
        for done, (path, row) in enumerate(pool.imap(attempt, paths, chunksize=16), 1):
            now[path] = row
            if progress is not None and (done % 64 == 0 or done == len(paths)):
                progress(done, len(paths))
    _LAST[function] = now
    good = {path: result for path, (_, result, reason) in now.items() if reason is None}
    return good, {path: reason for path, (_, _, reason) in now.items() if reason is not None}


def unreadable_error(unreadable: dict[Path, str]) -> DataError:
    """Return the error that names files that cannot be decoded: the first 20, and how many."""
    named, more = cut((f"{str(path)!r} ({why})" for path, why in unreadable.items()), _SHOWN)
    return DataError(
        f"{count(len(unreadable), 'image file')} cannot be decoded (--skip-unreadable leaves them "
        f"out): {'; '.join(filter(None, [*named, more]))}"
    )


def _stable_order(path: Path, root: Path) -> tuple[bytes, str]:
    """Order by a hash of the name; images of one name in several folders, by where they lie."""
    return hashlib.sha256(os.fsencode(path.name)).digest(), place_in(path, root).replace(
        os.sep, "/"
    )


def place_in(path: Path, root: Path) -> str:
    """Return where a file lies in the folder, or from there."""
    text, base = str(path), f"{root}{os.sep}"
    return text[len(base) :] if text.startswith(base) else os.path.relpath(path, root)
