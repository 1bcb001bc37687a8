"""A training whose network no longer has the weights of its configuration says so."""

import keras
import pytest

from keras_resnets.errors import InputError
from keras_resnets.training import TrainingSettings, train

SETTINGS = TrainingSettings(epochs=2, batch_size=48)


class Changing(keras.callbacks.Callback):
    """Changes the classifier when a fit has ended."""

    def __init__(self, change):
        super().__init__()
        self.change = change

    def on_train_end(self, logs=None):
        self.change(self.model)


def adapt(model):
    model.get_layer("predictions").enable_lora(2)


def quantize(model):
    model.quantize("int8", filters=lambda layer: layer.name == "predictions")


@pytest.mark.parametrize(
    "change, words", [(adapt, "adapted by LoRA"), (quantize, "quantised to int8")]
)
@pytest.mark.large
def test_by_a_callback(change, words, tiny_config, few_digits):
    with pytest.raises(InputError, match=f"the trained model must.*'predictions' is {words}"):
        train(tiny_config, few_digits, SETTINGS, until=1, callbacks=[Changing(change)])


@pytest.mark.large
def test_in_its_checkpoint_it_is_damaged(tiny_config, few_digits, tmp_path):
    path = tmp_path / "model.keras"
    train(tiny_config, few_digits, SETTINGS, until=1, checkpoint=path)
    model = keras.saving.load_model(path)
    model.get_layer("predictions").activation = keras.activations.sigmoid
    model.save(path)
    told = []
    result = train(tiny_config, few_digits, SETTINGS, checkpoint=path, on_damage=told.append)
    assert [line for line in told if "model.keras is damaged" in line] == told != []
    assert result.model.get_layer("predictions").activation is keras.activations.softmax
    assert len(result.history) == 2
