"""All sides; last the runtimes that answer for our exported model."""

# ruff: noqa: D102 (Side describes the methods)

from functools import partial

import keras_resnets as kr
from benchmarks.grid import INFERENCE
from benchmarks.keras_sides import (
    Applications,
    ApplicationsOtherJit,
    Floor,
    Hub,
    ModelCall,
    Ours,
    PlainKeras,
)
from benchmarks.torch_sides import PyTorch, PyTorchCompiled


class OnnxRuntime(Ours):
    """Our model, exported to ONNX."""

    name = library = "ONNX Runtime"
    measures = INFERENCE
    on_gpu = False
    note = "our model, `model.export(format='onnx')`, all graph optimisations"

    def start(self):
        super().start()
        import onnxruntime
        import tf2onnx  # noqa: F401

        self.runtime = onnxruntime

    def predictor(self, model, count):
        path = self.folder / "model.onnx"
        if not path.exists():
            model(self.images(1)[0])  # Keras refuses to export what was never called
            model.export(str(path), format="onnx", verbose=False)
        options = self.runtime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.graph_optimization_level = self.runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
        session = self.runtime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        (taken,) = session.get_inputs()
        return partial(session.run, None, {taken.name: self.images(count)[0]})

    def wait(self, answer):
        pass  # it is there


class LiteRT(Ours):
    """Our model, exported to TFLite."""

    name = library = "LiteRT"
    measures = ("infer1",)
    on_gpu = False
    note = "our model, `kr.export.export_tflite`, XNNPACK; batch 1 only"

    def start(self):
        super().start()
        from ai_edge_litert import interpreter

        self.interpreter = interpreter.Interpreter

    def predictor(self, model, count):
        path = self.folder / "model.tflite"
        x, _ = self.images(count)
        kr.export.export_tflite(model, path, x)
        interpreter = self.interpreter(model_path=str(path), num_threads=self.threads)
        interpreter.allocate_tensors()
        taken = interpreter.get_input_details()[0]["index"]
        given = interpreter.get_output_details()[0]["index"]

        def call():
            interpreter.set_tensor(taken, x)
            interpreter.invoke()
            return interpreter.get_tensor(given)

        return call

    def wait(self, answer):
        pass  # it is there


_ALL = (
    Ours,
    ModelCall,
    Floor,
    Applications,
    ApplicationsOtherJit,
    Hub,
    PyTorch,
    PyTorchCompiled,
    PlainKeras,
    OnnxRuntime,
    LiteRT,
)
SIDES = {side.name: side for side in _ALL}
LIBRARIES = tuple(dict.fromkeys(side.library for side in _ALL))
OURS = Ours.name
