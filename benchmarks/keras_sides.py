"""Sides on Keras."""

# ruff: noqa: D102 (Side describes the methods)

from __future__ import annotations

import gc
import math
import time
from functools import partial
from pathlib import Path

import keras_resnets as kr
from benchmarks.grid import INFERENCE
from benchmarks.side import LEARNING, Side, UnsupportedError

_EPOCH = 64
"""Steps of an epoch that `compile_for` is told of; a divisor of them may be one operation."""


class KerasSide(Side):
    """A Keras model, at Keras' defaults, or compiled with XLA where they do without and vice versa.

    A training step is one of `model.fit`; inference is `tf.function(model)`, or `jax.jit`.
    """

    other_jit = False

    def start(self) -> None:
        import keras

        self.keras = keras
        self.on_tensorflow = keras.backend.backend() == "tensorflow"
        if self.on_tensorflow:
            import tensorflow as tf

            self.tf = tf
            tf.config.threading.set_intra_op_parallelism_threads(self.threads)
            tf.config.threading.set_inter_op_parallelism_threads(self.threads)
            for gpu in tf.config.list_physical_devices("GPU"):
                tf.config.experimental.set_memory_growth(gpu, True)
        elif self.other_jit:
            raise UnsupportedError("for TensorFlow only: on JAX, Keras compiles always")
        keras.config.set_dtype_policy(self.precision)

    def gpu(self) -> str | None:
        if self.on_tensorflow:
            for gpu in self.tf.config.list_physical_devices("GPU"):
                return self.tf.config.experimental.get_device_details(gpu)["device_name"]
            return None
        import jax

        return jax.devices()[0].device_kind if jax.default_backend() == "gpu" else None

    def gpu_bytes(self) -> int:
        if self.on_tensorflow:
            return self.tf.config.experimental.get_memory_info("GPU:0")["peak"]
        import jax

        return jax.devices()[0].memory_stats()["peak_bytes_in_use"]

    def tidy(self) -> None:
        self.keras.utils.clear_session()
        gc.collect()

    def parameters(self, model) -> int:
        return sum(math.prod(variable.shape) for variable in model.trainable_variables)

    def training(self) -> dict:
        """Return what the model is compiled with."""
        optimizer = self.keras.optimizers.SGD(LEARNING["lr"], LEARNING["momentum"])
        return {"optimizer": optimizer, "loss": "sparse_categorical_crossentropy"}

    def compile(self, model):
        model.compile(**self.training())
        if self.other_jit:
            model.compile(**self.training(), jit_compile=not model.jit_compile)
        return model

    def about(self, model) -> str:
        steps = self.steps_at_once(model)
        return f"jit_compile={model.jit_compile}" + f", {steps} steps at once" * (steps > 1)

    def steps_at_once(self, model) -> int:
        return getattr(model, "steps_per_execution", 1)

    def train(self, model, steps: int) -> float:
        began, ended = [], []
        clock = self.keras.callbacks.LambdaCallback(
            on_train_batch_begin=lambda batch, logs: began.append(time.perf_counter()),
            on_epoch_end=lambda epoch, logs: ended.append(time.perf_counter()),
        )
        x, y = self.images(self.network.batch)
        if self.on_tensorflow:
            batches = self.tf.data.Dataset.from_tensors((x, y)).repeat(steps)
            model.fit(batches, verbose=0, callbacks=[clock])
        else:
            batches = ((x, y) for _ in range(steps))
            model.fit(batches, steps_per_epoch=steps, verbose=0, callbacks=[clock])
        return ended[0] - began[0]

    def predictor(self, model, count: int):
        x, _ = self.images(count)
        self.answering = f"jit_compile={self.other_jit or not self.on_tensorflow}"
        if self.on_tensorflow:
            call = self.tf.function(
                lambda batch: model(batch, training=False), jit_compile=self.other_jit or None
            )
            return partial(call, self.tf.constant(x))
        import jax

        def run(trainable, fixed, batch):
            return model.stateless_call(trainable, fixed, batch, training=False)[0]

        weights = [[v.value for v in model.trainable_variables]]
        weights += [[v.value for v in model.non_trainable_variables]]
        return partial(jax.jit(run), *weights, jax.numpy.asarray(x))

    def wait(self, answer) -> None:
        self.keras.ops.convert_to_numpy(answer)

    def save(self, model, path: Path) -> None:
        model.save(path)

    def load(self, path: Path):
        return self.keras.saving.load_model(path)


class Ours(KerasSide):
    """This package, as its documents say: `compile_for`, `inference_function`."""

    name = library = "keras-resnets"

    def build(self):
        return kr.create_model(self.network.name, weight_decay=0.0)

    def compile(self, model):
        kr.compile_for(model, **self.training(), steps_per_epoch=_EPOCH, print_fn=None)
        return model

    def predictor(self, model, count):
        function = kr.inference_function(model, batch_size=count)
        self.answering = f"runtime={function.runtime}"
        return partial(function, self.keras.ops.convert_to_tensor(self.images(count)[0]))


class ModelCall(Ours):
    """Ours, with nothing prepared for inference."""

    name = "keras-resnets (model call)"
    measures = INFERENCE
    predictor = KerasSide.predictor


class Floor(Ours):
    """Ours without normalisations: what the rest takes."""

    name = library = "floor"
    measures = ("step", *INFERENCE, "memory")
    exact = False
    note = "our network without any normalisation"

    def build(self):
        from keras_resnets.layers import parts

        def nothing(name, dtype, **kwargs):
            return self.keras.layers.Identity(name=name, dtype=dtype)

        replaced, parts.BatchNormalization = parts.BatchNormalization, nothing
        try:
            return super().build()
        finally:
            parts.BatchNormalization = replaced


class Applications(KerasSide):
    """keras.applications."""

    name = library = "keras.applications"
    families = ("resnet50",)
    exact = False
    note = "convolutions have biases: 25,583,592 trainable parameters against our 25,557,032"

    def build(self):
        return self.keras.applications.ResNet50(weights=None)


class ApplicationsOtherJit(Applications):
    """keras.applications with `jit_compile` other than Keras chooses; inference is compiled."""

    name = "keras.applications (other jit)"
    measures = ("step", *INFERENCE, "first_step", "memory")
    note = "jit_compile is what Keras does not choose by itself; inference under jit_compile=True"
    other_jit = True


class Hub(KerasSide):
    """keras-hub."""

    name = library = "keras-hub"
    families = ("resnet50", "resnet50_v1_5")
    on_gpu = False
    note = "v1.5, strides in the 3x3 convolutions: 4.09 G multiply-adds against 3.86 G of resnet50"

    def start(self):
        super().start()
        import keras_hub

        self.hub = keras_hub.models

    def build(self):
        size = self.network.size
        backbone = self.hub.ResNetBackbone(
            input_conv_filters=[64],
            input_conv_kernel_sizes=[7],
            stackwise_num_filters=[64, 128, 256, 512],
            stackwise_num_blocks=[3, 4, 6, 3],
            stackwise_num_strides=[1, 2, 2, 2],
            block_type="bottleneck_block",
            use_pre_activation=False,
            image_shape=(size, size, 3),
        )
        classes = self.network.classes
        return self.hub.ResNetImageClassifier(backbone, classes, activation="softmax")


class PlainKeras(KerasSide):
    """The network written with stock layers (`benchmarks.keras_networks`)."""

    name = library = "plain Keras"
    note = "'same' padding and the hyperparameters of normalisation are Keras' defaults"

    def build(self):
        from benchmarks import keras_networks

        return keras_networks.make(self.network)
