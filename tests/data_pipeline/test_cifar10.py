"""The real CIFAR-10, where it is at hand.

``KERAS_RESNETS_CIFAR10_DIR`` names a TensorFlow Datasets folder that holds a prepared ``cifar10``.
"""

import os

import numpy as np
import pytest

from keras_resnets import create_model, model_config
from keras_resnets.data import load_data

FOLDER = os.environ.get("KERAS_RESNETS_CIFAR10_DIR")

pytestmark = pytest.mark.skipif(
    not FOLDER, reason="KERAS_RESNETS_CIFAR10_DIR does not name a folder with CIFAR-10"
)


@pytest.fixture(scope="module")
def cifar10():
    return load_data("cifar10", data_dir=FOLDER)


def test_what_it_is(cifar10):
    assert cifar10.image_shape == (32, 32, 3)
    assert cifar10.classes == 10
    assert {"airplane", "truck"} < set(cifar10.class_names)
    assert cifar10.sizes == {"train": 45000, "validation": 5000, "test": 10000}
    assert cifar10.flip is True
    assert cifar10.crop_padding == 4


@pytest.mark.large
def test_the_published_channel_statistics(cifar10):
    """Mean 0.4914, 0.4822, 0.4465 and standard deviation 0.2470, 0.2435, 0.2616 ."""
    mean, std = cifar10.channel_statistics
    np.testing.assert_allclose(np.divide(mean, 255), [0.4914, 0.4822, 0.4465], atol=0.01)
    np.testing.assert_allclose(np.divide(std, 255), [0.2470, 0.2435, 0.2616], atol=0.01)


@pytest.mark.large
def test_resnet20_reads_its_batches(cifar10):
    config = cifar10.adapt(model_config("resnet20_cifar"))
    images, labels = next(cifar10.training_batches(16, 0).as_numpy_iterator())
    assert images.shape == (16, 32, 32, 3)
    assert np.asarray(create_model(config)(images)).shape == (16, 10)
    _, again = next(cifar10.training_batches(16, 0).as_numpy_iterator())
    np.testing.assert_array_equal(labels, again)


@pytest.mark.slow
def test_a_small_network_learns_it(cifar10):
    from keras_resnets.training import TrainingSettings, train

    config = cifar10.adapt(model_config("resnet8_cifar"))
    result = train(config, cifar10, TrainingSettings(recipe="search", epochs=1, batch_size=128))
    assert result.history[-1]["val_accuracy"] > 0.3
