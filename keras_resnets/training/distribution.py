"""One training on many devices: which there are, and what Keras asks for on each.

Data parallelism: every device computes a part of each global batch, gradients are added, all
devices make the same step. How to launch it, and what is tested, is in ``docs/many-devices.md``.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_resnets.errors import ConfigError, nearest
from keras_resnets.files import replacing
from keras_resnets.models.config import NetworkConfig
from keras_resnets.training.settings import STRATEGIES

__all__ = ["Devices", "open_strategy", "synchronize_batch_norm"]

_TPU_ADDRESSES = ("TPU_NAME", "COLAB_TPU_ADDR", "KUBE_GOOGLE_CLOUD_TPU_ENDPOINTS")
_CHUNK = 1 << 22


class Devices:
    """The devices of one training, here the one of Keras' choice; made by `open_strategy`.

    Data sets yield GLOBAL batches; what the batches are and their order do not depend on the
    devices.

    Attributes:
        name: ``"none"``, ``"mirrored"``, ``"multiworker"`` or ``"tpu"``.
        replicas: Devices that share a batch, of all workers.
        workers: Processes that train together.
        worker: Number of this process among them, from 0.

    Example:
        >>> devices = open_strategy("auto")
        >>> with devices.scope():
        ...     model = create_model("resnet20_cifar")
        ...     model.compile("sgd", "sparse_categorical_crossentropy")
        >>> model.fit(devices.training(dataset), steps_per_epoch=100)
    """

    name = "none"
    replicas = 1
    workers = 1
    worker = 0

    def __str__(self):
        return "none: 1 device"

    @property
    def is_chief(self) -> bool:
        """Whether this process is the one that writes files and reports."""
        return self.worker == 0

    def scope(self) -> contextlib.AbstractContextManager:
        """Return the context to build, compile and load models in; `fit` needs none."""
        return contextlib.nullcontext()

    def training(self, dataset):
        """Return what to give to `fit` for an endless `tf.data.Dataset` of global batches.

        Keras cannot count the steps of what is returned: `fit` needs ``steps_per_epoch``.
        """
        return dataset

    def evaluation(self, dataset):
        """Return what to evaluate, or to validate on in `fit`, for a `tf.data.Dataset`.

        Metrics are those of one device. On TensorFlow each batch is cut into parts, the last one
        into unequal parts where it must be, and every image counts once; on JAX, which takes equal
        parts only, every device computes every batch.
        """
        return dataset

    def check_batch(self, batch_size: int) -> None:
        """Raise `ConfigError` for a global batch that the replicas cannot share equally."""
        if batch_size % self.replicas:
            raise ConfigError(
                "`batch_size` is of the batch of all devices, and they share it equally: it must "
                f"be a multiple of {self.replicas}. Received: batch_size={batch_size} for "
                f"{self.replicas} replicas"
            )

    def check_supported(
        self,
        *,
        accumulate: int | None = None,
        clip_norm: float | None = None,
        xla: bool | None = None,
        config: NetworkConfig | None = None,
        sync_batch_norm: bool = False,
    ) -> None:
        """Raise `ConfigError` for what Keras cannot do on these devices.

        Args:
            accumulate: Steps to add gradients over, None or 1 for no accumulation.
            clip_norm: Norm to clip gradients at, of all together or of each.
            xla: Whether XLA is to compile training; None leaves it to `compile_options`.
            config: The network.
            sync_batch_norm: Whether batch normalisation is to be synchronised.
        """

    def compile_options(self) -> dict[str, Any]:
        """Return arguments for `compile_for`, or `keras.Model.compile`, that must be as they are.

        On several replicas of TensorFlow training runs neither by XLA nor several steps a call.
        """
        return {}

    def barrier(self) -> None:
        """Wait until every worker has come here."""
        self.from_chief(None)

    def from_chief(self, value: Any = None) -> Any:
        """Return the chief's JSON-ready value on every worker; all must call, others give any."""
        message = self._broadcast(json.dumps(value).encode() if self.is_chief else b"")
        return json.loads(message)

    @contextlib.contextmanager
    def writing(self, path: str | Path) -> Iterator[Path]:
        """Give a path to write to: the chief's becomes `path` at the end, others' are dropped.

        TensorFlow's guide has every worker save, since reading a variable may take all of them (of
        what Keras 3.15 saves, none does), but only one may write to the run's folder.

        Example:
            >>> with devices.writing("checkpoint.keras") as beside:
            ...     model.save(beside)
        """
        if self.is_chief:
            with replacing(path) as beside:
                yield beside
        else:
            with tempfile.TemporaryDirectory() as folder:
                yield Path(folder) / Path(path).name

    @contextlib.contextmanager
    def reading(self, path: str | Path) -> Iterator[Path | None]:
        """Give a path with the contents of the chief's file, None where the chief has no file.

        Workers need no common file system.
        """
        path = Path(path)
        if not self.from_chief(path.is_file()):
            yield None
        elif self.workers == 1:
            yield path
        else:
            contents = self._broadcast(path.read_bytes() if self.is_chief else b"")
            with tempfile.TemporaryDirectory() as folder:
                copy = Path(folder) / path.name
                copy.write_bytes(contents)
                yield copy

    def _broadcast(self, message: bytes) -> bytes:
        """Return the chief's message."""
        if self.workers == 1:
            return message
        # Numbers of 32 bits, which every collective operation takes.
        length = int(self._numbers_of_chief(np.array([len(message)], np.int32))[0])
        numbers = np.zeros(-(-length // 4), np.int32)
        if self.is_chief:
            numbers.view(np.uint8)[:length] = np.frombuffer(message, np.uint8)
        parts = [
            self._numbers_of_chief(numbers[start : start + _CHUNK])
            for start in range(0, len(numbers), _CHUNK)
        ]
        return np.concatenate([*parts, np.zeros(0, np.int32)]).tobytes()[:length]

    def _numbers_of_chief(self, numbers: np.ndarray) -> np.ndarray:
        raise NotImplementedError


class _TensorFlowDevices(Devices):
    """The devices of a `tf.distribute.Strategy`."""

    def __init__(self, name: str, strategy, workers: int = 1, worker: int = 0):
        self.name = name
        self.strategy = strategy
        self.replicas = strategy.num_replicas_in_sync
        self.workers = workers
        self.worker = worker

    def __str__(self):
        if self.workers > 1:
            where = f"{self.workers} workers, this one is {self.worker}"
        else:
            names = (
                name.rpartition("device:")[2] for name in self.strategy.extended.worker_devices
            )
            where = ", ".join(names)
        return f"{self.name}: {_replicas(self.replicas)} on {where}"

    def scope(self):
        return self.strategy.scope()

    def training(self, dataset):
        return self._distributed(dataset, endless=True)

    def evaluation(self, dataset):
        # Keras warns where data ends that it could not count.
        warnings.filterwarnings("ignore", message="Your input ran out of data")
        return self._distributed(_evened(dataset, self.replicas))

    def _distributed(self, dataset, endless=False):
        """Return the replicas' parts of each batch."""
        import tensorflow as tf

        def of_pipeline(context):
            number = self.replicas // context.num_input_pipelines
            parts = _parts(dataset, number * context.input_pipeline_id, number, self.replicas)
            if endless:  # else every step would ask all replicas whether they have data
                parts = parts.apply(
                    tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
                )
            return parts.prefetch(tf.data.AUTOTUNE)

        # TensorFlow's own way would shard the files or the images among workers first.
        return self.strategy.distribute_datasets_from_function(of_pipeline)

    def check_supported(
        self, *, accumulate=None, clip_norm=None, xla=None, config=None, sync_batch_norm=False
    ):
        if self.replicas == 1:
            return
        skips = getattr(config, "final_survival", 1) < 1 and config.survival_mode == "batch"
        refused = (
            (accumulate not in (None, 1), "accumulate gradients", f"accumulate={accumulate}"),
            # Keras clips each replica's gradients, before they are added.
            (clip_norm is not None, "clip the batch's gradients", f"clip_norm={clip_norm}"),
            (xla, "compile training by XLA", f"xla={xla}"),
            (
                skips and sync_batch_norm,
                "synchronise batch normalisation in branches that are skipped",
                "survival_mode='batch' (use 'sample', or leave batch normalisation unsynchronised)",
            ),
        )
        for is_asked, what, received in refused:
            if is_asked:
                raise ConfigError(
                    f"Keras cannot {what} on several replicas of TensorFlow. "
                    f"Received: {received} for {self}"
                )

    def compile_options(self):
        return {"jit_compile": False, "steps_per_execution": 1} if self.replicas > 1 else {}

    def _numbers_of_chief(self, numbers):
        import tensorflow as tf

        values = self.strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(numbers * (context.replica_id_in_sync_group == 0))
        )
        return self.strategy.reduce("SUM", values, axis=None).numpy()


class _JaxDevices(Devices):
    """The devices of a `keras.distribution.DataParallel`, which is set for the whole process."""

    def __init__(self, name: str, devices: Sequence[str] | None = None):
        import jax

        self.name = name
        self.devices = list(devices or keras.distribution.list_devices())
        self.replicas = len(self.devices)
        self.workers = jax.process_count()
        self.worker = jax.process_index()
        self._whole: set[int] = set()
        self._parts: set[int] = set()
        self.distribution = _data_parallel(self.devices, self._whole)
        keras.distribution.set_distribution(self.distribution)

    def __str__(self):
        where = ", ".join(self.devices)
        if self.workers > 1:
            where = f"{self.workers} workers, this one is {self.worker}"
        return f"{self.name}: {_replicas(self.replicas)} on {where}"

    def scope(self):
        return self.distribution.scope()

    def training(self, dataset):
        self._parts.add(_first_batch(dataset) // self.workers)
        if self.workers > 1:
            dataset = _parts(dataset, self.worker, 1, self.workers)
        return dataset

    def evaluation(self, dataset):
        size = _first_batch(dataset)
        # JAX cuts into equal parts, and Keras decides how by the size: whole batches get another.
        while size % self.replicas == 0 or size in self._parts:
            size += 1
        self._whole.add(size)
        return dataset.rebatch(size)

    def _numbers_of_chief(self, numbers):
        from jax.experimental import multihost_utils

        return np.asarray(multihost_utils.broadcast_one_to_all(numbers))


def open_strategy(name: str = "none", *, devices: Sequence[str] | None = None) -> Devices:
    """Return the devices to train on.

    To be called at the program's start: several workers find each other before TensorFlow or JAX
    has computed anything.

    Args:
        name: ``"none"`` for one device. ``"mirrored"`` for several of this machine.
            ``"multiworker"`` for the workers that the environment variable ``TF_CONFIG`` names (on
            JAX, Keras' own ``KERAS_DISTRIBUTION_*`` will do as well). ``"tpu"`` for
            the TPU that the environment names; it follows TensorFlow's guide and has never
            been run by us. ``"auto"`` for the first of these that the environment asks for:
            multiworker, tpu, mirrored where there are several GPUs (or several devices of JAX).
        devices: For ``"mirrored"``: names of the devices, ``["GPU:0", "GPU:1"]``; all by default.

    Returns:
        The devices.

    Raises:
        ConfigError: The name, a device or ``TF_CONFIG`` is wrong, or it is too late.

    Example:
        >>> print(open_strategy("mirrored"))
        mirrored: 2 replicas on GPU:0, GPU:1
    """
    if name not in STRATEGIES:
        raise ConfigError(
            f"`strategy` must be one of {', '.join(STRATEGIES)}{nearest(str(name), STRATEGIES)}. "
            f"Received: strategy={name!r}"
        )
    on_jax = keras.backend.backend() == "jax"
    if name == "auto":
        name = _choose(on_jax)
    if devices is not None and name != "mirrored":
        raise ConfigError(f"`devices` are for 'mirrored'. Received: devices={devices}, {name!r}")
    if name == "none":
        return Devices()
    if on_jax:
        return _open_jax(name, devices)
    return {"mirrored": _mirrored, "multiworker": _multiworker, "tpu": _tpu}[name](devices)


def _choose(on_jax: bool) -> str:
    if "cluster" in os.environ.get("TF_CONFIG", "") or (
        on_jax and "KERAS_DISTRIBUTION_JOB_ADDRESSES" in os.environ
    ):
        return "multiworker"
    if on_jax:
        return "mirrored" if len(keras.distribution.list_devices()) > 1 else "none"
    if any(os.environ.get(name) for name in _TPU_ADDRESSES):
        return "tpu"
    import tensorflow as tf

    return "mirrored" if len(tf.config.get_visible_devices("GPU")) > 1 else "none"


def _mirrored(devices):
    import tensorflow as tf

    if devices is not None:
        there = [f"{d.device_type}:{d.name[-1]}" for d in tf.config.list_logical_devices()]
        _check_devices(devices, there)
    return _TensorFlowDevices("mirrored", tf.distribute.MirroredStrategy(devices))


def _check_devices(devices, there):
    for device in devices:
        if device not in there:
            raise ConfigError(
                f"`devices` must be some of {', '.join(there)}. Received: devices={list(devices)}"
            )


def _multiworker(_):
    import tensorflow as tf

    addresses, worker = _read_tf_config()

    class Workers(tf.distribute.MultiWorkerMirroredStrategy):
        """Does what Keras 3 asks of it, which TensorFlow refuses (keras-team/keras#20585)."""

        def reduce(self, reduce_op, value, axis=None):
            if isinstance(value, tuple | list | dict):  # a batch, of which Keras wants the shapes
                first = lambda part: self.experimental_local_results(part)[0]  # noqa: E731
                return tf.nest.map_structure(first, value)
            if self.experimental_local_results(value)[0].shape.rank == 0:
                axis = None  # Keras asks for the mean over axis 0 of a scalar
            return super().reduce(reduce_op, value, axis)

    try:
        strategy = Workers()
    except RuntimeError as error:
        raise ConfigError(
            f"strategy 'multiworker' must be opened before TensorFlow has computed: {error}"
        ) from error
    return _TensorFlowDevices("multiworker", strategy, len(addresses), worker)


def _tpu(_):
    import tensorflow as tf

    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver()
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise ConfigError(f"strategy 'tpu' finds no TPU: {reason}") from error
    return _TensorFlowDevices("tpu", tf.distribute.TPUStrategy(resolver))


def _open_jax(name, devices):
    if name == "tpu":
        raise ConfigError("strategy 'tpu' is TensorFlow's; on JAX use 'mirrored' or 'multiworker'")
    if name == "multiworker":
        if "TF_CONFIG" in os.environ:
            addresses, worker = _read_tf_config()
            keras.distribution.initialize(addresses[0], len(addresses), worker)
        else:
            keras.distribution.initialize()
    if devices is not None:
        devices = [device.lower() for device in devices]
        _check_devices(devices, keras.distribution.list_devices(devices[0].partition(":")[0]))
    return _JaxDevices(name, devices)


def _data_parallel(devices, whole):
    class DataParallel(keras.distribution.DataParallel):
        """Cuts batches into parts, except those of some sizes, which every device gets whole."""

        def get_data_layout(self, data_shape):
            if data_shape[0] in whole:
                return keras.distribution.TensorLayout([None] * len(data_shape), self.device_mesh)
            return super().get_data_layout(data_shape)

    return DataParallel(devices=devices, auto_shard_dataset=False)


def _read_tf_config() -> tuple[list[str], int]:
    """Return the addresses of the workers of ``TF_CONFIG`` and this one's number."""
    text = os.environ.get("TF_CONFIG")
    if not text:
        raise ConfigError("strategy 'multiworker' needs the environment variable TF_CONFIG")
    try:
        config = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"TF_CONFIG must be JSON: {error}. Received: {text[:80]!r}") from error
    cluster = config.get("cluster") if isinstance(config, dict) else None
    task = config.get("task") if isinstance(config, dict) else None
    if not isinstance(cluster, dict) or not isinstance(task, dict):
        raise ConfigError(
            'TF_CONFIG must be {"cluster": {"worker": ["host:port", ...]}, '
            f'"task": {{"type": "worker", "index": 0}}}}. Received: {text[:80]!r}'
        )
    jobs = {job: cluster.get(job, []) for job in ("chief", "worker")}
    addresses = [address for job in jobs.values() for address in job]
    kind, index = task.get("type"), task.get("index")
    if set(cluster) - set(jobs) or not all(":" in str(address) for address in addresses):
        raise ConfigError(
            "the cluster of TF_CONFIG must hold lists of host:port for 'worker' and maybe 'chief'. "
            f"Received: cluster={cluster}"
        )
    if kind not in jobs or not isinstance(index, int) or not 0 <= index < len(jobs[kind]):
        raise ConfigError(
            f"the task of TF_CONFIG must be one of its cluster's. Received: task={task}, "
            f"cluster={cluster}"
        )
    return addresses, index + (len(jobs["chief"]) if kind == "worker" else 0)


def _parts(dataset, first, number, count):
    """Return `number` of the `count` parts of each batch, from the `first` on, as batches."""
    import tensorflow as tf

    def cut(values, part):
        size = tf.shape(values, tf.int64)[0]
        cut = values[size * part // count : size * (part + 1) // count]
        length = values.shape[0]
        if length is not None and length % count == 0:
            cut = tf.ensure_shape(cut, [length // count, *values.shape[1:]])
        return cut

    def of_batch(*batch):
        parts = tf.data.Dataset.range(first, first + number)
        return parts.map(
            lambda part: tf.nest.map_structure(lambda values: cut(values, part), batch)
        )

    return dataset.flat_map(of_batch)


def _evened(dataset, count: int):
    """Return the batches; a last one of fewer than `count` images is joined to the one before.

    Each replica must get an image: TensorFlow's convolutions fail on none.
    """
    import tensorflow as tf

    def joined(*windows):
        pair = tf.data.Dataset.zip(*windows).enumerate()
        pair = pair.filter(lambda place, batch: (place == 0) | (_size(batch) < count))
        return pair.map(lambda _, batch: batch).rebatch(1 << 30)

    batches = dataset.window(2, shift=1).flat_map(joined).enumerate()
    # The last window holds the last batch alone, which may have been joined.
    batches = batches.filter(lambda place, batch: (place == 0) | (_size(batch) >= count))
    return batches.map(lambda _, batch: batch)


def _size(batch):
    import tensorflow as tf

    return tf.shape(tf.nest.flatten(batch)[0])[0]


def _first_batch(dataset) -> int:
    """Return the number of images of a data set's first batch."""
    import tensorflow as tf

    size = tf.nest.flatten(dataset.element_spec)[0].shape[0]
    if size is None:
        size = len(tf.nest.flatten(next(iter(dataset)))[0])
    return size


def _replicas(count: int) -> str:
    return f"{count} replica{'s' * (count > 1)}"


def synchronize_batch_norm(model: keras.Model, on: bool = True) -> int:
    """Let batch normalisation take its statistics from the global batch, not a device's part.

    A matter of the training, to be called inside the scope before it (and again after loading),
    and undone before the model is written for others. On JAX nothing has to be set: a batch is one
    array there, whatever devices hold it, and the statistics are always those of all of it.

    Args:
        model: Any Keras model; layers inside of layers are set too.
        on: Whether to synchronise.

    Returns:
        How many layers have been set.
    """
    if keras.backend.backend() != "tensorflow":
        return 0
    layers = [
        layer
        for layer in model._flatten_layers(include_self=False)
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    for layer in layers:
        layer.synchronized = on
    # What was traced has the former way in it.
    model.train_function = None
    return len(layers)
