"""What a search comes to before it starts, in words."""

from __future__ import annotations

from keras_resnets.data.load import ImageData
from keras_resnets.run_folder import RunFolder
from keras_resnets.training.execution import Execution
from keras_resnets.training.recipes import load_recipe
from keras_resnets.tuning.settings import LENGTHS, RECIPE, SearchSettings
from keras_resnets.words import count, wrap

__all__ = ["plan_lines"]


def plan_lines(
    given: SearchSettings,
    settings: SearchSettings,
    data: ImageData,
    fitting: int,
    folder: RunFolder,
    execution: Execution,
) -> list[str]:
    """Return lines, of at most 80 columns, that say what is searched, how and how long.

    Args:
        given: The settings as the user gave them.
        settings: The same, fitted to the data.
        data: The data set.
        fitting: Number of structures within the budget.
        folder: The run folder.
        execution: How trainings run.
    """
    shape = " x ".join(map(str, data.image_shape))
    sizes = ", ".join(f"{count:,} {split}" for split, count in data.sizes.items())
    limits = [
        f"{value:,} {what}"
        for value, what in ((settings.max_params, "parameters"), (settings.max_macs, "MACs"))
        if value is not None
    ]
    total = len(settings.space.structures())
    limited = f"{fitting:,} of {count(total, 'structure')} within {' and '.join(limits)}"
    free = f"{count(total, 'structure')}, of any cost"
    trials = "as many trials as it needs"
    if settings.tuner != "hyperband":
        trials = count(settings.trials, "trial")
    final = count(settings.final_epochs, "epoch")
    lines = [
        f"data    {data.name}: {count(data.classes, 'class')}, {shape}",
        f"images  {sizes}",
        f"space   {limited if limits else free}",
        f"plan    {settings.tuner} search, {trials}, {count(settings.epochs, 'epoch')} each, "
        f"batch {settings.batch_size}",
        *_changes(given, settings, data.sizes["train"]),
        f"then    the winner, {final}; its exports, each verified",
        f"device  {execution}",
        f"folder  {folder.path} (interrupted, the same command resumes)",
        *(f"read    {note}" for note in data.notes),
        "",
    ]
    return [wrap(line, indent=8) for line in lines]


def _changes(given: SearchSettings, settings: SearchSettings, images: int) -> list[str]:
    """Return a line that says which defaults gave way to few images, none where none did."""
    usual = {"batch_size": load_recipe(RECIPE).batch_size}
    usual |= {name: epochs for name, (epochs, _) in LENGTHS.items()}
    words = {"batch_size": "batch {}", "epochs": "{} epochs", "final_epochs": "{} for the winner"}
    changed = [
        f"{words[name].format(getattr(settings, name))} (not {value})"
        for name, value in usual.items()
        if getattr(given, name) is None and getattr(settings, name) != value
    ]
    few = f"{count(images, 'image')} {'is' if images == 1 else 'are'} few"
    return [f"        {few}: {', '.join(changed)}"] if changed else []
