"""Comparison of answers: rounding passes, everything else does not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_resnets.errors import ExportMismatchError
from keras_resnets.export import verify
from keras_resnets.export.verify import TOLERANCE, answers

SCALES = st.sampled_from([1e-5, 1e-3, 1.0, 1e4])  # softmax of many classes ... features


def _answers(scale, seed):
    return (np.random.default_rng(seed).normal(size=(7, 5)) * scale).astype(np.float32)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    file = tmp_path_factory.mktemp("verify") / "file"
    file.write_bytes(b"12345")
    return file


@given(scale=SCALES, seed=st.integers(0, 99))
def test_rounding_passes_on_every_scale(scale, seed, path):
    expected = _answers(scale, seed)
    noise = np.random.default_rng(seed + 1).uniform(-1, 1, expected.shape) * abs(expected).max()
    received = (expected + noise * TOLERANCE / 10).astype(np.float32)
    result = verify("tflite", path, expected, received)
    assert result.largest_difference == pytest.approx(abs(received - expected).max())
    assert (result.images, result.bytes, result.path) == (7, 5, str(path))


@given(
    scale=SCALES,
    seed=st.integers(0, 99),
    where=st.tuples(st.integers(0, 6), st.integers(0, 4)),
    sign=st.sampled_from([-1, 1]),
)
def test_one_wrong_answer_is_found_on_every_scale(scale, seed, where, sign, path):
    expected = _answers(scale, seed)
    received = expected.copy()
    received[where] += sign * 2 * TOLERANCE * abs(expected).max()
    with pytest.raises(ExportMismatchError, match="saved_model export differs from the model by"):
        verify("saved_model", path, expected, received)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", ["expected", "received"])
def test_what_is_no_number_is_a_disagreement(bad, side, path):
    both = {"expected": _answers(1, 0), "received": _answers(1, 0)}
    both[side][3, 2] = bad
    with pytest.raises(ExportMismatchError, match="tflite export"):
        verify("tflite", path, **both)


def test_another_shape_is_a_disagreement(path):
    with pytest.raises(ExportMismatchError, match=r"shape \(7, 4\).*the model with shape \(7, 5\)"):
        verify("tflite", path, _answers(1, 0), _answers(1, 0)[:, :4])


def test_agreement_is_of_the_top_classes(path):
    expected = np.float32([[1, 0.99999], [1, 0]])
    received = np.float32([[0.99999, 1], [1, 0]])  # a tie, turned by rounding
    assert verify("tflite", path, expected, received).agreement == 0.5


@given(count=st.integers(1, 200), batch_size=st.integers(1, 70))
def test_answers_come_batch_by_batch_in_order(count, batch_size):
    sizes = []

    def run(batch):
        sizes.append(len(batch))
        return batch * 2

    images = np.arange(count)
    np.testing.assert_array_equal(answers(run, images, batch_size), 2 * images)
    assert max(sizes) <= batch_size
    assert sum(sizes) == count
