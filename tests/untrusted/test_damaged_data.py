"""Damaged TFRecord shards, metadata and models: one line of ours wherever they are read."""

import json
import os
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from keras_resnets.errors import DataError, InputError, RunError

pytestmark = pytest.mark.tensorflow

ONE_LINE = re.compile(r"\A(?!.*(\{\{|\[\[|\[Op:|site-packages|tensorflow/core))[^\n]*\Z", re.DOTALL)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, digits, tfds_dir):
    """A copy of the prepared digits to damage."""
    root = tmp_path_factory.mktemp("data")

    def copy(name):
        shutil.copytree(Path(tfds_dir), root / name)
        (place,) = (root / name / "keras_resnets_digits").glob("*")
        return root / name, place

    return copy


def damage(place, kind):
    (shard,) = place.glob("*-train.tfrecord-*")
    data = bytearray(shard.read_bytes())
    if kind == "cut":
        data = data[: len(data) // 2]
    elif kind == "flipped":
        data[len(data) // 2] ^= 1
    elif kind == "empty":
        data = b""
    else:  # cut between two records, which their checksums do not tell
        length = int.from_bytes(data[:8], "little")
        data = data[: length + 16]
    shard.write_bytes(data)


def readers(root):
    from keras_resnets.data import Augmentation, load_data
    from keras_resnets.data.checking import check_data
    from keras_resnets.data.pictures import draw_augmentation, draw_classes
    from keras_resnets.data.settings import DataSettings

    settings = DataSettings(data_dir=str(root), download=False)

    def images():
        return load_data(**settings.arguments)

    return {
        "images": lambda: images().images("train"),
        "statistics": lambda: images().channel_statistics,
        "classes": lambda: images().class_counts("train"),
        "check-data": lambda: check_data(settings),
        "show-data": lambda: draw_augmentation(images(), Augmentation(), images=2, versions=2),
        "a grid": lambda: draw_classes(images(), images=2),
    }


@pytest.mark.parametrize("kind", ["cut", "flipped", "empty", "cut between"])
@pytest.mark.sampled(1)
def test_shards(prepared, kind):
    root, place = prepared(kind)
    damage(place, kind)
    for name, read in readers(root).items():
        if kind in ("cut", "flipped") and name in ("show-data", "a grid"):
            continue  # of the first images, which are whole
        with pytest.raises(DataError) as refused:
            read()
        assert ONE_LINE.match(str(refused.value)), (name, str(refused.value))
        assert "keras_resnets_digits" in str(refused.value)
        assert "cannot be read" in str(refused.value), name


@pytest.mark.parametrize("file", ["dataset_info.json", "features.json", "label.labels.txt"])
@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 100_000, "5", "x\ny\n"])
def test_metadata(prepared, file, content):
    from keras_resnets.data import load_data

    root, place = prepared(f"{file}{len(content)}{content[:1]}")
    (place / file).write_text(content)
    try:
        data = load_data(data_dir=str(root), download=False)
    except (DataError, RunError) as error:
        refused = str(error)
    else:
        refused = ""  # what the builder's own code says is enough for the library
        assert data.image_shape == (8, 8, 1)
    assert ONE_LINE.match(refused), refused


@pytest.mark.timeout(60)
def test_a_pipe_among_the_shards(prepared):
    from keras_resnets.data import load_data

    root, place = prepared("pipe")
    (shard,) = place.glob("*-test.tfrecord-*")
    shard.unlink()
    os.mkfifo(shard)
    with pytest.raises(DataError, match="cannot be opened: it is a named pipe, not a file"):
        load_data(data_dir=str(root), download=False)


def test_an_image_bomb_in_a_record(digits, monkeypatch):
    from keras_resnets.data import decoding
    from keras_resnets.data.load import load_data

    monkeypatch.setattr(decoding, "MOST_PIXELS", 63)  # those of 8 x 8 digits are too many
    with pytest.raises(DataError, match="cannot be decoded: more than"):
        load_data().images("test")


def test_an_error_of_training_is_the_datas_only_where_it_is(few_digits):
    import tensorflow as tf

    lost = tf.errors.DataLossError(None, None, "{{node X}} corrupted record at 8")
    with (
        pytest.raises(DataError, match="cannot be read: corrupted record"),
        few_digits.reading_errors("train"),
    ):
        raise lost
    for kind in (tf.errors.InvalidArgumentError, tf.errors.ResourceExhaustedError):
        with pytest.raises(kind), few_digits.reading_errors("train"):
            raise kind(None, None, "a mistake of ours")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    import keras_resnets as kr

    home = tmp_path_factory.mktemp("models")
    config = kr.ResNetConfig(
        input_shape=(8, 8, 3), classes=3, blocks=(1, 1, 1), widths=(4, 8, 16), stem_width=4
    )
    model = kr.create_model(config)
    model.save(home / "model.keras")
    model.save_weights(home / "model.weights.h5")
    return home, config


def repack(saved, path, member, change):
    with zipfile.ZipFile(saved / "model.keras") as whole, zipfile.ZipFile(path, "w") as archive:
        for name in whole.namelist():
            content = whole.read(name)
            archive.writestr(name, change(content) if name == member else content)


def test_a_flipped_weight_is_found(saved, tmp_path):
    """Keras reads arrays here and there in the archive, and never its checksum."""
    from keras_resnets.models.saved import read_model

    data = bytearray((saved[0] / "model.keras").read_bytes())
    with zipfile.ZipFile(saved[0] / "model.keras") as archive:
        info = archive.getinfo("model.weights.h5")
    for part in (0.5, 0.7, 0.9):
        changed = bytearray(data)
        changed[info.header_offset + 60 + int(part * info.compress_size)] ^= 64
        (tmp_path / "model.keras").write_bytes(changed)
        with pytest.raises(InputError, match="damaged"):
            read_model(tmp_path / "model.keras")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"blocks": [900, 1, 1]}, r"describes a network of 902 blocks and at least 902.0 kB"),
        ({"widths": [10**6, 10**6, 10**6]}, r"describes a network of 3 blocks and at least"),
        ({"classes": 10**6}, r"describes a network of 3 blocks and at least"),
        ({"blocks": "x"}, r"describes no network"),
        ({"family": "x"}, r"describes no network"),
    ],
)
def test_a_network_larger_than_its_weights_is_never_built(saved, tmp_path, change, words):
    from keras_resnets.models.saved import read_model

    def larger(content):
        config = json.loads(content)
        config["config"]["network"] |= change
        return json.dumps(config).encode()

    repack(saved[0], tmp_path / "model.keras", "config.json", larger)
    with pytest.raises(InputError, match=words):
        read_model(tmp_path / "model.keras")


@pytest.mark.parametrize("damage", ["cut", "cut a little", "garbage", "empty", "zeros"])
def test_weights_files(saved, tmp_path, damage):
    import keras_resnets as kr

    data = (saved[0] / "model.weights.h5").read_bytes()
    data = {
        "cut": data[:3000],
        "cut a little": data[:-600],
        "garbage": b"no HDF5 file",
        "empty": b"",
        "zeros": bytes(len(data)),
    }[damage]
    (tmp_path / "x.weights.h5").write_bytes(data)
    with pytest.raises(InputError, match="`weights` cannot be read") as refused:
        kr.create_model(saved[1], weights=tmp_path / "x.weights.h5")
    assert ONE_LINE.match(str(refused.value))


def test_files_that_read_other_files_are_refused(saved, tmp_path):
    """External storage, virtual data sets and links: Keras' loader, from the lower bound on."""
    h5py = pytest.importorskip("h5py")
    import keras_resnets as kr

    secret = np.arange(10_000, dtype=np.float32)
    secret.tofile(tmp_path / "secret.bin")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["s"] = secret
    for kind in ("external", "virtual", "link"):
        path = tmp_path / f"{kind}.weights.h5"
        shutil.copy(saved[0] / "model.weights.h5", path)
        with h5py.File(path, "r+") as file:
            found = []
            file.visit(found.append)
            name = next(n for n in found if getattr(file[n], "ndim", 0) == 4)
            shape, size = file[name].shape, file[name].size
            del file[name]
            if kind == "external":
                storage = [(str(tmp_path / "secret.bin"), 0, 4 * size)]
                file.create_dataset(name, shape, "float32", external=storage)
            elif kind == "virtual":
                layout = h5py.VirtualLayout(shape, "float32")
                source = h5py.VirtualSource(str(tmp_path / "other.h5"), "s", (10_000,))
                layout[:] = source[:size]
                file.create_virtual_dataset(name, layout)
            else:
                file[name] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/s")
        with pytest.raises(InputError, match=r"`weights` (cannot be read|do not fit)"):
            kr.create_model(saved[1], weights=path)


def test_a_runtimes_failure_is_the_models(tmp_path):
    from keras_resnets.evaluation.runtimes import Runnable

    def fail(batch):
        raise ValueError("{{node X}} damaged inside [Op:X] name: ")

    def scalar(batch):
        return np.float32(1)

    for run, words in ((fail, "cannot be run: damaged inside"), (scalar, r"with shape \(\)")):
        model = Runnable(
            path=Path("a.tflite"),
            format="tflite",
            input_shape=(None, 8, 8, 1),
            dtype="uint8",
            classes=3,
            channels_first=False,
            resolution=0.0,
            run=run,
            encode=lambda values: values,
        )
        with pytest.raises(RunError, match=words):
            model(np.zeros((1, 8, 8, 1)))
