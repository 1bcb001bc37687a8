"""How a folder of images is laid out: which folders are classes, which are splits.

Pure Python that looks at names alone: no image is opened.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from keras_resnets.data.formats import FORMATS, has_image_suffix, looks_like_image
from keras_resnets.errors import DataError
from keras_resnets.reading import kind_of
from keras_resnets.words import cut, plural

__all__ = ["LAYOUTS", "SPLITS", "Layout", "find_images", "read_layout", "split_of"]

LAYOUTS = ("auto", "classes", "splits")
"""How a folder may be read: by its names, or as the user says."""

SPLITS = ("train", "validation", "test")

_SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev", "development"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_SPLIT_OF = {name: split for split, names in _SPLIT_NAMES.items() for name in names}
_FILLERS = ("dataset", "data", "sets", "set", "images", "image", "imgs", "img", "photos", "split")
"""What people add to the name of a split: ``training_set``, ``testdata``, ``val_images``."""

_JUNK = {"thumbs.db", "desktop.ini", "__macosx", "@eadir"}
"""What operating systems leave in folders of images."""

_NAMED = 5
"""Names in a list before it is cut."""


@dataclass
class Layout:
    """A folder of images as it was read.

    Attributes:
        root: The folder.
        how: In words: ``"class folders"``, ``"split folders of class folders"``, ...
        class_names: The classes, in the order of their labels.
        files: For each split that the folder has, ``(path, label)`` of each image.
        left_out: Files and folders that are not used: how many, by reason.
    """

    root: Path
    how: str
    class_names: list[str]
    files: dict[str, list[tuple[Path, int]]]
    left_out: Counter = field(default_factory=Counter)


def split_of(name: str) -> str | None:
    """Return the split that a name stands for, in any case and spelling, or None.

    Example:
        >>> split_of("Testing"), split_of("training_set"), split_of("val2017"), split_of("cats")
        ('test', 'train', 'validation', None)
    """
    words = re.split(r"[^a-z]+", re.sub(r"(19|20)\d\d$", "", name.strip().casefold()))
    text = "".join(word for word in words if word not in _FILLERS)
    for filler in _FILLERS:
        if text not in _SPLIT_OF:
            text = text.removesuffix(filler)
    digits = re.search(r"\d", re.sub(r"(19|20)\d\d$", "", name.strip()))
    return None if digits else _SPLIT_OF.get(text)


def read_layout(root: str | Path, layout: str = "auto") -> Layout:
    """Read which images of a folder belong to which split and class.

    Class folders lie in the root, or in split folders (train or training; val, valid, validation
    or dev; test, testing or eval), or each class folder holds split folders. Images may lie deeper
    in a class folder; links are followed; hidden files and what systems leave behind are passed
    over. A root that holds one folder alone is read from there.

    Args:
        root: The folder.
        layout: One of `LAYOUTS`: ``"classes"`` takes every folder for a class, ``"splits"`` only
            the split folders.

    Raises:
        DataError: There are fewer than two classes, no training images, or two ways to read it.

    Example:
        >>> read_layout("photos").class_names
        ['cats', 'dogs']
    """
    root = Path(root)
    tree = _Tree(root)
    outer = []
    while len(tree.folders) == 1 and not tree.images and not split_of(tree.folders[0].name):
        inner = tree.folders[0]
        if len(inner.folders) < 2 and not (inner.folders and inner.folders[0].folders):
            break
        outer.append(inner.name)
        tree = inner
    readings = {"splits": _as_splits(tree), "classes": _as_classes(tree)}
    chosen = _choose(root, tree, readings, layout)
    found = _collect(tree, *readings[chosen])
    if outer:
        found.how += f" in {'/'.join(outer)}"
    found.root = root
    if len(found.class_names) < 2:
        raise _too_few_classes(root, tree, found)
    return found


class _Tree:
    """A folder and what is in it: images, other files by suffix, folders with images inside."""

    def __init__(self, path: Path, above: frozenset = frozenset(), linked: set | None = None):
        self.linked = set() if linked is None else linked  # targets of links, each read once
        self.path = path
        self.name = unicodedata.normalize("NFC", path.name)
        self.images: list[Path] = []
        self.others: Counter = Counter()
        self.folders: list[_Tree] = []
        self.empty: list[str] = []
        above = above | {os.path.realpath(path)}
        try:
            with os.scandir(path) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except PermissionError:
            self.others["folders that may not be read"] += 1
            return
        for entry in found:
            if not entry.name.startswith(".") and entry.name.lower() not in _JUNK:
                self._add(entry, above)

    def _add(self, entry, above) -> None:
        path = self.path / entry.name
        if _leads_to(entry.is_dir):
            if entry.is_symlink():
                target = os.path.realpath(path)
                if target in above or target in self.linked:
                    self.others["links to folders that are read already"] += 1
                    return
                self.linked.add(target)
            inner = _Tree(path, above, self.linked)
            if inner.count:
                self.folders.append(inner)
            else:
                self.empty.append(inner.name)
                self.others += inner.others
        elif not _leads_to(entry.is_file):
            self.others[_no_file(path)] += 1
        elif _is_image(path):
            self.images.append(path)
        else:
            self.others[_other(entry.name)] += 1

    @property
    def count(self) -> int:
        """Number of images, those of inner folders included."""
        return len(self.images) + sum(folder.count for folder in self.folders)

    def all_images(self) -> Iterator[Path]:
        yield from self.images
        for folder in self.folders:
            yield from folder.all_images()

    def all_others(self) -> Counter:
        return sum((folder.all_others() for folder in self.folders), self.others)


def _is_image(path: Path) -> bool:
    """Say whether a file is an image by its ending; without one, by its first bytes."""
    if path.suffix:
        return has_image_suffix(path.name)
    return looks_like_image(path)


def _leads_to(kind: Callable[[], bool]) -> bool:
    """Return whether an entry of a folder is of a kind; a link to itself is of none."""
    try:
        return kind()
    except OSError:
        return False


def _no_file(path: Path) -> str:
    """Say what is neither a file nor a folder, in the plural: ``named pipes``."""
    try:
        kind = kind_of(path) or "a file"
    except OSError:  # there is nothing at the end of a link, or no end
        return "broken links"
    return plural(kind.partition(" ")[2])


def _other(name: str) -> str:
    suffix = os.path.splitext(name)[1].lower()
    return f"other files ({suffix})" if suffix else "other files"


def find_images(folder: str | Path) -> tuple[list[Path], Counter]:
    """Return all images of a folder by path, whatever its layout, and what else there is."""
    tree = _Tree(Path(folder))
    return sorted(tree.all_images()), tree.all_others()


# Readings: for each split the folders of each class, and the reasons for what is left out.


def _as_splits(tree: _Tree):
    """Read split folders, whatever else there is; (how, {split: folders}, left out)."""
    named = [folder for folder in tree.folders if split_of(folder.name)]
    if not named and tree.folders:
        return _splits_inside(tree)
    parts: dict[str, list[_Tree]] = {}
    left_out = Counter()
    for folder in named:
        if folder.folders:
            parts.setdefault(split_of(folder.name), []).extend(folder.folders)
            left_out[f"images beside the class folders of {folder.name}"] += len(folder.images)
        else:
            left_out[f"images without class folders in {folder.name} (predict reads them)"] += (
                folder.count
            )
        left_out += Counter(dict.fromkeys(_empty_reasons(folder), 1))
    for folder in tree.folders:
        if folder not in named:
            left_out[f"images in {folder.name}, which is not a split"] += folder.count
    return "split folders of class folders", parts, left_out


def _splits_inside(tree: _Tree):
    """Read class folders that hold nothing but split folders."""
    inside = [folder.folders for folder in tree.folders]
    if any(folder.images for folder in tree.folders) or not all(
        split_of(split.name) for splits in inside for split in splits
    ):
        return "", {}, Counter()
    parts: dict[str, list[_Tree]] = {}
    for folder in tree.folders:
        for split in folder.folders:
            named = _Renamed(split, folder.name)
            parts.setdefault(split_of(split.name), []).append(named)
    return "class folders of split folders", parts, Counter()


class _Renamed:
    """A folder under another name."""

    def __init__(self, folder: _Tree, name: str):
        self.name = name
        self.all_images = folder.all_images


def _as_classes(tree: _Tree):
    """Read every folder as a class."""
    left_out = Counter({"images beside the class folders": len(tree.images)})
    return "class folders", {"train": tree.folders}, left_out


def _empty_reasons(tree: _Tree) -> list[str]:
    return [f"empty folder {name}" for name in tree.empty]


def _choose(root: Path, tree: _Tree, readings, layout: str) -> str:
    """Return which reading holds; refuse where two do."""
    splits = readings["splits"][1]
    if layout == "splits" and "train" not in splits:
        raise DataError(
            f"dataset folder {str(root)!r} has no train folder with class folders inside, which "
            f"`layout`='splits' needs. Received: {_listed(f.name for f in tree.folders)}"
        )
    if layout != "auto":
        return layout
    named = [folder for folder in tree.folders if split_of(folder.name)]
    others = [folder for folder in tree.folders if not split_of(folder.name)]
    if not named:
        if "train" not in splits:
            _check_alike(root, tree)
        return "splits" if "train" in splits else "classes"
    if not others:
        if "train" in splits:
            return "splits"
        if splits:
            raise DataError(
                f"dataset folder {str(root)!r} has no train folder with class folders inside. "
                f"Received: {_listed(f.name for f in named)}"
            )
        raise _ambiguous(root, named, "splits of images without classes, which nothing can learn")
    only_train = all(split_of(folder.name) == "train" for folder in named)
    if only_train and "train" not in splits:
        return "classes"  # images of trains: as a split they would have no classes
    if "train" in splits and _share_classes(splits):
        return "splits"
    reading = f"{_listed(f.name for f in named)} as splits"
    if "train" in splits:
        reading += f", without {_listed(f.name for f in others)}"
    raise _ambiguous(root, tree.folders, reading)


def _check_alike(root: Path, tree: _Tree) -> None:
    """Refuse folders that all hold the same folders: splits by names of their own, or classes?"""
    parted = [f.name for f in tree.folders if f.folders and all(map(_is_held_out, f.folders))]
    if parted and len(parted) < len(tree.folders):
        raise DataError(
            f"dataset folder {str(root)!r} can be read in two ways: {_listed(parted)} with split "
            "folders inside, which other classes lack, or all images of a folder as its class "
            "(--layout classes)"
        )
    inner = [{folder.name.casefold() for folder in outer.folders} for outer in tree.folders]
    alike = len(inner) > 1 and all(names == inner[0] for names in inner) and len(inner[0]) > 1
    if alike and not any(folder.images for folder in tree.folders):
        outside = _listed(folder.name for folder in tree.folders)
        within = _listed(folder.name for folder in tree.folders[0].folders)
        raise DataError(
            f"dataset folder {str(root)!r} can be read in two ways: {outside} as "
            f"{len(inner)} classes (--layout classes), or {within} as classes in splits: then name "
            "the splits train, val and test"
        )


def _is_held_out(folder: _Tree) -> bool:
    return split_of(folder.name) is not None


def _share_classes(splits) -> bool:
    """Say whether two splits have a class in common: then splits they are."""
    names = [{folder.name.casefold() for folder in folders} for folders in splits.values()]
    return len(names) > 1 and bool(set.intersection(*names))


def _ambiguous(root: Path, folders, reading: str) -> DataError:
    return DataError(
        f"dataset folder {str(root)!r} can be read in two ways: "
        f"{_listed(f.name for f in folders)} as {len(folders)} classes (--layout classes), or "
        f"{reading} (--layout splits)"
    )


def _collect(tree: _Tree, how: str, parts, left_out: Counter) -> Layout:
    """Return the files of each split and class; classes are those that can be trained on."""
    names = sorted({folder.name for folder in parts.get("train", [])})
    folded = Counter(name.casefold() for name in names)
    # Classes that differ in case alone are told apart; between splits case does not matter.
    train = {name.casefold(): name for name in names if folded[name.casefold()] == 1}
    train |= {name: name for name in names}
    labels = {name: label for label, name in enumerate(names)}
    files: dict[str, list[tuple[Path, int]]] = {}
    for split, folders in parts.items():
        files[split] = []
        for folder in folders:
            name = train.get(folder.name) or train.get(folder.name.casefold())
            images = list(folder.all_images())
            if name is None:
                left_out[f"{split} images of {folder.name}, which has none to train on"] += len(
                    images
                )
                continue
            files[split] += [(path, labels[name]) for path in images]
    left_out += tree.all_others()
    left_out += Counter(_empty_reasons(tree))
    return Layout(tree.path, how, names, {k: v for k, v in files.items() if v}, +left_out)


def _too_few_classes(root: Path, tree: _Tree, found: Layout) -> DataError:
    names = f"{len(found.class_names)} ({', '.join(found.class_names) or 'none'})"
    hint = ""
    if tree.images:
        hint = (
            f"; {len(tree.images)} images lie beside: `labels` names the classes of images "
            "without class folders, and predict reads them as they are"
        )
    elif not tree.count:
        hint = f"; no file in it is an image by its name ({', '.join(FORMATS)})"
    elif tree.empty:
        hint = f"; empty: {_listed(tree.empty)}"
    return DataError(
        f"dataset folder {str(root)!r} must hold at least two class folders of images. "
        f"Received: {names}{hint}"
    )


def _listed(names) -> str:
    shown, more = cut(names, _NAMED)
    return " ".join(filter(None, [", ".join(shown), more]))
