import csv
import io
import json

import pytest

from keras_resnets.errors import RunFolderError
from keras_resnets.tuning.journal import COLUMNS, Journal, ranked
from keras_resnets.tuning.report import trial_line, trials_table


def trial(trial_id, accuracy=0.5, macs=1000, status="ok", **more):
    return {
        "id": trial_id,
        "block": "basic",
        "activation_order": "post",
        "blocks_per_stage": 1,
        "depth": 8,
        "width": 16,
        "final_survival": 1.0,
        "learning_rate": 0.1,
        "epochs": 3,
        "params": 123_456,
        "macs": macs,
        "val_accuracy": accuracy,
        "seconds": 1.5,
        "status": status,
        "message": "it died" if status == "failed" else "",
        "values": {"width": 16, "learning_rate": 0.1},
        "config": {},
        "history": [],
        **more,
    }


def test_columns_begin_with_the_id_and_hold_what_is_asked():
    assert COLUMNS[0] == "id"
    assert set(COLUMNS) > {"depth", "width", "params", "macs", "val_accuracy", "seconds", "status"}


def test_what_is_added_is_found_again(tmp_path):
    journal = Journal(tmp_path)
    rows = [trial("1", 0.25), trial("0", None, status="diverged")]
    for row in rows:
        journal.add(row)
    again = Journal(tmp_path)
    assert [row["id"] for row in again.trials] == ["0", "1"]
    assert again.get("1", rows[0]["values"]) == rows[0]
    assert again.get("2", {}) is None
    table = list(csv.DictReader(io.StringIO((tmp_path / "trials.csv").read_text())))
    assert tuple(table[0]) == COLUMNS
    assert [(row["id"], row["val_accuracy"], row["status"]) for row in table] == [
        ("0", "", "diverged"),
        ("1", "0.25", "ok"),
    ]


def test_what_failed_is_tried_again(tmp_path):
    for trial_id in ("0", "1", "2"):
        Journal(tmp_path).add(trial(trial_id, None, status="failed"))
    assert len(Journal(tmp_path)) == 0
    Journal(tmp_path).add(trial("3"))
    assert [row["id"] for row in Journal(tmp_path).trials] == ["3"]


def test_another_searchs_trial_is_refused(tmp_path):
    Journal(tmp_path).add(trial("0"))
    with pytest.raises(RunFolderError, match="another search"):
        Journal(tmp_path).get("0", {"width": 32, "learning_rate": 0.1})


def test_an_interrupted_write_is_no_trial(tmp_path):
    Journal(tmp_path).add(trial("0"))
    (tmp_path / "trials" / ".1.tmp.json").write_text('{"id": "1", "val')
    assert len(Journal(tmp_path)) == 1


def test_ranking():
    trials = [
        trial("0", None, status="failed"),
        trial("1", 0.9, macs=2000),
        trial("2", 0.9, macs=1000),
        trial("3", 0.9, macs=1000),
        trial("4", 0.95, macs=9000),
        trial("5", 0.99, status="diverged"),
        trial("6", 0.1),
    ]
    order = [row["id"] for row in ranked(trials)]
    assert order == ["4", "2", "3", "1", "6", "5", "0"]
    assert [row["id"] for row in ranked(trials[::-1])] == order


def test_the_table_fits_a_terminal_and_says_what_failed():
    worst = {"block": "bottleneck", "params": 1_113_562, "depth": 110, "learning_rate": 0.29999}
    rows = [trial("07", 1.0, 9_472_512, **worst), trial("00", None, status="diverged", **worst)]
    lines = trials_table(ranked(rows)).splitlines()
    assert max(map(len, lines)) <= 80
    assert len({len(line) for line in lines}) == 1
    assert "1,113,562 9,472,512  100.00%" in lines[1]
    assert "diverged" in lines[2]


def test_a_trials_line_says_the_best_so_far_and_the_time_left():
    rows = [trial("0", 0.9), trial("1", 0.5)]
    line = trial_line(rows[1], rows, 12, 87)
    assert line.startswith(" 2/12")
    assert "50.00%  best 90.00% (0)  1:27 left" in line
    assert len(line) <= 80
    rows = [trial("0", None, status="failed")]
    assert "failed" in (line := trial_line(rows[0], rows, 12, 87))
    assert "it died" in line


def test_files_are_json_of_their_own(tmp_path):
    Journal(tmp_path).add(trial("0", 0.125))
    assert json.loads((tmp_path / "trials" / "0.json").read_text())["val_accuracy"] == 0.125
