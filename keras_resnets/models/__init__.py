"""Configurations, the catalog of named networks, their cost, and the builder."""

import lazy_loader

from keras_resnets.models.constructor_table import NAMES

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "applications": list(NAMES),
        "builder": ["create_model"],
        "catalog": ["list_models", "model_config"],
        "cost": ["Complexity", "Cost", "complexity"],
        "config": ["NetworkConfig", "config_from_dict"],
        "families": ["ChainConfig", "DenseNetConfig", "ResNetConfig"],
        "freezing": ["freeze", "unfreeze"],
        "navigation": ["get_layer", "walk_layers"],
        "network": ["Network"],
        "papers": ["Published", "published"],
        "rebuilding": ["reset_classifier"],
        "using": ["feature_pyramid", "weight_decay_mask"],
    },
)
