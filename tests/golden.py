"""One network of every family as it was once: configuration, names of its weights, and answers.

``python tests/golden.py`` writes the file anew; a commit that does so changes what a configuration
means, or what weights are called, and says why. Weights are no part of the file: each is drawn from
its path, by `drawn`.
"""

import json
import zlib
from pathlib import Path

import numpy as np

FILE = Path(__file__).parent / "data" / "golden.json"

RAW = {"input_mean": (120.0, 110.0, 100.0), "input_std": (60.0, 50.0, 40.0)}
OPTIONS = {
    "attention on every order": ("resnet20_cifar", {"attention": "se", "se_ratio": 0.5}),
    "normalised raw images": ("resnet20_cifar", RAW),
    "dilated": ("resnet50", {"output_stride": 8}),
    "no classifier": ("preact_resnet50", {"include_top": False}),
    "dropout and drops": ("wrn16_4_cifar", {"dropout": 0.3, "final_survival": 0.5}),
}
"""Networks of options that no listed one has."""


def configs():
    """Return the networks by their names: of every family, and of further options."""
    from small_networks import FAMILIES, small_config

    networks = {name: small_config(name) for name in FAMILIES}
    return networks | {name: small_config(base, **more) for name, (base, more) in OPTIONS.items()}


def drawn(path, shape):
    """Return a weight's values: drawn from its path, of the size that keeps answers moderate."""
    rng = np.random.default_rng(zlib.crc32(path.encode()))
    name = path.rpartition("/")[2]
    if name in ("gamma", "moving_variance"):
        values = rng.uniform(0.5, 1.5, shape)
    elif len(shape) > 1:
        values = rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape)
    else:
        values = rng.normal(0, 0.1, shape)
    if path.startswith("predictions/"):
        values = values / 20  # no answer is near 1
    return values.astype("float32")


def image(shape):
    """Return a batch of two images, of whole numbers from 0 to 255 where raw ones are taken."""
    return np.random.default_rng(1).integers(0, 256, (2, *shape)).astype("float32")


def filled(model):
    """Give a network the weights of its paths, and return it."""
    for weight in model.weights:
        if not weight.path.endswith("seed_generator_state"):
            weight.assign(drawn(weight.path, tuple(weight.shape)))
    return model


def answers(model):
    """Return what a network answers."""
    images = image(model.input_shape[1:])
    return np.asarray(model(images if model.takes_raw_images else images / 128 - 1))


def shapes(model):
    """Return the shapes of a network's weights by their paths, as ``"3x3x16x32"``."""
    return {weight.path: "x".join(map(str, weight.shape)) for weight in model.weights}


def record(config):
    """Return what the file keeps of a network."""
    import keras_resnets as kr

    model = filled(kr.create_model(config, name="golden"))
    return {
        "config": json.loads(config.to_json()),
        "weights": shapes(model),
        "answers": [float(x) for x in answers(model).ravel()[:10]],
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps({n: record(c) for n, c in configs().items()}, indent=1) + "\n")
