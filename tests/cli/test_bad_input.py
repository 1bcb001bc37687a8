"""Wrong input: one line on standard error that helps, exit code 2, nothing written."""

import os
import re

import pytest

TINY = ["--trials", 1, "--epochs", 1, "--final-epochs", 1, "--blocks", 1, "--widths", 4]

# What is answered before TensorFlow loads, by arguments and words of the answer.
AT_ONCE = [
    ("serach", "no command is named 'serach'; nearest: search"),
    (
        "frobnicate",
        "no command is named 'frobnicate'; commands: convert, describe, evaluate, export",
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
    ("train resnet20_cifar --init nowhere.keras", "an existing .keras file"),
    ("recipes quik", "no recipe is named 'quik'; nearest: quick"),
    ("describe plain21_cifar", r"6n\+2.*nearest legal: 20, 26"),
    ("describe resnet", "no model is named 'resnet'"),
    ("describe resnet20_cifar --input-shape 32x32", "height x width x channels"),
    ("describe resnet20_cifar --input-shape 0x8x3", "`input_shape`"),
    ("describe resnet20_cifar --classes 0", "'--classes'"),
    ("describe resnet20_cifar --picture net.gif", "`--picture` must end in .png or .svg"),
    ("describe resnet20_cifar --picture no/net.png", "`--picture` must lie in an existing folder"),
    ("list nosuch", "no model fits 'nosuch'"),
    ("export missing.keras", "`MODEL` must be an existing .keras file"),
    ("export .", "`MODEL` must be an existing .keras file"),
    ("export file", "`MODEL` must be an existing .keras file"),
    ("export lonely.keras", "there is no summary.json beside .*give --dataset"),
    ("export lonely.keras --to onix", "'onix' is not one of"),
    ("convert lonely.keras --to plane -o out.keras", "'plane' is not one of 'plain', 'residual'"),
    ("convert lonely.keras --to plain", "Missing option '-o' / '--output'"),
    ("convert lonely.keras --to plain -o out.keras", "no summary.json beside .*give --dataset"),
    ("convert missing.keras --to plain -o out.keras", "`MODEL` must be an existing .keras file"),
    (
        "convert lonely.keras --to plain -o out.h5 --dataset keras_resnets_digits",
        "`--output` must end in .keras",
    ),
]

LATER = [
    ("search --dataset keras_resnet_digits", "nearest: keras_resnets_digits"),
    ("search --dataset cifar11", "no data set is named 'cifar11'.*nearest: .*cifar10"),
    ("search --dataset ./photos", "dataset folder './photos' does not exist"),
    ("search --dataset one", "at least two class folders.*1 \\(cats\\)"),
    ("search --dataset empty", "at least two class folders.*0 \\(none\\)"),
    ("search --max-params 10", "the smallest has [0-9,]+ parameters"),
    ("search --max-macs 1k", "the cheapest [0-9,]+ multiply-adds"),
    ("search --run-dir file/run", "run folder 'file/run' cannot be written"),
    ("search --run-dir full", "run folder 'full' is not empty and holds no run"),
    ("train resnet8_cifar --dataset fashion_mnistt", "nearest: .*fashion_mnist"),
    ("train resnet8_cifar --run-dir file/run", "run folder 'file/run' cannot be written"),
    ("train resnet8_cifar --batch-size 4096", "batch_size=4096 for 1[0-9]+ images"),
    ("train resnet18 --image-size 16", "16 x 16 are smaller than the network's total stride, 32"),
    ("search --batch-size 4096", "batch_size=4096 for 1[0-9]+ images"),
    ("export lonely.keras --dataset keras_resnets_digits", "cannot be read as a Keras model"),
    (
        "convert lonely.keras --to plain -o out.keras --dataset keras_resnets_digits",
        "cannot be read as a Keras model",
    ),
    (
        "convert lonely.keras --to plain -o lonely.keras --dataset keras_resnets_digits",
        "`--output` must be another file than MODEL",
    ),
    (
        "convert lonely.keras --to plain -o file/out.keras --dataset keras_resnets_digits",
        "`--output` must lie in a folder that can be written",
    ),
    (
        "convert lonely.keras --to plain -o o.keras --recalibrate --dataset keras_resnets_digits",
        "`--recalibrate` goes with --to residual",
    ),
]


@pytest.fixture
def check(run, tree, tmp_path, image_folder):
    (tmp_path / "file").write_text("a file")
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("not a run")
    (tmp_path / "lonely.keras").write_bytes(b"no archive")
    image_folder(tmp_path / "one", {"cats": 3})

    def check(arguments, words):
        before = tree(tmp_path)
        ended = run(*arguments, cwd=tmp_path, timeout=60)
        assert ended.code == 2, ended
        assert ended.out == ""
        assert ended.err.startswith("keras-resnets: ")
        assert ended.err.count("\n") == 1
        assert ended.err.endswith("\n")
        assert re.search(words, ended.err), ended.err
        assert tree(tmp_path) == before

    return check


@pytest.mark.parametrize(("line", "words"), AT_ONCE, ids=[line for line, _ in AT_ONCE])
def test_answered_at_once(check, line, words):
    check(line.split(), words)


@pytest.mark.parametrize(("line", "words"), LATER, ids=[line for line, _ in LATER])
def test_answered_before_any_work(check, line, words):
    check(line.split(), words)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(check, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    try:
        check(["search", *TINY, "--run-dir", locked / "run"], "permission denied")
    finally:
        locked.chmod(0o700)
