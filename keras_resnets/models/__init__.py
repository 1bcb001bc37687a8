"""Configurations, the catalog of named networks, their cost, and the builder."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "builder": ["create_model"],
        "catalog": ["list_models", "model_config"],
        "complexity": ["Complexity", "Cost", "complexity"],
        "config": ["NetworkConfig", "ResNetConfig", "config_from_dict"],
        "network": ["Network"],
    },
)
