"""The record of a winner that is trained, exported and verified: what a longer search can keep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keras_resnets.state import DamagedError, read_state, write_state

__all__ = ["DELIVERED", "keep_winner", "kept_winner", "winner_checkpoint"]

DELIVERED = ("model.keras", "saved_model/", "model.tflite", "config.json", "history.csv")
"""What belongs to a winner, in the run folder."""

_RECORD = "winner.json"


def keep_winner(run_dir: Path, record: dict[str, Any] | None) -> None:
    """Record the winner whose files are in a run folder; None before they are written anew.

    Args:
        run_dir: The search's run folder.
        record: ``trial`` and ``epochs``, which say what was trained, and what came of it.
    """
    if record is None:
        (run_dir / _RECORD).unlink(missing_ok=True)
    else:
        write_state(run_dir / _RECORD, record)


def kept_winner(run_dir: Path) -> dict[str, Any] | None:
    """Return the record of the winner whose files are in a run folder, None without all of them.

    A record that is damaged is none: the winner is trained again, to the same numbers.
    """
    if not all((run_dir / name).exists() for name in DELIVERED):
        return None
    try:
        record = read_state(run_dir / _RECORD)
    except (FileNotFoundError, DamagedError):
        return None
    return record if {"trial", "epochs", "winner", "exports", "history"} <= record.keys() else None


def winner_checkpoint(run_dir: Path, trial: str, epochs: int) -> Path:
    """Return the checkpoint of a winner's training; another winner's is of no use to it."""
    return run_dir / f"winner-{trial}-{epochs}.checkpoint.keras"
