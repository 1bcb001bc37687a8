"""The command ``convert``."""

import re
import shutil

import pytest


@pytest.fixture(scope="module")
def home(trained_run, tmp_path_factory):
    """A folder with a trained residual network."""
    home = tmp_path_factory.mktemp("converted")
    shutil.copytree(trained_run, home / "resnet8_cifar")
    return home


@pytest.fixture(scope="module")
def plain(call, home):
    """The same, with a trained plain network too."""
    options = ["--epochs", 1, "--batch-size", 256, "--run-dir", "plain8_cifar"]
    call("train", "plain8_cifar", *options, cwd=home).check()
    return home


def convert(run, home, source, to, output, *options):
    return run("convert", source, "--to", to, "-o", output, *options, cwd=home)


def check_says(ended, *words):
    for word in words:
        assert re.search(word, ended.out), ended.out
    numbers = r"276 test images: .*agreement 100\.00%, accuracy (\d+\.\d\d%) -> \1 -> "
    assert re.search(numbers, ended.out), ended.out


@pytest.mark.large
def test_plain_and_back(call, home):
    ended = convert(call, home, "resnet8_cifar/model.keras", "plain", "plain.keras").check()
    check_says(ended, r"parameters 75,002 -> 114,010 \(1\.52x\), multiply-adds ")
    dataset = ["--dataset", "keras_resnets_digits"]
    ended = convert(call, home, "plain.keras", "residual", "back.keras", *dataset).check()
    check_says(ended, "the residual network that the chain was made from")


def test_folded(call, home):
    ended = convert(call, home, "resnet8_cifar/model.keras", "folded", "out/folded.keras").check()
    check_says(ended, "folded 7 of 7 batch normalisations")


@pytest.mark.large
def test_residual_recalibrated(run, plain):
    source = "plain8_cifar/model.keras"
    ended = convert(run, plain, source, "residual", "residual.keras", "--recalibrate").check()
    check_says(ended, "4 of 6 convolutions became residual branches")
    dataset = ["--dataset", "keras_resnets_digits"]
    run("export", "residual.keras", *dataset, "-o", "shipped", cwd=plain).check()


@pytest.mark.large
def test_what_cannot_be_converted_writes_nothing(run, home, tree):
    before = tree(home)
    ended = convert(run, home, "resnet8_cifar/model.keras", "residual", "no.keras")
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert "with shortcut='A'" in ended.err
    assert tree(home) == before
