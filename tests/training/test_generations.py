"""Two generations of a checkpoint: nothing that was written is lost, and nothing is mixed."""

import pytest
from power_loss import Disk

from keras_resnets.files import replacing
from keras_resnets.training.generations import (
    averages_path,
    begin_from,
    find_generations,
    next_model,
    settle,
    turn_over,
)


@pytest.fixture(scope="module", autouse=True)
def _deterministic():
    """Nothing is trained here."""


def save(path, epoch, averaged=True):
    """Write what a training writes after an epoch, with an easy model."""
    if averaged:
        with replacing(averages_path(path, epoch)) as beside:
            beside.write_bytes(b"averages %d" % epoch)
    with replacing(next_model(path)) as beside:
        beside.write_bytes(b"model %d" % epoch)
    turn_over(path, [{"epoch": n + 1} for n in range(epoch)], 10 * epoch, averaged)


def check(generation, epoch):
    assert [row["epoch"] for row in generation.history] == list(range(1, epoch + 1))
    assert generation.iterations == 10 * epoch
    assert generation.model.read_bytes() == b"model %d" % epoch
    assert generation.averages is None or generation.averages.read_bytes() == b"averages %d" % epoch


@pytest.fixture
def path(tmp_path):
    (tmp_path / "run").mkdir()
    return tmp_path / "run" / "checkpoint.keras"


def test_the_last_two_are_kept(path):
    for epoch in (1, 2, 3):
        save(path, epoch)
    found = find_generations(path)
    check(found.whole[0], 3)
    check(found.whole[1], 2)
    assert (found.newest.model, found.line()) == (path, None)
    assert sorted(p.name for p in path.parent.iterdir()) == [
        "checkpoint-averages-2.npz",
        "checkpoint-averages-3.npz",
        "checkpoint-previous.json",
        "checkpoint-previous.keras",
        "checkpoint.json",
        "checkpoint.keras",
    ]


def test_power_may_fail_at_any_operation(path, tmp_path, monkeypatch):
    """After each of them the last epoch whose writing has returned is there, or a later one."""
    (tmp_path / "spare").mkdir()
    disk, moments, done = Disk(path.parent, monkeypatch, tmp_path / "spare"), 0, [0]
    while True:
        for left in path.parent.iterdir():
            left.unlink()
        done[0] = 0
        with disk.until(moments):
            for epoch in (1, 2, 3):
                save(path, epoch)
                done[0] = epoch
        found = find_generations(path)
        if done[0]:
            assert found.epochs >= done[0], f"operation {moments}"
        if found.whole:
            check(found.newest, found.epochs)
            assert found.line() is None, f"operation {moments}"
        settle(path, found)
        for epoch in range(found.epochs + 1, 5):
            save(path, epoch)
        check(find_generations(path).whole[0], 4)
        assert find_generations(path).line() is None
        if done[0] == 3:
            break
        moments += 1
    assert moments > 30  # else the power never failed


def test_power_may_fail_while_an_interruption_is_mended(path, tmp_path, monkeypatch):
    (tmp_path / "spare").mkdir()
    disk = Disk(path.parent, monkeypatch, tmp_path / "spare")
    for first in range(0, 40, 3):
        for second in range(6):
            for left in path.parent.iterdir():
                left.unlink()
            save(path, 1)
            with disk.until(first):
                save(path, 2)
                save(path, 3)
            before = find_generations(path)
            with disk.until(second):
                settle(path, before)
            found = find_generations(path)
            assert found.epochs == before.epochs >= 1, (first, second)
            check(found.newest, found.epochs)


def _cut(file):
    file.write_bytes(file.read_bytes()[:-5])


def _flip(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def _empty(file):
    file.write_bytes(b"")


def _list(file):
    file.write_bytes(b"[]")


@pytest.mark.parametrize("damage", [_cut, _flip, _empty, _list, lambda file: file.unlink()])
@pytest.mark.parametrize(
    "name", ["checkpoint.keras", "checkpoint.json", "checkpoint-averages-3.npz"]
)
def test_a_damaged_one_gives_way_to_the_one_before(name, damage, path):
    for epoch in (1, 2, 3):
        save(path, epoch)
    damage(path.with_name(name))
    found = find_generations(path)
    check(found.newest, 2)
    assert name in found.line()
    assert found.line().endswith("what followed on epoch 2 is lost, and is trained again")
    settle(path, found)
    save(path, 3)  # must not push the only good one out before it is written
    check(find_generations(path).whole[0], 3)
    check(find_generations(path).whole[1], 2)


@pytest.mark.parametrize("name", ["checkpoint-previous.keras", "checkpoint-previous.json"])
def test_a_damaged_spare_copy_loses_nothing(name, path):
    for epoch in (1, 2, 3):
        save(path, epoch)
    _flip(path.with_name(name))
    found = find_generations(path)
    check(found.newest, 3)
    assert "nothing is lost" in found.line()


def test_where_none_is_whole_the_line_says_so_and_all_goes(path):
    for epoch in (1, 2):
        save(path, epoch)
    for name in ("checkpoint.keras", "checkpoint-previous.json"):
        _flip(path.with_name(name))
    found = find_generations(path)
    assert found.newest is None
    assert found.line().endswith("its epochs are lost, the training begins again")
    settle(path, found)
    assert list(path.parent.iterdir()) == []


def test_an_older_versions_checkpoint_is_told(path):
    path.write_bytes(b"model")
    path.with_suffix(".json").write_text('[{"epoch": 1}]')
    assert "of an older version" in find_generations(path).line()


def test_a_model_of_another_generation_is_never_taken(path):
    """The two files of different epochs, both whole."""
    for epoch in (1, 2):
        save(path, epoch)
    path.with_name("checkpoint-previous.json").unlink()
    path.with_name("checkpoint-previous.keras").replace(path)
    found = find_generations(path)
    assert found.newest is None
    assert "checkpoint.keras is damaged" in found.line()


def test_stray_files_are_left_alone(path):
    strays = [".DS_Store", "checkpoint-averages-old.npz", "checkpoint (copy).keras", "checkpoint~"]
    for name in strays:
        path.with_name(name).touch()
    for epoch in (1, 2, 3):
        save(path, epoch)
    assert all(path.with_name(name).exists() for name in strays)
    assert find_generations(path).line() is None


def test_another_training_begins_from_one(path):
    for epoch in (1, 2):
        save(path, epoch)
    other = path.with_name("other.keras")
    _flip(path)
    line = begin_from(path, other)
    check(find_generations(other).newest, 1)
    assert "checkpoint.keras is damaged" in line
    save(other, 2)
    assert begin_from(path, other) is None  # its own is there
    check(find_generations(other).newest, 2)
