"""How candidates are trained follows from the search's settings and the data."""

import pytest

from keras_resnets.errors import ConfigError
from keras_resnets.tuning import SearchSettings
from keras_resnets.tuning.tuner import candidate_settings, check_training

VALUES = {"learning_rate": 0.05}


@pytest.mark.parametrize(("images", "batch"), [(60, 8), (245, 8), (1257, 64), (45_000, 64)])
def test_the_batch_follows_the_data(images, batch):
    settings = candidate_settings(SearchSettings(), VALUES).fit_to(images)
    assert settings.batch_size == batch
    assert settings.epochs == SearchSettings().epochs
    assert settings.learning_rate == 0.05  # what was searched, whatever the batch


def test_what_is_given_wins():
    settings = candidate_settings(SearchSettings(batch_size=48), VALUES)
    assert settings.fit_to(60).batch_size == 48


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


def test_settings_refuse_what_is_not_a_weight():
    with pytest.raises(ConfigError, match="`class_weights`"):
        SearchSettings(class_weights="balancd")
