"""Any combination of options builds, runs and costs what was counted, or is refused at once."""

import os

import keras
import numpy as np
import pytest
from gradients import gradients
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import keras_resnets as kr

DRAWS = int(
    os.environ.get("KERAS_RESNETS_DRAWS", "30" if keras.backend.backend() == "tensorflow" else "3")
)
"""500 for the whole check; a few in every run of the tests."""

widths = st.sampled_from([4, 6, 8, 16])
shared = {
    "include_top": st.booleans(),
    "pooling": st.sampled_from([None, "avg", "max"]),
    "stem": st.sampled_from(["cifar", "cifar", "imagenet", "deep", "tiered"]),
    "stem_width": widths,
    "stem_pool": st.sampled_from([None, None, "none", "max", "conv", "blur"]),
    "output_stride": st.sampled_from([None, None, None, 1, 2, 4, 8]),
    "dropout": st.sampled_from([0.0, 0.3]),
    "normalization": st.sampled_from(["batch", "batch", "group"]),
    "norm_groups": st.sampled_from([1, 2, 4]),
    "weight_standardization": st.booleans(),
    "initializer": st.sampled_from(["fan_in", "fan_out"]),
    "weight_decay": st.sampled_from([0.0, 1e-4]),
}
residual = {
    **shared,
    "block": st.sampled_from(["basic", "bottleneck", "bottleneck", "B(3,1)", "B(1,3)", "B(1,3,1)",
                              "B(3,1,1)", "B(3,1,3)"]),
    "bottleneck_stride": st.sampled_from(["1x1", "1x1", "3x3"]),
    "inner_width_factor": st.sampled_from([1.0, 1.0, 0.5, 2.0]),
    "cardinality": st.sampled_from([1, 1, 2, 4]),
    "activation_order": st.sampled_from(["post", "pre", "bn_after_addition",
                                         "relu_before_addition", "relu_only"]),
    "first_activation": st.sampled_from(["block", "block", "shared", "stem"]),
    "shortcut": st.sampled_from(["A", "B", "C", "D", "A_pool", "none"]),
    "shortcut_scale": st.sampled_from([1.0, 1.0, 0.5]),
    "branch_scale": st.sampled_from([1.0, 1.0, 0.5]),
    "shortcut_gate": st.sampled_from([None, None, "exclusive", "shortcut_only"]),
    "shortcut_dropout": st.sampled_from([0.0, 0.0, 0.5]),
    "attention": st.sampled_from([None, "se"]),
    "se_ratio": st.sampled_from([1 / 16, 0.5]),
    "antialias": st.booleans(),
    "final_survival": st.sampled_from([1.0, 1.0, 0.5]),
    "survival_mode": st.sampled_from(["batch", "sample"]),
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


def is_named(message, values):
    return sum(f"`{name}`" in message or f"{name}=" in message for name in values)


outcomes = {"built": 0, "refused": 0}


@given(fields(), st.integers(0, 2**16))
@settings(
    deadline=None,
    max_examples=DRAWS,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    derandomize=True,
)
def test_builds_and_matches_its_cost_or_is_refused(drawn, seed):
    cls, values = drawn
    known = dict.fromkeys(cls.__dataclass_fields__)
    try:
        config = cls(input_shape=(None, None, 3), **values)
    except kr.ConfigError as error:
        refusal = str(error)
    else:
        refusal = None
    if refusal is not None:
        outcomes["refused"] += 1
        assert is_named(refusal, known) >= 2, refusal
        assert "Received: " in refusal
        return
    outcomes["built"] += 1
    keras.utils.set_random_seed(seed)
    model = kr.create_model(config)
    rng = np.random.default_rng(seed)
    for size in ((12, 12), (9, 14)):
        batch = rng.normal(size=(2, *size, 3)).astype("float32")
        for training in (False, True):
            outputs = np.asarray(model(batch, training=training))
            assert np.isfinite(outputs).all()
        cost = kr.complexity(config, (*size, 3))
        if not config.include_top and config.pooling is None:
            assert outputs.shape[1:] == cost.parts[-1].output_shape
    assert model.count_params() == cost.total_params
    trainable = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    assert trainable == cost.trainable_params
    found = gradients(model, batch, training=False)
    assert all(g is not None and np.isfinite(g).all() for g in found.values())
    keras.utils.clear_session()


@pytest.mark.slow
def test_five_hundred_draws():
    """Run with KERAS_RESNETS_DRAWS=500."""
    if DRAWS < 500:
        pytest.fail("set KERAS_RESNETS_DRAWS=500")
    test_builds_and_matches_its_cost_or_is_refused()
    print(outcomes)
    assert outcomes["built"] > 100
    assert outcomes["refused"] > 50
