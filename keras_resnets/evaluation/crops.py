"""Testing on several views of each image: ten crops, and several scales."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from keras_resnets.errors import InputError
from keras_resnets.models.checks import check_choice
from keras_resnets.words import count

__all__ = ["CROPS", "CropPlan", "check_crops", "plan_crops", "ten_crops"]

CROPS = ("center", "ten", "multi")

_TEN = 256 / 224
"""Side of the images that crops are cut from, relative to the model's (Krizhevsky 2012)."""

_SCALES = tuple(side / 224 for side in (224, 256, 384, 480, 640))
"""Shorter sides of multi-scale testing, relative to the model's (He 2015, section 3.4)."""


@dataclass(frozen=True)
class CropPlan:
    """Which views of an image a model is tested on; made by `plan_crops`.

    Attributes:
        crops: ``"center"``, ``"ten"`` or ``"multi"``.
        sides: Sides in pixels of the square images that views are cut from, one for each scale;
            empty where images are taken as they come.
        size: Side of a crop; None where the model sees whole images.
        mirror: Whether mirrored views are taken too.
    """

    crops: str
    sides: tuple[int, ...]
    size: int | None
    mirror: bool

    def views(self, pyramid: Sequence[np.ndarray]) -> Iterator[tuple[float, np.ndarray]]:
        """Yield the views of a batch, each with its weight in the mean of probabilities.

        Scales weigh the same, and so do the views of a scale.

        Args:
            pyramid: The batch in each of `sides`, ``(images, side, side, channels)``.
        """
        for images in pyramid:
            views = self._views(images)
            for view in views:
                yield 1 / (len(pyramid) * len(views)), view

    @property
    def count(self) -> int:
        """Number of views of an image."""
        sides = self.sides or (1,)
        return sum(len(self._views(np.empty((1, side, side, 1), np.uint8))) for side in sides)

    def _views(self, images) -> list[np.ndarray]:
        if self.crops == "center":
            return [_central(images, self.size)]
        if self.size is not None:
            return ten_crops(images, self.size, mirror=self.mirror)
        return [images, images[:, :, ::-1]] if self.mirror else [images]

    def __str__(self):
        if self.crops == "center":
            cut = f", the centre of {self.sides[0]} pixels" if self.sides else ""
            return f"one view an image{cut}"
        kind = "whole images" if self.size is None else f"{self.size} x {self.size} crops"
        mirrors = "mirrored too" if self.mirror else "not mirrored, which would change them"
        sides = ", ".join(map(str, self.sides))
        return f"{count(self.count, 'view')} an image: {kind} at {sides} pixels, {mirrors}"


def check_crops(crops: str, crop_ratio: float = 1.0) -> None:
    """Check which views of an image are asked for.

    Args:
        crops: As for `plan_crops`.
        crop_ratio: See there.

    Raises:
        InputError: One is illegal, or they do not go together.
    """
    check_choice("crops", crops, CROPS)
    if not 0 < crop_ratio <= 1 or (crop_ratio != 1 and crops != "center"):
        raise InputError(
            "`crop_ratio` must be in (0, 1], and goes with `crops`='center'. "
            f"Received: crop_ratio={crop_ratio}, crops={crops!r}"
        )


def plan_crops(
    crops: str, input_shape, image_shape, mirror: bool = True, crop_ratio: float = 1.0
) -> CropPlan:
    """Return the views on which to test a model.

    ``"center"``: the image, resized to the model's size; with a `crop_ratio` below 1, to the
    model's size over this, and its centre cut out (0.875 is 224 of 256; Wightman 2021 has 0.95).

    ``"ten"`` (Krizhevsky 2012, section 4.1; He 2015, section 3.4): the image is resized to 256/224
    of the model's size; the four corners and the centre are cut out in the model's size, and
    mirrored.

    ``"multi"`` (He 2015, section 3.4): the image is resized to 1, 256/224, 384/224, 480/224 and
    640/224 of the model's size. A model that takes any size sees each scale whole and mirrored,
    fully convolutionally; a model of a fixed size sees the ten crops of each scale (at scale 1,
    where they are the same, the image and its mirror).

    The probabilities of the views are averaged, those of a scale first. Images are resized from
    what the data set holds, cropped to the central square where they are not square (the papers
    resize the shorter side and keep the rest); a data set of images of the model's size is thus
    resized up. The size of a model that takes any size is that of the images.

    Args:
        crops: ``"center"``, ``"ten"`` or ``"multi"``.
        input_shape: The model's, ``(batch, height, width, channels)``.
        image_shape: That of the images for the model, ``(height, width, channels)``.
        mirror: Whether a mirrored image is still of its class; not so for digits, of which no
            mirrored views are taken.
        crop_ratio: Part of the side that ``"center"`` sees, in (0, 1].

    Raises:
        InputError: `crops` or `crop_ratio` is illegal, or the images are not square where crops
            are cut.

    Example:
        >>> plan_crops("ten", (None, 224, 224, 3), (224, 224, 3)).sides
        (256,)
    """
    check_crops(crops, crop_ratio)
    if crops == "center" and crop_ratio == 1:
        return CropPlan(crops, (), None, mirror=False)
    height, width = image_shape[:2]
    if height != width:
        raise InputError(
            f"`crops`={crops!r} needs square images. Received: images of {height} x {width}"
        )
    if crops == "center":
        return CropPlan(crops, (round(height / crop_ratio),), height, mirror=False)
    if crops == "ten":
        return CropPlan(crops, (round(height * _TEN),), height, mirror)
    whole = None in input_shape[1:3]
    sides = tuple(round(height * scale) for scale in _SCALES)
    return CropPlan(crops, sides, None if whole else height, mirror)


def _central(images: np.ndarray, size: int | None) -> np.ndarray:
    """Return the centre of images, or all of them."""
    if size is None:
        return images
    top, left = ((side - size) // 2 for side in images.shape[1:3])
    return images[:, top : top + size, left : left + size]


def ten_crops(images: np.ndarray, size: int, mirror: bool = True) -> list[np.ndarray]:
    """Return the four corners and the centre of images, and their mirrors (Krizhevsky 2012).

    The centre lies half a pixel to the top left where it cannot be in the middle. Images of the
    crops' size are returned whole, once, and mirrored.

    Args:
        images: Batch ``(images, height, width, channels)``.
        size: Side of the crops.
        mirror: Whether to mirror the crops too, left to right.

    Returns:
        Batches ``(images, size, size, channels)``: top left, top right, bottom left, bottom right,
        centre; then their mirrors in the same order.

    Raises:
        InputError: The images are smaller than the crops.

    Example:
        >>> len(ten_crops(np.zeros((2, 256, 256, 3)), 224))
        10
    """
    height, width = images.shape[1:3]
    bottom, right = height - size, width - size
    if min(bottom, right) < 0:
        raise InputError(
            f"`size` must be at most the images' {height} x {width}. Received: size={size}"
        )
    corners = [(0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2)]
    if bottom == right == 0:
        corners = corners[:1]
    crops = [images[:, top : top + size, left : left + size] for top, left in corners]
    return crops + [crop[:, :, ::-1] for crop in crops] if mirror else crops
