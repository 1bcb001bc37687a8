"""The state of an optimizer, carried from one network to another."""

from __future__ import annotations

from collections.abc import Callable

from keras_resnets.errors import InputError
from keras_resnets.models.integrity import lora_layers
from keras_resnets.models.network import Network
from keras_resnets.surgery.networks import Weights, array_of

__all__ = ["carry_optimizer", "check_compiled"]

_SECOND_MOMENTS = (
    "velocity",
    "velocity_hat",
    "accumulator",
    "accumulated_grad",
    "accumulated_delta_var",
)
"""Slots of squares: copies of a weight keep them whole where the weight itself is split, so that
the sum of the copies moves as the one weight did."""

_OF_ONE_STEP = "gradient_accumulator"
_AVERAGE = "average"

Moving = Callable[[Weights, Weights, bool], Weights]
"""``move(old, fresh, split)``: values of the new network's weights from those of the old ones'."""


def check_compiled(model: Network) -> None:
    """Raise `InputError` unless a model has an optimizer to carry, with state for its weights."""
    if getattr(model, "optimizer", None) is None:
        raise InputError(
            "`optimizer` can be carried from a compiled model only. "
            f"Received: optimizer=True, model {model.name!r}, not compiled"
        )
    adapted = lora_layers(model)
    if adapted:
        raise InputError(
            "`optimizer` can be carried if it trains the layers' own kernels. "
            f"Received: optimizer=True, layer {adapted[0]!r} is adapted by LoRA"
        )


def carry_optimizer(model: Network, new: Network, move: Moving) -> None:
    """Compile a new network as another one, with that one's optimizer as it stands.

    Iterations, the place in the schedule with them, learning rate and every slot (momentum, second
    moments, averages of weights) go over; those of new weights begin at zero, and so do gradients
    that were being accumulated.

    Args:
        model: The network that was trained.
        new: The network to compile.
        move: Makes values for the new network's weights.

    Raises:
        InputError: The optimizer keeps state of other shapes than its weights' (Adafactor does).
    """
    new.compile_from_config(model.get_compile_config())
    if not model.optimizer.built:
        return
    if not new.optimizer.built:
        new.optimizer.build(new.trainable_variables)
    old_slots, old_others = _state(model)
    new_slots, new_others = _state(new)
    for name, slots in new_slots.items():
        if name == _OF_ONE_STEP:
            continue
        values = {path: array_of(v) for path, v in old_slots[name].items()}
        of_weights = new.trainable_variables if name == _AVERAGE else ()
        begin = {weight.path: array_of(weight) for weight in of_weights}
        begin = begin or {path: array_of(slot) for path, slot in slots.items()}
        result = move(values, begin, name not in _SECOND_MOMENTS)
        for path, slot in slots.items():
            slot.assign(result[path])
    for before, after in zip(old_others, new_others, strict=True):
        after.assign(before)


def _state(model) -> tuple[dict[str, dict], list]:
    """Return an optimizer's slots, by name and the path of their weight, and its other state."""
    weights = {w.path.replace("/", "_"): w for w in model.trainable_variables}
    slots: dict[str, dict] = {}
    others = []
    for variable in model.optimizer.variables:
        # "sgd/stage1_block1_conv1_kernel_momentum"; with a loss scale, one folder more in front.
        words = variable.path.rsplit("/")[-1].split("_")
        cuts = ("_".join(words[:i]) for i in range(len(words) - 1, 0, -1))
        key = next((cut for cut in cuts if cut in weights), None)
        if key is not None:
            name = "_".join(words)[len(key) + 1 :]
            slots.setdefault(name, {})[weights[key].path] = variable
        elif variable.shape == ():
            others.append(variable)
        else:
            raise InputError(
                "`optimizer` can be carried if its state has the weights' shapes, as that of SGD, "
                f"Adam and their like. Received: optimizer=True, {type(model.optimizer).__name__} "
                f"with {variable.path!r} of shape {tuple(variable.shape)}"
            )
    return slots, others
