"""Training and evaluation take logits as logits and probabilities as such, and nothing else."""

import pytest

import keras_resnets as kr
from keras_resnets.training.fit import config_for_training
from keras_resnets.training.losses import compile_for_evaluation
from keras_resnets.training.settings import TrainingSettings

SMALL = kr.ResNetConfig(
    blocks=(1,), widths=(4,), stem_width=4, input_shape=(8, 8, 3), classes=3
)  # fmt: skip


@pytest.mark.parametrize(
    "activation, logits",
    [(None, True), ("linear", True), ("log_softmax", True), ("softmax", False), ("sigmoid", False)],
)
def test_the_loss_knows(activation, logits):
    model = kr.create_model(SMALL, classifier_activation=activation)
    compile_for_evaluation(model)
    assert model.loss.get_config()["from_logits"] is logits


def test_other_outputs_are_refused_before_a_training():
    config = SMALL.replace(classifier_activation="tanh")
    with pytest.raises(kr.ConfigError, match="`classifier_activation` must give logits"):
        config_for_training(config, TrainingSettings())
