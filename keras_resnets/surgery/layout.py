"""How a residual block becomes a row of plain convolutions: which channels lie where."""

from __future__ import annotations

from dataclasses import dataclass

from keras_resnets.layers.geometry import ConvSpec
from keras_resnets.models.chain_config import Reduction
from keras_resnets.models.resnet_config import BlockSpec, ResNetConfig

__all__ = ["Link", "Reducing", "block_links", "joins", "reducing"]


@dataclass(frozen=True)
class Reducing:
    """Where a block gets fewer pixels by other means than the stride of a convolution.

    Attributes:
        behind: Number of the convolution behind which.
        carried: How the carried channels are reduced.
        branch: How the branch's are.
        strides: Stride.
        pool_size: Side of the window of averages.
        dilation: Distance of the averaged pixels.
    """

    behind: int
    carried: str
    branch: str
    strides: int
    pool_size: int
    dilation: int

    def parts(self, carried: int, branch: int) -> Reduction:
        """Return the reduction of so many channels."""
        parts = ((carried, self.carried), (branch, self.branch))
        parts = tuple((count, how) for count, how in parts if count)
        return Reduction(parts, self.strides, self.pool_size, self.dilation)


@dataclass(frozen=True)
class Link:
    """One convolution of a block's row.

    It reads ``carried_in`` channels that hold the block's input, and ``branch_in`` of the branch;
    it puts out both again.

    Attributes:
        conv: The convolution as a whole.
        branch: The branch's part of it.
        carried_in: Carried channels that come in, with zeros that fill up groups.
        carried_out: The same, going out.
    """

    conv: ConvSpec
    branch: ConvSpec
    carried_in: int
    carried_out: int


def reducing(config: ResNetConfig, spec: BlockSpec) -> Reducing | None:
    """Return where a block reduces other than by the stride of a convolution, None for nowhere."""
    convs = config.branch(spec)
    at = next((i for i, conv in enumerate(convs) if conv.total_stride > 1), 0)
    average = spec.shortcut.startswith("pool_") and spec.step.nominal > 1
    blurred = convs[at].blur > 1
    if not average and not blurred:
        return None
    behind = at - 1 if blurred else at
    how = {"pool_size": spec.step.nominal, "dilation": spec.step.before, "strides": spec.strides}
    carried = "average" if average else "blur"
    return Reducing(behind, carried, "blur" if blurred else "subsample", **how)


def joins(config: ResNetConfig, spec: BlockSpec) -> bool:
    """Whether the addition needs a convolution of its own, behind a block's last one.

    The last one cannot add where a ReLU lies between it and the addition, nor where its channels
    are reduced behind it.
    """
    reduction = reducing(config, spec)
    behind_last = reduction is not None and reduction.behind == len(config.branch(spec)) - 1
    return behind_last or config.activation_order == "relu_before_addition"


def block_links(config: ResNetConfig, spec: BlockSpec, read: int, carried: int) -> list[Link]:
    """Return the row of convolutions that is one block.

    Between the first and the last convolution the branch and the carried channels do not see each
    other: such a convolution has groups where that costs less, and carries channels of zeros to
    fill the last group.

    Args:
        config: The network's configuration.
        spec: The block.
        read: Channels that come in.
        carried: How many of them the shortcut needs.
    """
    convs = config.branch(spec)
    reduction = reducing(config, spec)
    plain = [_without_reduction(conv, i, reduction) for i, conv in enumerate(convs)]
    joined = joins(config, spec)
    dense = _links(plain, carried, carried, joined, grouped=False)
    middle = plain[1:-1]
    if not middle or not carried:
        return dense
    size = plain[0].filters // middle[0].groups
    if any(conv.filters != plain[0].filters or conv.groups != middle[0].groups for conv in middle):
        return dense
    filled = -(-carried // size) * size
    grouped = _links(plain, carried, filled, joined, grouped=True)
    return grouped if _weights(grouped, read) < _weights(dense, read) else dense


def _without_reduction(conv: ConvSpec, i: int, reduction: Reducing | None) -> ConvSpec:
    if reduction is None:
        return conv
    strides = 1 if i == reduction.behind else conv.strides
    return conv._replace(strides=strides, blur=1)


def _links(convs, carried, filled, joined, grouped):
    links = []
    last = len(convs) - 1
    for i, conv in enumerate(convs):
        carried_out = filled if i < last else carried * joined
        groups = 1
        if grouped and 0 < i < last:
            groups = filled // (conv.filters // conv.groups) + conv.groups
        whole = conv._replace(filters=carried_out + conv.filters, groups=groups)
        links.append(Link(whole, conv, filled if i else carried, carried_out))
    return links


def _weights(links: list[Link], read: int) -> int:
    total = 0
    for link in links:
        conv = link.conv
        total += conv.kernel_size**2 * (read // conv.groups) * conv.filters
        read = conv.filters
    return total
