"""Two devices, two processes and two devices of JAX train to the numbers of one device."""

import contextlib
import csv
import itertools
import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass

import keras
import numpy as np
import pytest

import keras_resnets as kr
from keras_resnets.errors import ConfigError
from keras_resnets.training import distribution
from keras_resnets.training.distribution import open_strategy, synchronize_batch_norm

pytestmark = pytest.mark.tensorflow

PROGRAM = """
import contextlib, json, os, sys
import numpy as np
import tensorflow as tf
kind, folder = sys.argv[1:]
if kind == "mirrored":
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], two)
tf.config.experimental.enable_op_determinism()
from keras_resnets.training.distribution import open_strategy, synchronize_batch_norm
devices = open_strategy(
    "multiworker" if kind == "worker" else "mirrored",
    devices=["CPU:0", "CPU:1"] if kind != "worker" else None,
)
import keras
import keras_resnets as kr

SIZE, STEPS = 16, 20
rng = np.random.default_rng(0)
labels = rng.integers(0, 4, 113)
images = rng.normal(labels[:, None, None, None], 2, (113, 8, 8, 3)).astype("float32")

class Losses(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.sums = [0.0]
    def on_train_batch_end(self, batch, logs=None):
        self.sums.append(float(logs["loss"]) * (batch + 1))

def compiled():
    config = kr.ResNetConfig(
        blocks=(1, 1), widths=(8, 16), stem_width=8, classes=4, input_shape=(8, 8, 3)
    )
    model = kr.create_model(config)
    rates = keras.optimizers.schedules.CosineDecay(0.02, STEPS)
    model.compile(
        keras.optimizers.SGD(rates, 0.9),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=keras.backend.backend() == "jax",
    )
    model.optimizer.build(model.trainable_variables)
    return model

def trained(devices, synchronized):
    keras.utils.set_random_seed(0)
    losses = Losses()
    data = tf.data.Dataset.from_tensor_slices((images, labels))
    with devices.scope():
        model = compiled()
        if synchronized:
            synchronize_batch_norm(model)
    model.fit(
        devices.training(data.batch(SIZE, drop_remainder=True).repeat()),
        validation_data=devices.evaluation(data.batch(28)),
        epochs=1, steps_per_epoch=STEPS, shuffle=False, verbose=0, callbacks=[losses],
    )
    answers = np.asarray(keras.ops.convert_to_numpy(model(images[:8], training=False)))
    logs = {name: model.history.history[name][0] for name in ("val_loss", "val_accuracy")}
    return model, {"losses": np.diff(losses.sums).tolist(), "answers": answers.tolist(), **logs}

def saved(model):
    path = os.path.join(folder, "model.keras")
    with devices.reading(path) as read:
        assert read is None
    with devices.writing(path) as beside:
        model.save(beside)
    with devices.reading(path) as read:
        with devices.scope():
            loaded = keras.saving.load_model(read)
    first = [np.abs(weight).sum() for weight in model.get_weights()]
    second = [np.abs(weight).sum() for weight in loaded.get_weights()]
    np.testing.assert_allclose(first, second)
    devices.barrier()
    return devices.from_chief({"chief": devices.worker})

results = {"devices": str(devices), "facts": [devices.replicas, devices.workers, devices.worker]}
model, results["synchronized"] = trained(devices, True)
if kind == "worker":
    results["said"] = saved(model)
else:
    if kind == "jax":
        keras.distribution.set_distribution(None)
    results["single"] = trained(open_strategy("none"), False)[1]
if kind == "mirrored":
    results["unsynchronized"] = trained(devices, False)[1]
print(json.dumps(results), flush=True)
"""


@dataclass(frozen=True)
class Started:
    """A process, started."""

    process: subprocess.Popen

    def result(self):
        output, errors = self.process.communicate(timeout=300)
        assert self.process.returncode == 0, errors[-4000:]
        return json.loads(output.splitlines()[-1])


def _free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _tf_config(ports, index):
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    return json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return [tmp_path_factory.mktemp(f"worker{index}") for index in (0, 1)]


@contextlib.contextmanager
def _started(*commands):
    """Start trainings at the same time, each of a kind, folder and environment; end them all."""
    quiet = {**os.environ, "PYTHONWARNINGS": "ignore"}
    started = [_start(PROGRAM, one[:2], {**quiet, **one[2]}) for one in commands]
    try:
        yield [Started(process) for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def mirrored(folders):
    with _started(("mirrored", folders[0], {})) as (process,):
        return process.result()


@pytest.fixture(scope="module")
def workers(folders):
    ports = _free_ports(2)
    configs = [{"TF_CONFIG": _tf_config(ports, index)} for index in (0, 1)]
    with _started(*(("worker", *each) for each in zip(folders, configs, strict=True))) as processes:
        return [process.result() for process in processes]


@pytest.fixture(scope="module")
def on_jax(folders):
    pytest.importorskip("jax")
    two = "--xla_force_host_platform_device_count=2"
    with _started(("jax", folders[0], {"KERAS_BACKEND": "jax", "XLA_FLAGS": two})) as (process,):
        return process.result()


def _difference(one, other, name="losses"):
    return np.abs(np.subtract(one[name], other[name])).max()


def _assert_same(one, other):
    assert len(one["losses"]) == 20
    for name in ("losses", "val_loss", "val_accuracy", "answers"):
        assert _difference(one, other, name) < 1e-5, name


@pytest.mark.large
def test_two_devices_train_as_one(mirrored):
    assert mirrored["devices"] == "mirrored: 2 replicas on CPU:0, CPU:1"
    assert mirrored["facts"] == [2, 1, 0]
    _assert_same(mirrored["synchronized"], mirrored["single"])


@pytest.mark.large
def test_without_synchronisation_they_do_not(mirrored):
    assert _difference(mirrored["unsynchronized"], mirrored["single"]) > 1e-3


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.large
def test_two_workers_train_as_one(index, workers, mirrored):
    result = workers[index]
    assert result["devices"] == f"multiworker: 2 replicas on 2 workers, this one is {index}"
    assert result["facts"] == [2, 2, index]
    _assert_same(result["synchronized"], mirrored["single"])


@pytest.mark.large
def test_only_the_chief_writes_and_all_read_it(workers, folders):
    assert [result["said"] for result in workers] == [{"chief": 0}] * 2
    assert (folders[0] / "model.keras").is_file()
    assert not list(folders[1].iterdir())


@pytest.mark.large
def test_two_devices_of_jax_train_as_one(on_jax):
    assert on_jax["devices"] == "mirrored: 2 replicas on cpu:0, cpu:1"
    _assert_same(on_jax["synchronized"], on_jax["single"])


def test_one_device_is_the_rule(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    for name in ("none", "auto"):
        devices = open_strategy(name)
        assert (devices.name, devices.replicas, devices.is_chief) == ("none", 1, True)
        assert devices.from_chief({"a": 1}) == {"a": 1}
        devices.check_batch(7)
        devices.check_supported(accumulate=4, clip_norm=1.0, xla=True)
        assert devices.compile_options() == {}


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"name": "mirored"}, "`strategy` must be one of none, auto, .*; nearest: mirrored"),
        ({"name": "none", "devices": ["GPU:0"]}, "`devices` are for 'mirrored'"),
        ({"name": "mirrored", "devices": ["GPU:7"]}, "`devices` must be some of .*GPU:7"),
        ({"name": "multiworker"}, "needs the environment variable TF_CONFIG"),
    ],
)
def test_wrong_strategies_are_refused(arguments, message, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ConfigError, match=message):
        open_strategy(**arguments)


CLUSTER = {"worker": ["a:1", "b:1"]}


@pytest.mark.parametrize(
    "config, message",
    [
        ("{", "must be JSON"),
        ("[]", "must be {"),
        ({"task": {"type": "worker", "index": 0}}, "must be {"),
        ({"cluster": CLUSTER}, "must be {"),
        ({"cluster": {"worker": "a:1"}, "task": {}}, "must hold lists of host:port"),
        ({"cluster": {"ps": ["a:1"]}, "task": {}}, "must hold lists of host:port"),
        ({"cluster": CLUSTER, "task": {"type": "worker", "index": 2}}, "one of its cluster's"),
        ({"cluster": CLUSTER, "task": {"type": "worker", "index": "0"}}, "one of its cluster's"),
        ({"cluster": CLUSTER, "task": {"type": "chief", "index": 0}}, "one of its cluster's"),
    ],
    ids=str,
)
def test_a_wrong_tf_config_is_one_line(config, message, monkeypatch):
    text = config if isinstance(config, str) else json.dumps(config)
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ConfigError, match=message) as caught:
        open_strategy("multiworker")
    assert "\n" not in str(caught.value)


def test_a_chief_of_its_own_comes_before_the_workers(monkeypatch):
    cluster = {"chief": ["c:1"], **CLUSTER}
    task = {"type": "worker", "index": 1}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
    assert distribution._read_tf_config() == (["c:1", "a:1", "b:1"], 2)


@pytest.mark.parametrize(
    "images, size, replicas", [(97, 32, 2), (98, 32, 2), (5, 8, 4), (35, 8, 4), (33, 11, 2)]
)
def test_every_replica_gets_images_and_each_counts_once(images, size, replicas):
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices((tf.zeros((images, 2)), tf.range(images)))
    parts = distribution._parts(
        distribution._evened(data.batch(size), replicas), 0, replicas, replicas
    )
    labels = [part.numpy().tolist() for _, part in parts]
    assert all(labels)
    assert list(itertools.chain(*labels)) == list(range(images))
    assert len(labels) % replicas == 0


class _Two(distribution._TensorFlowDevices):
    def __init__(self):
        self.name, self.replicas, self.workers, self.worker = "mirrored", 2, 2, 1


@pytest.mark.parametrize(
    "arguments",
    [
        {"accumulate": 2},
        {"clip_norm": 1.0},
        {"xla": True},
        {
            "config": kr.ResNetConfig(blocks=(1,), widths=(8,), final_survival=0.5),
            "sync_batch_norm": True,
        },
    ],
    ids=lambda arguments: next(iter(arguments)),
)
def test_what_keras_cannot_do_is_refused(arguments):
    with pytest.raises(ConfigError, match="on several replicas of TensorFlow") as error:
        _Two().check_supported(**arguments)
    assert "\n" not in str(error.value)


def test_a_batch_is_shared_equally():
    _Two().check_batch(32)
    with pytest.raises(ConfigError, match="Received: batch_size=33 for 2 replicas"):
        _Two().check_batch(33)


@pytest.mark.large
def test_every_normalisation_is_synchronised_and_back(tmp_path):
    model = kr.create_model(kr.ResNetConfig(blocks=(1, 1), widths=(8, 8), input_shape=(8, 8, 3)))
    layers = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert synchronize_batch_norm(model) == len(layers) == 7
    assert all(layer.synchronized for layer in layers)
    images = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype("float32")
    before = np.asarray(model(images, training=False))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(np.asarray(loaded(images, training=False)), before, atol=1e-6)
    synchronize_batch_norm(loaded, False)
    assert not any(getattr(layer, "synchronized", False) for layer in loaded._flatten_layers())


END_TO_END = """
import os, sys
import tensorflow as tf
kind, folder = sys.argv[1:]
from keras_resnets.training import TrainingSettings
from keras_resnets.training.program import run_training
shared = kind != "one"
settings = TrainingSettings(
    recipe="search", epochs=3, batch_size=128, sync_batch_norm=shared,
    strategy="multiworker" if shared else "none",
).set(lr=0.01, ema=0.9)
data = {"name": "keras_resnets_digits", "data_dir": None, "image_size": None, "flip": None}
print(bool(run_training("resnet8_cifar", data, settings, folder, lambda line: None)))
"""


def _run_both(ports, folder):
    """Run the program as two workers; return whether each got a summary."""
    started = [
        _start(END_TO_END, ["worker", folder], {"TF_CONFIG": _tf_config(ports, index)})
        for index in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=300) for process in started]
    finally:
        for process in started:
            process.kill()
    for process, (_, errors) in zip(started, outputs, strict=True):
        assert process.returncode == 0, errors[-4000:]
    return [output.split()[-1] for output, _ in outputs]


def _start(program, arguments, environment):
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_the_program_trains_on_two_workers_as_on_one(tmp_path):
    """27 steps to a finished run folder of the chief's; then again, which only reads it.

    To a part in 10,000: roundings grow from step to step.
    """
    alone = _start(END_TO_END, ["one", tmp_path / "one"], {})
    _, errors = alone.communicate(timeout=300)
    assert alone.returncode == 0, errors[-4000:]
    for _ in range(2):
        assert _run_both(_free_ports(2), tmp_path / "two") == ["True", "False"]
    with (
        (tmp_path / "one" / "history.csv").open() as one,
        (tmp_path / "two" / "history.csv").open() as two,
    ):
        for row, same in zip(csv.DictReader(one), csv.DictReader(two), strict=True):
            for name in ("loss", "val_loss"):
                assert float(row[name]) == pytest.approx(float(same[name]), rel=1e-4)
            assert float(row["learning_rate"]) == float(same["learning_rate"])
