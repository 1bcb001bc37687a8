"""The command ``convert``."""

import re

import pytest


@pytest.fixture(scope="module")
def home(run, tmp_path_factory):
    """A folder with a trained residual and a trained plain network."""
    home = tmp_path_factory.mktemp("trained")
    for name in ("resnet8_cifar", "plain8_cifar"):
        arguments = ["--epochs", 1, "--batch-size", 256, "--run-dir", name]
        run("train", name, *arguments, cwd=home).check()
    return home


def convert(run, home, source, to, output, *options):
    return run("convert", source, "--to", to, "-o", output, *options, cwd=home)


def check_says(ended, *words):
    for word in words:
        assert re.search(word, ended.out), ended.out
    numbers = r"276 test images: .*agreement 100\.00%, accuracy (\d+\.\d\d%) -> \1 -> "
    assert re.search(numbers, ended.out), ended.out


@pytest.mark.large
def test_plain_and_back(run, home):
    ended = convert(run, home, "resnet8_cifar/model.keras", "plain", "plain.keras").check()
    check_says(ended, r"parameters 75,002 -> 114,010 \(1\.52x\), multiply-adds ")
    dataset = ["--dataset", "keras_resnets_digits"]
    ended = convert(run, home, "plain.keras", "residual", "back.keras", *dataset).check()
    check_says(ended, "the residual network that the chain was made from")


def test_folded(run, home):
    ended = convert(run, home, "resnet8_cifar/model.keras", "folded", "out/folded.keras").check()
    check_says(ended, "folded 7 of 7 batch normalisations")


@pytest.mark.large
def test_residual_recalibrated(run, home):
    source = "plain8_cifar/model.keras"
    ended = convert(run, home, source, "residual", "residual.keras", "--recalibrate").check()
    check_says(ended, "4 of 6 convolutions became residual branches")
    dataset = ["--dataset", "keras_resnets_digits"]
    run("export", "residual.keras", *dataset, "-o", "shipped", cwd=home).check()


@pytest.mark.large
def test_what_cannot_be_converted_writes_nothing(run, home, tree):
    before = tree(home)
    ended = convert(run, home, "resnet8_cifar/model.keras", "residual", "no.keras")
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert "with shortcut='A'" in ended.err
    assert tree(home) == before
