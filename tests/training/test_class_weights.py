"""What images count by their class: files, names, and the batches that are trained on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_resnets.errors import ConfigError, InputError
from keras_resnets.training import TrainingSettings, train
from keras_resnets.training.class_weights import class_weight_vector, read_class_weights
from keras_resnets.training.fit import class_weights_for, weighted

WEIGHTS = {"cat": 2.0, "dog": 1.0, "猫, big": 0.5}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("w.json", '{"cat": 2, "dog": 1.0, "猫, big": 0.5}'),
        ("w.json", '\ufeff{"cat": 2, "dog": 1.0, "猫, big": 0.5}'),
        ("w.csv", 'cat,2\ndog,1\n"猫, big",0.5\n'),
        ("w.csv", '\ufeffclass,weight\r\ncat,2\r\ndog,1\r\n"猫, big",0.5'),
        ("w.csv", 'name, weight\rcat, 2\rdog , 1\r"猫, big", .5\r\r'),
        ("W.CSV", '\n\ncat,2e0\ndog,1\n"猫, big",5e-1\n'),
    ],
)
def test_files_are_read_as_they_come(name, content, tmp_path):
    path = tmp_path / name
    path.write_bytes(content.encode())
    assert read_class_weights(str(path)) == WEIGHTS


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("w.json", "{", "cannot be read"),
        ("w.json", "[1, 2]", "a weight for each class by its name"),
        ("w.json", "{}", "a weight for each class by its name"),
        ("w.json", '{"cat": "2"}', "finite numbers of at least 0. Received: '2' for class 'cat'"),
        ("w.json", '{"cat": NaN}', "Received: nan for class 'cat'"),
        ("w.json", '{"cat": -1}', "Received: -1 for class 'cat'"),
        ("w.json", '{"cat": 0, "dog": 0}', "must not all be 0"),
        ("w.json", '{"cat": 1, "cat": 2}', "class 'cat' is given twice"),
        ("w.csv", "cat,1\ndog,two\n", "line 2: the weight must be a number. Received: 'two'"),
        ("w.csv", "cat,1,2\n", "line 1 must be a class and a weight"),
        ("w.csv", "cat,1\ncat,2\n", "class 'cat' is given twice"),
        ("w.csv", b"\xff\xfe\x00", "cannot be read"),
        ("w.txt", "cat 1", "'balanced' or an existing .json or .csv file"),
        (None, "", "'balanced' or an existing .json or .csv file"),
    ],
)
def test_a_wrong_file_is_one_line(name, content, message, tmp_path):
    path = tmp_path / (name or "missing.csv")
    if name:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as caught:
        read_class_weights(str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.lists(st.integers(0, 500), min_size=2, max_size=6).filter(any))
def test_balanced_classes_count_the_same_as_a_whole(counts):
    names = [f"class {number}" for number in range(len(counts))]
    weights = class_weight_vector("balanced", names, counts)
    wholes = [weight * count for weight, count in zip(weights, counts, strict=True) if count]
    assert wholes == pytest.approx([sum(counts) / len(wholes)] * len(wholes))


@given(st.lists(st.tuples(st.integers(1, 500), st.floats(0.01, 100)), min_size=2, max_size=5))
def test_given_weights_keep_their_ratios_and_the_mean_is_one(pairs):
    counts, values = zip(*pairs, strict=True)
    names = [f"class {number}" for number in range(len(counts))]
    weights = np.array(class_weight_vector(dict(zip(names, values, strict=True)), names, counts))
    assert np.dot(weights, counts) / sum(counts) == pytest.approx(1)
    assert weights / weights[0] == pytest.approx(np.array(values) / values[0])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"cat": 1, "dog": 1, "cats": 2}, "names 'cats', which is not a class; nearest: cat"),
        ({"cat": 1}, "must name every class. Missing: dog"),
        ({"cat": 0, "dog": 1}, "0 for every class that has training images"),
    ],
)
def test_weights_of_other_classes_are_refused(weights, message):
    with pytest.raises(ConfigError) as caught:
        class_weight_vector(weights, ("cat", "dog"), (5, 0))
    assert message in str(caught.value)


@pytest.mark.parametrize("weights", [2, [1, 2], "balancd", {"cat": True}, {1: None}])
def test_settings_refuse_what_is_not_a_weight(weights):
    with pytest.raises(ConfigError, match="`class_weights`"):
        TrainingSettings(class_weights=weights)


@pytest.mark.parametrize("one_hot", [False, True])
def test_batches_carry_the_weight_of_their_labels(few_digits, one_hot):
    table = np.arange(1, 11, dtype="float32")
    batches = few_digits.training_batches(16, 0, one_hot=one_hot)
    _, labels, weights = next(iter(weighted(batches, list(table))))
    labels = labels.numpy()
    numbers = labels.argmax(-1) if one_hot else labels
    np.testing.assert_allclose(weights, table[numbers])


def test_a_mixture_weighs_what_it_is_a_mixture_of(few_digits):
    from keras_resnets.data import Augmentation

    table = np.arange(1, 11, dtype="float32")
    batches = few_digits.training_batches(32, 0, augmentation=Augmentation(mixup=1.0))
    _, labels, weights = next(iter(weighted(batches, list(table))))
    np.testing.assert_allclose(weights, labels.numpy() @ table, rtol=1e-5)
    assert (np.abs(weights.numpy() - np.round(weights.numpy())) > 0.01).any()


def test_counts_are_of_the_images_that_are_trained_on(few_digits):
    counts = few_digits.class_counts("train")
    assert (counts == np.bincount(few_digits.images("train")[1], minlength=10)).all()
    settings = TrainingSettings(class_weights="balanced")
    weights = class_weights_for(few_digits, settings)
    np.testing.assert_allclose(np.array(weights) * counts, 9.6)
    assert class_weights_for(few_digits, TrainingSettings()) is None


@pytest.mark.large
def test_training_follows_the_weights(tiny_config, few_digits):
    """Where one class alone counts, it is what the network learns to say of every image."""
    settings = TrainingSettings(
        recipe="search",
        epochs=12,
        batch_size=24,
        class_weights={str(digit): float(digit == 7) for digit in range(10)},
    )
    lines = []
    result = train(tiny_config, few_digits, settings, on_warning=lines.append)
    images, labels = few_digits.images("validation")
    answers = np.asarray(result.model(images, training=False)).argmax(-1)
    assert (answers == 7).all()
    # Metrics are those of all images alike.
    assert result.history[-1]["val_accuracy"] == pytest.approx((labels == 7).mean(), abs=1e-6)
    assert "every validation image is classified as '7'" in lines[0]
    assert len(lines) == 3
