"""What is installed is what is here: the checkout, the wheel, and their metadata."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import setuptools

import keras_resnets
import keras_resnets.tuning

CHECKOUT = Path(__file__).resolve().parent.parent
RECENT_SETUPTOOLS = int(setuptools.__version__.split(".")[0]) >= 77  # see pyproject.toml


def run(*arguments, cwd, **environment):
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel built from a copy of the checkout, which building would litter."""
    copy = tmp_path_factory.mktemp("source")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, copy)
    for name in ("keras_resnets", "tuning", "tests"):
        shutil.copytree(
            CHECKOUT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", ".*")
        )
    isolation = ["--no-isolation"] if RECENT_SETUPTOOLS else []
    out = tmp_path_factory.mktemp("dist")
    run("-m", "build", "--wheel", *isolation, "--outdir", out, copy, cwd=out)
    (path,) = out.glob("*.whl")
    return path


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = {
        str(path.relative_to(CHECKOUT))
        for path in (CHECKOUT / "keras_resnets").rglob("*")
        if path.suffix in (".py", ".typed", ".csv", ".toml")
    }
    sources |= {
        f"keras_resnets/tuning/{path.name}"
        for path in (CHECKOUT / "tuning").iterdir()
        if path.suffix in (".py", ".j2")
    }
    assert {"keras_resnets/py.typed", "keras_resnets/tuning/report.html.j2"} <= sources
    code = {name for name in names if ".dist-info/" not in name}
    assert code == sources
    assert any(name.endswith("licenses/LICENSE") for name in names)


@pytest.mark.large
def test_the_wheel_works_where_no_checkout_is(wheel, tmp_path):
    target, elsewhere = tmp_path / "target", tmp_path / "elsewhere"
    elsewhere.mkdir()
    run("-m", "pip", "install", "-q", "--no-deps", "--target", target, wheel, cwd=elsewhere)
    program = (
        "import keras_resnets, keras_resnets.tuning, keras_resnets.tuning.report as report\n"
        "from keras_resnets.tuning import ResNetHyperModel, SearchSettings, search\n"
        "import importlib.resources, importlib.metadata\n"
        "print(keras_resnets.__file__)\n"
        "print(keras_resnets.tuning.__file__)\n"
        "print(importlib.metadata.version('keras-resnets'), keras_resnets.__version__)\n"
        "print(*keras_resnets.__path__)\n"
    )
    lines = run("-c", program, cwd=elsewhere, PYTHONPATH=str(target)).splitlines()
    package = target / "keras_resnets"
    assert lines == [
        str(package / "__init__.py"),
        str(package / "tuning" / "__init__.py"),
        f"{keras_resnets.__version__} {keras_resnets.__version__}",
        str(package),
    ]
    assert (target / "bin" / "keras-resnets").is_file()


def test_the_checkout_imports_its_own_tuning():
    assert Path(keras_resnets.__file__).parent == CHECKOUT / "keras_resnets"
    assert Path(keras_resnets.tuning.__file__).parent == CHECKOUT / "tuning"


@pytest.mark.parametrize("inside", [True, False], ids=["in the checkout", "elsewhere"])
def test_the_checkout_is_found_from(inside, tmp_path):
    program = "import keras_resnets.tuning as t; print(t.__file__); t.SearchSpace()"
    environment = {} if inside else {"PYTHONPATH": str(CHECKOUT)}
    out = run("-c", program, cwd=CHECKOUT if inside else tmp_path, **environment)
    assert Path(out.strip()).parent == CHECKOUT / "tuning"


def test_the_version_is_said_in_one_place():
    assert importlib.metadata.version("keras-resnets") == keras_resnets.__version__
    assert (
        keras_resnets.__version__
        not in (CHECKOUT / "pyproject.toml").read_text().split("dependencies")[0]
    )


def test_the_command_is_installed():
    (entry,) = importlib.metadata.entry_points(group="console_scripts", name="keras-resnets")
    assert entry.value == "keras_resnets.cli:main"
