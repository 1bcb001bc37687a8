"""These tests are collected under KERAS_BACKEND=torch alone; `.ci/run` runs them so."""

import pytest

from keras_resnets.backends import backend_name

collect_ignore_glob = [] if backend_name() == "torch" else ["test_*.py"]


def pytest_collection_modifyitems(items):
    for item in items:
        if "torch_backend" in item.path.parts:
            item.add_marker(pytest.mark.large)
