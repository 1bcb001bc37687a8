"""Which size images are brought to, where the user does not say."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

__all__ = ["DEFAULT_SIZE", "choose_size", "image_size", "pixels"]

DEFAULT_SIZE = 64
"""Side of images that come in many sizes, where no network says another."""

_KEPT = 128
"""Side up to which images that all have one size keep it, even in front of a smaller network."""

_STEP = 32
"""Sides that are derived from the images are multiples of this, ImageNet networks' stride."""


def choose_size(
    sizes: Sequence[tuple[int, int]], network: tuple[int, int] | None = None
) -> tuple[tuple[int, int], str]:
    """Return the size to bring images to, and why.

    Images that all have one size keep it, unless it is larger than the network's own and than 128
    pixels. Others get the network's own, or less where half of them are smaller.

    Args:
        sizes: ``(height, width)`` of the images, or of some.
        network: ``(height, width)`` that the network was made for, None if there is none.

    Returns:
        ``(height, width)``, and the reason in words.

    Example:
        >>> choose_size([(28, 28), (28, 28)], (224, 224))
        ((28, 28), 'the size of all images')
    """
    common = sizes[0] if len(set(sizes)) == 1 else None
    if common is not None and (network is None or _area(common) <= max(_area(network), _KEPT**2)):
        return common, "the size of all images"
    own = network or (DEFAULT_SIZE, DEFAULT_SIZE)
    typical = statistics.median(min(size) for size in sizes)
    found = pixels(common) if common else f"images of {_extent(sizes)}"
    side = max(-(-round(typical) // _STEP) * _STEP, min(DEFAULT_SIZE, min(own)))
    if side >= min(own):
        whose = "the network's own" if network else "the default"
        return own, f"{whose}, for {found}"
    return (side, side), f"half of the images are smaller than {pixels(own)}: {found}"


def image_size(
    given: int | tuple[int, int] | None,
    sizes: Sequence[tuple[int, int]],
    network: tuple[int, int] | None = None,
) -> tuple[tuple[int, int], str]:
    """Return the size to bring images to, and why: what was given, or what `choose_size` says."""
    if given is None:
        return choose_size(sizes, network and tuple(network))
    return (given if isinstance(given, tuple) else (given, given)), "as asked for"


def pixels(size: tuple[int, int]) -> str:
    """Return a size in words: ``96 x 128``."""
    return f"{size[0]} x {size[1]}"


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def _extent(sizes) -> str:
    smallest, *_, largest = sorted(sizes, key=lambda size: (_area(size), size))
    return f"{pixels(smallest)} to {pixels(largest)}"
