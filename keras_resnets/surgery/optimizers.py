"""The state of an optimizer, carried from one network to another."""

from __future__ import annotations

from collections.abc import Callable

import keras

from keras_resnets.errors import InputError
from keras_resnets.models.network import Network
from keras_resnets.surgery.networks import Weights, array_of

__all__ = ["carry_optimizer", "check_compiled"]

_SECOND_MOMENTS = (
    "_velocities",
    "_velocity_hats",
    "_accumulators",
    "_accumulated_grads",
    "_accumulated_delta_vars",
    "_r",
    "_c",
    "_v",
    "_u",
)
"""Slots of squares: copies of a weight keep them whole where the weight itself is split, so that
the sum of the copies moves as the one weight did."""

_OF_ONE_STEP = ("_accumulated_gradients",)
_AVERAGES = ("_model_variables_moving_average",)

Moving = Callable[[Weights, Weights, bool], Weights]
"""``move(old, fresh, split)``: values of the new network's weights from those of the old ones'."""


def check_compiled(model: Network) -> None:
    """Raise `InputError` unless a model has an optimizer to carry."""
    if getattr(model, "optimizer", None) is None:
        raise InputError(
            "`optimizer` can be carried from a compiled model only. "
            f"Received: optimizer=True, model {model.name!r}, not compiled"
        )


def carry_optimizer(model: Network, new: Network, move: Moving) -> None:
    """Compile a new network as another one, with that one's optimizer as it stands.

    Iterations, the place in the schedule with them, learning rate and every slot (momentum, second
    moments, averages of weights) go over; those of new weights begin at zero.

    Args:
        model: The network that was trained.
        new: The network to compile.
        move: Makes values for the new network's weights.
    """
    new.compile_from_config(model.get_compile_config())
    old, fresh = _inner(model.optimizer), _inner(new.optimizer)
    if not old.built:
        return
    if not fresh.built:
        fresh.build(new.trainable_variables)
    slots = _slots(fresh)
    carried = {id(v) for name in slots for v in getattr(fresh, name)}
    carried |= {id(v) for name in _OF_ONE_STEP for v in getattr(fresh, name, None) or ()}
    for name in slots:
        _carry(name, model, new, old, fresh, move)
    olds = [v for v in model.optimizer.variables if not _is_slot(v, old)]
    news = [v for v in new.optimizer.variables if id(v) not in carried]
    for before, after in zip(olds, news, strict=True):  # counters and rates
        after.assign(before)


def _carry(name, model, new, old, fresh, move):
    values = _by_path(model, getattr(old, name))
    begin = _by_path(new, getattr(fresh, name))
    if name in _AVERAGES:
        begin = _by_path(new, new.trainable_variables)
    result = move(values, begin, name not in _SECOND_MOMENTS)
    for variable, slot in zip(new.trainable_variables, getattr(fresh, name), strict=True):
        slot.assign(result[variable.path])


def _inner(optimizer):
    return getattr(optimizer, "inner_optimizer", optimizer)


def _slots(optimizer) -> list[str]:
    """Return the names of an optimizer's lists of one variable a weight."""
    count = len(optimizer._trainable_variables)
    return [
        name
        for name, value in vars(optimizer).items()
        if isinstance(value, list)
        and len(value) == count
        and name not in ("_trainable_variables", "_variables", *_OF_ONE_STEP)
        and all(isinstance(v, keras.Variable) for v in value)
    ]


def _is_slot(variable, optimizer) -> bool:
    names = [*_slots(optimizer), *_OF_ONE_STEP]
    return any(variable is v for name in names for v in getattr(optimizer, name, None) or ())


def _by_path(model, variables) -> Weights:
    return {
        weight.path: array_of(v)
        for weight, v in zip(model.trainable_variables, variables, strict=True)
    }
