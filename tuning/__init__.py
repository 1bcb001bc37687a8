"""The search over depth and width: keras-tuner proposes configurations inside a cost budget."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "hypermodel": ["ResNetHyperModel"],
        "oracles": ["make_oracle"],
        "search": ["SearchResult", "search"],
        "settings": ["SearchSettings"],
        "space": ["Budget", "SearchSpace"],
    },
)
