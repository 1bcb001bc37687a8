"""Strategies of hypothesis: fields of configurations, any combination of options."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import keras_resnets as kr

widths = st.sampled_from([4, 6, 8, 16])
shared = {
    "include_top": st.booleans(),
    "pooling": st.sampled_from([None, "avg", "max", "avgmax", "catavgmax"]),
    "head_pooling": st.sampled_from(["avg", "max", "avgmax", "catavgmax"]),
    "head_dropout": st.sampled_from([0.0, 0.3]),
    "classifier_activation": st.sampled_from([None, "sigmoid", "log_softmax"]),
    "stem": st.sampled_from(["cifar", "cifar", "imagenet", "deep", "tiered"]),
    "stem_width": widths,
    "stem_pool": st.sampled_from([None, None, "none", "max", "conv", "blur"]),
    "output_stride": st.sampled_from([None, None, None, 1, 2, 4, 8]),
    "dropout": st.sampled_from([0.0, 0.3]),
    "activation": st.sampled_from(["relu", "relu6", "leaky_relu", "silu", "gelu"]),
    "normalization": st.sampled_from(["batch", "batch", "group"]),
    "norm_groups": st.sampled_from([1, 2, 4]),
    "weight_standardization": st.booleans(),
    "initializer": st.sampled_from(["fan_in", "fan_out"]),
    "weight_decay": st.sampled_from([0.0, 1e-4]),
    "folded": st.sampled_from([False, False, True]),
}
residual = {
    **shared,
    "block": st.sampled_from(["basic", "bottleneck", "bottleneck", "B(3,1)", "B(1,3)", "B(1,3,1)",
                              "B(3,1,1)", "B(3,1,3)", "B(3)"]),
    "bottleneck_stride": st.sampled_from(["1x1", "1x1", "3x3"]),
    "inner_width_factor": st.sampled_from([1.0, 1.0, 0.5, 2.0]),
    "cardinality": st.sampled_from([1, 1, 2, 4]),
    "activation_order": st.sampled_from(["post", "pre", "bn_after_addition",
                                         "relu_before_addition", "relu_only"]),
    "first_activation": st.sampled_from(["block", "block", "shared", "stem"]),
    "shortcut": st.sampled_from(["A", "B", "C", "D", "A_pool", "identity", "none"]),
    "shortcut_scale": st.sampled_from([1.0, 1.0, 0.5]),
    "branch_scale": st.sampled_from([1.0, 1.0, 0.5]),
    "shortcut_gate": st.sampled_from([None, None, "exclusive", "shortcut_only"]),
    "shortcut_dropout": st.sampled_from([0.0, 0.0, 0.5]),
    "attention": st.sampled_from([None, "se"]),
    "se_ratio": st.sampled_from([1 / 16, 0.5]),
    "antialias": st.booleans(),
    "final_survival": st.sampled_from([1.0, 1.0, 0.5]),
    "survival_mode": st.sampled_from(["batch", "sample"]),
    "drop_block": st.sampled_from([0.0, 0.2]),
    "drop_block_size": st.sampled_from([3, 7]),
    "zero_init_residual": st.booleans(),
}  # fmt: skip
dense = {
    **shared,
    "growth_rate": st.sampled_from([2, 4]),
    "bottleneck": st.booleans(),
    "compression": st.sampled_from([0.5, 0.7, 1.0]),
}


@st.composite
def fields(draw):
    stages = draw(st.integers(1, 3))
    blocks = tuple(draw(st.integers(1, 2)) for _ in range(stages))
    # A few options leave their default; with all of them at once almost everything is refused.
    if draw(st.integers(0, 4)) == 0:
        options = draw(st.sets(st.sampled_from(sorted(dense)), max_size=8))
        drawn = {name: draw(dense[name]) for name in sorted(options)}
        return kr.DenseNetConfig, {"blocks": blocks, "growth_rate": 4, **drawn}
    options = draw(st.sets(st.sampled_from(sorted(residual)), max_size=10))
    drawn = {name: draw(residual[name]) for name in sorted(options)}
    drawn["widths"] = tuple(draw(widths) for _ in range(stages))
    drawn["strides"] = tuple(draw(st.sampled_from([1, 2, 2, 3])) for _ in range(stages))
    return kr.ResNetConfig, {"blocks": blocks, "stem_width": 8, **drawn}


def draw(count, *strategies):
    """Return a decorator: the function is called with this many drawn examples, always the same."""

    def decorate(function):
        drawn = given(*strategies)(function)
        checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
        return settings(max_examples=count, suppress_health_check=checks)(drawn)

    return decorate
