"""Downloads: announced, refused where they must be, and never half done."""

import contextlib
import os

import numpy as np
import pytest
import tensorflow_datasets as tfds

from keras_resnets.data import load_data, prepared
from keras_resnets.data.options import check_dataset
from keras_resnets.errors import DataError, RunError


class _Fetched(tfds.core.GeneratorBasedBuilder):
    """A data set that leaves an archive in the folder of downloads."""

    VERSION = tfds.core.Version("1.0.0")
    SKIP_REGISTERING = True

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            description="Random images.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(4, 4, 1)),
                    "label": tfds.features.ClassLabel(names=["cat", "dog"]),
                }
            ),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager):
        dl_manager.download_dir.mkdir(parents=True, exist_ok=True)
        (dl_manager.download_dir / "fetched.zip").write_bytes(b"fetched")
        return {"train": self._generate_examples(20), "test": self._generate_examples(5)}

    def _generate_examples(self, count):
        for index in range(count):
            if index == 3:
                self.midway()
            yield index, {"image": np.zeros((4, 4, 1), np.uint8), "label": index % 2}

    def midway(self):
        """Is called when a part of the examples is written."""


class FetchedWhole(_Fetched):
    """One that is prepared."""


class FetchedInParts(_Fetched):
    """One of two configurations."""

    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=name) for name in ("small", "large")]


class FetchedByHand(_Fetched):
    """One that the library cannot download."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = "Register, and get\nimages.zip."

    def _split_generators(self, dl_manager):
        raise ConnectionError((dl_manager.manual_dir / "images.zip").read_text())


class FetchedBroken(_Fetched):
    """One whose server goes on holiday in the middle."""

    def midway(self):
        raise ConnectionError("the server is on holiday")


class FetchedInterrupted(_Fetched):
    """One that the user stops."""

    def midway(self):
        raise KeyboardInterrupt


class FetchedRaced(_Fetched):
    """One that another process prepares in the same moment."""

    place = None

    def midway(self):
        if self.place is not None:
            place, FetchedRaced.place = self.place, None
            load_data("fetched_raced", place)


@pytest.fixture(autouse=True)
def _quiet():
    tfds.disable_progress_bar()


def test_what_is_downloaded_is_said_once_and_lies_in_its_place(tmp_path):
    lines = []
    for _ in range(2):
        data = load_data("fetched_whole", tmp_path, print_fn=lines.append)
        assert len(data.images("train")[0]) == data.sizes["train"]
    assert lines == [f"downloading data set fetched_whole, of unknown size, into\n{tmp_path}"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["downloads", "fetched_whole"]
    assert (tmp_path / "fetched_whole" / "1.0.0" / "dataset_info.json").is_file()
    assert (tmp_path / "downloads" / "fetched.zip").read_bytes() == b"fetched"


def test_its_size_is_said(tmp_path, monkeypatch):
    class Url:
        size = 170_052_171

    monkeypatch.setattr(FetchedWhole, "url_infos", {"a": Url, "b": Url})
    with pytest.raises(DataError, match=r"would be downloaded, at most 340\.1 MB, which"):
        load_data("fetched_whole", tmp_path, download=False)


def test_configurations_lie_beside_each_other(tmp_path):
    load_data("fetched_in_parts/large", tmp_path)
    load_data("fetched_in_parts/small:1.0.0", tmp_path)
    places = {p.parent.relative_to(tmp_path) for p in tmp_path.rglob("dataset_info.json")}
    assert sorted(map(str, places)) == [
        "fetched_in_parts/large/1.0.0",
        "fetched_in_parts/small/1.0.0",
    ]
    # The library notes there which one a name without a configuration means.
    assert load_data("fetched_in_parts", tmp_path, download=False).source.endswith("/small/1.0.0")


@pytest.mark.parametrize(
    ("name", "error"),
    [("fetched_broken", RunError), ("fetched_interrupted", KeyboardInterrupt)],
)
@pytest.mark.parametrize("there", ["nothing", "another data set"])
def test_what_fails_leaves_nothing_behind(name, error, there, tmp_path, tree):
    if there == "another data set":
        load_data("fetched_whole", tmp_path)
    before = tree(tmp_path)
    with pytest.raises(error):
        load_data(name, tmp_path)
    assert tree(tmp_path) == before


def test_a_folder_that_was_made_for_it_goes_with_it(tmp_path):
    root = tmp_path / "new" / "data"
    with contextlib.suppress(ConnectionError), prepared._staged(root) as stage:
        (stage / "half").mkdir()
        raise ConnectionError
    assert list(tmp_path.iterdir()) == []
    with prepared._staged(root) as stage:
        (stage / "set").mkdir()
    assert [p.name for p in root.iterdir()] == ["set"]


def test_archives_that_are_there_are_used_and_stay(tmp_path):
    downloads = tmp_path / "downloads"
    (downloads / "extracted" / "old").mkdir(parents=True)
    (downloads / "fetched.zip").write_bytes(b"from before")
    (downloads / "extracted" / "old" / "image").touch()
    with prepared._staged(tmp_path) as stage:
        borrowed = stage / "downloads"
        assert (borrowed / "fetched.zip").read_bytes() == b"from before"
        assert (borrowed / "extracted" / "old" / "image").is_file()
        (borrowed / "extracted" / "new").mkdir()
    assert not downloads.is_symlink()
    assert (downloads / "fetched.zip").read_bytes() == b"from before"
    assert sorted(p.name for p in (downloads / "extracted").iterdir()) == ["new", "old"]


def test_what_a_killed_process_left_is_removed(tmp_path):
    dead, living = (
        tmp_path / f"{prepared._partial()}{process}" for process in (2**22 + 7, os.getppid())
    )
    for folder in (dead, living):
        folder.mkdir()
    load_data("fetched_whole", tmp_path)
    assert not dead.exists()
    assert living.is_dir()


def test_two_processes_may_prepare_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(FetchedRaced, "place", tmp_path)
    # Two in one process would share their folder: the inner one plays another machine.
    hosts = iter(["one", "one", "other", "other"])
    monkeypatch.setattr(prepared, "_partial", lambda: f".partial.{next(hosts)}.")
    assert load_data("fetched_raced", tmp_path).sizes["test"] == 5
    assert sorted(p.name for p in tmp_path.iterdir()) == ["downloads", "fetched_raced"]


def test_without_download_only_what_is_there_is_read(tmp_path, tree):
    before = tree(tmp_path)
    with pytest.raises(DataError, match=r"is not prepared in .*--no-download"):
        load_data("fetched_whole", tmp_path, download=False)
    assert tree(tmp_path) == before
    assert load_data(data_dir=tmp_path, download=False).classes == 10  # embedded
    load_data("fetched_whole", tmp_path)
    assert load_data("fetched_whole", tmp_path, download=False).classes == 2


@pytest.mark.parametrize("name", ["fetched_whole", prepared.DIGITS])
def test_a_folder_of_the_users_own_stays_as_it_is(name, tmp_path, tree):
    (tmp_path / "holiday").mkdir()
    for file in ("holiday/photo1.jpg", "photo2.jpg", "photo3.jpg", "photo4.jpg"):
        (tmp_path / file).touch()
    before = tree(tmp_path)
    with pytest.raises(
        DataError, match=r"other things .*: holiday, photo2.jpg, photo3.jpg, \.\.\."
    ):
        load_data(name, tmp_path)
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "file",
    ["downloads/a.zip", "mnist/3.0.1/dataset_info.json", "mnist/incomplete.1_3.0.1/a", ".DS_Store"],
)
def test_a_folder_of_the_library_is_used(file, tmp_path):
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).touch()
    assert load_data("fetched_whole", tmp_path).classes == 2


def test_a_folder_that_does_not_exist_is_not_made(tmp_path):
    with pytest.raises(DataError, match=r"`data_dir` .*nowhere' does not exist: make the folder"):
        load_data("fetched_whole", tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"`data_dir` .*file' is a file, not a folder"):
        load_data("fetched_whole", tmp_path / "file")


def test_what_is_downloaded_by_hand_says_so(tmp_path, tree):
    before = tree(tmp_path)
    place = tmp_path / "downloads" / "manual"
    with pytest.raises(DataError, match=f"by hand into '{place}': Register, and get images.zip"):
        load_data("fetched_by_hand", tmp_path)
    assert tree(tmp_path) == before
    place.mkdir(parents=True)
    (place / "images.zip").write_text("what the archive holds")
    with pytest.raises(RunError, match="what the archive holds"):
        load_data("fetched_by_hand", tmp_path)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("cifar10", True),
        ("Cifar10", True),
        ("cifar10:3.0.2", True),
        ("cifar10_corrupted/brightness_1", True),
        ("cifar10_corrupted/brightness_1:1.0.0", True),
        ("huggingface:anything", True),
        (prepared.DIGITS, True),
        ("cifar11", False),
        ("two words", False),
        ("/etc", False),
        ("cifar_config", False),
    ],
)
def test_names_are_known_by_files(name, known):
    assert prepared.is_known(name) is known


def test_a_prepared_folder_is_enough(tmp_path):
    """Data sets may come as folders, without the code that made them."""
    place = tmp_path / "of_a_colleague" / "2.0.0"
    place.mkdir(parents=True)
    assert not prepared.is_known("of_a_colleague", tmp_path)
    (place / "dataset_info.json").touch()
    assert prepared.is_known("of_a_colleague", tmp_path)
    assert not prepared.is_known("of_a_colleague:1.0.0", tmp_path)
    check_dataset("of_a_colleague", tmp_path, download=False)
