"""The commands that answer questions, and how fast."""

import csv
import json
import re
import signal
import socket
import statistics
import subprocess
import sys
import time

import pytest

HEAVY = ("tensorflow", "keras", "keras_tuner", "jax", "numpy", "matplotlib", "sklearn", "rich")


def test_help_answers_in_under_a_second(run, tmp_path):
    seconds = []
    for command in ([], ["search"], ["train"]):
        began = time.monotonic()
        run(*command, "--help", cwd=tmp_path, timeout=30).check()
        seconds.append(time.monotonic() - began)
    assert statistics.median(seconds) < 1


@pytest.mark.parametrize(
    "program",
    [
        "import keras_resnets",
        "import keras_resnets; keras_resnets.model_config('resnet20_cifar')",
        "from keras_resnets.tuning import SearchSettings; SearchSettings()",
        "from keras_resnets.cli import cli; cli.main(['search', '--help'], standalone_mode=False)",
        "from keras_resnets.cli import cli; cli.main(['list'], standalone_mode=False)",
        "from keras_resnets.cli import cli; "
        "cli.main(['describe', 'resnet20_cifar'], standalone_mode=False)",
    ],
)
def test_nothing_heavy_is_imported(run_python, program):
    listing = f"\nimport sys; print('loaded', *({HEAVY!r} & sys.modules.keys()))"
    assert run_python(program + listing.replace(repr(HEAVY), repr(set(HEAVY)))).endswith("loaded\n")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_names_every_command(run, tmp_path, arguments):
    out = run(*arguments, cwd=tmp_path).check().out
    for command in ("search", "train", "list", "describe", "export"):
        assert re.search(rf"^  {command} +\w", out, re.MULTILINE)
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("train resnet8_cifar --dataset", "interrupted; the same command resumes where it was"),
        ("check-data", "interrupted"),
    ],
)
@pytest.mark.sampled(1)
def test_ctrl_c_in_a_download_is_one_line_and_ends_at_once(start, tmp_path, command, message):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes requests and never answers
        proxy = f"http://127.0.0.1:{silent.getsockname()[1]}"
        environment = dict.fromkeys(("HTTPS_PROXY", "https_proxy"), proxy)
        environment |= {"NO_PROXY": "", "no_proxy": "", "NO_GCE_CHECK": "true"}
        arguments = [*command.split(), "mnist", "--data-dir", "."]
        running = start(*arguments, cwd=tmp_path, environment=environment)
        running.wait_for("downloading data set mnist")
        silent.settimeout(60)
        with silent.accept()[0]:
            running.signal(signal.SIGINT)
            ended = running.end(timeout=20)
    assert (ended.code, ended.err) == (130, f"keras-resnets: {message}\n")
    assert list(tmp_path.iterdir()) == []


def test_version(run, tmp_path):
    from keras_resnets import __version__

    assert __version__ in run("--version", cwd=tmp_path).check().out


def test_list(run, tmp_path):
    lines = run("list", cwd=tmp_path).check().lines
    row = next(line for line in lines if line.startswith("resnet20_cifar "))
    assert row.split()[:4] == ["resnet20_cifar", "32x32x3", "269,722", "40,551,040"]
    assert row.endswith("8.75 % cifar10_aug")
    rows = json.loads(run("list", "*wrn*", "--json", cwd=tmp_path).check().out)
    assert {"wrn16_4_cifar", "wrn28_10_cifar"} <= {row["name"] for row in rows}
    assert all(row["name"].startswith("wrn") for row in rows)
    assert next(row for row in rows if row["name"] == "wrn28_10_cifar")["params"] == 36_479_194


@pytest.mark.parametrize("form", ["csv", "json"])
def test_list_sorts_and_writes_files(run, tmp_path, form):
    arguments = ["--sort", "error", "--format", form, "-o", f"models.{form}"]
    assert run("list", "*_cifar", *arguments, cwd=tmp_path).check().out == ""
    text = (tmp_path / f"models.{form}").read_text()
    rows = json.loads(text) if form == "json" else list(csv.DictReader(text.splitlines()))
    errors = [(r["measure"], float(r["error"])) for r in rows if r["error"] not in (None, "")]
    assert errors == sorted(errors)
    assert len(rows) > len(errors) > 10


def test_describe_stands_beside_the_paper(run, tmp_path):
    out = run("describe", "densenet121", cwd=tmp_path).check().out
    assert "7,978,856" in out
    assert "Huang 2016b: error 25.02 % (imagenet_1crop_top1)" in out
    assert out.count("■") == 58


def test_describe(run, tmp_path):
    from keras_resnets import config_from_dict, model_config

    out = run("describe", "resnet20_cifar", cwd=tmp_path).check().out
    assert "269,722" in out
    assert max(map(len, out.splitlines())) <= 100
    arguments = ["--input-shape", "64x48x1", "--classes", 7, "--json"]
    values = json.loads(run("describe", "wrn22_2_cifar", *arguments, cwd=tmp_path).check().out)
    expected = model_config("wrn22_2_cifar", input_shape=(64, 48, 1), classes=7)
    assert config_from_dict(values) == expected


@pytest.mark.parametrize(("file", "head"), [("net.png", b"\x89PNG"), ("net.svg", b"<?xml")])
@pytest.mark.sampled(1)
def test_describe_draws(run, tmp_path, file, head):
    run("describe", "resnet20_cifar", "--picture", file, cwd=tmp_path).check()
    assert (tmp_path / file).read_bytes().startswith(head)
    assert [path.name for path in tmp_path.iterdir()] == [file]


def test_a_closed_pipe_is_no_error(tmp_path):
    line = f"{sys.executable} -m keras_resnets list | head -n 1"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=30)
    assert done.stderr == ""
    assert done.stdout.startswith("name")


def test_a_failure_that_is_not_the_users_is_one_line_and_code_1(monkeypatch, capfd):
    from keras_resnets import cli
    from keras_resnets.errors import ExportMismatchError
    from keras_resnets.tuning.worker import WorkerError

    for error in (WorkerError("it\ndied"), ExportMismatchError("differs"), OSError(28, "No space")):

        def fail(*args, error=error, **kwargs):
            raise error

        monkeypatch.setattr(cli.cli, "invoke", fail)
        with pytest.raises(SystemExit) as end:
            cli.main(["list"])
        assert end.value.code == 1
        err = capfd.readouterr().err
        assert err.startswith("keras-resnets: ")
        assert err.count("\n") == 1
