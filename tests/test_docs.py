"""What the documents say is what the package does."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


def blocks(language):
    for page in PAGES:
        for code in re.findall(rf"```{language}\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
            yield pytest.param(code, id=f"{page.name}-{code.split()[0]}")


def test_the_papers_page_is_up_to_date():
    command = [sys.executable, ROOT / "docs" / "tables.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("code", list(blocks("python")))
def test_python_examples_use_names_that_exist(code):
    import keras_resnets

    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", None) == "kr":
            assert hasattr(keras_resnets, node.attr), node.attr
        if isinstance(node, ast.ImportFrom) and node.module.startswith("keras_resnets"):
            module = __import__(node.module, fromlist=["*"])
            for name in node.names:
                assert hasattr(module, name.name), name.name


class _Arrays:
    """A stand-in for keras.datasets.cifar10, which cannot be downloaded: images of its kind."""

    @staticmethod
    def load_data():
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (40, 32, 32, 3)).astype("uint8")
        labels = np.arange(40)[:, None] % 10
        return (images, labels), (images, labels)


@pytest.mark.large
def test_the_readmes_training_and_export_run(monkeypatch, tmp_path):
    """As printed, on a few images and for one epoch."""
    import keras

    monkeypatch.setattr(keras.datasets, "cifar10", _Arrays)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(keras.Model, "fit", _one_epoch(keras.Model.fit))
    codes = [p.values[0] for p in blocks("python") if p.id.startswith("README.md")]
    names = {}
    for code in codes:
        if "search(" not in code:
            exec(compile(code, "README.md", "exec"), names)
    assert (tmp_path / "model.keras").is_file()
    assert (tmp_path / "model.tflite").is_file()


def _one_epoch(fit):
    return lambda model, *args, epochs, **kwargs: fit(model, *args, epochs=1, verbose=0, **kwargs)


@pytest.mark.parametrize("code", list(blocks("bash")))
def test_shell_examples_use_options_that_exist(code):
    from keras_resnets.cli import cli

    for line in code.splitlines():
        if not line.startswith("keras-resnets "):
            continue
        name, *arguments = line.split()[1:]
        options = {o for p in cli.commands[name].params for o in (*p.opts, *p.secondary_opts)}
        assert {a for a in arguments if a.startswith("-")} <= options


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target
