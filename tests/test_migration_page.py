"""The page for people from keras.applications: each piece of its code runs without a warning."""

import importlib.util
import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "from-keras-applications.md"
SMALL = {"blocks": (1, 1, 1, 3), "widths": (4, 4, 8, 8), "stem_width": 4, "weight_decay": 0.0}
"""The networks of the page with fewer blocks and channels; the names that it uses are there."""


@pytest.mark.tensorflow
@pytest.mark.large
def test_each_idiom_runs_without_a_warning(monkeypatch, tmp_path):
    from keras_resnets.models import applications

    monkeypatch.chdir(tmp_path)
    create = applications.create_model

    def small(catalog_name, *, include_top, input_shape, **options):
        if include_top and input_shape is None:
            input_shape = (32, 32, 3)
        return create(
            catalog_name, include_top=include_top, input_shape=input_shape, **options, **SMALL
        )

    monkeypatch.setattr(applications, "create_model", small)
    index = {str(i): [f"n{i}", f"class{i}"] for i in range(1000)}
    Path("imagenet_class_index.json").write_text(json.dumps(index), "utf-8")
    rng = np.random.default_rng(0)
    names = {"images": rng.integers(0, 256, (4, 32, 32, 3), "uint8"), "labels": np.arange(4)}
    codes = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert len(codes) >= 9
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # TensorFlow's arrays and NumPy 2, whenever Keras reads a variable.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        for code in codes:
            exec(compile(code, PAGE.name, "exec"), names)
    _check(names)


def _check(names):
    """What the page's code made is what it says."""
    import keras

    base = names["base"]
    assert names["features"].shape == (4, 1, 1, 32)
    assert names["vectors"].shape == (4, 32)
    assert names["heatmaps"].shape == (4, 1, 1)
    assert names["cut"].output_shape == (None, None, None, 32)
    np.testing.assert_array_equal(
        names["again"].predict(names["images"], verbose=0),
        base.predict(names["images"], verbose=0),
    )
    copied = names["classifier"].get_layer("stage4_block1/conv1").kernel
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(copied),
        keras.ops.convert_to_numpy(base.get_layer("stage4_block1/conv1").kernel),
    )
    # After the four lines of "Fine-tune": the stem and the first stages are frozen.
    trained = {v.path.split("_")[0] for v in base.trainable_variables}
    assert trained == {"stage3", "stage4"}


def test_the_tables_of_names_are_up_to_date():
    spec = importlib.util.spec_from_file_location("keras_names_page", DOCS / "keras_names.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    text = PAGE.read_text("utf-8")
    assert script.page(text) == text, "run python docs/keras_names.py"
