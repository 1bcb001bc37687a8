"""Checks of configuration fields, in the words that every message of ours has."""

from numbers import Integral, Real
from typing import Any

from keras_resnets.errors import ConfigError

__all__ = [
    "MOST",
    "block_counts",
    "check",
    "check_choice",
    "disagree",
    "int_tuple",
    "is_int",
    "is_number",
]

MOST = 1_000_000
"""Largest number of channels, or of classes, that anything may have."""

_MOST_BLOCKS = 10_000


def check(condition: bool, argument: str, expected: str, received: Any) -> None:
    """Raise a `ConfigError` unless the condition holds."""
    if not condition:
        raise ConfigError(f"`{argument}` must be {expected}. Received: {argument}={received!r}")


def check_choice(argument: str, value: Any, legal) -> None:
    """Raise a `ConfigError` unless `value` is one of `legal`, which may hold None."""
    legal = tuple(legal)
    words = ", ".join(map(repr, legal))
    ok = value is None or isinstance(value, str | int)
    check(ok and value in legal, argument, f"one of {words}", value)


def disagree(one: str, other: str, values: dict[str, Any], why: str) -> ConfigError:
    """Return the error for two fields that cannot go together."""
    received = ", ".join(f"{name}={values[name]!r}" for name in (one, other))
    return ConfigError(f"`{one}` and `{other}` disagree: {why}. Received: {received}")


def is_int(value: Any, least: int = 1) -> bool:
    """Whether `value` is an integer, NumPy's too, no bool, of at least `least`."""
    return isinstance(value, Integral) and not isinstance(value, bool) and value >= least


def is_number(value: Any) -> bool:
    """Whether `value` is a finite number, no bool."""
    ok = isinstance(value, Real) and not isinstance(value, bool)
    return ok and abs(value) < float("inf")


def int_tuple(argument: str, value: Any) -> tuple[int, ...]:
    """Return `value`, checked to be a non-empty sequence of positive integers, as a tuple."""
    value = value.tolist() if hasattr(value, "tolist") else value
    ok = isinstance(value, list | tuple) and len(value) > 0
    ok = ok and all(is_int(v) and v <= MOST for v in value)
    expected = f"a non-empty sequence of positive integers of at most {MOST:,}, one a stage"
    check(ok, argument, expected, value)
    return tuple(map(int, value))


def block_counts(value: Any) -> tuple[int, ...]:
    """Return `value`, checked to be the number of blocks of each stage, as a tuple."""
    value = int_tuple("blocks", value)
    expected = f"at most {_MOST_BLOCKS:,} blocks in all"
    check(sum(value) <= _MOST_BLOCKS, "blocks", expected, value)
    return value
