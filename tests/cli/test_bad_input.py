"""Wrong input: one line on standard error that helps, exit code 2, nothing written."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from keras_resnets.data.prepared import known_names

TINY = ["--trials", 1, "--epochs", 1, "--final-epochs", 1, "--blocks", 1, "--widths", 4]
DIGITS = "--dataset keras_resnets_digits"

# What is answered before TensorFlow loads, by arguments and words of the answer.
AT_ONCE = [
    ("serach", "no command is named 'serach'; nearest: search"),
    (
        "frobnicate",
        "no command is named 'frobnicate'; commands: check-data, compare, convert, describe",
    ),
    ("--nosuch", "No such option"),
    ("search --trails 3", "No such option: --trails|No such option '--trails'"),
    ("search extra", "unexpected extra argument"),
    ("search --trials 0", "'--trials': 0 is not in the range"),
    ("search --trials two", "'--trials'"),
    ("search --epochs -1", "'--epochs'"),
    ("search --final-epochs 1.5", "'--final-epochs'"),
    ("search --batch-size 0", "'--batch-size'"),
    ("search --image-size 0", "'--image-size'"),
    ("search --seed -1", "'--seed'"),
    ("search --seed 2147483647", "'--seed'"),
    ("search --tuner grid", "'grid' is not one of 'random', 'hyperband', 'bayesian'"),
    ("search --max-params 0", "'--max-params': must be a positive number such as 500k"),
    ("search --max-params many", "'--max-params': must be a positive number such as 500k"),
    ("search --max-macs -5M", "'--max-macs'"),
    (
        "search --blocks one",
        "`--blocks` must be positive integers with commas, 1,2,3. Received: one",
    ),
    ("search --widths 8,,16", "`--widths` must be positive integers"),
    ("search --blocks 0", "`--blocks` must be positive integers"),
    ("search --widths 8,8", "`widths` must not repeat a choice"),
    ("train", "Missing argument 'MODEL'"),
    ("train resnett20_cifar", "nearest: resnet20_cifar"),
    ("train resnet21_cifar", r"6n\+2.*Received: depth=21; nearest legal: 20, 26"),
    ("train wrn17_4_cifar", r"6n\+4.*Received: depth=17; nearest legal: 16, 22"),
    ("train resnet20_cifar --lr much", "'--lr'"),
    ("train resnet20_cifar --lr 0", "`optimizer.learning_rate` must be greater than 0"),
    ("train resnet20_cifar --recipe quik", "no recipe is named 'quik'; nearest: quick"),
    ("train resnet20_cifar --recipe mine.toml", "recipe file 'mine.toml' does not exist"),
    ("train resnet20_cifar --set mixup", "a setting must be NAME=VALUE, lr=0.05. Received: mixup"),
    ("train resnet20_cifar --set mixap=1", "`mixap` is not a setting of a recipe; nearest: mixup"),
    ("train resnet20_cifar --set mixup=-1", "`augmentation.mixup` must be"),
    ("train resnet20_cifar --accumulate 3", "`accumulate` must divide `batch_size`"),
    ("train resnet20_cifar --class-weights balancd", "'balanced' or an existing .json or .csv"),
    ("search --class-weights missing.csv", "'balanced' or an existing .json or .csv"),
    ("train resnet20_cifar --strategy miror", "'miror' is not one of"),
    ("train resnet20_cifar --init nowhere.keras", r"existing .keras file.*\(it does not exist\)"),
    ("train resnet20_cifar --recipe bad.toml", "recipe bad: `learning_rate` is not a setting$"),
    ("recipes quik", "no recipe is named 'quik'; nearest: quick"),
    ("describe plain21_cifar", r"6n\+2.*nearest legal: 20, 26"),
    ("describe resnet", "no model is named 'resnet'"),
    ("describe resnet20_cifar --input-shape 32x32", "height x width x channels"),
    ("describe resnet20_cifar --input-shape 0x8x3", "`input_shape`"),
    ("describe resnet20_cifar --classes 0", "'--classes'"),
    ("describe resnet20_cifar --picture net.gif", "`--picture` must end in .png or .svg"),
    ("describe resnet20_cifar --picture no/net.png", "`--picture` must lie in an existing folder"),
    ("list nosuch", "no model is named 'nosuch'"),
    ("export missing.keras", "`MODEL` must be an existing .keras file"),
    ("export .", "`MODEL` must be an existing .keras file"),
    ("export file", "`MODEL` must be an existing .keras file"),
    ("export whole.keras", "no summary.json beside .* says what it was trained on: give --dataset"),
    ("export lonely.keras --to onix", "'onix' is not one of"),
    ("convert lonely.keras --to plane -o out.keras", "'plane' is not one of 'plain', 'residual'"),
    ("convert lonely.keras --to plain", "Missing option '-o' / '--output'"),
    ("convert whole.keras --to plain -o out.keras", "no summary.json beside .*give --dataset"),
    ("convert missing.keras --to plain -o out.keras", "`MODEL` must be an existing .keras file"),
    (
        f"convert whole.keras --to plain -o out.h5 {DIGITS}",
        "`--output` must end in .keras",
    ),
    # Names and folders of data sets.
    ("search --dataset keras_resnet_digits", "nearest: keras_resnets_digits"),
    ("search --dataset cifar11", "no data set is named 'cifar11'.*nearest: .*cifar10"),
    ("search --dataset nope", "no data set is named 'nope', and no folder has this path$"),
    ("search --dataset ./photos", "dataset folder './photos' does not exist"),
    ("search --dataset file", "dataset 'file' is a file, not a folder"),
    ("train resnet8_cifar --dataset ./file", "dataset './file' is a file, not a folder"),
    ("train resnet8_cifar --dataset fashion_mnistt", "nearest: .*fashion_mnist"),
    ("train resnet8_cifar --dataset cifar11/plain:1.0.0", "no data set is named 'cifar11/plain"),
    ("train resnet8_cifar --data-dir nowhere", "`data_dir` 'nowhere' does not exist: make the"),
    ("train resnet8_cifar --data-dir file", "`data_dir` 'file' is a file, not a folder"),
    ("search --data-dir full", "holds other things than TensorFlow Datasets data: thesis.txt;"),
    ("train resnet8_cifar --dataset mnist --data-dir full", "other things .*: thesis.txt;"),
    (
        "train resnet8_cifar --dataset mnist --data-dir empty --no-download",
        "'mnist' is not prepared in 'empty'.* at most 11.6 MB, which --no-download .* forbids",
    ),
    ("show-data --dataset cifar10 --data-dir empty --no-download", "at most 170.1 MB"),
    ("predict whole.keras file --classes-from cifar11", "1 image file cannot be decoded.*'file'"),
    ("predict whole.keras photo.png --classes-from cifar11", "no data set is named 'cifar11'"),
    ("predict whole.keras photo.png --classes-from empty.txt", "'empty.txt' names no classes"),
    ("predict whole.keras photo.png --classes-from twice.txt", "not repeat a name.*'cat' twice"),
    ("evaluate beside/whole.keras", "summary.json' is not a summary of a training"),
    (f"evaluate whole.keras --data-dir nowhere {DIGITS}", "'nowhere' does not exist"),
    ("evaluate whole.keras --dataset cifar11", "no data set is named 'cifar11'"),
    # Budgets.
    ("search --max-params 10", "the smallest has [0-9,]+ parameters"),
    ("search --max-macs 1k", "the cheapest [0-9,]+ multiply-adds"),
    ("search --dataset cifar10 --max-params 10", "at least [0-9,]+ parameters. Received"),
    ("search --dataset cifar10 --image-size 32 --max-macs 1k", "at least [0-9,]+ multiply-adds"),
    # Run folders and other places to write to.
    ("search --run-dir file/run", "run folder 'file/run' cannot be written"),
    ("search --run-dir full", "run folder 'full' is not empty and holds no run"),
    ("train resnet8_cifar --run-dir file/run", "run folder 'file/run' cannot be written"),
    ("train resnet8_cifar --run-dir full", "run folder 'full' is not empty and holds no run"),
    (f"export whole.keras -o file {DIGITS}", "`output` must be a folder that can be written"),
    (f"evaluate whole.keras -o file/out {DIGITS}", "`output` must be a folder that can be written"),
    ("train resnet18 --image-size 16", "16 x 16 are smaller than the network's total stride, 32"),
    (
        f"convert whole.keras --to plain -o whole.keras {DIGITS}",
        "`--output` must be another file than MODEL",
    ),
    (
        f"convert whole.keras --to plain -o file/out.keras {DIGITS}",
        "`--output` must lie in a folder that can be written",
    ),
    (
        f"convert whole.keras --to plain -o o.keras --recalibrate {DIGITS}",
        "`--recalibrate` goes with --to residual",
    ),
    ("predict whole.keras photo.png -o out.txt", "`output` must end in .csv or .json"),
    # Model files: each damage has its own words.
    (f"export lonely.keras {DIGITS}", "as a Keras model: it is not a zip archive"),
    (f"export cut.keras {DIGITS}", "as a Keras model: it is cut short or damaged"),
    (f"export nothing.keras {DIGITS}", "as a Keras model: it is empty"),
    (f"export hdf.keras {DIGITS}", "as a Keras model: it is an HDF5 file, .* in .h5"),
    (f"export other.keras {DIGITS}", "as a Keras model: it is a zip archive without config.json"),
    (f"export weightless.keras {DIGITS}", "it is a zip archive without weights"),
    (f"export garbled.keras {DIGITS}", "config.json inside is damaged"),
    (
        f"export empty {DIGITS}",
        r"existing .keras file.*\(it is a folder without a saved",
    ),
    (f"convert cut.keras --to plain -o out.keras {DIGITS}", "it is cut short or damaged"),
    (f"evaluate cut.keras {DIGITS}", "it is cut short or damaged"),
    (f"evaluate gone.onnx {DIGITS}", r"SavedModel folder.*gone.onnx \(it does not exist\)"),
    (f"evaluate nothing.onnx {DIGITS}", "as an ONNX model: it is empty"),
    (f"evaluate bad.tflite {DIGITS}", "as a TFLite model: it is not a TFLite file"),
    (f"evaluate hollow {DIGITS}", "as a SavedModel: the weights in its folder variables/ are"),
    (f"evaluate photo.png {DIGITS}", r"\(its name ends otherwise\)"),
    ("predict cut.keras photo.png", "it is cut short or damaged"),
    ("predict whole.keras gone.png", "image 'gone.png' does not exist"),
    ("train resnet20_cifar --init cut.keras", "cut.keras' cannot be read.*it is cut short"),
    ("train resnet20_cifar --init empty", r"`init` must be an existing .keras file.*folder"),
    ("train resnet20_cifar --init foreign.keras", "`init` must be a keras_resnets model.*a Sequ"),
    (f"convert foreign.keras --to plain -o o.keras {DIGITS}", "must be a keras_resnets model"),
    # Contradictions.
    (
        "train resnet20_cifar --lr 0.1 --set lr=0.2",
        "`--lr 0.1` and `--set optimizer.learning_rate=0.2` contradict each other",
    ),
    (
        "train resnet20_cifar --lr 0.1 --set optimizer.learning_rate=0.2",
        "`--lr 0.1` and `--set optimizer.learning_rate=0.2` contradict each other",
    ),
    ("train resnet20_cifar --epochs 3 --set epochs=4", "`--epochs 3` and `--set epochs=4` contra"),
    ("train resnet20_cifar --epochs 3 --set iterations=9", "`--epochs 3` and `--set iterations=9`"),
    ("train resnet20_cifar --batch-size 8 --set batch_size=9", "`--batch-size 8` and `--set batch"),
    (
        "train resnet20_cifar --lr-rule sqrt --set scaling=linear",
        "`--lr-rule sqrt` and `--set optimizer.scaling=linear` contradict each other",
    ),
    ("train resnet20_cifar --set lr=1 --set lr=2", "learning_rate` is set twice, to 1 and to 2"),
    ("list --json --format csv", "`--json` and `--format csv` contradict each other"),
    # Folders: their files' names and headers.
    ("search --dataset good --image-size 2", "images of 2 x 2 are smaller than the network's tot"),
    ("search --image-size 3", "3 x 3 are smaller than the network's total stride, 4"),
    ("search --dataset cifar10 --image-size 64x2", "64 x 2 are smaller than the network's total"),
    ("search --dataset small", "3 x 2 are smaller than the network's total stride, 4|2 x 3"),
    ("search --dataset good --class-weights odd.csv", "names 'catz', which is not a class; neare"),
    ("train resnet8_cifar --dataset good --class-weights cats.csv", "every class. Missing: dogs"),
    ("train resnet8_cifar --class-weights cats.csv", "names 'cats', which is not a class"),
    ("search --class-weights zero.csv", "must name every class. Missing: 1, 2, 3 and 6 more"),
    (f"evaluate whole.keras {DIGITS} --crops ten --crop-ratio 0.5", "goes with `crops`='center'"),
    ("train resnet8_cifar --run-dir /proc/x", "run folder '/proc/x' cannot be written: no file"),
    ("search --run-dir /proc/x/y", "run folder '/proc/x/y' cannot be written: no file"),
    (f"export whole.keras -o /proc/x {DIGITS}", "`output` must be a folder that can be written"),
    ("search --dataset one", "at least two class folders.*1 \\(cats\\)"),
    ("search --dataset empty", "at least two class folders.*0 \\(none\\)"),
    ("train resnet8_cifar --dataset empty", "at least two class folders.*0 \\(none\\)"),
    ("train resnet8_cifar --dataset bad", "2 image files cannot be decoded.*a.png.*b.jpg"),
    ("check-data empty", "at least two class folders.*0 \\(none\\)"),
    ("check-data good -o grid.gif", "`--output` must end in .png"),
    ("train resnet8_cifar --dataset good --batch-size 100", "batch_size=100 for 16 images"),
    (
        "train resnet50 --dataset good",
        "9 x 8 are smaller than the network's total stride, 32|8 x 9",
    ),
    ("train resnet8_cifar --dataset good --labels no.csv", "labels file 'no.csv' does not exist"),
    ("train resnet8_cifar --labels no.csv", "`labels` goes with a folder of images"),
    ("search --skip-unreadable", "`skip_unreadable` goes with a folder.* for 'keras_resnets_dig"),
    ("train resnet8_cifar --layout splits", "`layout` goes with a folder.*layout='splits'"),
    ("show-data --layout classes", "`layout` goes with a folder of images"),
    ("check-data keras_resnets_digits --skip-unreadable", "`skip_unreadable` goes with a folder"),
    (f"evaluate whole.keras {DIGITS} --layout splits", "`layout` goes with a folder of images"),
    ("train resnet8_cifar --dataset good --data-dir nowhere", "`data_dir` 'nowhere' does not ex"),
    ("check-data good --data-dir file", "`data_dir` 'file' is a file, not a folder"),
    ("train resnet8_cifar --dataset good --image-size 96by128", "height x width, 96x128. Received"),
    ("train resnet8_cifar --dataset good --channels 2", "'2' is not one of '1', '3'"),
    ("train resnet8_cifar --dataset good --fit squeeze", "'squeeze' is not one of 'crop', 'pad'"),
    ("train resnet8_cifar --dataset good --background reddish", "white, black, gray or #rrggbb"),
    ("train resnet8_cifar --dataset good --layout classes --labels a.csv", "`layout` says nothing"),
    ("train resnet8_cifar --dataset good --layout splits", "no train folder with class folders"),
]

LATER = [  # after TensorFlow has been imported: the number of images is not known before
    ("train resnet8_cifar --batch-size 4096", "batch_size=4096 for 1[0-9]+ images"),
    ("search --batch-size 4096", "batch_size=4096 for 1[0-9]+ images"),
]

# What is as good as one of them alone.
AGREEING = ["--lr 0.2 --set lr=0.2", "--set lr=0.2 --set learning_rate=0.2"]


@pytest.fixture(scope="module")
def home(tmp_path_factory, image_folder):
    """A folder with everything that can be wrong."""
    home = tmp_path_factory.mktemp("wrong")
    (home / "file").write_text("a file")
    (home / "empty").mkdir()
    (home / "full").mkdir()
    (home / "full" / "thesis.txt").write_text("not a run")
    image_folder(home / "one", {"cats": 3})
    image_folder(home / "good", {"cats": 10, "dogs": 10})
    image_folder(home / "small", {"cats": 10, "dogs": 10})
    for path in (home / "small").glob("*/*.png"):
        Image.new("RGB", (2, 3)).save(path)
    (home / "odd.csv").write_text("catz,1\ndogs,2\n")
    (home / "cats.csv").write_text("cats,1\n")
    (home / "zero.csv").write_text("0,1\n")
    image_folder(home / "bad", {"cats": 10, "dogs": 10})
    for name in ("a.png", "b.jpg"):
        (home / "bad" / "cats" / name).write_text("no image")
    Image.new("RGB", (8, 8)).save(home / "photo.png")
    (home / "bad.toml").write_text("epochs = 3\nlearning_rate = 0.1\n")
    (home / "empty.txt").write_text("\n")
    (home / "twice.txt").write_text("cat\ndog\ncat\n")
    _write_models(home)
    return home


def _write_models(home):
    network = json.dumps({"registered_name": "keras_resnets>Network", "class_name": "Network"})
    whole = {"config.json": network, "metadata.json": "{}", "model.weights.h5": "\x89HDF..."}
    for name, changes in (
        ("whole", {}),
        ("other", {"config.json": None, "notes.txt": "an archive of something else"}),
        ("foreign", {"config.json": '{"class_name": "Sequential"}'}),
        ("weightless", {"model.weights.h5": None}),
        ("garbled", {"config.json": "{"}),
    ):
        with zipfile.ZipFile(home / f"{name}.keras", "w") as archive:
            for file, text in (whole | changes).items():
                if text is not None:
                    archive.writestr(file, text.encode("latin-1"))
    (home / "beside").mkdir()
    shutil.copy(home / "whole.keras", home / "beside")
    (home / "beside" / "summary.json").write_text("[]")
    (home / "cut.keras").write_bytes((home / "whole.keras").read_bytes()[:-40])
    (home / "lonely.keras").write_bytes(b"no archive")
    (home / "hdf.keras").write_bytes(b"\x89HDF\r\n\x1a\n")
    for name in ("nothing.keras", "nothing.onnx"):
        (home / name).touch()
    (home / "bad.tflite").write_bytes(b"no model at all")
    (home / "hollow").mkdir()
    (home / "hollow" / "saved_model.pb").write_bytes(b"\x08\x01 VarHandleOp")


@pytest.fixture(scope="module")
def before(home, tree):
    return tree(home)


@pytest.fixture(scope="module")
def answers(home, before):
    """What every wrong command is answered, by one process that loops over them."""
    lines = [line.split() for line, _ in AT_ONCE]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("answers.py")), str(home)],
        input=json.dumps(lines),
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stderr == ""
    return {tuple(line): found for line, found in zip(lines, json.loads(done.stdout), strict=True)}


@pytest.mark.parametrize(("line", "words"), AT_ONCE, ids=[line for line, _ in AT_ONCE])
def test_answered_at_once(answers, before, line, words):
    answer = answers[tuple(line.split())]
    _check(answer["code"], answer["out"], answer["err"], words)
    assert answer["heavy"] == []
    assert answer["seconds"] < 1
    assert answer["tree"] == sorted(before)


def _check(code, out, err, words):
    assert code == 2, err
    assert out == ""
    assert err.startswith("keras-resnets: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert re.search(words, err), err


@pytest.mark.parametrize(("line", "words"), AT_ONCE[:1] + AT_ONCE[-2:])
def test_a_real_process_answers_the_same(run, home, before, tree, line, words):
    ended = run(*line.split(), cwd=home, timeout=60)
    _check(ended.code, ended.out, ended.err, words)
    assert tree(home) == before


@pytest.mark.parametrize(("line", "words"), LATER, ids=[line for line, _ in LATER])
def test_answered_before_any_work(call, home, before, tree, line, words):
    ended = call(*line.split(), cwd=home)
    _check(ended.code, ended.out, ended.err, words)
    assert tree(home) == before


@pytest.mark.parametrize("options", AGREEING)
def test_the_same_value_twice_is_no_contradiction(call, home, before, tree, options):
    """What is refused then is the folder, which is checked later."""
    arguments = f"train resnet20_cifar {options} --run-dir full".split()
    ended = call(*arguments, cwd=home)
    _check(ended.code, ended.out, ended.err, "run folder 'full' is not empty")
    assert tree(home) == before


@pytest.mark.slow
def test_names_are_known_without_the_library():
    """By its files: none that the library itself lists is missing, or it would be refused."""
    pytest.importorskip("pandas", reason="some of the library's data sets import it")
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core import registered

    listed = set(tfds.list_builders(with_community_datasets=False))
    own = {  # those that other tests have registered
        name
        for name in registered.list_imported_builders()
        if not registered.imported_builder_cls(name).__module__.startswith("tensorflow_datasets.")
    }
    assert len(listed - own) > 400
    assert listed - own <= known_names()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(call, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    try:
        ended = call("search", *TINY, "--run-dir", locked / "run", cwd=tmp_path)
        _check(ended.code, ended.out, ended.err, "permission denied")
    finally:
        locked.chmod(0o700)
