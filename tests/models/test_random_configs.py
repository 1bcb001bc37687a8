"""Any combination of options builds, runs and costs what was counted, or is refused at once."""

import keras
import numpy as np
import pytest
from drawn_configs import draw, fields
from gradients import gradients
from hypothesis import strategies as st

import keras_resnets as kr

FEW = 3 if keras.backend.backend() == "tensorflow" else 2


def is_named(message, values):
    return sum(f"`{name}`" in message or f"{name}=" in message for name in values)


@pytest.mark.parametrize(
    "draws",
    [FEW, pytest.param(15, marks=pytest.mark.large), pytest.param(500, marks=pytest.mark.slow)],
)
def test_builds_and_matches_its_cost_or_is_refused(draws):
    outcomes = {"built": 0, "refused": 0}
    strategies = fields(), st.integers(0, 2**16), st.just(outcomes)
    draw(draws, *strategies)(_check)()
    assert outcomes["built"] > draws / 5
    assert draws == FEW or outcomes["refused"] > draws / 10


def _check(drawn, seed, outcomes):
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
