"""The comparison with other libraries: its networks, its statistics, its table and its refusals."""

import csv
import dataclasses
import math
import sys
from pathlib import Path

import pytest

import keras_resnets as kr

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks import machine, report, speed
from benchmarks.grid import MEASURES, NETWORKS, find_network
from benchmarks.sides import LIBRARIES, OURS, SIDES
from benchmarks.worker import Bench, Worker, answer

SMALL = find_network("resnet8_cifar", batch=4)
MISSING = "timm is not installed: pip install 'keras-resnets[bench]'"


class FakeWorker:
    """Answers with the number of the request; PyTorch is not there, and plain Keras cannot save."""

    asked = []

    def __init__(self, side, network, threads, precision):
        self.side, self.count = side, 0

    def ask(self, measure):
        self.asked.append((self.side, measure))
        self.count += 1
        if self.side.startswith("PyTorch"):
            return {"error": MISSING}
        if (self.side, measure) == ("plain Keras", "save"):
            return {"error": "OSError: disk full"}
        value = None if measure == "device" else float(self.count)
        return {"value": value, "note": f"note of {self.side}"}

    def stop(self):
        self.count = None


class FakeSide:
    """Takes a millisecond a step."""

    suffix = ".fake"
    exact = True
    folder = Path("nowhere")

    def tidy(self):
        pass

    def start(self):
        pass

    def build(self):
        return object()

    def parameters(self, model):
        return 10

    def compile(self, model):
        return model

    def about(self, trained):
        return "as it is"

    def steps_at_once(self, trained):
        return 2

    def train(self, trained, steps):
        self.steps = steps
        return 0.001 * steps


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(speed, "PAUSE", 0)
    monkeypatch.setattr(FakeWorker, "asked", [])


def run(sides=tuple(SIDES), measures=tuple(MEASURES)):
    return speed.Run(list(sides), list(measures), 5, 1, "float32", FakeWorker)


NAMES = [*NETWORKS, "resnet50_v1_5", "resnet8_cifar", "wrn10_2_cifar", "densenet_bc_10_4_cifar"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.large
def test_plain_keras_networks_have_our_parameters_and_outputs(name):
    from benchmarks import keras_networks

    network = find_network(name)
    model = keras_networks.make(network)
    trainable = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    assert trainable == kr.complexity(name).trainable_params
    assert model.output_shape == (None, network.classes)


def test_every_side_has_its_library_and_known_measures():
    assert {side.library for side in SIDES.values()} == set(LIBRARIES)
    for side in SIDES.values():
        assert set(side.measures) <= set(MEASURES)
        assert side.library in report._COLORS


def test_rows_are_medians_with_spread_and_ratios_to_ours():
    samples = {
        OURS: report.Samples([0.010, 0.020, 0.012, 0.011, 0.013]),
        "plain Keras": report.Samples([0.024, 0.030, 0.020, 0.025, 0.022], note="as it is"),
        "PyTorch": report.Samples([0.1], error="out of memory"),
    }
    ours, plain, failed = report.rows(SMALL, "step", samples, None)
    assert (ours["median"], ours["ratio_to_ours"]) == (12, 1)
    assert plain == {
        "network": "resnet8_cifar",
        "measure": "step",
        "side": "plain Keras",
        "unit": "ms",
        "median": 24,
        "min": 20,
        "max": 30,
        "n": 5,
        "ratio_to_ours": 2,
        "note": "as it is",
    }
    assert (failed["n"], failed["median"], failed["note"]) == (0, "", "out of memory")


def test_without_ours_there_are_no_ratios():
    (row,) = report.rows(SMALL, "build", {"plain Keras": report.Samples([1.0, 2.0, 3.0])}, None)
    assert (row["median"], row["unit"], row["ratio_to_ours"]) == (2, "s", "")


def test_the_faster_setting_of_keras_applications_is_a_row_of_its_own():
    samples = {
        "keras.applications": report.Samples([3.0], note="jit_compile=False"),
        "keras.applications (other jit)": report.Samples([2.0], note="jit_compile=True"),
    }
    *_, best = report.rows(find_network("resnet50"), "step", samples, None)
    assert (best["side"], best["median"]) == ("keras.applications (best)", 2000)
    assert best["note"] == "is keras.applications (other jit): jit_compile=True"


def test_a_known_peak_gives_images_a_second_and_a_part_of_it():
    network = find_network("resnet50", batch=256)
    peak = machine.peak("NVIDIA H100 80GB HBM3")
    (row,) = report.rows(network, "step", {OURS: report.Samples([0.1])}, peak)
    share = 2 * 3 * kr.complexity("resnet50").macs * 2560 / 989e12
    assert row["note"] == f"2560 images/s, {100 * share:.1f}% of peak"
    assert machine.peak("NVIDIA L40S") is machine.peak(None) is None


def test_sides_are_asked_in_turn_and_the_first_round_is_dropped():
    workers = {side: FakeWorker(side, {}, 1, "float32") for side in (OURS, "plain Keras")}
    found = speed.interleave(workers, "step", 5, lambda text, samples: None)
    assert FakeWorker.asked == [(side, "step") for _ in range(6) for side in workers]
    assert found[OURS].values == [2, 3, 4, 5, 6]
    assert found["plain Keras"].note == "note of plain Keras"


def test_what_fails_is_reported_and_the_rest_goes_on():
    rows = speed.measure_network(run(), SMALL)
    by = {(row["side"], row["measure"]): row for row in rows}
    assert by["PyTorch", "all"]["note"] == MISSING
    assert by["keras-hub", "all"]["note"] == "has no such network"
    assert by["plain Keras", "save"]["note"] == "OSError: disk full"
    assert by["plain Keras", "load"]["n"] == by[OURS, "memory"]["n"] == 5
    assert FakeWorker.asked.count(("plain Keras", "save")) == 1
    measured = {side for side, measure in by if measure != "all"}
    assert measured == {n for n, s in SIDES.items() if s.has(SMALL) and s.library != "PyTorch"}


def test_the_progress_adds_up():
    taken = []
    comparison = dataclasses.replace(run(), tick=lambda text, samples: taken.append(samples))
    speed.measure_network(comparison, SMALL)
    assert sum(taken) == sum(map(comparison.samples, SIDES))


def test_short_operations_are_repeated():
    side = FakeSide()
    bench = Bench(side, parameters=10)
    assert bench.sample("step") == {"value": pytest.approx(0.001), "note": "as it is"}
    assert bench.sample("step")["value"] == pytest.approx(0.001)
    assert bench.counts == {"step": 50}
    assert side.steps == 100  # two at once


def test_a_worker_says_what_is_wrong(monkeypatch):
    def absent(side):
        raise ModuleNotFoundError("No module named 'timm'", name="timm")

    assert answer(Bench(FakeSide(), parameters=11), "start") == {
        "error": "10 trainable parameters, ours 11"
    }
    assert answer(Bench(FakeSide(), parameters=10), "start") == {"value": 10, "note": ""}
    assert answer(Bench(FakeSide(), parameters=10), "save")["error"].startswith("AttributeError")
    monkeypatch.setattr(FakeSide, "start", absent)
    assert answer(Bench(FakeSide(), parameters=10), "start") == {"error": MISSING}


@pytest.mark.tensorflow
@pytest.mark.large
def test_a_worker_measures_stock_keras_layers():
    worker = Worker("plain Keras", dataclasses.asdict(SMALL), 1, "float32")
    try:
        parameters = kr.complexity("resnet8_cifar").trainable_params
        assert worker.ask("start") == {"value": parameters, "note": ""}
        step = worker.ask("step")
        assert step["value"] > 0
        assert step["note"] == "jit_compile=False"
        assert worker.ask("infer1")["note"] == "jit_compile=False"
        assert worker.ask("load")["value"] > 0
    finally:
        worker.stop()


def test_a_dead_worker_is_an_error():
    worker = Worker("no such side", dataclasses.asdict(SMALL), 1, "float32")
    try:
        error = worker.ask("start")["error"]
        assert error == "the process ended with code 1. KeyError: 'no such side'"
    finally:
        worker.stop()


def test_the_command_writes_table_csv_and_figure(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(speed, "Worker", FakeWorker)
    speed.main(["--networks", "resnet8_cifar,resnet50", "--repeats", "5", "--out", str(tmp_path)])
    table = capsys.readouterr().out
    assert table.strip() == (tmp_path / "speed-cpu.md").read_text("utf-8").strip()
    assert "keras.applications (best)" in table
    assert MISSING in table
    with (tmp_path / "speed-cpu.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == report.COLUMNS
    assert {row["network"] for row in rows} == {"resnet8_cifar", "resnet50"}
    assert {row["n"] for row in rows} == {"0", "5"}
    assert (tmp_path / "speed-cpu.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_without_our_side_is_drawn_too(monkeypatch, tmp_path):
    monkeypatch.setattr(speed, "Worker", FakeWorker)
    options = ["--networks", "resnet8_cifar", "--sides", "plain Keras", "--measures", "build"]
    speed.main([*options, "--out", str(tmp_path)])
    assert (tmp_path / "speed-cpu.png").is_file()


@pytest.mark.parametrize(
    "options, message",
    [
        (["--networks", "resnet21_cifar"], "depth of a CIFAR ResNet must be 6n+2"),
        (["--networks", "resnet20_cifar,vgg"], "'--networks': expected resnet50, resnet20_cifar"),
        (["--measures", "speed"], "'--measures': expected some of step, infer1"),
        (["--sides", "mxnet"], "LiteRT. Received: mxnet"),
        (["--repeats", "4"], "'--repeats': 4 is not in the range x>=5"),
        (["--batch", "0"], "'--batch': 0 is not in the range x>=1"),
        (["--threads", "two"], "'--threads': 'two' is not a valid integer"),
        (["--precision", "int8"], "'--precision': 'int8' is not one of"),
        (["--peak-tflops", "0"], "'--peak-tflops': 0.0 is not in the range x>0"),
        (["--size", "3"], "No such option"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_bad_options_are_one_line_and_exit_code_2(options, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        speed.main(options)
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
