"""The keras-tuner `Tuner` of the search: each trial in a worker, each result in the journal."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras_tuner

from keras_resnets.models.complexity import complexity
from keras_resnets.models.config import ResNetConfig
from keras_resnets.training.settings import TrainingSettings
from keras_resnets.tuning.journal import Journal
from keras_resnets.tuning.settings import SearchSettings
from keras_resnets.tuning.worker import Worker, WorkerError

__all__ = ["SearchTuner"]


class SearchTuner(keras_tuner.Tuner):
    """Runs the trials of an oracle; a trial that the journal knows is not run again.

    Args:
        oracle: The oracle; see `make_oracle`.
        settings: The search's settings.
        base: Configuration that every candidate shares.
        journal: Finished trials.
        worker: Where trials run.
        on_trial: Called with each trial that was run now.
        directory: Folder for keras-tuner's own files, which are not relied upon.
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
    ):
        super().__init__(
            oracle=oracle, directory=str(directory), project_name="tuner", overwrite=True
        )
        self.settings = settings
        self.base = base
        self.journal = journal
        self.worker = worker
        self.on_trial = on_trial

    def run_trial(self, trial, *args, **kwargs):
        """Train the trial's candidate, or look up what came of it.

        Raises:
            keras_tuner.errors.FailedTrialError: Its training failed; the journal says how.
            keras_tuner.errors.FatalError: The first three trials all failed.
        """
        values = trial.hyperparameters.values
        row = self.journal.get(trial.trial_id, values)
        if row is None:
            row = self._run(trial.trial_id, values)
            self.journal.add(row)
            self.on_trial(row)
        if row["status"] == "failed":
            if len(self.journal) >= 3 and all(t["status"] == "failed" for t in self.journal.trials):
                raise keras_tuner.errors.FatalRuntimeError(
                    f"every trial failed; the last one: {row['message']}"
                )
            raise keras_tuner.errors.FailedTrialError(row["message"])
        return {"val_accuracy": row["val_accuracy"] or 0.0}

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
            result = self.worker.run(self._job(trial_id, values, config, until))
        except WorkerError as error:
            row |= {"status": "failed", "message": str(error)}
        else:
            last = result["history"][-1]
            row |= {"history": result["history"], "val_accuracy": last["val_accuracy"]}
            if result["diverged"]:
                row |= {"status": "diverged", "message": "the loss is not a number"}
        row["seconds"] = round(time.monotonic() - began, 1)
        return row

    def _job(self, trial_id, values, config, until) -> dict[str, Any]:
        settings = candidate_settings(self.settings, values)
        job = {
            "config": config.to_dict(),
            "data": self.settings.data,
            "settings": settings.to_dict(),
            "until": until,
        }
        if "tuner/epochs" in values:
            # Hyperband goes on with a promoted candidate: optimizer, schedule and data order too.
            job["checkpoint"] = str(self._checkpoint(trial_id))
            if values.get("tuner/trial_id"):
                job["start"] = str(self._checkpoint(values["tuner/trial_id"]))
        return job

    def _checkpoint(self, trial_id: str) -> Path:
        return self.journal.folder / f"{trial_id}.checkpoint.keras"


def candidate_settings(settings: SearchSettings, values: dict[str, Any]) -> TrainingSettings:
    """Return how a candidate is trained."""
    return TrainingSettings(
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        learning_rate=values["learning_rate"],
        seed=settings.seed,
    )
