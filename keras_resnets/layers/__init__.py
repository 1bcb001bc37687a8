"""Registered, serialisable Keras layers: the blocks, and the small parts they are made of."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "attention": ["SqueezeExcite"],
        "blocks": ["BasicBlock", "BottleneckBlock", "ResidualBlock", "make_shortcut"],
        "convolution": ["SymmetricConv2D"],
        "dense": ["DenseBlockLayer", "TransitionLayer"],
        "drop_block": ["DropBlock"],
        "geometry": ["ConvSpec"],
        "image_normalization": ["ImageNormalization"],
        "merges": ["DropoutMerge", "GatedMerge", "ScaledMerge"],
        "normalization": ["BatchNormalization"],
        "resampling": ["BlurPool", "ChannelwiseReduction", "SymmetricMaxPool"],
        "shortcuts": ["PadShortcut", "ProjectionShortcut"],
        "stochastic_depth": ["StochasticDepth"],
        "style": ["Style"],
    },
)
