"""The keras-tuner `Tuner` of the search: each trial in a worker, each result in the journal."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras_tuner

from keras_resnets.errors import RunError
from keras_resnets.models.cost import complexity
from keras_resnets.models.families import ResNetConfig
from keras_resnets.training.fit import class_weights_for
from keras_resnets.training.recipes import load_recipe
from keras_resnets.training.settings import TrainingSettings
from keras_resnets.tuning.checks import check_candidate_size
from keras_resnets.tuning.journal import Journal, score
from keras_resnets.tuning.settings import NETWORK_SIZE, RECIPE, SearchSettings
from keras_resnets.tuning.worker import Worker, WorkerError, run_again

__all__ = ["CHECKPOINTS", "SearchTuner", "candidate_settings", "check_training"]

CHECKPOINTS = "checkpoints"
"""Folder in the run folder that keeps what Hyperband may promote."""


class SearchTuner(keras_tuner.Tuner):
    """Runs the trials of an oracle; a trial that the journal knows is not run again.

    Args:
        oracle: The oracle; see `make_oracle`.
        settings: The search's settings, fitted to the data.
        base: Configuration that every candidate shares.
        journal: Finished trials.
        worker: Where trials run.
        on_trial: Called with each trial that was run now.
        directory: Folder for keras-tuner's own files, which are not relied upon.
        print_fn: Called with a line on each trial that is given out again.
    """

    def __init__(
        self,
        oracle: keras_tuner.Oracle,
        settings: SearchSettings,
        base: ResNetConfig,
        journal: Journal,
        worker: Worker,
        on_trial: Callable[[dict[str, Any]], None],
        directory: Path,
        print_fn: Callable[[str], None] = lambda line: None,
    ):
        super().__init__(
            oracle=oracle, directory=str(directory), project_name="tuner", overwrite=True
        )
        self.settings = settings
        self.base = base
        self.journal = journal
        self.worker = worker
        self.on_trial = on_trial
        self.print_fn = print_fn

    def save(self):
        """Write no state: the journal holds what a search is resumed from."""

    def search(self):
        """Run every trial of the oracle.

        Raises:
            RunError: The first three trials all failed, or the machine did.
            RunFolderError: The journal is another search's.
        """
        try:
            super().search()
        except keras_tuner.errors.FatalError as error:
            raise error.__cause__ from None

    def run_trial(self, trial, *args, **kwargs):
        """Train the trial's candidate, or look up what came of it.

        Raises:
            keras_tuner.errors.FatalError: Something went wrong that is not the trial's failure.
        """
        try:
            row = self._row(self._id(trial), trial.hyperparameters.values)
        except Exception as error:
            # keras-tuner takes every other error for a failed trial, and goes on.
            raise keras_tuner.errors.FatalError(str(error)) from error
        # A failure scores zero: raised, it would print a traceback and cost Hyperband a promotion.
        return {"val_accuracy": score(row)}

    def _id(self, trial) -> str:
        """Return a trial's id, which keras-tuner pads with zeros by the number of all trials.

        A longer search has the ids of a shorter one. Hyperband's refer to each other, and stay.
        """
        values = trial.hyperparameters.values
        return trial.trial_id if "tuner/epochs" in values else f"{int(trial.trial_id):02d}"

    def _row(self, trial_id: str, values: dict[str, Any]) -> dict[str, Any]:
        row = self.journal.get(trial_id, values)
        if row is None:
            row = self._run(trial_id, values)
            self.journal.add(row)
            self.on_trial(row)
        if len(self.journal) >= 3 and all(t["status"] == "failed" for t in self.journal.trials):
            raise RunError(
                f"every trial failed; the last one: {row['message']} (the same command tries again)"
            )
        return row

    def _run(self, trial_id: str, values: dict[str, Any]) -> dict[str, Any]:
        config = self.settings.space.config(values, self.base)
        cost = complexity(config)
        until = values.get("tuner/epochs", self.settings.epochs)
        row = {
            "id": trial_id,
            "block": config.block,
            "activation_order": config.activation_order,
            "blocks_per_stage": values["blocks_per_stage"],
            "depth": config.depth,
            "width": values["width"],
            "final_survival": config.final_survival,
            "learning_rate": values["learning_rate"],
            "epochs": until,
            "params": cost.trainable_params,
            "macs": cost.macs,
            "val_accuracy": None,
            "seconds": None,
            "status": "ok",
            "message": "",
            "values": dict(values),
            "config": config.to_dict(),
            "history": [],
        }
        began = time.monotonic()
        try:
            job = self._job(trial_id, values, config, until)
            result = run_again(self.worker, job, f"trial {trial_id}", self.print_fn)
        except WorkerError as error:
            row |= {"status": "failed", "message": str(error)}
        else:
            history = [_finite(row) for row in result["history"]]
            row |= {"history": history, "val_accuracy": history[-1]["val_accuracy"]}
            if result["diverged"]:
                row |= {"status": "diverged", "message": "the loss is not a number"}
        row["seconds"] = round(time.monotonic() - began, 1)
        return row

    def _job(self, trial_id, values, config, until) -> dict[str, Any]:
        settings = candidate_settings(self.settings, values)
        job = {
            "config": config.to_dict(),
            "data": {**self.settings.data, "network_size": NETWORK_SIZE},
            "settings": settings.to_dict(),
            "until": until,
            "run_dir": str(self.journal.run_dir),
        }
        if "tuner/epochs" in values:
            # Hyperband goes on with a promoted candidate: optimizer, schedule and data order too.
            job["checkpoint"] = str(self._checkpoint(trial_id))
            promoted = values.get("tuner/trial_id")
            if promoted:
                job["start"] = str(self._checkpoint(promoted))
        return job

    def _checkpoint(self, trial_id: str) -> Path:
        return self.journal.run_dir / CHECKPOINTS / f"{trial_id}.keras"


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """Return a history's row with None, which JSON knows, for what is no number."""
    return {name: v if v is None or math.isfinite(v) else None for name, v in row.items()}


def check_training(settings: SearchSettings, data) -> None:
    """Raise `ConfigError` where candidates could not be trained on a data set as asked."""
    check_candidate_size(settings, data.image_shape)
    settings.fit_to(data.sizes["train"])
    class_weights_for(data, settings)


def candidate_settings(settings: SearchSettings, values: dict[str, Any]) -> TrainingSettings:
    """Return how a candidate is trained, by settings that are fitted to the data."""
    return TrainingSettings(
        recipe=load_recipe(RECIPE).set(learning_rate=values["learning_rate"]),
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        precision=settings.precision,
        xla=settings.xla,
        class_weights=settings.class_weights,
        seed=settings.seed,
    )
