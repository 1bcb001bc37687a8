"""What a network costs, from its configuration alone: pure arithmetic, nothing is built."""

from __future__ import annotations

from dataclasses import dataclass

from keras_resnets.errors import ConfigError
from keras_resnets.models.config import BlockSpec, NetworkConfig, ResNetConfig

__all__ = ["Complexity", "Cost", "complexity"]


@dataclass(frozen=True)
class Cost:
    """Cost of one part of a network.

    Attributes:
        name: ``stem``, a block's name, or ``head``.
        output_shape: ``(height, width, channels)`` of what comes out.
        trainable_params: Weights that training changes.
        non_trainable_params: Moving statistics.
        macs: Multiply-adds of convolutions and dense layers for one image.
    """

    name: str
    output_shape: tuple[int, int, int]
    trainable_params: int
    non_trainable_params: int
    macs: int


@dataclass(frozen=True)
class Complexity:
    """Cost of a network, whole and by part.

    Attributes:
        trainable_params: Weights that training changes (the papers' count, BN included).
        total_params: Trainable weights and BN's moving statistics.
        macs: Multiply-adds of convolutions and dense layers for one image (the papers' count).
        depth: Layers with weights on the longest path.
        parts: Stem, blocks and head.
    """

    trainable_params: int
    total_params: int
    macs: int
    depth: int
    parts: tuple[Cost, ...]

    def stages(self) -> list[Cost]:
        """Return the parts with each stage's blocks added up under the stage's name."""
        stages: list[Cost] = []
        for part in self.parts:
            name = part.name.split("_")[0]
            if stages and stages[-1].name == name:
                last = stages.pop()
                part = Cost(
                    name,
                    part.output_shape,
                    last.trainable_params + part.trainable_params,
                    last.non_trainable_params + part.non_trainable_params,
                    last.macs + part.macs,
                )
            else:
                part = Cost(
                    name,
                    part.output_shape,
                    part.trainable_params,
                    part.non_trainable_params,
                    part.macs,
                )
            stages.append(part)
        return stages


class _Tally:
    """Adds up the layers of one part while a feature map passes through them."""

    def __init__(self, shape: tuple[int, int, int]):
        self.height, self.width, self.channels = shape
        self.trainable = self.fixed = self.macs = 0

    def convolution(self, size: int, filters: int, strides: int = 1) -> None:
        self.height = -(-self.height // strides)
        self.width = -(-self.width // strides)
        weights = size * size * self.channels * filters
        self.trainable += weights
        self.macs += weights * self.height * self.width
        self.channels = filters

    def batch_norm(self) -> None:
        self.trainable += 2 * self.channels
        self.fixed += 2 * self.channels

    def dense(self, units: int) -> None:
        self.trainable += (self.channels + 1) * units
        self.macs += self.channels * units
        self.height = self.width = 1
        self.channels = units

    def cost(self, name: str) -> Cost:
        shape = (self.height, self.width, self.channels)
        return Cost(name, shape, self.trainable, self.fixed, self.macs)


def complexity(
    config: NetworkConfig, input_shape: tuple[int, int, int] | None = None
) -> Complexity:
    """Return the cost of the network that `config` describes, without building it.

    Args:
        config: The configuration.
        input_shape: ``(height, width, channels)`` of one image; the configuration's by default.

    Raises:
        ConfigError: Height or width is unknown, in the argument or the configuration.

    Example:
        >>> complexity(ResNetConfig(blocks=(3, 3, 3), shortcut="A")).trainable_params
        269722
    """
    if input_shape is not None:
        config = config.replace(input_shape=tuple(input_shape))
    if None in config.input_shape:
        raise ConfigError(
            "`input_shape` must have a known height and width to count multiply-adds. "
            f"Received: input_shape={config.input_shape}"
        )
    parts = _resnet_parts(config)
    trainable = sum(part.trainable_params for part in parts)
    return Complexity(
        trainable_params=trainable,
        total_params=trainable + sum(part.non_trainable_params for part in parts),
        macs=sum(part.macs for part in parts),
        depth=config.depth,
        parts=tuple(parts),
    )


def _resnet_parts(config: ResNetConfig) -> list[Cost]:
    stem = _Tally(config.input_shape)
    stem.convolution(3, config.stem_width)
    if config.activation_order == "post":
        stem.batch_norm()
    parts = [stem.cost("stem")]
    for spec in config.block_specs():
        parts.append(_block_cost(config, spec, parts[-1].output_shape))
    head = _Tally(parts[-1].output_shape)
    if config.activation_order == "pre":
        head.batch_norm()
    if config.include_top:
        head.dense(config.classes)
    parts.append(head.cost("head"))
    return parts


def _block_cost(config: ResNetConfig, spec: BlockSpec, shape: tuple[int, int, int]) -> Cost:
    tally = _Tally(shape)
    if spec.shortcut.endswith("projection"):
        tally.convolution(1, spec.out_width, spec.strides)
        if config.activation_order == "post":
            tally.batch_norm()
    tally.height, tally.width, tally.channels = shape
    for size, filters, strides in config.branch(spec):
        if config.activation_order == "pre":
            tally.batch_norm()
        tally.convolution(size, filters, strides)
        if config.activation_order == "post":
            tally.batch_norm()
    return tally.cost(spec.name)
