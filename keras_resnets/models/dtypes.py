"""Which dtype policy a layer has under a policy, or a map of policies, of the whole network."""

import re

import keras

from keras_resnets.errors import ConfigError

__all__ = ["at_least_float32", "give_policy", "policy_at"]


def policy_at(policy: keras.DTypePolicy, path: str) -> keras.DTypePolicy:
    """Return the policy of the layer at a path.

    Keras seeks a layer's entry in a map only once the layer is built, after the cast of the first
    inputs it is called on; a layer that is given its own entry needs no map.

    Raises:
        ConfigError: Several patterns of a map fit the path, or one is no regular expression.
    """
    if not _is_map(policy):
        return policy
    try:
        return policy[path]
    except (ValueError, re.error) as error:
        raise ConfigError(
            "`dtype` must have one entry for a layer, by its path or a regular expression. "
            f"Received: {error}"
        ) from None


def at_least_float32(policy: keras.DTypePolicy, path: str) -> keras.DTypePolicy:
    """Return the policy of a layer that computes in float32 at least, unless a map names it."""
    own = policy_at(policy, path)
    if _is_map(policy) and any(key == path or re.fullmatch(key, path) for key in policy):
        return own
    wide = own.compute_dtype == "float64"
    return keras.dtype_policies.get("float64" if wide else "float32")


def give_policy(model: keras.Model, policy) -> None:
    """Make a policy, or a map of policies, that of a model.

    Keras' setter writes the policy into the map that the model has: where that is the global map,
    an entry of it would change for every later network, or be the map itself.
    """
    model._dtype_policy = keras.dtype_policies.get(policy)


def _is_map(policy) -> bool:
    return isinstance(policy, keras.dtype_policies.DTypePolicyMap)
