"""keras-tuner's oracles, taught to propose only what the budget allows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras_tuner
from keras_tuner.oracles import BayesianOptimizationOracle, HyperbandOracle, RandomSearchOracle

from keras_resnets.errors import ConfigError

__all__ = ["TUNERS", "make_oracle", "planned_epochs", "planned_trials"]

_DRAWS = 100_000
"""Draws over the budget after which the space counts as exhausted; each costs microseconds."""

_COLLISIONS = 1000
"""Draws of known points after which it does. keras-tuner's 20 misses points of a small space."""


class _WithinBudget:
    """Mixed into an oracle: refuses what `fits` refuses and proposes something else.

    Refusing here, instead of failing the trial, keeps Hyperband's brackets complete and costs
    neither a trial nor a build. Nothing is written: a search is resumed from the journal.
    """

    fits: Callable[[dict[str, Any]], bool]
    refused = 0

    def save(self):
        """Write no state."""

    def _save_trial(self, trial):
        """Write no trial."""

    def _random_values(self):
        for _ in range(_DRAWS):
            values = super()._random_values()
            if values is None or self.fits(values):
                return values
            self.refused += 1
        return None


class _Random(_WithinBudget, RandomSearchOracle):
    """Random search within the budget."""


class _Hyperband(_WithinBudget, HyperbandOracle):
    """Hyperband within the budget, whose shortest rung is four epochs.

    keras-tuner's own begins with one epoch, which says next to nothing about the last.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.min_epochs = min(4, self.max_epochs)
        self._current_bracket = self._get_num_brackets() - 1
        self._brackets = []
        self._start_new_bracket()


class _Bayesian(_WithinBudget, BayesianOptimizationOracle):
    """Bayesian optimisation within the budget; a point tried before is replaced by a random one."""

    def populate_space(self, trial_id):
        """Propose the values of the next trial."""
        response = super().populate_space(trial_id)
        values = response.get("values")
        if values is None or (self.fits(values) and not self._duplicate(values)):
            return response
        self.refused += not self.fits(values)
        return self._random_populate_space()


TUNERS = ("random", "hyperband", "bayesian")


def make_oracle(
    tuner: str,
    hyperparameters: keras_tuner.HyperParameters,
    fits: Callable[[dict[str, Any]], bool],
    *,
    trials: int,
    epochs: int,
    seed: int,
    first_trials: int | None = None,
) -> keras_tuner.Oracle:
    """Return a keras-tuner oracle that proposes only what fits.

    Args:
        tuner: ``"random"``, ``"hyperband"`` or ``"bayesian"``.
        hyperparameters: The declared space.
        fits: Whether a candidate's values are within the budget.
        trials: Number of trials; Hyperband derives its own from `epochs`.
        epochs: Epochs of a full trial.
        seed: Fixes the proposals, 0 included.
        first_trials: Number of trials that a search began with which is now longer: its first
            proposals stay what they were. By default `trials`.

    Raises:
        ConfigError: The tuner is unknown.
    """
    if tuner not in TUNERS:
        raise ConfigError(f"`tuner` must be one of {', '.join(TUNERS)}. Received: tuner={tuner!r}")
    shared = {
        "objective": keras_tuner.Objective("val_accuracy", "max"),
        "hyperparameters": hyperparameters,
        "seed": seed + 1,  # keras-tuner takes 0 for "no seed"
        # A failed trial is recorded and the search goes on; its own rule decides when to give up.
        "max_consecutive_failed_trials": 10**9,
    }
    if tuner == "hyperband":
        oracle = _Hyperband(max_epochs=epochs, factor=3, **shared)
    elif tuner == "bayesian":
        # keras-tuner's 3 random points a choice, 18 of them, would make up a whole short search.
        points = max(3, min(3 * len(hyperparameters.space), (first_trials or trials) // 3))
        oracle = _Bayesian(max_trials=trials, num_initial_points=points, **shared)
    else:
        oracle = _Random(max_trials=trials, **shared)
    oracle.fits = fits
    oracle._max_collisions = _COLLISIONS
    oracle.verbose = 0
    return oracle


def planned_trials(oracle: keras_tuner.Oracle) -> int:
    """Return how many trials an oracle will ask for at most."""
    if not isinstance(oracle, _Hyperband):
        return oracle.max_trials
    return sum(oracle._get_size(*rung) for rung in _rungs(oracle))


def planned_epochs(oracle: keras_tuner.Oracle, epochs: int) -> int:
    """Return how many epochs the trials of an oracle come to at most.

    Args:
        oracle: The oracle.
        epochs: Epochs of a full trial; of Hyperband's, most have fewer, and a promoted one resumes.
    """
    if not isinstance(oracle, _Hyperband):
        return oracle.max_trials * epochs
    total = 0
    for bracket, number in _rungs(oracle):
        before = oracle._get_epochs(bracket, number - 1) if number else 0
        total += oracle._get_size(bracket, number) * (oracle._get_epochs(bracket, number) - before)
    return total


def _rungs(oracle: _Hyperband) -> list[tuple[int, int]]:
    """Return bracket and number of every round of Hyperband's."""
    return [
        (bracket, number)
        for bracket in range(oracle._get_num_brackets())
        for number in range(oracle._get_num_rounds(bracket))
    ]
