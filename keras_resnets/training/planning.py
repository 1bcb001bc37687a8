"""What a run comes to before it starts: its plan in words, and whether the plan can work."""

from __future__ import annotations

from keras_resnets.errors import ConfigError
from keras_resnets.models.config import NetworkConfig
from keras_resnets.training.settings import TrainingPlan, TrainingSettings
from keras_resnets.words import count

__all__ = ["FEW_STEPS", "check_image_size", "epochs_for", "plan_lines"]

FEW_STEPS = 200
"""A run of fewer steps hardly learns: batch normalisation and the average have just settled."""

_ENOUGH_STEPS = 600


def check_image_size(config: NetworkConfig, settings: TrainingSettings) -> None:
    """Raise `ConfigError` where images are smaller than the network's total stride.

    The last feature map would be one pixel that has seen mostly padding.

    Args:
        config: The network, for the images that it is trained on.
        settings: How to train; its recipe may begin with smaller images.

    Example:
        >>> check_image_size(model_config("resnet50", input_shape=(28, 28, 1)), TrainingSettings())
        ConfigError: images of 28 x 28 are smaller than the network's total stride, 32: ...
    """
    height, width, _ = config.input_shape
    if height is None or width is None:
        return
    part = min(size for _, size in settings.recipe.sizes)
    smallest = [max(1, round(side * part)) for side in (height, width)]
    stride = config.total_stride
    if min(smallest) >= stride:
        return
    shown = f"images of {smallest[0]} x {smallest[1]}"
    if part != 1:
        shown += f" (`sizes` of the recipe: {part:g} of {height} x {width})"
    least = next(side for side in range(stride, 2**31) if round(side * part) >= stride)
    raise ConfigError(
        f"{shown} are smaller than the network's total stride, {stride}: choose a network of a "
        f"smaller stride, or images of at least {least} x {least} (--image-size {least})"
    )


def plan_lines(given: TrainingSettings, settings: TrainingSettings, images: int) -> list[str]:
    """Return lines, of at most 80 columns, that say how long a run is, and why.

    Args:
        given: The settings as the user gave them.
        settings: The same, fitted to the data.
        images: Training images.

    Example:
        >>> given = TrainingSettings()
        >>> for line in plan_lines(given, given.fit_to(245), 245):
        ...     print(line)
        plan    20 epochs of 30 steps, batch 8, learning rate 0.05
                245 images are few: batch 8 (not 128), 20 epochs (not 18)
    """
    plan = settings.plan(images)
    lines = [
        f"plan    {count(plan.epochs, 'epoch')} of {count(plan.steps_per_epoch, 'step')}, "
        f"batch {settings.batch_size}, learning rate {settings.learning_rate:.3g}"
    ]
    changes = []
    if given.batch_size is None and settings.batch_size < given.recipe.batch_size:
        changes.append(f"batch {settings.batch_size} (not {given.recipe.batch_size})")
    if given.epochs is None and settings.epochs is not None:
        changes.append(f"{settings.epochs} epochs (not {given.recipe.epochs})")
    if changes:
        few = f"{count(images, 'image')} {'is' if images == 1 else 'are'} few"
        lines.append(f"        {few}: {', '.join(changes)}")
    return lines + _few_steps(plan)


def epochs_for(plan: TrainingPlan) -> int:
    """Return how many epochs make enough steps."""
    return -(-_ENOUGH_STEPS // plan.steps_per_epoch)


def _few_steps(plan: TrainingPlan) -> list[str]:
    if plan.steps >= FEW_STEPS:
        return []
    return [
        f"warning: {count(plan.steps, 'step')} in all, and fewer than {FEW_STEPS} rarely teach a "
        f"network much",
        f"        (--epochs {epochs_for(plan)} makes {_ENOUGH_STEPS}; so does a smaller "
        "--batch-size)",
    ]
