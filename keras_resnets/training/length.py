"""How long a training is, and whether one that was begun can become longer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_resnets.run_folder import Length
from keras_resnets.state import DamagedError, read_state
from keras_resnets.training.generations import find_generations
from keras_resnets.training.recipes.recipe import displaced
from keras_resnets.training.settings import TrainingPlan, TrainingSettings
from keras_resnets.words import count

__all__ = ["bound_to_length", "can_grow", "epochs_done", "training_length"]

_LENGTHS = ("epochs", "iterations")
"""Settings of a recipe that say how long its runs are."""

_BOUND: dict[str, tuple[Callable[[TrainingSettings], Any], str]] = {
    "schedule.kind": (
        lambda s: _kind(s) if _kind(s) in ("one_cycle", "cosine", "step") else None,
        "a schedule that is laid out over them",
    ),
    "schedule.warmup": (
        lambda s: s.recipe.schedule.warmup or None,
        "a warm-up that is a fraction of them",
    ),
    "sizes": (
        lambda s: [list(pair) for pair in s.recipe.sizes] if len(s.recipe.sizes) > 1 else None,
        "image sizes that change at fractions of them",
    ),
    "transfer.unfreeze": (
        lambda s: (s.recipe.transfer.unfreeze or None) if s.init is not None else None,
        "thawing at fractions of them",
    ),
    "ema_memory": (
        lambda s: s.recipe.ema_memory,
        "an average whose memory is a fraction of them",
    ),
}
"""Settings whose meaning depends on the run's length: the value (None if it does not), and why."""


def _kind(settings: TrainingSettings) -> str:
    return settings.recipe.schedule.kind


def bound_to_length(settings: TrainingSettings) -> tuple[str, Any, str] | None:
    """Return a setting that makes every epoch of a run depend on the run's length.

    Returns:
        The setting's name, its value and why, or None: then the first epochs of a longer run are
        those of a shorter one.

    Example:
        >>> bound_to_length(TrainingSettings(recipe="search"))
        ('schedule.kind', 'cosine', 'a schedule that is laid out over them')
    """
    for name, (value_of, why) in _BOUND.items():
        value = value_of(settings)
        if value is not None:
            return name, value, why
    return None


def can_grow(settings: TrainingSettings, plan: TrainingPlan) -> bool:
    """Say whether a run that has come to its end can be lengthened."""
    return bound_to_length(settings) is None and plan.steps % plan.steps_per_epoch == 0


def training_length(settings: TrainingSettings, plan: TrainingPlan | None = None) -> Length:
    """Return how long a run is, for its folder.

    Args:
        settings: How the run is trained.
        plan: The run in steps; None as long as the data is not known.
    """
    planned = {} if settings.epochs is None else {"epochs": settings.epochs}
    if plan is not None:
        planned = {"epochs": plan.epochs, "steps": plan.steps}

    def refuse(there: dict[str, int], path: Path) -> str | None:
        return _refusal(settings, planned, there, plan, path)

    names = ["epochs"]
    if bound_to_length(settings) is None:
        # Lengths too, where nothing is scaled, with what they put out of force.
        names += [f"recipe.{name}" for name in (*_LENGTHS, *displaced(set(_LENGTHS)))]
    return Length(tuple(names), planned, refuse)


def _refusal(settings, here, there, plan: TrainingPlan | None, path: Path) -> str | None:
    done, other_dir = epochs_done(path), "use another --run-dir"
    if not done:
        return None
    epochs = count(done, "epoch")
    unit = "steps" if there["epochs"] == here["epochs"] else "epochs"
    asked, begun = f"{unit}={here[unit]}", f"{unit}={there[unit]}"
    steps_done = 0 if plan is None else min(done * plan.steps_per_epoch, there["steps"])
    if done > here["epochs"] or steps_done > here.get("steps", steps_done):
        return f"has {epochs} done, more than {asked}: {other_dir}"
    bound = bound_to_length(settings)
    if bound is not None:
        name, value, why = bound
        model = path / "model.keras"
        begin = f", or begin with its weights: --init {model}" if model.is_file() else ""
        return (
            f"was begun with {begun} and {why} (`{name}`={value!r}): {asked} would change it from "
            f"the first epoch on; {other_dir}{begin}"
        )
    if plan is not None and steps_done % plan.steps_per_epoch:
        return (
            f"ended within an epoch, after {there['steps']} steps (`iterations`="
            f"{settings.recipe.iterations}): no whole epoch follows on that; {other_dir}"
        )
    if _summary(path).get("out_of_patience"):
        return (
            f"was ended after {epochs} by `patience`={settings.patience}, as it would be "
            f"with {asked}: {other_dir} with another --patience"
        )
    if plan is not None and not find_generations(path / "checkpoint.keras").whole:
        return f"has no checkpoint.keras any more, which a longer run resumes from: {other_dir}"
    return None


def epochs_done(path: Path) -> int:
    """Return the number of epochs whose results a run folder holds."""
    done = find_generations(path / "checkpoint.keras").epochs
    return max(done, _summary(path).get("epochs", 0))


def _summary(path: Path) -> dict[str, Any]:
    try:
        return read_state(path / "summary.json")
    except (FileNotFoundError, DamagedError):
        return {}
