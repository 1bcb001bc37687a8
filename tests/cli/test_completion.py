"""What the shell offers when the user presses the tab key."""

import time

import click
import pytest
from click.shell_completion import ShellComplete

from keras_resnets.cli import cli


def offered(line):
    """Return the values, or the kinds of path, that complete a line's last word."""
    *words, last = line.split(" ")
    complete = ShellComplete(cli, {}, "keras-resnets", "_KERAS_RESNETS_COMPLETE")
    items = complete.get_completions(words, last)
    return {item.value if item.type == "plain" else item.type for item in items}


@pytest.mark.parametrize(
    ("line", "some"),
    [
        ("", {"search", "train", "recipes", "show-data"}),
        ("train resnet20", {"resnet20_cifar"}),
        ("describe wrn16", {"wrn16_4_cifar"}),
        ("list densenet1", {"densenet121"}),
        ("recipes wr", {"wrn-cifar"}),
        ("train resnet20_cifar --recipe q", {"quick"}),
        ("train resnet20_cifar --recipe ./m", {"file"}),
        ("train resnet20_cifar --dataset fashion", {"fashion_mnist"}),
        ("train resnet20_cifar --dataset keras", {"keras_resnets_digits"}),
        ("train resnet20_cifar --dataset ./ph", {"dir"}),
        ("train resnet20_cifar --set optimizer.le", {"optimizer.learning_rate="}),
        ("show-data --set augmentation.mix", {"augmentation.mixup="}),
        ("search --tuner ", {"random", "hyperband", "bayesian"}),
        ("search --no-d", {"--no-download"}),
        ("evaluate run/mo", {"file"}),
        ("predict model.keras a.png --classes-from cifar10", {"cifar10"}),
    ],
)
def test_names_are_offered(line, some):
    values = offered(line)
    assert values >= some
    last = line.split(" ")[-1]
    assert all(value.startswith(last) for value in values - {"file", "dir"})


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_has_a_script(run, tmp_path, shell):
    environment = {"_KERAS_RESNETS_COMPLETE": f"{shell}_source"}
    ended = run(cwd=tmp_path, environment=environment)
    assert ended.code == 0
    assert "_KERAS_RESNETS_COMPLETE" in ended.out


def test_a_process_answers_fast(run, tmp_path):
    environment = {
        "_KERAS_RESNETS_COMPLETE": "bash_complete",
        "COMP_WORDS": "keras-resnets train --dataset cifar",
        "COMP_CWORD": "3",
    }
    began = time.monotonic()
    ended = run(cwd=tmp_path, environment=environment)
    assert time.monotonic() - began < 5  # with neighbours; TensorFlow alone takes longer
    assert {"plain,cifar10", "plain,cifar100"} <= set(ended.lines)


def test_every_command_that_prints_progress_can_be_quiet():
    for name in ("search", "train", "evaluate", "predict", "export", "convert", "show-data"):
        command = cli.get_command(click.Context(cli), name)
        assert any("--quiet" in option.opts for option in command.params), name
        options = {o for option in command.params for o in option.secondary_opts}
        assert "--no-download" in options, name
