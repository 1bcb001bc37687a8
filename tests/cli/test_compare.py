"""``keras-resnets compare``: run folders side by side, told wrong ones at once."""

import json
import re
import shutil
import time
import zipfile

import pytest

from keras_resnets import complexity, model_config
from keras_resnets.analysis.comparison import compare_runs, plot_runs
from keras_resnets.analysis.runs import read_run, read_runs
from keras_resnets.cli import main
from keras_resnets.errors import InputError
from keras_resnets.files import csv_text, write_json, write_text
from keras_resnets.training.recipes import load_recipe
from keras_resnets.training.settings import TrainingSettings
from keras_resnets.tuning import SearchSettings

COLUMNS = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds")


def history(accuracies, **changes):
    return [
        {
            "epoch": epoch,
            "loss": 2 / epoch,
            "accuracy": accuracy,
            "val_loss": 3 / epoch,
            "val_accuracy": accuracy,
            "learning_rate": 0.1,
            "seconds": 2.5,
        }
        | changes
        for epoch, accuracy in enumerate(accuracies, start=1)
    ]


def training(folder, accuracies=(0.2, 0.7, 0.6), finished=True, rate=0.1, epochs=3, rows=None):
    """Write what a training leaves."""
    recipe = load_recipe("quick").set(lr=rate)
    settings = TrainingSettings(recipe=recipe, epochs=epochs).to_dict()
    identity = {"model": "resnet20_cifar", "name": "photos", "image_size": 32, **settings}
    write_json(folder / "run.json", {"command": "train", "settings": identity})
    rows = history(accuracies) if rows is None else rows
    if rows:
        write_text(folder / "history.csv", csv_text(rows, COLUMNS))
    if finished:
        summary = {"params": 269_722, "macs": 40_551_040, "test_accuracy": 0.65, "seconds": 61.0}
        write_json(folder / "summary.json", summary)
    return folder


def checkpoint(folder, name="resnet20_cifar"):
    config = {"config": {"network": model_config(name).to_dict()}}
    with zipfile.ZipFile(folder / "checkpoint.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(config))


def search(folder, finished=True, trials=2):
    """Write what a search leaves."""
    settings = SearchSettings(dataset="photos", trials=3, epochs=2, final_epochs=4).to_dict()
    write_json(folder / "run.json", {"command": "search", "settings": settings})
    rows = [
        {
            "id": f"{n}",
            "depth": 8 + 2 * n,
            "width": 16,
            "params": 1000 + n,
            "macs": 5000 + n,
            "val_accuracy": 0.5 + n / 10,
            "seconds": 7.0,
            "epochs": 2,
            "status": "failed" if n == 2 else "ok",
            "history": history([0.3, 0.5 + n / 10]),
        }
        for n in range(trials)
    ]
    for row in rows:
        write_json(folder / "trials" / f"{row['id']}.json", row)
    if finished:
        winner = {**rows[0], "test_accuracy": 0.81}
        write_json(folder / "summary.json", {"winner": winner, "seconds": 99.0, "trials": rows})
        write_text(folder / "history.csv", csv_text(history([0.4, 0.5, 0.8, 0.75]), COLUMNS))
    return folder


@pytest.fixture
def call(capsys, monkeypatch, tmp_path):
    """Run the command in this process; return its exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)

    def call(*arguments):
        with pytest.raises(SystemExit) as end:
            main(["--verbose", "compare", *map(str, arguments)])  # standard error stays as it is
        return end.value.code or 0, *capsys.readouterr()

    return call


def test_a_training_in_numbers(tmp_path):
    run = read_run(training(tmp_path / "run"))
    assert (run.command, run.finished, run.model) == ("train", True, "resnet20_cifar")
    assert (run.params, run.macs, run.epochs, run.seconds) == (269_722, 40_551_040, 3, 61.0)
    assert (run.best_val_accuracy, run.last_val_accuracy, run.test_accuracy) == (0.7, 0.6, 0.65)


def test_an_unfinished_training_is_costed_from_its_checkpoint(tmp_path):
    folder = training(tmp_path / "run", [0.2], finished=False)
    assert read_run(folder).params is None
    checkpoint(folder)
    run = read_run(folder)
    cost = complexity("resnet20_cifar")
    assert (run.params, run.macs) == (cost.trainable_params, cost.macs)
    assert (run.finished, run.epochs, run.planned_epochs, run.seconds) == (False, 1, 3, 2.5)
    assert run.test_accuracy is None


def test_a_search_is_its_winner_and_an_unfinished_one_its_best_trial(tmp_path):
    done = read_run(search(tmp_path / "done"))
    assert (done.model, done.params, done.epochs) == ("depth 8, width 16", 1000, 4)
    assert (done.best_val_accuracy, done.test_accuracy, done.seconds) == (0.8, 0.81, 99.0)
    begun = read_run(search(tmp_path / "begun", finished=False, trials=3))
    assert (begun.model, begun.params, begun.epochs) == ("depth 10, width 16", 1001, 2)
    assert (begun.planned_epochs, begun.best_val_accuracy, begun.seconds) == (2, 0.6, 21.0)
    empty = read_run(search(tmp_path / "empty", finished=False, trials=0))
    assert (empty.model, empty.params, empty.epochs) == ("no trial yet", None, 0)


def test_only_what_differs_is_told(tmp_path):
    runs = read_runs(
        [training(tmp_path / name, rate=rate) for name, rate in (("a", 0.1), ("b", 0.2))]
    )
    differences = compare_runs(runs)["differences"]
    assert differences == {"recipe.optimizer.learning_rate": {"a": 0.1, "b": 0.2}}
    same = read_runs([training(tmp_path / "c"), training(tmp_path / "d")])
    assert compare_runs(same)["differences"] == {}


def test_a_setting_that_only_one_run_of_a_command_has_is_told(tmp_path):
    training(tmp_path / "old")
    new = training(tmp_path / "new")
    identity = json.loads((new / "run.json").read_text())
    identity["settings"]["recipe"]["optimizer"]["fresh"] = [1, 2]
    write_json(new / "run.json", identity)
    differences = compare_runs(read_runs([tmp_path / "old", new]))["differences"]
    assert differences == {"recipe.optimizer.fresh": {"old": None, "new": [1, 2]}}


def test_a_training_and_a_search_differ_in_what_both_have(tmp_path):
    runs = read_runs([training(tmp_path / "a", epochs=2), search(tmp_path / "b")])
    differences = compare_runs(runs)["differences"]
    assert differences["command"] == {"a": "train", "b": "search"}
    assert "dataset" not in differences  # "name" of one, "dataset" of the other
    assert "epochs" not in differences
    assert not [name for name in differences if name.startswith(("recipe.", "space."))]


def test_runs_of_one_name_are_told_apart(tmp_path):
    folders = [training(tmp_path / name / "run") for name in ("a", "b")]
    assert [run.label for run in read_runs(folders)] == ["a/run", "b/run"]


def test_table_and_differences_fit_80_columns(call, tmp_path):
    long = "a-name-that-is-rather-long-and-goes-on-and-on-for-ever-and-a-day-and-more"
    training(tmp_path / "猫の写真")
    training(tmp_path / long, rate=0.2)
    search(tmp_path / "s")
    checkpoint(training(tmp_path / "begun", [0.5], finished=False, epochs=1234))
    code, out, err = call("猫の写真", long, "s", "begun")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    words = " ".join(out.split())
    assert "269.7k 40.6M 3 70.00% 60.00% 65.00% 1:01" in words
    assert "269.7k 40.6M 1/1234 50.00% 50.00% 0:02" in words
    assert re.search(r"recipe.optimizer.learning_rate +0.1 +1, 4 *\n +0.2 +2", out)
    assert re.search(r"^ *3 +s .*\n( {4,}\S.*\n){2}", out, re.MULTILINE), out
    assert "search: depth 8" in words


def test_json_holds_everything(call, tmp_path):
    training(tmp_path / "a", [0.25, float("nan")])
    search(tmp_path / "b", finished=False, trials=0)
    code, out, err = call("a", "b", "--json")
    assert (code, err) == (0, "")
    result = json.loads(out, parse_constant=lambda name: pytest.fail(name))
    first, second = result["runs"]
    assert (first["run"], first["params"], first["best_val_accuracy"]) == ("a", 269_722, 0.25)
    assert first["last_val_accuracy"] is None
    assert (second["finished"], second["epochs"], second["params"]) == (False, 0, None)


@pytest.mark.parametrize(
    ("suffix", "head"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_curves_are_drawn(call, tmp_path, suffix, head):
    training(tmp_path / "a")
    search(tmp_path / "b")
    search(tmp_path / "empty", finished=False, trials=0)
    code, out, _ = call("a", "b", "empty", "-o", f"c.{suffix}")
    assert code == 0
    assert f"wrote c.{suffix} without empty" in " ".join(out.split())
    assert (tmp_path / f"c.{suffix}").read_bytes().startswith(head)


def test_every_run_has_a_curve_of_its_own(tmp_path):
    folders = [training(tmp_path / f"_run{n}") for n in range(9)]
    folders.append(
        training(tmp_path / "all", rows=history([0.5, 0.6], val_loss=None, val_accuracy=None))
    )
    figure = plot_runs(read_runs(folders))
    accuracy, loss = figure.axes
    assert len(accuracy.lines) == len(loss.lines) == 10
    assert accuracy.lines[0].get_xydata().tolist() == [[1, 20], [2, 70], [3, 60]]
    assert loss.lines[9].get_ydata().tolist() == [2, 1]  # of the training
    looks = {(line.get_color(), line.get_linestyle()) for line in accuracy.lines}
    assert len(looks) == 10
    (legend,) = figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == [*(f"{n + 1}  _run{n}" for n in range(9)), "10  all (training)"]


def damage(folder, file, text):
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


WRONG = {
    "one run": (["a"], "at least two run folders. Received: 1"),
    "no run": ([], "at least two run folders. Received: 0"),
    "a missing folder": (["a", "nowhere"], "Received: nowhere, which is missing"),
    "a file": (["a", "a/run.json"], "Received: a/run.json, which is a file"),
    "another folder": (["a", "."], "which has no run.json"),
    "twice": (["a", "b", "./a/"], "must be different run folders. Received twice: a"),
    "twice by a link": (["a", "link"], "must be different run folders. Received twice: link"),
    "a picture of no kind": (["a", "b", "-o", "c.jpeg"], "must end in .png, .svg, .pdf"),
    "a picture nowhere": (["a", "b", "-o", "no/c.png"], "must be a file in an existing folder"),
    "no curves": (["none", "empty", "-o", "c.png"], "there are no curves to draw"),
}


@pytest.mark.parametrize(("arguments", "words"), WRONG.values(), ids=WRONG)
def test_wrong_input_is_one_line_and_code_2(call, tmp_path, arguments, words):
    training(tmp_path / "a")
    training(tmp_path / "b")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    search(tmp_path / "empty", finished=False, trials=0)
    search(tmp_path / "none", finished=False, trials=0)
    before = sorted(tmp_path.rglob("*"))
    code, _, err = call(*arguments)
    assert code == 2
    assert err.count("\n") == 1
    assert words in err
    assert sorted(tmp_path.rglob("*")) == before


DAMAGES = {
    "summary of no JSON": ("summary.json", "{", "summary.json' cannot be read"),
    "summary of bytes": ("summary.json", b"\xff\xfe\x00", "summary.json' cannot be read"),
    "summary of a list": ("summary.json", "[]", "not a table"),
    "summary without numbers": ("summary.json", "{}", "damaged: its files lack 'params'"),
    "run of no JSON": ("run.json", "", "run.json' cannot be read"),
    "run of another command": (
        "run.json",
        '{"command": "bake", "settings": {}}',
        "not of a training or a search",
    ),
    "run without settings": ("run.json", '{"command": "train", "settings": {}}', "lack 'model'"),
    "history of words": ("history.csv", "epoch,loss\none,two\n", "not a history of epochs"),
    "history of bytes": ("history.csv", b"\xff\x00\xfe", "not a history of epochs"),
    "history of long rows": ("history.csv", "epoch,loss\n1,2,3\n", "not a history of epochs"),
}


@pytest.mark.parametrize(("file", "text", "words"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_folder_is_one_line(call, tmp_path, file, text, words):
    training(tmp_path / "a")
    damage(training(tmp_path / "b"), file, text)
    code, out, err = call("a", "b")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err


def test_a_damaged_checkpoint_or_trial_is_told(tmp_path):
    damage(training(tmp_path / "a", finished=False), "checkpoint.keras", "PK")
    with pytest.raises(InputError, match=r"checkpoint\.keras' is not a model"):
        read_run(tmp_path / "a")
    damage(search(tmp_path / "b", finished=False), "trials/7.json", "{}")
    with pytest.raises(InputError, match="damaged"):
        read_run(tmp_path / "b")


@pytest.mark.parametrize("arguments", [["a", "b"], ["a", "nowhere"], ["a", "b", "-o", "c.png"]])
def test_it_answers_without_tensorflow(run_python, tmp_path, arguments):
    training(tmp_path / "a")
    checkpoint(training(tmp_path / "b", finished=False))
    paths = [a if a.startswith("-") else str(tmp_path / a) for a in arguments]
    program = (
        "import sys, time; began = time.perf_counter()\n"
        "from keras_resnets.cli import main\n"
        "try: main(['compare', *sys.argv[1:]])\n"
        "except SystemExit: pass\n"
        "print('loaded', *({'tensorflow', 'keras', 'jax', 'keras_tuner'} & sys.modules.keys()))"
    )
    assert run_python(program, *paths).endswith("loaded\n")


def test_a_wrong_folder_is_told_in_under_a_second(run, tmp_path):
    training(tmp_path / "a")
    took = []
    for _ in range(3):
        began = time.monotonic()
        assert run("compare", "a", "nowhere", cwd=tmp_path).code == 2
        took.append(time.monotonic() - began)
    assert min(took) < 1


def test_nothing_in_the_folders_changes(call, tmp_path, tree):
    training(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    before = tree(tmp_path)
    assert call("a", "b")[0] == 0
    assert tree(tmp_path) == before
