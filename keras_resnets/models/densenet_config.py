"""The configuration of densely connected networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keras_resnets.models.checks import block_counts, check, disagree, is_number
from keras_resnets.models.config import NetworkConfig, StageStep

__all__ = ["DenseNetConfig", "DenseSpec"]


@dataclass(frozen=True)
class DenseSpec:
    """One layer of a dense block, or the transition between two.

    Attributes:
        name: Name of the node in the model graph, ``stage2_block3`` or ``transition1``.
        stage: Stage number, from 1; a transition belongs to the stage it ends.
        in_width: Channels that come in.
        out_width: Channels that go out.
        step: Stride and dilations; a dense layer has the dilation ``step.after``.
        transition: Whether it is a transition.
    """

    name: str
    stage: int
    in_width: int
    out_width: int
    step: StageStep
    transition: bool = False


@dataclass(frozen=True, kw_only=True)
class DenseNetConfig(NetworkConfig):
    """A densely connected network: DenseNet, -B, -C or -BC.

    Args:
        blocks: Number of layers of each dense block.
        growth_rate: Channels that each layer adds (k).
        bottleneck: Whether a 1x1 convolution to ``4 * growth_rate`` channels comes before each 3x3
            one (DenseNet-B).
        compression: Part of the channels that a transition keeps (theta; below 1: DenseNet-C).
        **others: `NetworkConfig`'s.

    Raises:
        ConfigError: A field is illegal, or two fields disagree; the message names them.

    Example:
        >>> DenseNetConfig(blocks=(16, 16, 16), growth_rate=12, stem_width=24).depth
        100

    Reference:
        Huang 2016, arXiv:1608.06993.
    """

    family: ClassVar[str] = "densenet"

    blocks: tuple[int, ...] = (16, 16, 16)
    growth_rate: int = 12
    bottleneck: bool = True
    compression: float = 0.5

    def __post_init__(self):
        super().__post_init__()
        self._set(blocks=block_counts(self.blocks))
        self._check_count("growth_rate", self.growth_rate)
        check(isinstance(self.bottleneck, bool), "bottleneck", "a bool", self.bottleneck)
        ok = is_number(self.compression) and 0 < self.compression <= 1
        check(ok, "compression", "a number in (0, 1]", self.compression)
        self._set(compression=float(self.compression))
        self._check_output_stride()
        for spec in self.block_specs():
            if spec.out_width < 1:
                why = f"a transition would keep no channel of {spec.in_width}"
                raise disagree("compression", "stem_width", vars(self), why)
        self._check_groups(self._normalized_widths())

    def _normalized_widths(self):
        for conv in self.stem_convolutions():
            if conv.activation != "none":
                yield "stem_width", conv.filters
        if self.bottleneck:
            yield "growth_rate", 4 * self.growth_rate
        for spec in self.block_specs():
            yield "growth_rate", spec.in_width
            if not spec.transition:
                yield "growth_rate", spec.out_width

    @property
    def depth(self) -> int:
        """Layers with weights on the longest path: stem, dense layers, transitions, classifier."""
        per_layer = 2 if self.bottleneck else 1
        return 1 + per_layer * sum(self.blocks) + len(self.blocks)

    @property
    def stage_strides(self) -> tuple[int, ...]:
        """Stride at the beginning of each stage, before any becomes dilation."""
        return (1,) + (2,) * (len(self.blocks) - 1)

    @property
    def stem_activation(self) -> str:
        """What follows the stem's last convolution: BN and ReLU if a pooling follows them."""
        return "none" if self.stem == "cifar" and self.stem_pool == "none" else "norm_relu"

    def block_specs(self) -> list[DenseSpec]:
        """Return every dense layer and transition, first to last."""
        specs = []
        width = self.stem_width
        steps = self.stage_steps()
        for stage, count in enumerate(self.blocks, start=1):
            for index in range(1, count + 1):
                name = f"stage{stage}_block{index}"
                grown = width + self.growth_rate
                specs.append(DenseSpec(name, stage, width, grown, steps[stage - 1]))
                width = grown
            if stage < len(self.blocks):
                kept = int(width * self.compression)
                name = f"transition{stage}"
                specs.append(DenseSpec(name, stage, width, kept, steps[stage], transition=True))
                width = kept
        return specs
