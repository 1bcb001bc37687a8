"""300 damaged files of every kind that the product reads: a clear refusal, or the right numbers.

Seeded: the same files every time. A kind's answer is compared with that of the whole file. Formats
that have checksums (.keras, TFRecord, a SavedModel's variables, checkpoints) may not answer
otherwise; of the others a changed bit may be another legal file (a pixel, a class's name, a weight
in a .tflite file), which nobody can know: these are counted apart.
"""

import json
import os
import select
import shutil
import subprocess
import sys
import time
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from mutations import mutate, mutate_json, mutate_text

pytestmark = [pytest.mark.large, pytest.mark.tensorflow, pytest.mark.timeout(1500)]

CHECKOUT = Path(__file__).resolve().parents[2]
SECONDS = 60
"""After which a command hangs."""

INSIDES = ("Traceback", "{{node", "[Op:", "site-packages", "tensorflow/core", "INTERNAL:")


@dataclass
class Kind:
    """Files of a kind.

    Attributes:
        files: Their paths in the home folder; one of them is damaged.
        task: What reads them; "{home}" stands for the folder.
        count: How many damaged files.
        change: The function that damages bytes.
        checked: Whether the format can tell every change of what it says: other answers are wrong.
        numbers: Function from what was printed to what must be the same.
    """

    files: list[str]
    task: dict
    count: int
    change: object = mutate
    checked: bool = False
    numbers: object = staticmethod(json.loads)


def predict(model, image="photo.png"):
    return {"argv": ["predict", model, image, "--json"]}


def predicted(text):
    (row,) = json.loads(text)
    return [(p["label"], round(p["probability"], 6)) for p in row["predictions"]]


def evaluated(text):
    values = json.loads(text)
    return {name: values[name] for name in ("top1", "nll", "brier", "images")}


def compared(text):
    runs = json.loads(text)["runs"]
    return [{k: v for k, v in run.items() if k not in ("path", "run")} for run in runs]


def evaluate(*options):
    return {"argv": ["evaluate", "model.tflite", "--json", *options]}


PREPARED = "data/keras_resnets_digits/1.0.0"
RECORDS = evaluate("--dataset", "keras_resnets_digits", "--data-dir", "data", "--no-download")
COMPARE = {"argv": ["compare", "run", "search", "--json"]}
IMAGES = {"png": 9, "jpg": 9, "gif": 8, "bmp": 8, "webp": 8, "tiff": 9, "heic": 6, "avif": 6}

KINDS = {
    **{
        f"image {form}": Kind([f"photo.{form}"], predict("model.tflite", f"photo.{form}"), count)
        for form, count in IMAGES.items()
    },
    "labels": Kind(
        ["photos/labels.csv"],
        {"argv": ["check-data", "photos", "--labels", "photos/labels.csv", "--json"]},
        16,
        mutate_text,
    ),
    "recipe": Kind(["mine.toml"], {"argv": ["recipes", "mine.toml", "--json"]}, 24, mutate_text),
    "class weights csv": Kind(
        ["weights.csv"], {"call": "class_weights", "path": "weights.csv"}, 10, mutate_text
    ),
    "class weights json": Kind(
        ["weights.json"], {"call": "class_weights", "path": "weights.json"}, 10, mutate_json
    ),
    "keras": Kind(["model.keras"], predict("model.keras"), 18, checked=True, numbers=predicted),
    "keras, inside": Kind(["inside.keras"], predict("inside.keras"), 14, numbers=predicted),
    "weights.h5": Kind(
        ["model.weights.h5"], {"call": "weights_h5", "path": "model.weights.h5"}, 16
    ),
    "tflite": Kind(["model.tflite"], predict("model.tflite"), 20, numbers=predicted),
    "onnx": Kind(["model.onnx"], predict("model.onnx"), 16, numbers=predicted),
    "saved_model graph": Kind(
        ["saved_model/saved_model.pb"], predict("saved_model"), 12, numbers=predicted
    ),
    "saved_model variables": Kind(
        [
            "saved_model/variables/variables.index",
            "saved_model/variables/variables.data-00000-of-00001",
        ],
        predict("saved_model"),
        12,
        checked=True,
        numbers=predicted,
    ),
    "summary": Kind(["summary.json"], evaluate(), 16, mutate_json, numbers=evaluated),
    "evaluation": Kind(
        ["out/evaluation.json"],
        {"call": "evaluation", "path": "out/evaluation.json"},
        10,
        mutate_json,
    ),
    "records": Kind([f"{PREPARED}/*.tfrecord-*"], RECORDS, 14, checked=True, numbers=evaluated),
    "records' metadata": Kind(
        [f"{PREPARED}/*.json", f"{PREPARED}/*.txt"], RECORDS, 16, mutate_json, numbers=evaluated
    ),
    "run folder": Kind(
        ["run/run.json", "run/summary.json", "run/history.csv"],
        COMPARE,
        14,
        mutate_text,
        numbers=compared,
    ),
    "search folder": Kind(
        [
            "search/run.json",
            "search/summary.json",
            "search/history.csv",
            "unfinished/trials/*.json",
        ],
        {"argv": ["compare", "run", "search", "unfinished", "--json"]},
        14,
        mutate_text,
        numbers=compared,
    ),
    "checkpoint": Kind(
        ["begun/*"],
        {"argv": ["train", "resnet8_cifar", "--epochs", "2", "--run-dir", "begun"]},
        12,
        checked=True,
        numbers=lambda text: [x for x in text.splitlines() if x.startswith("test accuracy")],
    ),
}


SEARCH = (
    "search --trials 1 --epochs 1 --final-epochs 1 --blocks 1 --widths 4 --run-dir search --quiet"
)


@dataclass
class Runner:
    """The process that reads the files; another one where it has died or hangs."""

    process: subprocess.Popen | None = None
    log: Path | None = None
    found: dict = field(default_factory=dict)

    def ask(self, task, cwd, seconds=SECONDS):
        """Return the answer, or ``{"hang": True}`` or ``{"crash": CODE}``."""
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("one_by_one.py"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.log.open("ab"),
                env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
                text=True,
            )
        self.process.stdin.write(json.dumps({"cwd": str(cwd), **task}) + "\n")
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        line = self.process.stdout.readline() if ready else None
        if line:
            return json.loads(line)
        if line is None:
            self.process.kill()
        code = self.process.wait()
        self.process = None
        return {"hang": True} if line is None else {"crash": code}

    def close(self):
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait(120)


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    runner = Runner(log=tmp_path_factory.mktemp("runner") / "log")
    yield runner
    runner.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory, runner, tfds_dir):
    """A folder with a whole file of every kind."""
    home = tmp_path_factory.mktemp("home")
    _write_pictures(home)
    begin = ["--epochs", "2", "--run-dir"]
    for argv in (
        ["train", "resnet8_cifar", *begin, "run"],
        ["export", "run/model.keras", "-o", "."],
        ["evaluate", "model.tflite", "-o", "out", "-q"],
        SEARCH.split(),
    ):
        answer = runner.ask({"argv": argv}, home, seconds=600)
        assert answer.get("code") == 0, answer
    shutil.copy(home / "run" / "model.keras", home / "model.keras")
    shutil.copy(home / "run" / "model.keras", home / "inside.keras")
    shutil.copytree(home / "search", home / "unfinished")
    (home / "unfinished" / "summary.json").unlink()
    shutil.copytree(Path(tfds_dir) / "keras_resnets_digits", home / "data" / "keras_resnets_digits")
    answer = runner.ask({"call": "begun", "path": "begun"}, home, seconds=600)
    assert answer.get("code") == 0, answer
    assert not (home / "begun" / "summary.json").exists()
    _write_weights(home)
    return home


def _write_pictures(home):
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 3)).astype(np.uint8)
    image = Image.fromarray(pixels)
    pytest.importorskip("pillow_heif").register_heif_opener()
    for form in IMAGES:
        image.save(home / f"photo.{form}")
    (home / "photos").mkdir()
    rows = ["file,label,split"]
    for number in range(12):
        image.save(home / "photos" / f"{number}.png")
        rows.append(
            f"{number}.png,{'cat' if number % 2 else 'dog'},{'test' if number > 9 else 'train'}"
        )
    (home / "photos" / "labels.csv").write_text("\n".join(rows) + "\n")
    (home / "weights.csv").write_text("class,weight\ncat,2\ndog,1\nemu,0.5\n")
    (home / "weights.json").write_text('{"cat": 2.0, "dog": 1, "emu": 0.5}')
    (home / "mine.toml").write_text(
        'extends = "quick"\nepochs = 7\ndescription = "mine"\n[optimizer]\nlearning_rate = 0.05\n'
        'momentum = 0.9\n[schedule]\nkind = "cosine"\nwarmup = 1\n[augmentation]\ncrop = "pad"\n'
        "padding = 2\nmixup = 0.2\nflip = true\n"
    )


def _write_weights(home):
    import keras_resnets as kr
    from keras_resnets.models.saved import read_model

    config = kr.ResNetConfig(
        input_shape=(8, 8, 3), classes=3, blocks=(1, 1, 1), widths=(4, 8, 16), stem_width=4
    )
    kr.create_model(config).save_weights(home / "model.weights.h5")
    tf2onnx = pytest.importorskip("tf2onnx")
    import tensorflow as tf

    model = read_model(home / "model.keras", compile=False)
    spec = (tf.TensorSpec(model.inputs[0].shape, model.inputs[0].dtype, name="image"),)
    function = tf.function(lambda image: model(image, training=False), input_signature=spec)
    tf2onnx.convert.from_function(
        function, input_signature=spec, output_path=str(home / "model.onnx")
    )


def damage(kind: Kind, path: Path, rng) -> str:
    """Damage a file in its place."""
    if path.name == "inside.keras":
        return _damage_member(path, rng)
    change = kind.change
    if change is not mutate:
        change = mutate_json if path.suffix == ".json" else mutate_text
    what, data = change(path.read_bytes(), rng)
    path.write_bytes(data)
    return what


def _damage_member(path, rng) -> str:
    """Damage what is in an archive, whose checksums are then right."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = list(members)[rng.integers(len(members))]
    change = mutate_json if name.endswith(".json") else mutate
    what, members[name] = change(members[name], rng)
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return f"{name}: {what}"


def outcome(kind: Kind, answer, expected) -> str:
    """Return what an answer is: refused, recovered, same, other (legal), or one of the faults."""
    for fault in ("hang", "crash"):
        if fault in answer:
            return fault
    err = answer["err"]
    if answer["code"] not in (0, 1, 2) or any(word in err + answer["out"] for word in INSIDES):
        return "traceback"
    if answer["code"] != 0:
        return "refused" if err.count("\n") == 1 and len(err) < 4500 else "traceback"
    if kind.numbers(answer["out"]) == expected:
        told = "damaged" in answer["out"] + err or "missing" in answer["out"] + err
        return "recovered" if told else "same"
    return "wrong" if kind.checked else "other"


@pytest.fixture(scope="module")
def counts(home, runner, tmp_path_factory):
    """What every kind of file came to, and the faults with what was done."""
    counts, faults = {}, []
    rng = np.random.default_rng(20)
    work = tmp_path_factory.mktemp("work")
    for name, kind in KINDS.items():
        began = time.monotonic()
        place = work / "home"
        whole = _fresh(home, place)
        answer = runner.ask(kind.task, place)
        assert answer.get("code") == 0, (name, answer)
        expected = kind.numbers(answer["out"])
        counts[name] = Counter()
        for _ in range(kind.count):
            if kind.task.get("argv", [""])[0] == "train":
                whole = _fresh(home, place)
            files = [path for pattern in kind.files for path in sorted(place.glob(pattern))]
            files = [path for path in files if path.is_file() and path.stat().st_size]
            path = files[rng.integers(len(files))]
            what = damage(kind, path, rng)
            answer = runner.ask(kind.task, place)
            found = outcome(kind, answer, expected)
            counts[name][found] += 1
            if found in ("hang", "crash", "traceback", "wrong"):
                faults.append((name, str(path.relative_to(place)), what, found, answer))
                print(faults[-1])
            path.write_bytes(whole[path.relative_to(place)])
        print(f"{name:22} {dict(counts[name])} {time.monotonic() - began:.1f} s")
    return counts, faults


def _fresh(home, place) -> dict[Path, bytes]:
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(home, place)
    files = (path for path in place.rglob("*") if path.is_file())
    return {path.relative_to(place): path.read_bytes() for path in files}


def test_three_hundred_damaged_files(counts):
    found, faults = counts
    total = sum(found.values(), Counter())
    print({**total, "files": total.total()})
    assert total.total() >= 300
    shown = [
        (*fault[:4], {k: str(v)[-1500:] for k, v in fault[4].items()}) for fault in faults[:12]
    ]
    assert not faults, json.dumps(shown, indent=1)
    assert total["refused"] > 150


def test_every_kind_is_told_at_least_once(counts):
    """Otherwise its damage does not reach what is read."""
    found, _ = counts
    assert [name for name, kind in found.items() if not kind["refused"] + kind["recovered"]] == []
