"""Model files judged by their bytes: those that Keras wrote pass, damaged ones are told apart."""

import json
import zipfile

import pytest

from keras_resnets.errors import InputError
from keras_resnets.models.files import check_model_file, check_network_file
from keras_resnets.models.saved import read_model


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    from keras_resnets import create_model

    path = tmp_path_factory.mktemp("saved") / "model.keras"
    create_model("resnet8_cifar").save(path)
    return path


def test_what_keras_wrote_passes(saved):
    assert check_model_file(saved) == "keras"
    check_network_file(saved)
    assert read_model(saved).config.depth == 8


@pytest.mark.parametrize("part", [0, 0.001, 0.1, 0.5, 0.9, 0.9999])
def test_a_file_cut_anywhere_is_told_as_such(saved, tmp_path, part):
    path = tmp_path / "cut.keras"
    whole = saved.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    words = "it is empty" if part == 0 else "it is cut short or damaged"
    for check in (check_model_file, check_network_file, read_model):
        with pytest.raises(InputError, match=f"cannot be read as a Keras model: {words}$"):
            check(path)


@pytest.mark.parametrize("name", ["config.json", "metadata.json", "model.weights.h5"])
@pytest.mark.parametrize("damage", ["missing", "garbage"])
def test_every_member_is_needed(saved, tmp_path, name, damage):
    path = tmp_path / "other.keras"
    with zipfile.ZipFile(saved) as whole, zipfile.ZipFile(path, "w") as archive:
        for member in whole.namelist():
            if member != name:
                archive.writestr(member, whole.read(member))
            elif damage == "garbage":
                archive.writestr(member, b"\x00garbage")
    words = "inside is damaged" if damage == "garbage" else "is a zip archive without"
    for check in (check_model_file, read_model):
        with pytest.raises(InputError, match=words):
            check(path)


def test_another_model_is_not_a_network(saved, tmp_path):
    path = tmp_path / "foreign.keras"
    with zipfile.ZipFile(saved) as whole, zipfile.ZipFile(path, "w") as archive:
        for member in whole.namelist():
            content = whole.read(member)
            if member == "config.json":
                content = json.dumps({**json.loads(content), "registered_name": "Functional"})
            archive.writestr(member, content)
    check_model_file(path)
    with pytest.raises(InputError, match=r"`init` must be a keras_resnets model\. Received"):
        check_network_file(path, "init")


@pytest.mark.parametrize("variables", ["none", "index alone", "empty index"])
def test_a_saved_model_needs_its_variables(tmp_path, variables):
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01" + b"." * 2**20 + b"VarHandleOp")
    (tmp_path / "variables").mkdir()
    if variables != "none":
        (tmp_path / "variables" / "variables.index").touch()
    if variables == "empty index":
        (tmp_path / "variables" / "variables.data-00000-of-00001").touch()
    with pytest.raises(InputError, match=r"cannot be read as a SavedModel: .*variables/"):
        check_model_file(tmp_path)


def test_a_saved_model_without_variables_may_be_one(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01")
    assert check_model_file(tmp_path) == "saved_model"
