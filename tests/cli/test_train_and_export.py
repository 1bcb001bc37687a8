"""The commands ``train`` and ``export``."""

import csv
import json
import re

import pytest

TRAIN = ["train", "resnet8_cifar", "--epochs", 2, "--batch-size", 256, "--seed", 5]


@pytest.fixture(scope="module")
def trained(run, tmp_path_factory):
    """A folder in which the default run folder of `TRAIN` is finished, and what was printed."""
    home = tmp_path_factory.mktemp("trained")
    return home, run(*TRAIN, cwd=home).check()


RUN = "runs/train-resnet8_cifar-keras_resnets_digits-seed5"


def test_train_leaves_what_it_says(trained):
    home, ended = trained
    names = {path.name for path in (home / RUN).iterdir()}
    assert names >= {"model.keras", "config.json", "history.csv", "summary.json"}
    summary = json.loads((home / RUN / "summary.json").read_text())
    history = list(csv.DictReader((home / RUN / "history.csv").open()))
    assert [int(row["epoch"]) for row in history] == [1, 2]
    assert float(history[-1]["val_accuracy"]) == summary["val_accuracy"]
    assert f"test accuracy {summary['test_accuracy']:.2%}" in ended.out
    assert len([line for line in ended.lines if re.match(r"epoch \d/2 ", line)]) == 2


def test_train_again_only_reads(trained, call, tree):
    home, _ = trained
    before = tree(home)
    assert "finished" in call(*TRAIN, cwd=home).check().out
    assert tree(home) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([*TRAIN, "--lr", 0.3, "--run-dir", RUN], "there recipe.optimizer.learning_rate=0.2, here"),
        (["search", "--run-dir", RUN], "belongs to another command, 'train'"),
    ],
)
def test_another_commands_folder_is_refused(trained, call, tree, arguments, words):
    home, _ = trained
    before = tree(home)
    ended = call(*arguments, cwd=home)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert re.search(words, ended.err)
    assert tree(home) == before


@pytest.mark.large
def test_export_verifies_on_the_images_it_was_trained_on(trained, run):
    home, _ = trained
    ended = run("export", f"{RUN}/model.keras", "-o", "out", cwd=home).check()
    assert (home / "out" / "saved_model" / "saved_model.pb").is_file()
    assert (home / "out" / "model.tflite").read_bytes()[4:8] == b"TFL3"
    assert ended.out.count("276 images, largest difference") == 2
    assert ended.out.count("agreement 100.00%") == 2
    assert all(len(line) <= 80 for line in ended.lines)


@pytest.mark.large
def test_export_of_one_format(trained, call):
    home, _ = trained
    arguments = ["--to", "tflite", "-o", "one", "--dataset", "keras_resnets_digits"]
    call("export", f"{RUN}/model.keras", *arguments, cwd=home).check()
    names = {path.name for path in (home / "one").iterdir()}
    assert names == {"model.tflite", "summary.json"}
    # The classes are known there too.
    ended = call("evaluate", "one/model.tflite", cwd=home).check()
    assert "276 images" in ended.out


@pytest.mark.large
def test_export_on_images_that_do_not_fit(trained, run, tree, image_folder):
    home, _ = trained
    image_folder(home / "photos", {"cats": 5, "dogs": 5})
    before = tree(home)
    arguments = ["--dataset", "photos", "-o", "wrong"]
    ended = run("export", f"{RUN}/model.keras", *arguments, cwd=home)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert "3 channels; the model takes 1" in ended.err
    assert tree(home) == before
