"""The folders are layers, and importing the package costs next to nothing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import keras_resnets

ROOT = Path(keras_resnets.__file__).parents[1]
LAYERS = (
    "layers",
    "models",
    "applications",
    "data",
    "training",
    "surgery",
    "analysis",
    "export",
    "evaluation",
    "cli",
    "tuning",
)
"""From the top: each imports only itself and those before it."""
ABOVE_ALL = (
    "axes",
    "backends",
    "environment",
    "errors",
    "files",
    "fonts",
    "machine",
    "outputs",
    "reading",
    "run_folder",
    "schema",
    "scratch",
    "search_path",
    "state",
    "tensorflow_logs",
    "verbosity",
    "words",
    "_version",
)

MAY = {
    # The one exception of the design: the command imports the search when it is asked to run it.
    ("cli", "tuning"),
}


def modules():
    for path in sorted((ROOT / "keras_resnets").rglob("*.py")) + sorted(ROOT.glob("tuning/*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield path, parts[0] if parts[0] == "tuning" else (parts[1] if len(parts) > 1 else "")


def imported(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("keras_resnets"):
            yield from (f"{node.module}.{name.name}".split(".")[1] for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (
                n.name.split(".")[1] for n in node.names if n.name.startswith("keras_resnets.")
            )


CASES = [pytest.param(*case, id=case[0].stem) for case in modules() if case[1] in LAYERS]


@pytest.mark.parametrize("path, layer", CASES)
def test_nothing_imports_downwards(path, layer):
    for other in imported(path):
        if other in LAYERS and (layer, other) not in MAY:
            assert LAYERS.index(other) <= LAYERS.index(layer), f"{path.name} imports {other}"


def test_configurations_are_pure_python():
    """Keras is not needed to list, check and cost networks."""
    program = (
        "import sys; import keras_resnets as kr; kr.complexity('resnet50'); kr.list_models();"
        "import keras_resnets.tuning.space;"
        "print(sorted({'keras', 'tensorflow', 'jax', 'numpy'} & sys.modules.keys()))"
    )
    assert _run(program) == "[]"


@pytest.mark.tensorflow
@pytest.mark.large
def test_importing_adds_at_most_five_percent_to_keras():
    program = (
        "import time; a = time.perf_counter(); import keras; b = time.perf_counter();"
        "import keras_resnets; c = time.perf_counter(); print((c - b) / (b - a))"
    )
    # Once in three is enough: what is measured is the package, not its neighbours on the machine.
    assert any(float(_run(program)) < 0.05 for _ in range(3))


def _run(program):
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()
