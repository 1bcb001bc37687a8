"""A folder of images in class folders, as a data source."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from keras_resnets.errors import DataError

__all__ = ["FolderSource"]

_EXTENSIONS = {".jpg", ".jpeg", ".png", ".bmp", ".gif"}
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"BM", b"GIF8")
_SPLIT_NAMES = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
}


class FolderSource:
    """Images of ``root/class/*.jpg``, or of ``root/{train,validation,test}/class/*.jpg``.

    Images may lie deeper in a class folder; hidden files and folders are left out. Without split
    folders, every tenth image of each class, in the order of a hash of its name, is for testing and
    every tenth for validation. A missing validation or test folder is replaced the same way by a
    part of the training images.

    Args:
        root: The folder.

    Raises:
        DataError: There are fewer than two classes, a class lacks images, a file is no image, or
            there are split folders without one for training.
    """

    def __init__(self, root: str | Path):
        self.root = Path(root)
        self.name = self.root.resolve().name
        folders = _subfolders(self.root)
        given = {_SPLIT_NAMES[path.name.lower()]: path for path in folders if _is_split(path)}
        if given and "train" not in given and all(map(_is_split, folders)):
            raise DataError(
                f"dataset folder {str(root)!r} has no 'train' folder. "
                f"Received: {', '.join(path.name for path in folders)}"
            )
        parts = given if "train" in given else {"train": self.root}
        self.class_names = sorted(
            {cls.name for path in parts.values() for cls in _subfolders(path)}
        )
        if len(self.class_names) < 2:
            found = ", ".join(self.class_names) or "none"
            raise DataError(
                f"dataset folder {str(root)!r} must hold at least two class folders of images. "
                f"Received: {len(self.class_names)} ({found})"
            )
        files = {split: self._class_files(path) for split, path in parts.items()}
        self._complete(files)
        self.files = {
            split: [(path, label) for label, paths in enumerate(classes) for path in paths]
            for split, classes in files.items()
        }
        # Shuffling reaches some gigabytes far: the classes must not come one after another.
        self.files["train"].sort(key=lambda example: _stable_order(example[0], self.root))
        self._check_files()

    def listing(self) -> str:
        """Return the name, size and class of every file, which differ when the folder does."""
        rows = (
            f"{split} {label} {path.relative_to(self.root)} {path.stat().st_size}"
            for split, files in sorted(self.files.items())
            for path, label in files
        )
        return "\n".join(rows)

    def _class_files(self, folder: Path) -> list[list[Path]]:
        classes = []
        for name in self.class_names:
            paths = (folder / name).rglob("*") if (folder / name).is_dir() else []
            images = [path for path in paths if _is_image(path, folder)]
            if not images:
                raise DataError(f"class folder {str(folder / name)!r} holds no images")
            classes.append(sorted(images, key=lambda path: _stable_order(path, folder)))
        return classes

    def _complete(self, files: dict[str, list[list[Path]]]) -> None:
        for split in ("test", "validation"):
            if split in files:
                continue
            files[split] = []
            for label, paths in enumerate(files["train"]):
                count = max(1, len(paths) // 10)
                if len(paths) - count < 1:
                    raise DataError(
                        f"class {self.class_names[label]!r} of {str(self.root)!r} has too few "
                        "images to train, validate and test on: at least three are needed"
                    )
                files[split].append(paths[:count])
                files["train"][label] = paths[count:]

    def _check_files(self) -> None:
        for examples in self.files.values():
            for path, _ in examples:
                with path.open("rb") as file:
                    head = file.read(8)
                if not head.startswith(_SIGNATURES):
                    raise DataError(f"{str(path)!r} is not a JPEG, PNG, BMP or GIF image")

    def dataset(self, split: str, size: int):
        """Return a split as a `tf.data.Dataset` of (uint8 image, int64 label).

        Each image is cropped to its central square and resized to `size` x `size`.
        """
        import tensorflow as tf

        def decode(data, label):
            image = tf.io.decode_image(data, channels=3, expand_animations=False)
            return square(image, size), label

        files = self.files_dataset(split)
        return files.map(decode, num_parallel_calls=tf.data.AUTOTUNE)

    def files_dataset(self, split: str):
        """Return a split as a `tf.data.Dataset` of (bytes of the file, int64 label)."""
        import tensorflow as tf

        paths = [str(path) for path, _ in self.files[split]]
        labels = tf.constant([label for _, label in self.files[split]], tf.int64)
        return tf.data.Dataset.from_tensor_slices((paths, labels)).map(
            lambda path, label: (tf.io.read_file(path), label),
            num_parallel_calls=tf.data.AUTOTUNE,
        )


def square(image, size: int):
    """Crop an image to its central square, resize it to `size` x `size`, return it as uint8."""
    import tensorflow as tf

    shape = tf.shape(image)
    side = tf.minimum(shape[0], shape[1])
    top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
    image = image[top : top + side, left : left + side]
    image = tf.image.resize(image, (size, size), antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(image), 0, 255), tf.uint8)


def _subfolders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _is_split(path: Path) -> bool:
    return path.name.lower() in _SPLIT_NAMES and bool(_subfolders(path))


def _is_image(path: Path, root: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
    return path.suffix.lower() in _EXTENSIONS and not hidden and path.is_file()


def _stable_order(path: Path, root: Path) -> tuple[bytes, str]:
    """Order by a hash of the name; images of one name in several folders, by where they lie."""
    return hashlib.sha256(os.fsencode(path.name)).digest(), path.relative_to(root).as_posix()
