"""How candidates are trained follows from the search's settings and the data."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_resnets.data import load_data
from keras_resnets.errors import ConfigError
from keras_resnets.tuning import SearchSettings
from keras_resnets.tuning.tuner import candidate_settings, check_training

VALUES = {"learning_rate": 0.05}


@pytest.mark.parametrize(
    ("images", "batch", "epochs", "final_epochs"),
    [
        (48, 8, 34, 100),
        (60, 8, 29, 86),
        (245, 8, 12, 40),
        (1257, 64, 12, 40),
        (45_000, 64, 12, 40),
    ],
)
def test_batch_and_epochs_follow_the_data(images, batch, epochs, final_epochs):
    fitted = SearchSettings().fit_to(images)
    assert (fitted.batch_size, fitted.epochs, fitted.final_epochs) == (batch, epochs, final_epochs)
    settings = candidate_settings(fitted, VALUES)
    assert settings.fit_to(images) == settings.fit_to(images).fit_to(images)
    assert settings.plan(images).steps == images // batch * epochs >= 200
    assert settings.replace(epochs=final_epochs).plan(images).steps >= 600
    assert settings.learning_rate == 0.05  # what was searched, whatever the batch


@given(
    images=st.integers(10, 100_000),
    given_=st.fixed_dictionaries(
        {},
        optional={
            "epochs": st.integers(1, 50),
            "final_epochs": st.integers(1, 50),
            "batch_size": st.integers(1, 10),
        },
    ),
)
def test_what_is_given_wins(images, given_):
    fitted = SearchSettings(**given_).fit_to(images)
    assert {name: getattr(fitted, name) for name in given_} == given_
    assert fitted.fit_to(images) == fitted
    steps = images // fitted.batch_size
    assert "epochs" in given_ or steps * fitted.epochs >= 200
    assert "final_epochs" in given_ or steps * fitted.final_epochs >= 600


def test_class_weights_reach_the_candidates(few_digits):
    weights = {str(digit): 1.0 + digit for digit in range(10)}
    settings = SearchSettings(class_weights=weights)
    assert candidate_settings(settings, VALUES).class_weights == weights
    assert settings.to_dict()["class_weights"] == weights
    check_training(settings, few_digits)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 97}, "batch_size=97 for 96 images"),
        ({"class_weights": {"0": 1.0}}, "must name every class"),
    ],
)
def test_what_no_candidate_could_be_trained_by_is_refused(changes, message, few_digits):
    with pytest.raises(ConfigError, match=message):
        check_training(SearchSettings(**changes), few_digits)


def test_images_below_the_stride_are_refused():
    check_training(SearchSettings(), load_data(image_size=4))
    with pytest.raises(ConfigError, match="3 x 3 are smaller than the network's total stride, 4"):
        check_training(SearchSettings(), load_data(image_size=3))


def test_settings_refuse_what_is_not_a_weight():
    with pytest.raises(ConfigError, match="`class_weights`"):
        SearchSettings(class_weights="balancd")
