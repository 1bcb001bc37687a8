"""The confusion matrix by its cells: the whole matrix's numbers, in the memory of the images."""

import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_resnets.errors import InputError
from keras_resnets.evaluation import Confusion, plot_confusion, read_evaluation
from keras_resnets.evaluation.metrics import classification_metrics, metrics_of, outcomes
from keras_resnets.evaluation.scores import Scores

LABELLED = st.integers(1, 9).flatmap(
    lambda classes: st.tuples(
        st.just(classes),
        st.lists(
            st.tuples(st.integers(0, classes - 1), st.integers(0, classes - 1)),
            min_size=1,
            max_size=60,
        ),
    )
)


@given(LABELLED)
def test_it_is_the_whole_matrix(case):
    from sklearn.metrics import confusion_matrix

    classes, pairs = case
    labels, predicted = np.array(pairs).T
    whole = confusion_matrix(labels, predicted, labels=np.arange(classes))
    found = Confusion.of(labels, predicted, classes)
    np.testing.assert_array_equal(np.asarray(found), whole)
    np.testing.assert_array_equal(found.row_sums(), whole.sum(1))
    np.testing.assert_array_equal(found.column_sums(), whole.sum(0))
    np.testing.assert_array_equal(found.diagonal(), np.diag(whole))
    np.testing.assert_allclose(found.parts(), whole / np.maximum(whole.sum(1, keepdims=True), 1))
    wrong = whole - np.diag(np.diag(whole))
    order = np.argsort(-wrong, axis=None, kind="stable")[:12]
    places = np.column_stack(np.unravel_index(order, wrong.shape))
    expected = [(int(a), int(b), int(wrong[a, b])) for a, b in places if wrong[a, b]]
    assert found.worst(12) == expected
    assert found.most_confused() == {
        row: (int(wrong[row].argmax()), int(wrong[row].max()))
        for row in range(classes)
        if wrong[row].any()
    }
    for value in (found.to_dict(), whole.tolist()):
        again = Confusion.from_json(json.loads(json.dumps(value)), classes)
        np.testing.assert_array_equal(np.asarray(again), whole)
    np.testing.assert_array_equal(np.asarray(Confusion.of_matrix(whole)), whole)


@given(st.integers(2, 9), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_metrics_are_scikit_learns(classes, images, seed):
    from sklearn import metrics as sk

    rng = np.random.default_rng(seed)
    # Of few values, so that equal probabilities occur.
    probabilities = rng.integers(1, 4, (images, classes)).astype(float)
    probabilities /= probabilities.sum(1, keepdims=True)
    labels = rng.integers(0, classes, images)
    found = classification_metrics(probabilities, labels)
    every = np.arange(classes)
    precision, recall, f1, support = sk.precision_recall_fscore_support(
        labels, probabilities.argmax(1), labels=every, zero_division=np.nan
    )
    for name, values in (("precision", precision), ("recall", recall), ("f1", f1)):
        got = [np.nan if row[name] is None else row[name] for row in found.per_class]
        np.testing.assert_allclose(got, values)
    assert [row["images"] for row in found.per_class] == support.tolist()
    if classes > 5:
        assert found.top5 == sk.top_k_accuracy_score(labels, probabilities, k=5, labels=every)


def test_ten_thousand_classes_in_bounded_memory(tmp_path):
    """The whole matrix alone has 800 MB, all probabilities of 2,000 images twice 160 MB."""
    classes, images, batch = 10_000, 1_000, 50
    rng = np.random.default_rng(0)
    names = [f"class {number}" for number in range(classes)]
    tracemalloc.start()
    scores, labels = Scores(reduce=outcomes), []
    for _ in range(images // batch):
        some = rng.integers(0, classes, batch)
        scores.add([(1.0, rng.normal(size=(batch, classes)))], some)
        labels.append(some)
    metrics = metrics_of(scores.results(), np.concatenate(labels), names)
    text = json.dumps(metrics.to_dict(), indent=2)
    figure = plot_confusion(metrics.confusion, names)
    figure.savefig(tmp_path / "confusion.png", dpi=40)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 120e6
    assert len(text) < 5e6
    assert metrics.images == images
    assert metrics.confusion.row_sums().sum() == images


def test_streaming_gives_the_numbers_of_all_at_once():
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(60, 7)), rng.integers(0, 7, 60)
    for values in (logits, np.exp(logits) / np.exp(logits).sum(1, keepdims=True)):
        whole, streamed = Scores(), Scores(reduce=outcomes)
        for start in range(0, 60, 16):
            part = slice(start, start + 16)
            whole.add([(1.0, values[part])])
            streamed.add([(1.0, values[part])], labels[part])
        assert streamed.are_probabilities == whole.are_probabilities
        expected = classification_metrics(whole.probabilities(), labels)
        found = metrics_of(streamed.results(), labels, [str(i) for i in range(7)])
        assert found.to_dict() == expected.to_dict()


def test_evaluations_of_before_are_read(tmp_path):
    now = Confusion.of([0, 0, 1], [0, 1, 1], 2)
    for confusion in (now.to_dict(), now.tolist()):
        values = {"class_names": ["a", "b"], "top1": 0.5, "confusion": confusion}
        (tmp_path / "evaluation.json").write_text(json.dumps(values))
        for place in (tmp_path, tmp_path / "evaluation.json"):
            found = read_evaluation(place)
            assert found["confusion"].tolist() == [[1, 1], [0, 1]]
            assert found["top1"] == 0.5


@pytest.mark.parametrize(
    "confusion",
    [
        [[1, 2]],
        [[1, 2], [3]],
        [[1]],
        {},
        {"true": [0], "predicted": [5], "images": [1]},
        {"true": [0], "predicted": [1, 1], "images": [1]},
        {"true": ["x"], "predicted": [1], "images": [1]},
        5,
        None,
    ],
)
def test_a_damaged_matrix_is_one_error(confusion, tmp_path):
    values = {"class_names": ["a", "b"], "confusion": confusion}
    (tmp_path / "evaluation.json").write_text(json.dumps(values))
    with pytest.raises(InputError, match=r"is not an evaluation"):
        read_evaluation(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "5", "{", "[" * 100_000, '{"class_names": 5}'])
def test_a_file_that_is_none_is_one_error(text, tmp_path):
    (tmp_path / "evaluation.json").write_text(text)
    with pytest.raises(InputError, match="is not an evaluation"):
        read_evaluation(tmp_path)
