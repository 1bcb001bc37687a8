"""Which backend Keras has is known without importing Keras."""

import json
import sys
from types import SimpleNamespace

import pytest

from keras_resnets.backends import backend_name, require_backend
from keras_resnets.errors import InputError


@pytest.fixture
def unimported(monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path


def test_by_default(unimported):
    assert backend_name() == "tensorflow"


@pytest.mark.parametrize("text", [json.dumps({"backend": "jax"}), "{", "[]"])
def test_by_file(unimported, text):
    (unimported / "keras.json").write_text(text)
    assert backend_name() == ("jax" if "jax" in text else "tensorflow")


def test_the_variable_wins(unimported, monkeypatch):
    (unimported / "keras.json").write_text(json.dumps({"backend": "jax"}))
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert backend_name() == "torch"
    assert "keras" not in sys.modules


def test_what_keras_has_is_what_counts(unimported, monkeypatch):
    imported = SimpleNamespace(backend=SimpleNamespace(backend=lambda: "jax"))
    monkeypatch.setitem(sys.modules, "keras", imported)
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert backend_name() == "jax"


def test_refusals_name_the_backend_to_set(unimported, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pytest.raises(InputError, match=r"an export needs .* jax: set KERAS_BACKEND=tensorflow"):
        require_backend("an export", "tensorflow", "jax")
    require_backend("an export", "torch")
