"""The finished trials of a search, one file each: what an interruption cannot lose."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from keras_resnets.analysis.ranking import ranked
from keras_resnets.errors import RunFolderError
from keras_resnets.files import csv_text, write_json, write_text

__all__ = ["COLUMNS", "Journal", "ranked"]

COLUMNS = (
    "id",
    "block",
    "activation_order",
    "blocks_per_stage",
    "depth",
    "width",
    "final_survival",
    "learning_rate",
    "epochs",
    "params",
    "macs",
    "val_accuracy",
    "seconds",
    "status",
)
"""Columns of ``trials.csv``."""


class Journal:
    """Finished trials in ``trials/ID.json``, and all of them in ``trials.csv``.

    keras-tuner's own files are written in place and hold no result until a trial's end; a search
    that is killed and started again proposes the same candidates (the seed fixes them) and looks
    here for those that were already trained. Failures are kept, unless there is nothing else.

    Args:
        run_dir: The search's run folder.
    """

    def __init__(self, run_dir: Path):
        self.run_dir = run_dir
        self.folder = run_dir / "trials"
        files = sorted(self.folder.glob("[!.]*.json")) if self.folder.is_dir() else []
        trials = {int(path.stem): json.loads(path.read_text()) for path in files}
        # Where nothing succeeded the machine was at fault, and may be mended: all is tried again.
        succeeded = any(trial["status"] != "failed" for trial in trials.values())
        self._trials = trials if succeeded else {}

    def __len__(self):
        return len(self._trials)

    def get(self, trial_id: str, values: dict[str, Any]) -> dict[str, Any] | None:
        """Return a finished trial, or None.

        Raises:
            RunFolderError: The trial with this id had other values.
        """
        trial = self._trials.get(int(trial_id))
        if trial is not None and trial["values"] != json.loads(json.dumps(values)):
            raise RunFolderError(
                f"trial {trial_id} in {str(self.run_dir)!r} was made by another search or another "
                "version of keras-tuner: use another --run-dir"
            )
        return trial

    def add(self, trial: dict[str, Any]) -> None:
        """Keep a finished trial."""
        self._trials[int(trial["id"])] = trial
        write_json(self.folder / f"{trial['id']}.json", trial)
        self.write_csv()

    def write_csv(self) -> None:
        """Write ``trials.csv``, the trials in their order."""
        write_text(self.run_dir / "trials.csv", csv_text(self.trials, COLUMNS))

    @property
    def trials(self) -> list[dict[str, Any]]:
        """The finished trials in their order."""
        return [self._trials[number] for number in sorted(self._trials)]
