"""Exports, each reloaded by the runtime that will serve it and compared with the model."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "inference": ["InferenceFunction", "inference_function"],
        "saved_model": ["export_saved_model"],
        "tflite": ["export_tflite"],
        "verify": ["Verification", "verify"],
    },
)
