"""The configuration of everything that adds branches to shortcuts, and of the plain nets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keras_resnets.errors import ConfigError
from keras_resnets.layers.geometry import (
    ACTIVATION_ORDERS,
    EXPANSION,
    KERNELS,
    PRE_ORDERS,
    ConvSpec,
    branch_convolutions,
    squeezed_width,
)
from keras_resnets.models.checks import block_counts, check, check_choice, disagree
from keras_resnets.models.config import NetworkConfig, StageStep, stage_sequence

__all__ = ["SHORTCUTS", "BlockSpec", "ResNetConfig"]

SHORTCUTS = {
    "A": "pad",
    "B": "projection",
    "C": "projection",
    "D": "pool_projection",
    "A_pool": "pool_pad",
    "identity": "none",
    "none": "none",
}
"""Shortcut options and the layer each one uses where the shape changes (He 2015, section 3.3; D is
He 2018's; A_pool is the 2x2 average pooling of Huang 2016). C projects in every block."""


@dataclass(frozen=True)
class BlockSpec:
    """One residual block of a network, with everything its layer needs.

    Attributes:
        name: Name of the block's node in the model graph, ``stage2_block3``.
        stage: Stage number, from 1.
        in_width: Channels that come in.
        width: Width of the block's stage.
        inner_width: Channels of the inner convolutions.
        out_width: Channels that go out.
        step: Stride and dilations.
        shortcut: Kind of the shortcut: ``identity``, ``pad``, ``pool_pad``, ``projection``,
            ``pool_projection`` or ``none``.
        preactivation: Who sees the activated input: ``branch``, ``shared`` or ``none``.
        survival: Survival probability of the branch.
    """

    name: str
    stage: int
    in_width: int
    width: int
    inner_width: int
    out_width: int
    step: StageStep
    shortcut: str
    preactivation: str
    survival: float

    @property
    def strides(self) -> int:
        """Stride of the block."""
        return self.step.strides

    @property
    def changes_shape(self) -> bool:
        """Whether the output has another shape than the input."""
        return self.strides != 1 or self.in_width != self.out_width


@dataclass(frozen=True, kw_only=True)
class ResNetConfig(NetworkConfig):
    """A plain, residual, pre-activation, wide, grouped or stochastic-depth network.

    Args:
        blocks: Number of blocks of each stage.
        widths: Width of each stage. A basic block puts out as many channels, a bottleneck four
            times as many.
        strides: Stride of each stage's first block; None for 1, then 2 for every further stage
            (`stage_strides` has them either way).
        block: ``"basic"`` (two 3x3 convolutions), ``"bottleneck"`` (1x1, 3x3, 1x1), or one of
            Zagoruyko 2016's ``"B(3,1)"``, ``"B(1,3)"``, ``"B(1,3,1)"``, ``"B(3,1,1)"``,
            ``"B(3,1,3)"``, which keep the full width throughout, or ``"B(3)"``, a single
            convolution.
        bottleneck_stride: Which convolution of a bottleneck has the stride: ``"1x1"`` (the first
            one, v1) or ``"3x3"`` (v1.5).
        inner_width_factor: Channels of a block's inner convolutions, divided by the stage's width
            (2 in a WRN-50-2; 2 in a ResNeXt 32x4d).
        cardinality: Groups of a bottleneck's 3x3 convolution (Xie 2017).
        activation_order: ``"post"`` (He 2015), ``"pre"`` (He 2016), or one of He 2016's other
            orders: ``"bn_after_addition"``, ``"relu_before_addition"``, ``"relu_only"``.
        first_activation: With ``"pre"`` and ``"relu_only"``, where the first block's input is
            activated: in the ``"block"``, as in all others (Zagoruyko 2016); in the block, but
            ``"shared"`` with the shortcut, whatever it is (He 2016, CIFAR); or in the ``"stem"``,
            before its pooling (He 2016, ImageNet).
        shortcut: ``"A"`` (subsample, append zero channels), ``"B"`` (1x1 projection where the shape
            changes), ``"C"`` (projection in every block), ``"D"`` (2x2 average pooling, then a 1x1
            projection), ``"A_pool"`` (2x2 average pooling, append zero channels), ``"identity"``
            (nothing where the shape changes) or ``"none"`` (a plain network).
        shortcut_scale: Constant factor of the shortcut (He 2016, section 3.1).
        branch_scale: Constant factor of the branch.
        shortcut_gate: None, ``"exclusive"`` or ``"shortcut_only"`` (He 2016, section 3.1).
        gate_bias: Initial value of the gates' biases.
        shortcut_dropout: Rate of dropout on the shortcuts (He 2016, section 3.1).
        attention: None, or ``"se"`` for squeeze-and-excitation behind each branch (Hu 2018).
        se_ratio: Units of squeeze-and-excitation's first layer, divided by the block's channels.
        antialias: Blur before every subsampling of blocks and shortcuts (Zhang 2019).
        final_survival: Survival probability of the last block; the others' follow linearly,
            ``1 - l / L * (1 - final_survival)`` for block l of L, from 1 (Huang 2016, eq. 4).
        survival_mode: ``"batch"`` (one coin a block and batch, branch scaled at inference, as in
            the paper) or ``"sample"`` (one coin a sample, branch scaled in training).
        drop_block: Rate of DropBlock in the last stage, a quarter of it in the stage before, none
            in others (Ghiasi 2018, section 4.1; constant over the training).
        drop_block_size: Side of its squares.
        zero_init_residual: Whether every branch begins as zero (Goyal 2017, section 5.1).
        **others: `NetworkConfig`'s.

    Raises:
        ConfigError: A field is illegal, or two fields disagree; the message names them.

    Example:
        >>> ResNetConfig(blocks=(3, 3, 3)).depth
        20

    Reference:
        He 2015 (arXiv:1512.03385), He 2016 (arXiv:1603.05027), Zagoruyko 2016 (arXiv:1605.07146),
        Huang 2016 (arXiv:1603.09382), Xie 2017 (arXiv:1611.05431).
    """

    family: ClassVar[str] = "resnet"

    blocks: tuple[int, ...] = (3, 3, 3)
    widths: tuple[int, ...] = (16, 32, 64)
    strides: tuple[int, ...] | None = None
    block: str = "basic"
    bottleneck_stride: str = "1x1"
    inner_width_factor: float = 1.0
    cardinality: int = 1
    activation_order: str = "post"
    first_activation: str = "block"
    shortcut: str = "B"
    shortcut_scale: float = 1.0
    branch_scale: float = 1.0
    shortcut_gate: str | None = None
    gate_bias: float = -6.0
    shortcut_dropout: float = 0.0
    attention: str | None = None
    se_ratio: float = 1 / 16
    antialias: bool = False
    final_survival: float = 1.0
    survival_mode: str = "batch"
    drop_block: float = 0.0
    drop_block_size: int = 7
    zero_init_residual: bool = False

    def __post_init__(self):
        super().__post_init__()
        self._set(blocks=block_counts(self.blocks))
        stages = len(self.blocks)
        self._set(widths=stage_sequence("widths", self.widths, stages))
        if self.strides is not None:
            # The default is kept as None, so that `replace` may change the number of stages.
            strides = stage_sequence("strides", self.strides, stages)
            self._set(strides=None if strides == self._default_strides else strides)
        self._check_own_names()
        self._check_own_numbers()
        self._check_output_stride()
        self._check_block()
        self._check_order()
        self._check_shortcut()
        self._check_groups(self._normalized_widths())

    def _check_own_names(self):
        for argument, legal in (
            ("block", KERNELS),
            ("bottleneck_stride", ("1x1", "3x3")),
            ("activation_order", ACTIVATION_ORDERS),
            ("first_activation", ("block", "shared", "stem")),
            ("shortcut", SHORTCUTS),
            ("shortcut_gate", ("exclusive", "shortcut_only", None)),
            ("attention", ("se", None)),
            ("survival_mode", ("batch", "sample")),
        ):
            check_choice(argument, getattr(self, argument), legal)
        for name in ("antialias", "zero_init_residual"):
            check(isinstance(getattr(self, name), bool), name, "a bool", getattr(self, name))

    def _check_own_numbers(self):
        self._check_count("cardinality", self.cardinality)
        self._check_count("drop_block_size", self.drop_block_size)
        for argument, expected, legal in (
            ("inner_width_factor", "a positive number", lambda v: v > 0),
            ("shortcut_scale", "a positive number", lambda v: v > 0),
            ("branch_scale", "a positive number", lambda v: v > 0),
            ("gate_bias", "a number", lambda v: True),
            ("shortcut_dropout", "a number in [0, 1)", lambda v: 0 <= v < 1),
            ("drop_block", "a number in [0, 1)", lambda v: 0 <= v < 1),
            ("se_ratio", "a number in (0, 1]", lambda v: 0 < v <= 1),
            ("final_survival", "a number in (0, 1]", lambda v: 0 < v <= 1),
        ):
            self._check_number(argument, expected, legal)

    def _disagree(self, one, other, why):
        return disagree(one, other, vars(self), why)

    def _check_block(self):
        if self.block != "bottleneck":
            if self.cardinality > 1:
                raise self._disagree("cardinality", "block", "only bottlenecks have groups")
            if self.bottleneck_stride != "1x1":
                raise self._disagree("bottleneck_stride", "block", "the block is no bottleneck")
        if len(KERNELS[self.block]) == 1 and self.antialias:
            raise self._disagree("antialias", "block", "no convolution is left to blur in front of")
        for width in self.widths:
            inner = self._inner_width(width)
            if inner < 1 or inner % self.cardinality:
                raise self._disagree(
                    "cardinality" if inner else "widths",
                    "inner_width_factor",
                    f"a stage of width {width} has {inner} inner channels, which is not a multiple "
                    f"of {self.cardinality}",
                )

    def _check_order(self):
        order = self.activation_order
        if self.first_activation != "block" and order not in PRE_ORDERS:
            raise self._disagree(
                "first_activation", "activation_order", "its blocks do not activate their input"
            )
        if not self.zero_init_residual:
            return
        if order == "relu_before_addition":
            raise self._disagree(
                "zero_init_residual", "activation_order", "no gradient passes a ReLU of zeros"
            )
        ends_in_conv = self.folded or order in ("pre", "bn_after_addition")
        if self.weight_standardization and ends_in_conv:
            raise self._disagree(
                "zero_init_residual",
                "weight_standardization",
                "the last convolution would be zero, and a zero kernel cannot be standardised",
            )

    def _check_shortcut(self):
        merges = {
            "shortcut_scale": 1.0,
            "branch_scale": 1.0,
            "shortcut_gate": None,
            "shortcut_dropout": 0.0,
        }
        merges = [name for name, neutral in merges.items() if getattr(self, name) != neutral]
        if self.shortcut in ("identity", "none"):
            needs = [*merges]
            needs += ["final_survival"] if self.final_survival < 1 else []
            needs += ["zero_init_residual"] if self.zero_init_residual else []
            if needs:
                raise self._disagree(needs[0], "shortcut", "not every block has one")
        kinds = {"branch_scale": "shortcut_scale"}
        if len({kinds.get(name, name) for name in merges}) > 1:
            raise self._disagree(merges[0], merges[-1], "a shortcut can be changed in one way")
        if self.shortcut in ("A", "A_pool"):
            self._check_pad_grows()

    def _check_pad_grows(self):
        for spec in self.block_specs():
            if spec.out_width < spec.in_width:
                raise ConfigError(
                    f"`shortcut`={self.shortcut!r} appends channels and cannot remove them, but "
                    f"`widths` and `stem_width` make {spec.name} narrower than its input "
                    f"({spec.in_width} to {spec.out_width} channels): use shortcut 'B' or growing "
                    f"widths. Received: shortcut={self.shortcut!r}, widths={self.widths}"
                )

    def _normalized_widths(self):
        for conv in self.stem_convolutions():
            if conv.activation != "none":
                yield "stem_width", conv.filters
        if self.activation_order == "pre":
            yield "stem_width", self.stem_width
        for width in self.widths:
            yield "widths", width * self.expansion
            yield "widths", self._inner_width(width)

    def _inner_width(self, width: int) -> int:
        return int(width * self.inner_width_factor)

    @property
    def expansion(self) -> int:
        """Output channels of a block divided by its width."""
        return EXPANSION[self.block]

    @property
    def depth(self) -> int:
        """Layers with weights on the longest path: stem, branch convolutions, classifier.

        Projections are not counted (He 2015); Zagoruyko's WRN-d counts three of them, so that
        WRN-16 has depth 14 here. A stem of three convolutions counts as one, as in the models'
        names.
        """
        return 2 + len(KERNELS[self.block]) * sum(self.blocks)

    @property
    def stage_strides(self) -> tuple[int, ...]:
        """Stride at the beginning of each stage, before any becomes dilation."""
        return self._default_strides if self.strides is None else self.strides

    @property
    def _default_strides(self) -> tuple[int, ...]:
        return (1,) + (2,) * (len(self.blocks) - 1)

    @property
    def stem_activation(self) -> str:
        """What follows the stem's last convolution."""
        if self.activation_order not in PRE_ORDERS:
            return "norm_relu"
        in_stem = self.first_activation == "stem"
        if self.activation_order == "relu_only":
            return "norm_relu" if in_stem else "norm"
        return "norm_relu" if in_stem else "none"

    def survival(self, block: int) -> float:
        """Survival probability of block number `block`, from 1 to the number of blocks."""
        return 1.0 - block / sum(self.blocks) * (1.0 - self.final_survival)

    def drop_block_rate(self, stage: int) -> float:
        """Rate of DropBlock in a stage, from 1."""
        last = len(self.blocks)
        return self.drop_block * {last: 1.0, last - 1: 0.25}.get(stage, 0.0)

    def branch(self, spec: BlockSpec) -> list[ConvSpec]:
        """Return the convolutions on the branch of a block."""
        return branch_convolutions(
            self.block,
            spec.width,
            spec.strides,
            self.bottleneck_stride,
            inner_width=spec.inner_width,
            cardinality=self.cardinality,
            dilations=(spec.step.before, spec.step.after),
            antialias=self.antialias and spec.strides > 1,
        )

    def squeezed_width(self, spec: BlockSpec) -> int:
        """Return the units of the first layer of a block's squeeze-and-excitation."""
        return squeezed_width(spec.out_width, self.se_ratio)

    def block_specs(self) -> list[BlockSpec]:
        """Return every block of the network, first to last."""
        specs = []
        in_width = self.stem_width
        for stage, (count, width, step) in enumerate(
            zip(self.blocks, self.widths, self.stage_steps(), strict=True), start=1
        ):
            for index in range(1, count + 1):
                if index == 2:
                    step = StageStep(1, 1, step.after, step.after)
                out_width = width * self.expansion
                changes = step.nominal != 1 or in_width != out_width
                specs.append(
                    BlockSpec(
                        name=f"stage{stage}_block{index}",
                        stage=stage,
                        in_width=in_width,
                        width=width,
                        inner_width=self._inner_width(width),
                        out_width=out_width,
                        step=step,
                        shortcut=self._shortcut_kind(changes),
                        preactivation=self._preactivation(changes, first=not specs),
                        survival=self.survival(len(specs) + 1),
                    )
                )
                in_width = out_width
        return specs

    def _shortcut_kind(self, changes_shape: bool) -> str:
        if changes_shape or self.shortcut in ("C", "none"):
            return SHORTCUTS[self.shortcut]
        return "identity"

    def _preactivation(self, changes_shape: bool, first: bool) -> str:
        if self.activation_order not in PRE_ORDERS:
            return "branch"
        if first and self.first_activation == "stem":
            return "none"
        # A projection reads what the branch reads (He 2016, appendix; Zagoruyko 2016, code).
        projects = self._shortcut_kind(changes_shape) not in ("identity", "none")
        return "shared" if projects or (first and self.first_activation == "shared") else "branch"
