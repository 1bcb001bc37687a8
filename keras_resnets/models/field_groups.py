"""Which fields of a configuration say what: the one table that transfers and comparisons read."""

__all__ = ["HEAD", "IMAGES", "TRAINING", "WEIGHTLESS"]

IMAGES = ("input_shape", "input_mean", "input_std")
"""What images the network takes."""

HEAD = (
    "include_top",
    "classes",
    "classifier_activation",
    "pooling",
    "head_pooling",
    "head_dropout",
)
"""What follows the last feature map."""

TRAINING = (
    "dropout",
    "head_dropout",
    "shortcut_dropout",
    "drop_block",
    "drop_block_size",
    "final_survival",
    "survival_mode",
    "bn_momentum",
    "initializer",
    "zero_init_residual",
    "gate_bias",
    "weight_decay",
    "decay",
)
"""What changes how a network begins and learns, and neither its weights' shapes nor, at inference,
what they mean (but for the paper's stochastic depth, whose branches are scaled)."""

WEIGHTLESS = (
    *TRAINING,
    *IMAGES,
    "classifier_activation",
    "pooling",
    "output_stride",
    "origin",
)
"""What may differ between a network and the one whose weights it takes; of `input_shape`, height
and width."""
