"""What is in a data set, and what is wrong with it: sizes, balance, damage, leakage."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_resnets.data.folder import FolderSource, pixel_digest, place_in
from keras_resnets.data.formats import UnreadableImage, read_header
from keras_resnets.data.layout import SPLITS
from keras_resnets.data.settings import DataSettings
from keras_resnets.errors import DataError
from keras_resnets.reading import reason
from keras_resnets.words import count, cut

__all__ = ["check_data", "report_lines"]

_SHOWN = 20
"""Files, classes or pairs that are printed before the rest is counted."""


@dataclass(frozen=True)
class _Image:
    """One image: where it is, what it is, and a hash of its pixels."""

    place: str
    split: str
    label: int
    format: str
    size: tuple[int, int]
    grey: bool
    digest: bytes


def check_data(
    settings: DataSettings | str | os.PathLike,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Read every image of a data set once and report on it.

    Args:
        settings: The data set, and how it is read; a name or a folder alone will do.
        progress: Called with the numbers of images read and of all.

    Returns:
        JSON-ready values: ``name``, ``how`` (it was read), ``classes`` (a row each with the images
        of each split), ``images`` by split, ``formats``, ``sizes`` (``smallest``, ``largest``,
        ``different``), ``grey``, ``imbalance`` (images of the largest class by those of the
        smallest, in training), ``left_out`` by reason, ``unreadable`` (``file``, ``reason``),
        ``leaks`` (equal images in several splits), ``repeats`` (number of images that are in one
        split twice) and ``conflicts`` (equal images of different classes).

    Raises:
        DataError: The data set is unknown, or a folder cannot be read as classes.

    Example:
        >>> check_data(DataSettings(dataset="./photos"))["imbalance"]
        1.5
    """
    if not isinstance(settings, DataSettings):
        settings = DataSettings(dataset=settings)
    if Path(settings.dataset).expanduser().is_dir():
        source = FolderSource(dataclasses.replace(settings, skip_unreadable=True), progress)
        unreadable = [{"file": str(p), "reason": why} for p, why in source.unreadable.items()]
        about = (source.name, source.how, dict(source.left_out), source.class_names)
        return _report(*about, list(_of_folder(source)), unreadable)
    from keras_resnets.data.load import load_data

    data = load_data(**settings.arguments)
    images, unreadable = _of_tfds(data, progress)
    how = f"TensorFlow Datasets, {data.source}"
    return _report(data.name, how, {}, list(data.class_names), images, unreadable)


def _of_folder(source: FolderSource) -> Iterator[_Image]:
    for split in SPLITS:
        for path, label in source.files[split]:
            header = source.headers[path]
            size = (header.height, header.width)
            place = place_in(path, source.root)
            digest = source.digests[path]
            yield _Image(place, split, label, header.format, size, header.grey, digest)


def _of_tfds(data, progress) -> tuple[list[_Image], list[dict[str, str]]]:
    images, unreadable = [], []
    total = sum(data.sizes.values())
    for split in SPLITS:
        for number, (content, label) in enumerate(_originals(data, split)):
            place = data.describe(split, number)
            try:
                header, digest = read_header(content), pixel_digest(content)
            except UnreadableImage as error:
                unreadable.append({"file": place, "reason": str(error)})
                continue
            size = (header.height, header.width)
            images.append(
                _Image(place, split, int(label), header.format, size, header.grey, digest)
            )
            if progress is not None and len(images) % 64 == 0:
                progress(len(images), total)
    return images, unreadable


def _originals(data, split: str) -> Iterator[tuple[bytes, int]]:
    import tensorflow as tf

    number = 0
    try:
        for original in data.originals.read(split).as_numpy_iterator():
            yield original
            number += 1
    except tf.errors.OpError as error:
        raise DataError(
            f"{data.describe(split, number)} of data set {data.name!r} cannot be read: "
            f"{reason(error)}"
        ) from error
    data.check_found(split, number, data.sizes[split])


def _report(name, how, left_out, class_names, images: list[_Image], unreadable) -> dict[str, Any]:
    counts = Counter((image.split, image.label) for image in images)
    rows = [
        {"class": c, **{split: counts[split, label] for split in SPLITS}}
        for label, c in enumerate(class_names)
    ]
    training = [row["train"] for row in rows]
    sizes = Counter(image.size for image in images)
    order = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    return {
        "name": name,
        "how": how,
        "images": {split: sum(row[split] for row in rows) for split in SPLITS},
        "classes": rows,
        "formats": dict(Counter(image.format for image in images).most_common()),
        "sizes": {
            "smallest": list(order[0]),
            "largest": list(order[-1]),
            "different": len(sizes),
        },
        "grey": all(image.grey for image in images),
        "imbalance": round(max(training) / max(min(training), 1), 2),
        "left_out": left_out,
        "unreadable": unreadable,
        **_equal_images(images, class_names),
    }


def _equal_images(images: list[_Image], class_names) -> dict[str, Any]:
    groups = defaultdict(list)
    for image in images:
        groups[image.digest].append(image)
    equal = [group for group in groups.values() if len(group) > 1]
    leaks = [group for group in equal if len({image.split for image in group}) > 1]
    conflicts = [group for group in equal if len({image.label for image in group}) > 1]
    repeats = sum(
        count - 1 for group in equal for count in Counter(image.split for image in group).values()
    )
    return {
        "leaks": [[f"{i.split}: {i.place}" for i in group] for group in leaks],
        "repeats": repeats,
        "conflicts": [[f"{class_names[i.label]}: {i.place}" for i in group] for group in conflicts],
    }


def report_lines(report: dict[str, Any]) -> list[str]:
    r"""Return a report as lines to print, the classes left out: they are a table.

    Args:
        report: What `check_data` returns.

    Example:
        >>> print("\\n".join(report_lines(check_data(DataSettings(dataset="./photos")))))
    """
    images = ", ".join(f"{count:,} {split}" for split, count in report["images"].items())
    small, large = (" x ".join(map(str, report["sizes"][k])) for k in ("smallest", "largest"))
    formats = ", ".join(f"{count:,} {name}" for name, count in report["formats"].items())
    lines = [
        f"{report['name']}: {report['how']}, {len(report['classes']):,} classes",
        f"images      {images}",
        f"sizes       {small}" + (f" to {large}" if large != small else ", all of them"),
        f"formats     {formats}; {'grey' if report['grey'] else 'colours'}",
        f"balance     {_balance(report['imbalance'])}",
    ]
    lines += [f"left out    {why}: {count:,}" for why, count in report["left_out"].items()]
    lines += _some("unreadable", [f"{x['file']} ({x['reason']})" for x in report["unreadable"]])
    lines += _some("in several splits", [" = ".join(group) for group in report["leaks"]])
    lines += _some("in several classes", [" = ".join(group) for group in report["conflicts"]])
    if report["repeats"]:
        lines.append(f"repeated    {count(report['repeats'], 'image')} more than once in a split")
    found = ("unreadable", "leaks", "conflicts", "repeats")
    if not any(report[key] for key in found):
        lines.append("no damage, no image in two splits, no image twice")
    return lines


def _balance(ratio: float) -> str:
    if ratio == 1:
        return "all classes have as many images"
    return f"the largest class has {ratio:g} times the images of the smallest"


def _some(title: str, rows: list[str]) -> list[str]:
    if not rows:
        return []
    shown, more = cut(rows, _SHOWN)
    return [f"{title}  {len(rows):,}", *(f"  {row}" for row in filter(None, [*shown, more]))]
