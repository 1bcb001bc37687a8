"""Image files to ask a model about: which there are, and what is in them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from keras_resnets.data.folder import decode_files, read_headers, unreadable_error
from keras_resnets.data.layout import find_images
from keras_resnets.errors import InputError

__all__ = ["find_photos"]


def find_photos(
    paths: str | Path | Sequence[str | Path], skip_unreadable: bool = False
) -> tuple[list[Path], Counter, dict[Path, str]]:
    """Return image files, with folders replaced by all images in them.

    Hidden files and folders are passed over; a folder's images come in the order of their paths.

    Args:
        paths: Files and folders, or one.
        skip_unreadable: Whether files that are not images are left out; errors otherwise.

    Returns:
        The files; what was left out: how many, by reason; and why each file that was skipped
        cannot be decoded.

    Raises:
        InputError: A path does not exist, a folder holds no images, or files are not images by
            their first and last bytes; all of these are named.

    Example:
        >>> find_photos(["cat.png", "photos"])[0]
        [PosixPath('cat.png'), PosixPath('photos/dog.jpg')]
    """
    photos: list[Path] = []
    left_out: Counter = Counter()
    for path in map(Path, [paths] if isinstance(paths, str | os.PathLike) else paths):
        if not path.exists():
            raise InputError(f"image {str(path)!r} does not exist")
        if not path.is_dir():
            photos.append(path)
            continue
        found, others = find_images(path)
        if not found:
            raise InputError(f"folder {str(path)!r} holds no images")
        photos += found
        left_out += others
    if not photos:
        raise InputError("give one image or more")
    headers, unreadable = read_headers(photos)
    if skip_unreadable:
        unreadable |= decode_files(list(headers))[1]
    elif unreadable:
        raise unreadable_error(unreadable)
    left_out["unreadable files"] += len(unreadable)
    photos = [path for path in headers if path not in unreadable]
    if not photos:
        raise InputError("no file is an image that can be decoded")
    return photos, +left_out, unreadable
