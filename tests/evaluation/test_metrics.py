"""The numbers, against cases counted by hand and plain restatements of their definitions."""

import math

import numpy as np
import pytest

from keras_resnets.errors import InputError, RunError
from keras_resnets.evaluation.figures import plot_calibration, plot_confusion
from keras_resnets.evaluation.metrics import (
    brier_score,
    calibration_bins,
    classification_metrics,
    expected_calibration_error,
    negative_log_likelihood,
)
from keras_resnets.evaluation.scores import Scores, softmax
from keras_resnets.evaluation.sheets import contact_sheet

# Two images of class 0 (one taken for 2), two of class 1 (right), none of class 2.
PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.3, 0.1, 0.6], [0.1, 0.9, 0.0], [0.2, 0.5, 0.3]])
LABELS = np.array([0, 0, 1, 1])


def test_a_case_counted_by_hand():
    metrics = classification_metrics(PROBABILITIES, LABELS, ["cat", "dog", "emu"])
    assert metrics.images == 4
    assert metrics.top1 == 0.75
    assert metrics.top5 is None
    assert metrics.confusion.tolist() == [[1, 0, 1], [0, 2, 0], [0, 0, 0]]
    expected = -(math.log(0.7) + math.log(0.3) + math.log(0.9) + math.log(0.5)) / 4
    assert metrics.nll == pytest.approx(expected)
    cat, dog, emu = metrics.per_class
    assert cat == {
        "class": "cat",
        "images": 2,
        "recall": 0.5,
        "precision": 1.0,
        "f1": pytest.approx(2 / 3),
        "confused_with": "emu",
        "confusions": 1,
    }
    assert (dog["recall"], dog["precision"], dog["confused_with"]) == (1.0, 1.0, None)
    assert (emu["images"], emu["recall"], emu["precision"]) == (0, None, 0.0)
    assert metrics.to_dict()["confusion"] == {
        "true": [0, 0, 1],
        "predicted": [0, 2, 1],
        "images": [1, 1, 2],
    }
    assert metrics.balanced_accuracy == 0.75  # the mean of 1/2 and 1: emus have no images


def test_a_rare_class_counts_in_the_balanced_accuracy():
    labels = np.array([0] * 9 + [1])
    answers = np.tile([0.9, 0.1], (10, 1))
    metrics = classification_metrics(answers, labels)
    assert (metrics.top1, metrics.balanced_accuracy) == (0.9, 0.5)
    assert metrics.to_dict()["balanced_accuracy"] == 0.5


def test_brier_is_the_squared_distance_from_the_truth():
    truth = np.eye(3)[LABELS]
    expected = np.mean([np.sum((p - t) ** 2) for p, t in zip(PROBABILITIES, truth, strict=True)])
    assert brier_score(PROBABILITIES, LABELS) == pytest.approx(expected)
    assert brier_score([[0.0, 1.0]], [0]) == 2
    assert brier_score([[0.0, 1.0]], [1]) == 0


def test_calibration_counted_by_hand():
    """Confidences 0.7 (right), 0.6 (wrong), 0.9 (right), 0.5 (right), in five bins."""
    bins = calibration_bins(PROBABILITIES, LABELS, bins=5)
    assert [row["images"] for row in bins] == [0, 0, 2, 1, 1]  # 0.6 is in (0.4, 0.6]
    assert bins[2]["accuracy"] == 0.5
    assert bins[2]["confidence"] == pytest.approx(0.55)
    assert bins[0]["accuracy"] is None
    expected = 2 / 4 * 0.05 + 1 / 4 * 0.3 + 1 / 4 * 0.1
    assert expected_calibration_error(bins) == pytest.approx(expected)


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_calibration_on_many_images_is_its_definition(bins):
    rng = np.random.default_rng(0)
    probabilities = softmax(2 * rng.normal(size=(500, 7)))
    labels = rng.integers(0, 7, 500)
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    expected = 0
    for number in range(bins):
        inside = (confidence > number / bins) & (confidence <= (number + 1) / bins)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    found = expected_calibration_error(calibration_bins(probabilities, labels, bins))
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    "confidence, number", [(0.5, 1), (0.5 + 2**-20, 2), (0.75, 2), (0.75 + 2**-20, 3), (1.0, 3)]
)
def test_a_confidence_on_an_edge_lies_in_the_bin_below(confidence, number):
    """Bin m of M holds ((m - 1) / M, m / M]: quarters are exact in binary."""
    bins = calibration_bins([[confidence, 1 - confidence]], [0], bins=4)
    assert [row["images"] for row in bins] == [int(i == number) for i in range(4)]


def test_certainty_lies_in_the_last_bin():
    assert calibration_bins([[1.0, 0.0]], [0])[-1]["images"] == 1


def test_top5_counts_the_five_most_probable():
    probabilities = np.array([[0.3, 0.25, 0.2, 0.1, 0.08, 0.07]] * 2)
    metrics = classification_metrics(probabilities, [4, 5])
    assert (metrics.top1, metrics.top5) == (0, 0.5)


def test_a_probability_of_zero_does_not_make_the_likelihood_infinite():
    assert negative_log_likelihood([[1.0, 0.0]], [1], floor=1e-3) == pytest.approx(3 * np.log(10))
    assert 87 < negative_log_likelihood([[1.0, 0.0]], [1]) < 88


@pytest.mark.parametrize(
    ("probabilities", "labels", "words"),
    [
        (np.ones((3, 2)) / 2, [0, 1], r"shapes \(3, 2\) and \(2,\)"),
        (np.ones((0, 2)), [], r"shapes \(0, 2\)"),
        (np.ones((1, 2)) / 2, [2], "from 0 to 1. Received: 2 to 2"),
        (np.ones((1, 2)) / 2, [-1], "from 0 to 1. Received: -1"),
    ],
)
def test_what_does_not_fit_is_refused(probabilities, labels, words):
    with pytest.raises(InputError, match=words):
        classification_metrics(probabilities, labels)


def test_names_must_be_as_many_as_classes():
    with pytest.raises(InputError, match=r"must name 3 classes\. Received: 2 names"):
        classification_metrics(PROBABILITIES, LABELS, ["cat", "dog"])


def collected(*batches, resolution=0.0):
    scores = Scores(resolution)
    for batch in batches:
        scores.add([(1.0, np.asarray(batch, float))])
    return scores


def test_probabilities_stay():
    scores = collected(PROBABILITIES[:2], PROBABILITIES[2:])
    assert scores.are_probabilities
    np.testing.assert_allclose(scores.probabilities(), PROBABILITIES)


def test_one_image_of_logits_makes_all_logits():
    """The first batch could be probabilities by its numbers; the second cannot."""
    batches = [[0.5, 0.5]], [[3.0, -1.0]]
    scores = collected(*batches)
    assert not scores.are_probabilities
    np.testing.assert_allclose(scores.probabilities(), softmax(np.concatenate(batches)))
    np.testing.assert_allclose(scores.probabilities()[1, 0], 1 / (1 + np.exp(-4)))


def test_positive_logits_are_no_probabilities():
    assert not collected([[5.0, 1.0]]).are_probabilities


def test_large_logits_do_not_overflow():
    np.testing.assert_allclose(collected([[1000.0, -1000.0]]).probabilities(), [[1, 0]])


def test_an_8_bit_softmax_is_known_by_its_step():
    """A thousand classes of a probability below half a step are all rounded to zero."""
    step = 1 / 256
    scores = collected([[200 * step, 0, 0], [0, 0, 0]], resolution=step)
    assert scores.are_probabilities
    np.testing.assert_allclose(scores.probabilities(), [[1, 0, 0], [1 / 3] * 3])
    assert scores.floor == step / 2
    assert not collected([[0.1, 0, 0]], resolution=0.05).are_probabilities


def test_views_are_averaged_as_probabilities():
    one, two = np.array([[4.0, 0.0]]), np.array([[0.0, -1.0]])
    scores = Scores()
    scores.add([(0.25, one), (0.75, two)])
    expected = 0.25 * softmax(one) + 0.75 * softmax(two)
    np.testing.assert_allclose(scores.probabilities(), expected)


def test_answers_that_are_not_finite_are_an_error():
    with pytest.raises(RunError, match="not finite"):
        collected([[np.nan, 0.0]])


@pytest.mark.parametrize("classes", [3, 30, 120])
def test_confusions_are_drawn_for_few_and_many_classes(classes, tmp_path):
    confusion = np.eye(classes, dtype=int) * 7
    confusion[1, 2] = 5
    figure = plot_confusion(confusion, [f"$kind_{number}" for number in range(classes)])
    texts = [text.get_text() for ax in figure.axes for text in ax.texts]
    if classes <= 20:
        assert sorted(texts) == ["5", "7", "7", "7"]
    else:
        assert "$kind_1 → $kind_2: 5" in texts[0]
    figure.savefig(tmp_path / "confusion.png")


def test_bars_and_gaps_meet_at_the_confidence(tmp_path):
    bins = calibration_bins(PROBABILITIES, LABELS, bins=5)
    figure = plot_calibration(bins, 0.1)
    bars, gaps = figure.axes[0].containers
    tops = [bar.get_height() + gap.get_height() for bar, gap in zip(bars, gaps, strict=True)]
    assert tops == pytest.approx([row["confidence"] for row in bins if row["images"]])
    figure.savefig(tmp_path / "calibration.png")


def test_frames_say_right_wrong_or_unknown(tmp_path):
    image = np.zeros((4, 4, 3), np.uint8)
    answers = [
        {"class": "a_$dollar", "probability": 0.91, "true": "a_$dollar"},
        {"class": "dog", "probability": 0.5, "true": "cat"},
        {"class": "dog", "probability": 0.5, "true": None},
    ]
    figure = contact_sheet([image, image[:, :, :1], image], answers, columns=2)
    colors = [ax.spines["left"].get_edgecolor() for ax in figure.axes[:3]]
    assert len(set(colors)) == 3
    assert colors[1][0] > colors[1][1]
    assert colors[0][1] > colors[0][0]
    labels = [ax.get_xlabel() for ax in figure.axes[:3]]
    assert labels == ["a_$dollar 91 %", "dog 50 %\nis cat", "dog 50 %"]
    figure.savefig(tmp_path / "sheet.png")
