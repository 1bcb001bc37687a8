"""Sides on PyTorch."""

# ruff: noqa: D102 (Side describes the methods)

from __future__ import annotations

import contextlib
import time
from types import SimpleNamespace

from benchmarks.side import LEARNING, Side


class PyTorch(Side):
    """PyTorch, channels last: timm's ResNet-50, and networks that timm does not have.

    On a GPU each step copies its batch there, as `fit` does on Keras' sides.
    """

    name = library = "PyTorch"
    suffix = ".pt"
    compiled = False
    note = (
        "timm's ResNet-50, for resnet50 with the strides moved to the 1x1 convolutions as in ours; "
        "the others from benchmarks/torch_networks.py; softmax is in the loss, not in the network"
    )

    def start(self) -> None:
        import torch

        from benchmarks import torch_networks

        self.torch, self.networks = torch, torch_networks
        torch.set_num_threads(self.threads)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        if self.gpu():  # what TensorFlow and JAX do by themselves
            torch.backends.cudnn.benchmark = True
            torch.set_float32_matmul_precision("high")

    def gpu(self):
        return self.torch.cuda.get_device_name() if self.device.type == "cuda" else None

    def gpu_bytes(self) -> int:
        return self.torch.cuda.max_memory_allocated()

    def tidy(self):
        self.torch.compiler.reset()
        super().tidy()

    def parameters(self, model) -> int:
        return sum(parameter.numel() for parameter in model.parameters())

    def build(self):
        model = self.networks.make(self.network)
        return model.to(self.device, memory_format=self.torch.channels_last)

    def compile(self, model):
        return SimpleNamespace(
            run=self._function(model.train()),
            optimizer=self.torch.optim.SGD(model.parameters(), **LEARNING),
            batch=self._batch(self.network.batch),
        )

    def _function(self, model):
        return self.torch.compile(model) if self.compiled else model

    def _batch(self, count):
        x, y = map(self.torch.from_numpy, self.images(count))
        x = x.permute(0, 3, 1, 2)  # a view: in memory the channels are still last
        return (x.pin_memory(), y.pin_memory()) if self.gpu() else (x, y)

    def _autocast(self):
        if self.precision == "float32":
            return contextlib.nullcontext()
        return self.torch.autocast(self.device.type, self.torch.bfloat16)

    def train(self, trained, steps: int) -> float:
        began = time.perf_counter()
        for _ in range(steps):
            x, y = (part.to(self.device, non_blocking=True) for part in trained.batch)
            trained.optimizer.zero_grad()
            with self._autocast():
                loss = self.torch.nn.functional.cross_entropy(trained.run(x), y)
            loss.backward()
            trained.optimizer.step()
        loss.item()
        return time.perf_counter() - began

    def predictor(self, model, count: int):
        run = self._function(model.eval())
        x = self._batch(count)[0].to(self.device)

        def call():
            with self.torch.inference_mode(), self._autocast():
                return run(x)

        return call

    def wait(self, answer) -> None:
        answer.float().cpu()

    def save(self, model, path) -> None:
        self.torch.save(model.state_dict(), path)

    def load(self, path):
        model = self.build()
        model.load_state_dict(self.torch.load(path))
        return model


class PyTorchCompiled(PyTorch):
    """The same under `torch.compile`."""

    name = "PyTorch (torch.compile)"
    measures = ("step", "infer1", "infer32", "first_step", "memory")
    note = "its cache on disk is off"
    compiled = True
