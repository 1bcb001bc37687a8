"""The main job, run as a user runs it: once whole, and once interrupted in every way."""

import csv
import json
import random
import re
import shlex
import signal
import time

import numpy as np
import pytest

from keras_resnets.tuning.journal import COLUMNS, ranked

SEARCH = shlex.split(
    "search --trials 3 --epochs 1 --final-epochs 2 --blocks 1 --widths 4,8 --batch-size 256 "
    "--max-macs 190k --seed 3 --run-dir run"
)
FILES = {
    "model.keras",
    "saved_model",
    "model.tflite",
    "config.json",
    "trials.csv",
    "history.csv",
    "report.html",
    "summary.json",
}


@pytest.fixture(scope="module")
def searched(run, tmp_path_factory):
    """A folder with a finished search, on a machine that has never seen the data."""
    home = tmp_path_factory.mktemp("searched")
    fresh = {"TFDS_DATA_DIR": str(tmp_path_factory.mktemp("tfds"))}
    return home, run(*SEARCH, cwd=home, environment=fresh).check()


@pytest.fixture(scope="module")
def summary(searched):
    return json.loads((searched[0] / "run" / "summary.json").read_text())


def outcome(home):
    """What must be the same whenever the same search is run."""
    summary = json.loads((home / "run" / "summary.json").read_text())
    timed = ("seconds", "history")
    trials = [{k: v for k, v in trial.items() if k not in timed} for trial in summary["trials"]]
    histories = [
        [{k: v for k, v in row.items() if k != "seconds"} for row in trial["history"]]
        for trial in summary["trials"]
    ]
    winner = {k: v for k, v in summary["winner"].items() if k != "seconds"}
    exports = [(e["path"], e["images"], e["agreement"]) for e in summary["exports"]]
    return trials, histories, winner, exports, summary["refused"], summary["settings"]


def check_each_trial_once(home, count):
    rows = list(csv.DictReader((home / "run" / "trials.csv").open()))
    assert len({row["id"] for row in rows}) == len(rows) == count


def test_it_says_what_it_will_do_and_how_far_it_is(searched):
    lines = searched[1].lines
    for line, pattern in zip(
        lines,
        (
            "data +keras_resnets_digits: 10 classes, 8 x 8 x 1",
            "images +1,257 train, 264 validation, 276 test",
            r"space +\d of 8 structures within 190,000 MACs",
            "plan +random search, 3 trials",
            "then +the winner, 2 epochs",
            "device +CPU: no XLA, float32, channels_last, 1 step per call",
            "folder +run .*same command resumes",
        ),
        strict=False,
    ):
        assert re.match(pattern, line), line
    progress = [line for line in lines if re.search(r"best .* left$", line)]
    assert [line.split("/")[0] for line in progress] == ["1", "2", "3"]
    assert max(map(len, lines)) <= 80
    assert "\n\n\n" not in searched[1].out


def test_the_run_folder_holds_what_is_promised_and_no_more(searched):
    names = {path.name for path in (searched[0] / "run").iterdir()}
    assert names >= FILES
    assert (
        names - FILES
        == {
            "run.json",
            ".run.json",
            "trials",
            "winner.json",
            "worker.log",
            ".lock",
        }
        & names
    )
    assert (searched[0] / "run" / "saved_model" / "saved_model.pb").is_file()


def test_quiet_prints_nothing(call, searched):
    assert call(*SEARCH, "--quiet", cwd=searched[0]).check().out == ""


def test_every_number_of_the_table_is_in_the_summary(searched, summary):
    lines = searched[1].lines
    header = next(i for i, line in enumerate(lines) if line.split()[:2] == ["id", "block"])
    names = lines[header].split()
    assert {"depth", "width", "params", "MACs", "accuracy", "sec"} < set(names)
    rows = [dict(zip(names, line.split(), strict=True)) for line in lines[header + 1 : header + 4]]
    trials = ranked(summary["trials"])
    assert [row["id"] for row in rows] == [trial["id"] for trial in trials]
    for row, trial in zip(rows, trials, strict=True):
        assert row == {
            "id": trial["id"],
            "block": trial["block"],
            "order": trial["activation_order"],
            "depth": str(trial["depth"]),
            "width": str(trial["width"]),
            "surv": f"{trial['final_survival']:g}",
            "lr": f"{trial['learning_rate']:.3f}",
            "params": f"{trial['params']:,}",
            "MACs": f"{trial['macs']:,}",
            "accuracy": f"{trial['val_accuracy']:.2%}",
            "sec": f"{trial['seconds']:.1f}",
        }
    winner = summary["winner"]
    assert winner["trial"] == trials[0]["id"]
    assert f"test accuracy {winner['test_accuracy']:.2%}" in searched[1].out
    for export in summary["exports"]:
        assert f"{export['largest_difference']:.1e}" in searched[1].out


def test_every_candidate_is_within_the_budget(summary):
    assert summary["settings"]["max_macs"] == 190_000
    assert all(trial["macs"] <= 190_000 for trial in summary["trials"])
    assert summary["refused"] > 0


def test_trials_csv_agrees_with_the_summary(searched, summary):
    rows = list(csv.DictReader((searched[0] / "run" / "trials.csv").open()))
    assert tuple(rows[0]) == COLUMNS
    assert rows == [
        {name: "" if trial[name] is None else str(trial[name]) for name in COLUMNS}
        for trial in summary["trials"]
    ]


def test_history_csv_is_the_winners(searched, summary):
    rows = list(csv.DictReader((searched[0] / "run" / "history.csv").open()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[-1]["val_accuracy"]) == summary["winner"]["val_accuracy"]


def test_the_report_is_one_file_with_three_pictures(searched, summary):
    page = (searched[0] / "run" / "report.html").read_text()
    pictures = re.findall(r'<svg [^>]*aria-label="([^"]+)">(.*?)</svg>', page, re.DOTALL)
    assert [label.split()[0] for label, _ in pictures] == ["The", "Validation", "Loss"]
    assert all(picture.count("<path") > 10 for _, picture in pictures)
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    for trial in summary["trials"]:
        assert f"<td>{trial['params']:,}</td>" in page
    assert f"{100 * summary['winner']['test_accuracy']:.2f} %" in page


@pytest.mark.large
def test_the_exports_answer_as_the_model(searched, summary, digits, run_python):
    folder = searched[0] / "run"
    answers = run_python(
        "import sys, numpy as np, keras, keras_resnets\n"  # nothing else: the layers register
        "model = keras.saving.load_model(sys.argv[1] + '/model.keras')\n"
        "images = np.load(sys.argv[2])\n"
        "np.save(sys.argv[3], np.asarray(model(images)))\n"
        "print(model.config.to_json(None))\n",
        folder,
        *_save(searched[0], digits.images("test")[0]),
    )
    assert json.loads(answers) == summary["winner"]["config"]
    assert json.loads((folder / "config.json").read_text()) == summary["winner"]["config"]
    expected = np.load(searched[0] / "answers.npy")
    labels = digits.images("test")[1]
    assert np.mean(expected.argmax(-1) == labels) == summary["winner"]["test_accuracy"]

    from keras_resnets.export.saved_model import run_saved_model
    from keras_resnets.export.tflite import run_tflite

    images = digits.images("test")[0]
    runs = (run_saved_model(folder / "saved_model", images),)
    runs += (run_tflite(folder / "model.tflite", images),)
    assert [export["path"] for export in summary["exports"]] == ["saved_model", "model.tflite"]
    for export, received in zip(summary["exports"], runs, strict=True):
        np.testing.assert_allclose(received, expected, atol=1e-4)
        assert (export["images"], export["agreement"]) == (276, 1)


def _save(folder, images):
    np.save(folder / "images.npy", images)
    return folder / "images.npy", folder / "answers.npy"


@pytest.mark.large
def test_a_finished_search_is_only_read(searched, run, tree):
    home, first = searched
    before = tree(home / "run")
    began = time.time()
    again = run(*SEARCH, cwd=home).check()
    assert tree(home / "run") == before
    assert not [path for path in (home / "run").rglob("*") if path.stat().st_mtime >= began]
    table = first.out[first.out.index("id block") :].split("\n\n")[0]
    assert "finished" in again.lines[0]
    assert table in again.out


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["--trials", 2], "has 3 trials done, more than trials=2"),
        (["--seed", 4], "belongs to another search: there seed=3, here seed=4"),
    ],
)
def test_another_searchs_folder_is_refused(searched, call, tree, changes, words):
    before = tree(searched[0] / "run")
    ended = call(*SEARCH, *changes, cwd=searched[0])
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert words in ended.err
    assert tree(searched[0] / "run") == before


@pytest.fixture(scope="module")
def interrupted(start, run, tmp_path_factory):
    """The same search with Ctrl-C after a trial, kill -9 in another, and a rival process."""
    home = tmp_path_factory.mktemp("interrupted")
    search = start(*SEARCH, cwd=home)
    search.wait_for("1/3")
    rival = run(*SEARCH, cwd=home)
    search.signal(signal.SIGINT)
    stopped = search.end(timeout=20)
    search = start(*SEARCH, cwd=home)
    search.wait_for("training the winner")
    time.sleep(0.5)
    search.signal(signal.SIGKILL)
    search.end(timeout=20)
    return home, rival, stopped, run(*SEARCH, cwd=home)


@pytest.mark.slow
def test_ctrl_c_is_one_line_and_code_130(interrupted):
    stopped = interrupted[2]
    assert stopped.code == 130
    assert stopped.err == "keras-resnets: interrupted; the same command resumes where it was\n"


@pytest.mark.slow
def test_a_folder_in_use_is_refused(interrupted):
    rival = interrupted[1]
    assert (rival.code, rival.out, rival.err.count("\n")) == (2, "", 1)
    assert "run folder 'run' is in use by another process" in rival.err


@pytest.mark.slow
def test_it_goes_on_to_the_same_end(interrupted, searched):
    last = interrupted[3].check()
    assert "\n3 of 3 trials are done\n" in last.out
    assert outcome(interrupted[0]) == outcome(searched[0])
    check_each_trial_once(interrupted[0], 3)


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("tuner", ["random", "hyperband", "bayesian"])
def test_killed_at_three_random_moments(start, run, tmp_path, tuner):
    epochs = 12 if tuner == "hyperband" else 2
    arguments = [*SEARCH, "--tuner", tuner, "--trials", 5, "--epochs", epochs]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    cut.mkdir()
    began = time.monotonic()
    run(*arguments, cwd=whole, timeout=900).check()
    took = time.monotonic() - began
    moments = random.Random(tuner)
    for _ in range(3):
        search = start(*arguments, cwd=cut)
        time.sleep(moments.uniform(4, max(5, 0.7 * took)))
        search.signal(signal.SIGKILL)
        search.end(timeout=20)
    run(*arguments, cwd=cut, timeout=900).check()
    assert outcome(cut) == outcome(whole)
    check_each_trial_once(cut, len(outcome(whole)[0]))


@pytest.mark.slow
def test_twice_with_one_seed(searched, run, tmp_path):
    run(*SEARCH, cwd=tmp_path).check()
    assert outcome(tmp_path) == outcome(searched[0])


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_default_search_reaches_97_percent(run, tmp_path):
    began = time.monotonic()
    run("search", cwd=tmp_path, timeout=1200).check()
    assert time.monotonic() - began < 600  # five minutes on two idle cores
    (path,) = tmp_path.glob("runs/*/summary.json")
    assert json.loads(path.read_text())["winner"]["test_accuracy"] >= 0.97


@pytest.mark.slow
def test_search_in_a_folder_of_images(run, tmp_path, image_folder):
    image_folder(tmp_path / "photos", {"cats": 30, "dogs": 30})
    arguments = [*SEARCH, "--dataset", "photos", "--image-size", 8, "--max-macs", "1M"]
    run(*arguments, cwd=tmp_path).check()
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["data"]["class_names"] == ["cats", "dogs"]
