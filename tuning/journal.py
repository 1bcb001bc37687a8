"""The finished trials of a search, one file each: what an interruption cannot lose."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from keras_resnets.analysis.ranking import ranked
from keras_resnets.analysis.runs import trial_files
from keras_resnets.errors import RunFolderError
from keras_resnets.files import csv_text, write_text
from keras_resnets.state import DamagedError, read_state, write_state

__all__ = ["COLUMNS", "Journal", "ranked", "score"]

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


_TYPES = {
    "id": str,
    "values": dict,
    "config": dict,
    "history": list,
    "epochs": int,
    "params": int,
    "macs": int,
    "learning_rate": float | int,
    "seconds": float | int,
    "message": str,
}
"""Entries of a trial that are relied upon."""


class Journal:
    """Finished trials in ``trials/ID.json``, and all of them in ``trials.csv``.

    keras-tuner is given no files; a search that is killed and started again proposes the same
    candidates (the seed fixes them) and looks here for those that were already trained. Trials that
    failed are tried again, and so are those whose file is damaged.

    Args:
        run_dir: The search's run folder.

    Attributes:
        damage: A line for each file that is damaged.
    """

    def __init__(self, run_dir: Path):
        self.run_dir = run_dir
        self.folder = run_dir / "trials"
        self.damage: list[str] = []
        self._trials: dict[int, dict[str, Any]] = {}
        self._failed: dict[int, dict[str, Any]] = {}
        for path in trial_files(run_dir):
            try:
                trial = _read_trial(path)
            except DamagedError as error:
                line = f"trials/{path.name} is damaged ({error}): its trial is lost, and run again"
                self.damage.append(line)
            else:
                of = self._failed if trial["status"] == "failed" else self._trials
                of[int(path.stem)] = trial

    def __len__(self):
        return len(self._trials)

    def get(self, trial_id: str, values: dict[str, Any]) -> dict[str, Any] | None:
        """Return a finished trial, or None.

        Raises:
            RunFolderError: The trial with this id had other values.
        """
        number = int(trial_id)
        trial = self._trials.get(number)
        known = trial or self._failed.get(number)
        if known is not None and known["values"] != json.loads(json.dumps(values)):
            raise RunFolderError(
                f"trial {trial_id} in {str(self.run_dir)!r} was made by another search or another "
                "version of keras-tuner: use another --run-dir"
            )
        return trial

    def add(self, trial: dict[str, Any]) -> None:
        """Keep a finished trial.

        Where it had failed before, and others were proposed since by that failure's score, the
        score stands for those who propose: else the others would not be found again.
        """
        number = int(trial["id"])
        before = self._failed.pop(number, None)
        if before is not None and ("told" in before or self._has_followers(number, trial)):
            trial["told"] = score(before)
        self._trials[number] = trial
        write_state(self.folder / f"{trial['id']}.json", trial)
        self.write_csv()

    def _has_followers(self, number: int, trial: dict[str, Any]) -> bool:
        """Say whether trials may have been proposed by a trial's score: Hyperband's promoted."""
        rows = (self._trials | self._failed).items()
        later = [row["values"] for other, row in rows if other > number]
        by_rank = "tuner/epochs" in trial["values"]
        return any(not by_rank or values.get("tuner/trial_id") for values in later)

    def write_csv(self) -> None:
        """Write ``trials.csv``, the trials in their order."""
        write_text(self.run_dir / "trials.csv", csv_text(self.trials, COLUMNS))

    @property
    def trials(self) -> list[dict[str, Any]]:
        """The finished trials in their order."""
        return [self._trials[number] for number in sorted(self._trials)]


def score(trial: dict[str, Any]) -> float:
    """Return what those who propose candidates are told of a trial; failures score zero.

    Example:
        >>> score({"status": "diverged", "val_accuracy": 0.1})
        0.0
    """
    if "told" in trial:
        return trial["told"]
    return trial["val_accuracy"] if trial["status"] == "ok" else 0.0


def _read_trial(path: Path) -> dict[str, Any]:
    trial = read_state(path, _TYPES)
    for name, kind in _TYPES.items():
        if not isinstance(trial.get(name), kind):
            raise DamagedError(f"its `{name}` is {trial.get(name)!r}"[:100])
    if trial.get("status") not in ("ok", "failed", "diverged"):
        raise DamagedError(f"its `status` is {trial.get('status')!r}"[:100])
    accuracy = trial.get("val_accuracy")
    measured = isinstance(accuracy, float | int) and math.isfinite(accuracy)
    if not trial["id"].isdecimal() or int(trial["id"]) != int(path.stem):
        raise DamagedError(f"its `id` is {trial['id']!r}"[:100])
    if trial["status"] == "ok" and not measured:
        raise DamagedError(f"its `val_accuracy` is {accuracy!r}"[:100])
    return trial
