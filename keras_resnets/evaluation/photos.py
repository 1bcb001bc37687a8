"""Image files: which there are, and what is in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_resnets.errors import InputError

__all__ = ["find_photos", "read_photo"]

_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif"}
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"BM", b"GIF8")


def find_photos(paths: Sequence[str | Path]) -> list[Path]:
    """Return image files, with folders replaced by all images in them.

    Hidden files and folders are left out; a folder's images come in the order of their paths.

    Args:
        paths: Files and folders.

    Raises:
        InputError: A path does not exist, a folder holds no images, or a file is not a JPEG, PNG,
            BMP or GIF image by its first bytes.

    Example:
        >>> find_photos(["cat.png", "photos"])
        [PosixPath('cat.png'), PosixPath('photos/dog.jpg')]
    """
    photos = []
    for path in map(Path, paths):
        if not path.exists():
            raise InputError(f"image {str(path)!r} does not exist")
        found = _in_folder(path) if path.is_dir() else [path]
        if not found:
            raise InputError(f"folder {str(path)!r} holds no JPEG, PNG, BMP or GIF images")
        photos.extend(found)
    if not photos:
        raise InputError("give one image or more")
    for path in photos:
        with path.open("rb") as file:
            if not file.read(8).startswith(_SIGNATURES):
                raise InputError(f"{str(path)!r} is not a JPEG, PNG, BMP or GIF image")
    return photos


def _in_folder(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in _SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def read_photo(path: str | Path, size: int, channels: int) -> np.ndarray:
    """Return an image as a data set of a folder has it: its central square, resized.

    Grey images become colour images of equal channels, colour images their luma, and transparency
    is left out; of an animation the first picture is taken.

    Args:
        path: The file.
        size: Side to resize to.
        channels: 1 or 3.

    Returns:
        uint8 array ``(size, size, channels)``.

    Raises:
        InputError: The file cannot be decoded.

    Example:
        >>> read_photo("cat.png", 32, 3).shape
        (32, 32, 3)
    """
    import tensorflow as tf

    from keras_resnets.data.folder import square

    try:
        image = tf.io.decode_image(Path(path).read_bytes(), expand_animations=False)
    except (tf.errors.OpError, ValueError) as error:
        reason = getattr(error, "message", str(error)).strip().splitlines()[0][:200]
        raise InputError(f"image {str(path)!r} cannot be decoded: {reason}") from error
    if image.shape[-1] in (2, 4):
        image = image[..., :-1]
    image = tf.cast(image, tf.float32)
    if channels == 1 and image.shape[-1] == 3:
        image = tf.tensordot(image, [[0.299], [0.587], [0.114]], 1)
    elif channels == 3 and image.shape[-1] == 1:
        image = tf.repeat(image, 3, axis=-1)
    return square(image, size).numpy()
