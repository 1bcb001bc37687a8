"""The line of an epoch fits a terminal, however large its numbers are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_resnets.training.program import epoch_line
from keras_resnets.training.settings import TrainingPlan


def line(epoch=1, epochs=18, loss=1.2345, accuracy=0.5521, val=0.5, seconds=1.0, images=1234):
    row = {"epoch": epoch, "loss": loss, "accuracy": accuracy, "val_accuracy": val}
    row["seconds"] = seconds
    return epoch_line(row, [row], TrainingPlan(1, epochs), images)


def test_an_epoch_in_a_line():
    expected = "epoch  1/18  loss 1.2345  accuracy 55.21%  val 50.00%  1,234 images/s  0:17 left"
    assert line() == expected
    assert len(expected) <= 80
    assert "val" not in line(val=None)


@given(
    st.integers(1, 9999),
    st.floats(0, 1e6) | st.just(float("nan")),
    st.floats(0, 1),
    st.none() | st.floats(0, 1),
    st.floats(0.001, 30),
    st.integers(1, 10**6),
)
def test_any_epoch_fits_80_columns(epochs, loss, accuracy, val, seconds, images):
    text = line(epochs, epochs, loss, accuracy, val, seconds, images)
    assert len(text) <= 80
    assert text.startswith(f"epoch {epochs}/{epochs} ")


@pytest.mark.parametrize("seconds", [0.5, 60, 300])
def test_a_long_training_says_all_of_it_in_80_columns(seconds):
    text = line(1000, 2000, 123.456, 1, 1, seconds, 1_281_167)
    assert len(text) <= 80
    for part in ("epoch 1000/2000", "loss 123.46", "100.00%", "images/s", " left"):
        assert part in text
