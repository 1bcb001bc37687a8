"""Shapes of the blocks, as plain numbers: shared by the layers and the analytic cost.

Pure Python, so that a network's cost is known before Keras is imported.
"""

from typing import NamedTuple

__all__ = ["EXPANSION", "ConvSpec", "branch_convolutions"]

EXPANSION = {"basic": 1, "bottleneck": 4}
"""Output channels of a block divided by its inner channels."""


class ConvSpec(NamedTuple):
    """One convolution on a branch."""

    kernel_size: int
    filters: int
    strides: int


def branch_convolutions(
    block: str, width: int, strides: int = 1, stride_in: str = "1x1"
) -> list[ConvSpec]:
    """Return the convolutions on the branch of a residual block, in order.

    Args:
        block: ``"basic"`` or ``"bottleneck"`` (He 2015, Fig. 5, left and right).
        width: Channels of the inner convolutions.
        strides: Stride of the block.
        stride_in: Which convolution of a bottleneck has the stride, ``"1x1"`` or ``"3x3"``.

    Example:
        >>> [tuple(c) for c in branch_convolutions("bottleneck", 64, 2)]
        [(1, 64, 2), (3, 64, 1), (1, 256, 1)]
    """
    if block == "basic":
        return [ConvSpec(3, width, strides), ConvSpec(3, width, 1)]
    first, second = (strides, 1) if stride_in == "1x1" else (1, strides)
    out = EXPANSION[block] * width
    return [ConvSpec(1, width, first), ConvSpec(3, width, second), ConvSpec(1, out, 1)]
