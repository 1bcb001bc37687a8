"""Which trial of a search is the best."""

from __future__ import annotations

from typing import Any

__all__ = ["ranked"]


def ranked(trials: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return trials best first: by accuracy, the cheaper of equals first, failed ones last."""

    def key(trial):
        failed = trial["status"] != "ok"
        return failed, -(trial["val_accuracy"] or 0), trial["macs"], int(trial["id"])

    return sorted(trials, key=key)
