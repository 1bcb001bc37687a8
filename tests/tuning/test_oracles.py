import tempfile
from collections import Counter

import keras_tuner
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from keras_resnets.errors import ConfigError
from keras_resnets.models.cost import complexity
from keras_resnets.models.families import ResNetConfig
from keras_resnets.tuning import Budget, SearchSpace, make_oracle
from keras_resnets.tuning.oracles import TUNERS, planned_trials

BASE = ResNetConfig(input_shape=(8, 8, 1))
SMALL = SearchSpace(
    blocks=("basic",),
    blocks_per_stage=(1, 2, 3),
    widths=(4, 8),
    final_survivals=(1.0,),
    learning_rates=(0.1, 0.1),
)
MACS = sorted(
    complexity(SearchSpace().config(s | {"final_survival": 1.0}, BASE)).macs
    for s in SearchSpace().structures()
)


def cost(values, space=None):
    return complexity((space or SearchSpace()).config(values, BASE))


def propose(tuner, *, space=None, max_macs=None, trials=6, epochs=12, seed=0, fail=()):
    """Run an oracle to its end on made-up scores; return it and the values of each trial."""
    space = space or SearchSpace()
    budget = Budget(max_macs=max_macs)
    hyperparameters = keras_tuner.HyperParameters()
    space.declare(hyperparameters)
    oracle = make_oracle(
        tuner,
        hyperparameters,
        lambda values: budget.excess(cost(values, space)) is None,
        trials=trials,
        epochs=epochs,
        seed=seed,
    )
    proposals = {}
    with tempfile.TemporaryDirectory() as folder:
        oracle._set_project_dir(folder, "oracle")
        while (trial := oracle.create_trial("tuner")).status == "RUNNING":
            values = dict(trial.hyperparameters.values)
            proposals[trial.trial_id] = values
            if len(proposals) - 1 in fail:
                trial.status = "FAILED"
            else:
                score = values["width"] / 100 - abs(values["learning_rate"] - 0.1)
                oracle.update_trial(trial.trial_id, {"val_accuracy": score})
                trial.status = "COMPLETED"
            oracle.end_trial(trial)
    return oracle, proposals


# A failure is small enough as it is, and shrinking would run Bayesian searches for minutes.
@settings(max_examples=8, deadline=None, phases=[Phase.generate])
@given(
    tuner=st.sampled_from(TUNERS),
    max_macs=st.integers(MACS[0], MACS[-1] + 1),
    seed=st.integers(0, 2**31 - 2),
)
@pytest.mark.large
def test_every_proposal_is_within_the_budget(tuner, max_macs, seed):
    oracle, proposals = propose(tuner, max_macs=max_macs, seed=seed)
    assert len(proposals) == planned_trials(oracle)
    assert all(cost(values).macs <= max_macs for values in proposals.values())


@pytest.mark.parametrize("tuner", TUNERS)
@pytest.mark.sampled(1)
def test_refusals_are_counted_and_cost_no_trial(tuner):
    free, _ = propose(tuner)
    bound, proposals = propose(tuner, max_macs=MACS[len(MACS) // 4])
    assert free.refused == 0
    assert bound.refused >= len(proposals)  # three of four draws, about
    assert len(proposals) == planned_trials(free)


@pytest.mark.parametrize("tuner", TUNERS)
@pytest.mark.sampled(1)
def test_a_seed_fixes_the_proposals(tuner):
    seeds = {seed: propose(tuner, seed=seed, trials=4)[1] for seed in (0, 1)}
    for seed, proposals in seeds.items():
        assert propose(tuner, seed=seed, trials=4)[1] == proposals  # 0 is a seed like any other
    assert seeds[0] != seeds[1]


def test_an_unknown_tuner_is_refused():
    with pytest.raises(ConfigError, match="random, hyperband, bayesian"):
        propose("grid")


@pytest.mark.parametrize("max_macs", [None, MACS[2]])
def test_hyperband_brackets_are_complete(max_macs):
    oracle, proposals = propose("hyperband", epochs=36, max_macs=max_macs)
    rungs = Counter(
        (values["tuner/bracket"], values["tuner/round"], values["tuner/epochs"])
        for values in proposals.values()
    )
    assert set(rungs) == {(2, 0, 4), (2, 1, 12), (2, 2, 36), (1, 0, 12), (1, 1, 36), (0, 0, 36)}
    for (bracket, round_number, _), count in rungs.items():
        assert count == oracle._get_size(bracket, round_number)
    assert len(proposals) == planned_trials(oracle)


def test_hyperband_promotes_what_it_has_tried():
    _, proposals = propose("hyperband", epochs=36)
    promoted = {i: values for i, values in proposals.items() if values["tuner/round"]}
    assert promoted
    for values in promoted.values():
        parent = proposals[values["tuner/trial_id"]]
        same = [name for name in values if not name.startswith("tuner/")]
        assert [values[name] for name in same] == [parent[name] for name in same]
        assert values["tuner/initial_epoch"] == parent["tuner/epochs"]


@pytest.mark.parametrize("epochs", [1, 2, 3, 4, 5, 11, 12, 13, 100])
def test_hyperband_never_judges_before_epoch_four(epochs):
    oracle, proposals = propose("hyperband", epochs=epochs)
    assert min(values["tuner/epochs"] for values in proposals.values()) >= min(4, epochs)
    assert max(values["tuner/epochs"] for values in proposals.values()) == epochs
    assert len(proposals) == planned_trials(oracle)


@pytest.mark.large
def test_bayesian_learns_in_a_short_search():
    oracle, _ = propose("bayesian", trials=6)
    assert oracle.num_initial_points <= 3
    assert hasattr(oracle.gpr, "X_train_")  # it was fitted: not all proposals were random


@pytest.mark.parametrize(
    ("tuner", "space"),
    [
        ("random", SearchSpace(final_survivals=(1.0,), learning_rates=(0.1, 0.1))),
        pytest.param("bayesian", SMALL, marks=pytest.mark.slow),
    ],
    ids=["random", "bayesian"],
)
@pytest.mark.sampled(1)
def test_a_small_space_is_searched_to_its_end_no_point_twice(tuner, space):
    _, proposals = propose(tuner, space=space, trials=len(space.structures()) + 3)
    points = {tuple(sorted(values.items())) for values in proposals.values()}
    assert len(proposals) == len(points) == len(space.structures())


@pytest.mark.parametrize("tuner", TUNERS)
def test_failed_trials_do_not_end_the_search(tuner):
    _, proposals = propose(tuner, trials=6, fail={0, 1, 2, 3})
    assert len(proposals) >= 6
