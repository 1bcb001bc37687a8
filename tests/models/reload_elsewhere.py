"""Run in a process of its own: load saved models under other global defaults, write their answers.

Imports nothing of the project but the package itself, as a user's serving code would.
"""

import json
import os
import sys
from pathlib import Path

import keras
import numpy as np

import keras_resnets

folder = Path(sys.argv[1])
first = keras.config.image_data_format() == "channels_first"
keras.config.set_image_data_format("channels_last" if first else "channels_first")
keras.config.set_dtype_policy("mixed_float16")
keras.config.set_floatx("float64" if os.environ["KERAS_BACKEND"] != "jax" else "bfloat16")

for path in sorted(folder.glob("*.keras")):
    inputs = np.load(folder / f"{path.stem}.inputs.npy")
    model = keras.saving.load_model(path)
    np.save(folder / f"{path.stem}.again.npy", np.asarray(model(inputs, training=False)))
    layers = [part for layer in model.layers[1:] for part in layer._flatten_layers()]
    facts = {
        "config": model.config.to_dict(),
        "policies": [layer.dtype_policy.name for layer in layers],
        "trainable": [layer.trainable for layer in layers],
        "names": [layer.name for layer in layers],
    }
    (folder / f"{path.stem}.again.json").write_text(json.dumps(facts))
    weights = folder / f"{path.stem}.weights.h5"
    data_format = "channels_first" if "channels_first" in path.stem else "channels_last"
    dtype = "mixed_bfloat16" if "bfloat16" in path.stem else "float32"
    keras.config.set_floatx("float32")
    rebuilt = keras_resnets.create_model(
        model.config, data_format=data_format, dtype=dtype, name=model.name
    )
    rebuilt.load_weights(weights)
    np.save(folder / f"{path.stem}.rebuilt.npy", np.asarray(rebuilt(inputs, training=False)))
