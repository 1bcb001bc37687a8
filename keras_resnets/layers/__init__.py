"""Registered, serialisable Keras layers: the blocks, and the small parts they are made of."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "blocks": ["BasicBlock", "BottleneckBlock", "ResidualBlock"],
        "convolution": ["SymmetricConv2D"],
        "shortcuts": ["PadShortcut", "ProjectionShortcut"],
        "stochastic_depth": ["StochasticDepth"],
    },
)
