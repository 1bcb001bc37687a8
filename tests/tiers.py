"""Which cases of a matrix every run of the tests has, and which the gate alone.

A behaviour that is tested on a whole matrix (every family, type, format) is shown by some of its
cases already; the others are marked ``large``. Which cases those are is said here by name; where
any will do, ``@pytest.mark.sampled(count)`` takes some that are evenly spread.
"""

import pytest

__all__ = ["LONG", "matrix"]

LONG = (
    "test_search_command.py",
    "test_as_keras_applications.py",
    "test_same_function.py",
    "test_serialization.py",
    "test_builder.py",
    "test_growth.py",
    "test_keras_exports.py",
    "test_distribution.py",
    "test_every_layer.py",
    "test_callbacks.py",
    "test_as_keras_hub.py",
    "test_longer_search.py",
    "test_fit.py",
    "test_plain.py",
    "test_oracles.py",
    "test_train_program.py",
    "test_search_survives.py",
    "test_rehearsal.py",
    "test_exports.py",
    "test_damaged_checkpoints.py",
    "test_mutated_files.py",
)
"""The files that take longest, in the order in which they are run: before all others."""


def matrix(cases, plain, gate=None):
    """Return the parameters of a matrix, all but the plain ones marked ``large`` or ``slow``.

    Args:
        cases: The matrix' cases, each a value or a tuple of an argument's values each.
        plain: Those of them that every run has.
        gate: Those that the gate has besides, the others being ``slow``; by default all others.

    Example:
        >>> @pytest.mark.parametrize("name", matrix(FAMILIES, ["resnet50", "densenet121"]))
    """
    cases = list(cases)
    gate = cases if gate is None else list(gate)
    if missing := [case for case in (*plain, *gate) if case not in cases]:
        raise ValueError(f"cases that are not in the matrix: {missing}")
    return [
        case if case in plain else _marked(case, "large" if case in gate else "slow")
        for case in cases
    ]


def _marked(case, tier):
    values = case if isinstance(case, tuple) else (case,)
    return pytest.param(*values, marks=getattr(pytest.mark, tier))
