"""Training around `model.fit`: settings, schedule, checkpoints that survive, seeds that hold."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "execution": ["Execution", "choose_execution", "compile_for"],
        "fit": ["TrainingResult", "train"],
        "profiling": ["TrainingProfile", "profile_training"],
        "settings": ["TrainingSettings"],
    },
)
