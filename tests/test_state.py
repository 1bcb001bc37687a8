"""State files: read back as they were written, or told to be damaged; never other values."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_resnets.state import FORMAT, DamagedError, file_hash, read_state, write_state

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
VALUES = {"trial": "03", "history": [{"epoch": 1, "loss": 0.1}], "größe": None}


@given(values=st.dictionaries(st.text().filter(lambda name: name != "checksum"), _JSON))
def test_values_are_read_back(values, tmp_path_factory):
    path = tmp_path_factory.mktemp("state") / "state.json"
    write_state(path, values)
    assert read_state(path) == values


def test_tuples_and_numbers_as_names_are_as_json_holds_them(tmp_path):
    write_state(tmp_path / "a.json", {"sizes": (1, 2), "of": {3: math_nan()}})
    found = read_state(tmp_path / "a.json")
    assert found["sizes"] == [1, 2]
    assert list(found["of"]) == ["3"]


def math_nan():
    return float("nan")


@pytest.mark.parametrize("bit", [0, 3, 5])
def test_no_flipped_bit_gives_other_values(bit, tmp_path):
    path = tmp_path / "state.json"
    write_state(path, VALUES)
    data, told = path.read_bytes(), 0
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 1 << bit
        path.write_bytes(changed)
        try:
            assert read_state(path) == VALUES  # a space that became a line's end
        except DamagedError:
            told += 1
    assert told > len(data) / 2


def test_no_cut_gives_other_values(tmp_path):
    path = tmp_path / "state.json"
    write_state(path, VALUES)
    data = path.read_bytes()
    for length in range(len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(DamagedError):
            read_state(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "not a table"),
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("\xff", "not JSON|not a table"),
        ("{}", "no checksum"),
        ('{"a": 1}', "no checksum"),
        ('{"a": 1, "checksum": 3}', "no checksum"),
        ('{"checksum": {"format": 1}}', "checksum differs"),
        (json.dumps({"checksum": {"format": FORMAT + 1}}), "newer version"),
    ],
)
def test_what_is_damaged_is_told(text, message, tmp_path):
    path = tmp_path / "state.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(DamagedError, match=message):
        read_state(path)


def test_a_table_of_before_the_first_format_is_known_by_its_entries(tmp_path):
    path, known_by = tmp_path / "state.json", {"command": str, "settings": dict}
    path.write_text('{"command": "train", "settings": {}}')
    assert read_state(path, known_by) == {"command": "train", "settings": {}}
    for text in ("{}", '{"command": 5, "settings": {}}', '{"command": "train"}'):
        path.write_text(text)
        with pytest.raises(DamagedError, match="no checksum"):
            read_state(path, known_by)


@pytest.mark.parametrize("make, what", [(os.mkfifo, "a named pipe"), (os.mkdir, "a folder")])
def test_what_is_no_file_is_damaged(make, what, tmp_path):
    make(tmp_path / "state.json")
    with pytest.raises(DamagedError, match=f"it is {what}, not a file"):
        read_state(tmp_path / "state.json")


def test_a_missing_file_is_not_a_damaged_one(tmp_path):
    for read in (read_state, file_hash):
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "state.json")


def test_a_files_hash_is_that_of_its_contents(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert file_hash(tmp_path / "a").startswith("ba7816bf8f01cfea")
