"""Training is compared bit for bit, so its tests run as `prepare_device` sets the process up."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def _deterministic():
    from tensorflow.python.framework.config import disable_op_determinism

    from keras_resnets.training.fit import prepare_device

    prepare_device()
    yield
    disable_op_determinism()  # other packages' tests may use unseeded operations
