"""Functions from one trained network to another."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "folding": ["Folding", "fold_batch_norm", "foldings"],
        "plain": ["to_plain"],
        "residual": ["to_residual"],
        "statistics": ["recalibrate_batch_norm"],
        "survival": ["stochastic_depth_to_inference"],
    },
)
