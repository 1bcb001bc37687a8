"""How long a search is, and whether one that was begun can become longer."""

from __future__ import annotations

from pathlib import Path

from keras_resnets.analysis.runs import trial_files
from keras_resnets.run_folder import Length
from keras_resnets.tuning.settings import SearchSettings
from keras_resnets.tuning.winner import kept_winner

__all__ = ["search_length"]


def search_length(settings: SearchSettings) -> Length:
    """Return how long a search is, for its run folder.

    More trials follow on those that are done, and the winner is trained anew where it has more
    epochs; the trials' own epochs are fixed. Hyperband's number of trials follows from them:
    `trials` says nothing there, and is not compared. Nor are epochs that will follow from the data,
    as long as it is not known: see `SearchSettings.fit_to`.
    """
    planned = {"epochs": settings.epochs, "final_epochs": settings.final_epochs}
    planned = {name: value for name, value in planned.items() if value is not None}
    if settings.tuner != "hyperband":
        planned["trials"] = settings.trials

    def refuse(there: dict[str, int], path: Path) -> str | None:
        if planned.get("epochs", there["epochs"]) != there["epochs"]:
            return (
                f"has trials of epochs={there['epochs']}, which their schedule is laid out over "
                f"(recipe 'search', `schedule.kind`='cosine'): trials of epochs={settings.epochs} "
                "cannot be compared with them; use another --run-dir"
            )
        done = len(trial_files(path))
        if "trials" in planned and done > settings.trials:
            return (
                f"has {done} trials done, more than trials={settings.trials}: use another --run-dir"
            )
        epochs = (kept_winner(path) or {}).get("epochs", 0)
        if epochs > planned.get("final_epochs", epochs):
            return (
                f"has a winner trained for {epochs} epochs, more than "
                f"final_epochs={settings.final_epochs}: use another --run-dir"
            )
        return None

    return Length(("trials", "epochs", "final_epochs"), planned, refuse)
