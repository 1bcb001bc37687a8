"""Shapes of the blocks, as plain numbers: shared by the layers and the analytic cost.

Pure Python, so that a network's cost is known before Keras is imported.
"""

from typing import NamedTuple

__all__ = [
    "ACTIVATION_ORDERS",
    "EXPANSION",
    "KERNELS",
    "NORMALIZING_ORDERS",
    "PRE_ORDERS",
    "ConvSpec",
    "branch_convolutions",
    "folding_convolution",
    "squeezed_width",
]

ACTIVATION_ORDERS = ("post", "pre", "bn_after_addition", "relu_before_addition", "relu_only")
"""The orders of He 2016, Fig. 4: ``post`` is (a) "original", ``bn_after_addition`` (b),
``relu_before_addition`` (c), ``relu_only`` (d), ``pre`` (e) "full pre-activation"."""

PRE_ORDERS = ("pre", "relu_only")
"""The orders whose blocks activate their input."""

NORMALIZING_ORDERS = ("post", "relu_before_addition")
"""The orders in which a projection has a normalisation of its own."""

KERNELS = {
    "basic": (3, 3),
    "bottleneck": (1, 3, 1),
    "B(3)": (3,),
    "B(3,1)": (3, 1),
    "B(1,3)": (1, 3),
    "B(1,3,1)": (1, 3, 1),
    "B(3,1,1)": (3, 1, 1),
    "B(3,1,3)": (3, 1, 3),
}
"""Kernel sizes of each kind of block: He 2015's two, and Zagoruyko 2016's (section 3.1), in which
every convolution has the block's full width. ``basic`` is B(3,3); B(3) is a single convolution."""

EXPANSION = {block: 4 if block == "bottleneck" else 1 for block in KERNELS}
"""Output channels of a block divided by its width."""


class ConvSpec(NamedTuple):
    """One convolution on a branch.

    Attributes:
        kernel_size: Height and width of the kernel.
        filters: Channels that come out.
        strides: Stride.
        dilation: Distance of the kernel's taps.
        groups: Groups of channels that do not see each other.
        blur: Stride of a blur in front of the convolution; 1 for none.
    """

    kernel_size: int
    filters: int
    strides: int = 1
    dilation: int = 1
    groups: int = 1
    blur: int = 1

    @property
    def total_stride(self) -> int:
        """Input height divided by output height."""
        return self.strides * self.blur


def branch_convolutions(
    block: str,
    width: int,
    strides: int = 1,
    stride_in: str = "1x1",
    *,
    inner_width: int | None = None,
    cardinality: int = 1,
    dilations: tuple[int, int] = (1, 1),
    antialias: bool = False,
) -> list[ConvSpec]:
    """Return the convolutions on the branch of a residual block, in order.

    Args:
        block: A kind of `KERNELS`.
        width: Width of the block; ``EXPANSION[block] * width`` channels come out.
        strides: Stride of the block.
        stride_in: Which convolution of a bottleneck has the stride, ``"1x1"`` or ``"3x3"``.
        inner_width: Channels of all convolutions but the last; `width` by default.
        cardinality: Groups of a bottleneck's 3x3 convolution (Xie 2017).
        dilations: Dilation up to and including the convolution that has (or, in a dilated network,
            would have) the stride, and behind it.
        antialias: Blur and subsample behind the activation that follows the strided convolution,
            instead of striding in it (Zhang 2019).

    Example:
        >>> [tuple(c)[:3] for c in branch_convolutions("bottleneck", 64, 2)]
        [(1, 64, 2), (3, 64, 1), (1, 256, 1)]
    """
    kernels = KERNELS[block]
    inner = width if inner_width is None else inner_width
    at = 1 if block == "bottleneck" and stride_in == "3x3" else 0
    specs = []
    for i, size in enumerate(kernels):
        last = i == len(kernels) - 1
        strided = i == at and not antialias
        specs.append(
            ConvSpec(
                kernel_size=size,
                filters=EXPANSION[block] * width if last else inner,
                strides=strides if strided else 1,
                dilation=1 if size == 1 else dilations[i > at],
                groups=cardinality if block == "bottleneck" and size == 3 else 1,
                blur=strides if antialias and i == at + 1 else 1,
            )
        )
    return specs


def folding_convolution(order: str, number: int, count: int) -> int | None:
    """Return which convolution of a branch a normalisation directly follows, None for none.

    Into that convolution it can be folded: nothing else reads what lies between the two.

    Args:
        order: Activation order of the block.
        number: Number of the normalisation, from 0.
        count: Number of convolutions (and normalisations) on the branch.

    Example:
        >>> [folding_convolution("pre", i, 2) for i in range(2)]
        [None, 0]
    """
    if order == "pre":
        return number - 1 if number else None
    if order == "bn_after_addition" and number == count - 1:
        return None
    return number


def squeezed_width(filters: int, ratio: float) -> int:
    """Return the units of a squeeze-and-excitation's first layer."""
    return max(1, int(filters * ratio))
