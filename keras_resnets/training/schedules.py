"""Learning rates over the steps of a run, made of Keras' schedules and two that it lacks."""

from __future__ import annotations

import keras
from keras import ops
from keras.optimizers import schedules

from keras_resnets.training.recipes.recipe import Recipe

__all__ = ["OneCycle", "Warmup", "make_schedule"]


@keras.saving.register_keras_serializable(package="keras_resnets")
class Warmup(schedules.LearningRateSchedule):
    """Another schedule behind a warm-up.

    Args:
        schedule: A Keras schedule; it counts the steps of the warm-up too.
        steps: Steps of the warm-up.
        start: First learning rate.
        target: Learning rate that a linear warm-up ends at.
        shape: ``"linear"``, or ``"constant"`` for `start` all the time.

    Example:
        >>> rate = Warmup(schedules.PiecewiseConstantDecay([31_999], [0.1, 0.01]), 400, 0.01, 0.1)
        >>> float(rate(0)), float(rate(400)), float(rate(32_000))
        (0.01, 0.1, 0.01)
    """

    def __init__(self, schedule, steps, start, target, shape="linear"):
        super().__init__()
        self.schedule = schedule
        self.steps = steps
        self.start = start
        self.target = target
        self.shape = shape

    def __call__(self, step):
        """Return the learning rate of a step, from 0."""
        step = ops.cast(step, "float32")
        rate = ops.convert_to_tensor(self.start, "float32")
        if self.shape == "linear":
            rate = rate + (self.target - self.start) * step / self.steps
        return ops.where(step < self.steps, rate, ops.cast(self.schedule(step), "float32"))

    def get_config(self):
        """Return the arguments."""
        return {
            "schedule": schedules.serialize(self.schedule),
            "steps": self.steps,
            "start": self.start,
            "target": self.target,
            "shape": self.shape,
        }

    @classmethod
    def from_config(cls, config):
        """Return the schedule with these arguments."""
        return cls(**{**config, "schedule": schedules.deserialize(config["schedule"])})


@keras.saving.register_keras_serializable(package="keras_resnets")
class OneCycle(schedules.LearningRateSchedule):
    """Up to a peak and down again, in straight lines (Smith 2017, arXiv:1708.07120).

    Args:
        peak: Greatest learning rate.
        peak_step: Step of the peak.
        steps: Steps of all.
        final: Learning rate at the end.
        start: Learning rate at the beginning; by default a twentieth of the peak.

    Example:
        >>> rate = OneCycle(1.0, 10, 30)
        >>> float(rate(10)), float(rate(20)), float(rate(30))
        (1.0, 0.5, 0.0)
    """

    def __init__(self, peak, peak_step, steps, final=0.0, start=None):
        super().__init__()
        self.peak = peak
        self.peak_step = peak_step
        self.steps = steps
        self.final = final
        self.start = peak / 20 if start is None else start

    def __call__(self, step):
        """Return the learning rate of a step, from 0."""
        step = ops.cast(step, "float32")
        up = self.start + (self.peak - self.start) * step / max(1, self.peak_step)
        left = ops.maximum(self.steps - step, 0.0) / max(1, self.steps - self.peak_step)
        return ops.where(step < self.peak_step, up, self.final + (self.peak - self.final) * left)

    def get_config(self):
        """Return the arguments."""
        return {
            "peak": self.peak,
            "peak_step": self.peak_step,
            "steps": self.steps,
            "final": self.final,
            "start": self.start,
        }


def make_schedule(recipe: Recipe, peak: float, total: int, steps_per_epoch: int):
    """Return a recipe's learning rate for a run.

    Args:
        recipe: The recipe; milestones and warm-up keep their fractions of its length.
        peak: Peak learning rate.
        total: Steps of the run.
        steps_per_epoch: Steps of an epoch.

    Returns:
        A Keras schedule. What depends on the training's course, a plateau or a warm-up until an
        error, is not in it: see `callbacks.Rates`.

    Example:
        >>> rate = make_schedule(load_recipe("he2015-cifar"), 0.1, 64_000, 391)
        >>> [round(float(rate(step)), 4) for step in (0, 31_999, 32_000, 63_999)]
        [0.1, 0.1, 0.01, 0.001]
    """
    plan = recipe.schedule

    def steps(position: float) -> int:
        return round(position / recipe.length * total)

    warmup = plan.warmup_steps or steps(plan.warmup)
    if plan.kind == "cosine":
        warmup = min(warmup, total)  # elsewhere a warm-up in steps is the same in a longer run
    start = plan.warmup_from * peak
    linear = plan.warmup_shape == "linear"
    if plan.kind == "cosine":
        # Keras' own warm-up, behind which the cosine takes the steps that are left; a constant one
        # stands in front of a cosine over all of them.
        cosine = schedules.CosineDecay(
            start if warmup and linear else peak,
            decay_steps=max(1, total - warmup if linear else total),
            alpha=plan.final,
            warmup_target=peak if warmup and linear else None,
            warmup_steps=warmup if linear else 0,
        )
        return cosine if linear or not warmup else Warmup(cosine, warmup, start, peak, "constant")
    if plan.kind == "one_cycle":
        return OneCycle(peak, round(plan.peak_at * total), total, plan.final * peak)
    boundaries = [steps(milestone) - 1 for milestone in plan.milestones]  # Keras': the last before
    values = [peak * plan.factor**i for i in range(len(boundaries) + 1)]
    if not boundaries:
        boundaries, values = [total], [peak, peak]
    schedule = schedules.PiecewiseConstantDecay(boundaries, values)
    return Warmup(schedule, warmup, start, peak, plan.warmup_shape) if warmup else schedule
