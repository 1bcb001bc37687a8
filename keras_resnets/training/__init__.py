"""Training around `model.fit`: recipes, checkpoints that survive, seeds that hold, many devices."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["recipes"],
    submod_attrs={
        "distribution": ["Devices", "open_strategy", "synchronize_batch_norm"],
        "execution": ["Execution", "choose_execution", "compile_for"],
        "fit": ["TrainingResult", "train"],
        "profiling": ["TrainingProfile", "profile_training"],
        "settings": ["TrainingPlan", "TrainingSettings"],
    },
)
