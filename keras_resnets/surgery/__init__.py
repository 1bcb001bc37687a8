"""Functions from one trained network to another.

Each takes a network of ours and returns a new one with a configuration of its own; the one given
stays as it is.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "combining": ["average_checkpoints", "ensemble"],
        "folding": ["Folding", "fold_batch_norm", "foldings"],
        "growth": ["deepen", "widen"],
        "plain": ["to_plain"],
        "residual": ["to_residual"],
        "shrinking": ["drop_blocks", "narrow"],
        "statistics": ["recalibrate_batch_norm"],
        "survival": ["stochastic_depth_to_inference"],
    },
)
