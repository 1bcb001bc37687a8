"""Networks of every family are what they were once: their names, and their answers."""

import json

import golden
import numpy as np
import pytest
from tiers import matrix

import keras_resnets as kr
from keras_resnets import config_from_dict

RECORDS = json.loads(golden.FILE.read_text("utf-8"))
PLAIN = ["resnet20_cifar", "preact_resnet50", "resnet_rs200", "densenet121", "dilated"]

pytestmark = pytest.mark.tensorflow  # each is compiled for one call on JAX


@pytest.mark.parametrize("name", matrix(RECORDS, PLAIN))
def test_names_and_answers_are_those_of_the_file(name):
    record = RECORDS[name]
    model = kr.create_model(config_from_dict(record["config"]), name="golden")
    assert golden.shapes(model) == record["weights"]
    found = golden.answers(golden.filled(model)).ravel()[:10]
    np.testing.assert_allclose(found, record["answers"], rtol=1e-4, atol=1e-5)


def test_every_family_is_there():
    assert set(RECORDS) == set(golden.configs())
