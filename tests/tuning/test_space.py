import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_resnets.errors import ConfigError
from keras_resnets.models.cost import complexity
from keras_resnets.models.families import ResNetConfig
from keras_resnets.tuning import Budget, SearchSettings, SearchSpace

BASE = ResNetConfig(input_shape=(8, 8, 1))


@pytest.mark.parametrize(
    ("make", "arguments", "named"),
    [
        (Budget, {"max_params": 0}, "max_params"),
        (Budget, {"max_params": 1.5}, "max_params"),
        (Budget, {"max_macs": -1}, "max_macs"),
        (Budget, {"max_macs": True}, "max_macs"),
        (SearchSpace, {"blocks": ()}, "blocks"),
        (SearchSpace, {"blocks": ("wide",)}, "block"),
        (SearchSpace, {"activation_orders": ("mid",)}, "activation_order"),
        (SearchSpace, {"blocks_per_stage": (0,)}, "blocks_per_stage"),
        (SearchSpace, {"blocks_per_stage": 3}, "blocks_per_stage"),
        (SearchSpace, {"widths": (8, 8)}, "widths"),
        (SearchSpace, {"widths": (-8,)}, "widths"),
        (SearchSpace, {"final_survivals": (0.5, 1.5)}, "final_survival"),
        (SearchSpace, {"final_survivals": ("a",)}, "final_survival"),
        (SearchSpace, {"learning_rates": (0.1,)}, "learning_rates"),
        (SearchSpace, {"learning_rates": (0.3, 0.1)}, "learning_rates"),
        (SearchSpace, {"learning_rates": (0.1, math.inf)}, "learning_rates"),
        (SearchSpace, {"learning_rates": ("a", "b")}, "learning_rates"),
        (SearchSpace, {"stages": 0}, "stages"),
        (SearchSettings, {"trials": 0}, "trials"),
        (SearchSettings, {"epochs": 1.0}, "epochs"),
        (SearchSettings, {"final_epochs": True}, "final_epochs"),
        (SearchSettings, {"batch_size": -1}, "batch_size"),
        (SearchSettings, {"seed": -1}, "seed"),
        (SearchSettings, {"seed": 2**31 - 1}, "seed"),
        (SearchSettings, {"tuner": "grid"}, "tuner"),
        (SearchSettings, {"max_params": 0}, "max_params"),
    ],
)
def test_an_illegal_value_is_named(make, arguments, named):
    with pytest.raises(ConfigError, match=f"`{named}`"):
        make(**arguments)


def test_values_become_a_configuration():
    values = {
        "block": "bottleneck",
        "activation_order": "pre",
        "blocks_per_stage": 2,
        "width": 12,
        "final_survival": 0.8,
        "learning_rate": 0.1,
    }
    config = SearchSpace().config(values, BASE.replace(classes=7))
    assert (config.blocks, config.widths, config.stem_width) == ((2, 2, 2), (12, 24, 48), 12)
    assert (config.depth, config.block, config.activation_order) == (20, "bottleneck", "pre")
    assert (config.final_survival, config.classes, config.input_shape) == (0.8, 7, (8, 8, 1))


def test_structures_are_all_combinations():
    space = SearchSpace(blocks=("basic",), blocks_per_stage=(1, 3), widths=(4, 8))
    structures = space.structures()
    assert len(structures) == 2 * 2 * 2
    assert len({tuple(s.items()) for s in structures}) == len(structures)


@given(
    st.none() | st.integers(1, 3_000_000),
    st.none() | st.integers(1, 20_000_000),
)
def test_within_is_exactly_what_the_budget_allows(max_params, max_macs):
    space, budget = SearchSpace(), Budget(max_params, max_macs)
    costs = [
        (s, complexity(space.config(s | {"final_survival": 1.0}, BASE))) for s in space.structures()
    ]
    expected = [
        structure
        for structure, cost in costs
        if cost.trainable_params <= (max_params or math.inf) and cost.macs <= (max_macs or math.inf)
    ]
    if expected:
        assert space.within(budget, BASE) == expected
    else:
        smallest = min(cost.trainable_params for _, cost in costs)
        cheapest = min(cost.macs for _, cost in costs)
        with pytest.raises(ConfigError) as error:
            space.within(budget, BASE)
        assert f"{smallest:,} parameters" in str(error.value)
        assert f"{cheapest:,} multiply-adds" in str(error.value)


def test_the_excess_is_said_in_numbers():
    cost = complexity(BASE)
    assert Budget(cost.trainable_params, cost.macs).excess(cost) is None
    assert f"max_params={cost.trainable_params - 1:,}" in Budget(cost.trainable_params - 1).excess(
        cost
    )
    assert "multiply-adds" in Budget(None, cost.macs - 1).excess(cost)


def test_settings_as_values_leave_the_place_of_the_data_out():
    here, there = (SearchSettings(data_dir=place, trials=3) for place in ("/a", "/b"))
    assert here.to_dict() == there.to_dict()
    assert here.to_dict() != SearchSettings(trials=4).to_dict()
    assert here.data["data_dir"] == "/a"
