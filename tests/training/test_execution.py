"""What is chosen for a device, and how it is overridden."""

import os

import keras
import numpy as np
import pytest
from small_networks import small_config

import keras_resnets as kr
from keras_resnets.errors import ConfigError
from keras_resnets.training import execution
from keras_resnets.training.execution import choose_execution, compile_for

GPUS = {
    "Hopper": (("NVIDIA H100", (9, 0)), "mixed_bfloat16"),
    "Ampere": (("NVIDIA A100", (8, 0)), "mixed_bfloat16"),
    "Turing": (("Tesla T4", (7, 5)), "mixed_float16"),
    "Pascal": (("Tesla P100", (6, 0)), "float32"),
    "of unknown capability": (("GPU", None), "mixed_bfloat16"),
}


@pytest.fixture(autouse=True)
def xla():
    """Undo what other tests turn on for the whole process, and Keras then refuses XLA for."""
    from tensorflow.python.framework import config

    if not config.is_op_determinism_enabled():
        yield
    else:
        config.disable_op_determinism()
        yield
        config.enable_op_determinism()


@pytest.fixture
def network():
    return kr.create_model(small_config("resnet20_cifar"))


def test_a_cpu_trains_in_float32_without_xla(monkeypatch):
    monkeypatch.setattr(execution, "_gpu", lambda: (None, None))
    chosen = choose_execution(48)
    assert str(chosen) == "CPU: no XLA, float32, channels_last, 1 step per call"


@pytest.mark.parametrize("gpu, dtype", GPUS.values(), ids=GPUS)
def test_a_gpu_trains_under_xla_in_what_its_tensor_cores_take(monkeypatch, gpu, dtype):
    monkeypatch.setattr(execution, "_gpu", lambda: gpu)
    chosen = choose_execution(48)
    assert (chosen.device, chosen.jit_compile, chosen.dtype) == (gpu[0], True, dtype)
    assert chosen.steps_per_execution == 16


@pytest.mark.parametrize("steps, at_once", [(None, 1), (1, 1), (16, 16), (19, 1), (45, 15)])
def test_the_steps_of_a_call_divide_an_epoch(monkeypatch, steps, at_once):
    monkeypatch.setattr(execution, "_gpu", lambda: GPUS["Hopper"][0])
    assert choose_execution(steps).steps_per_execution == at_once


def test_the_choice_is_overridden():
    chosen = choose_execution(precision="mixed_float16", xla=True)
    assert (chosen.dtype, chosen.jit_compile) == ("mixed_float16", True)


@pytest.mark.sampled(1)
def test_a_model_is_compiled_as_chosen_and_it_is_said(network):
    said = []
    used = compile_for(
        network, "sgd", "sparse_categorical_crossentropy", ["accuracy"], print_fn=said.append
    )
    assert said == [str(used)]
    assert network.jit_compile == used.jit_compile == choose_execution().jit_compile
    images = np.zeros((8, *network.input_shape[1:]), "float32")
    network.fit(images, np.zeros(8), batch_size=4, verbose=0)


def test_compile_is_overridden(network):
    used = compile_for(
        network,
        "sgd",
        "mse",
        jit_compile=True,
        steps_per_execution=3,
        steps_per_epoch=6,
        print_fn=None,
    )
    assert (network.jit_compile, network.steps_per_execution) == (True, 3)
    assert (used.jit_compile, used.steps_per_execution) == (True, 3)


def test_a_faster_policy_is_named(monkeypatch, network, capsys):
    monkeypatch.setattr(execution, "_gpu", lambda: GPUS["Hopper"][0])
    compile_for(network, "sgd", "mse")
    assert "faster here: create_model(..., dtype='mixed_bfloat16')" in capsys.readouterr().out
    mixed = kr.create_model(small_config("resnet20_cifar"), dtype="mixed_bfloat16")
    assert compile_for(mixed, "sgd", "mse").dtype == "mixed_bfloat16"
    assert "faster" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            {"jit_compile": "yes"},
            "`jit_compile` must be a bool or 'auto'. Received: jit_compile='yes'",
        ),
        ({"jit_compile": None}, "`jit_compile` must be"),
        ({"steps_per_execution": 0}, "`steps_per_execution` must be a positive integer"),
        ({"steps_per_execution": None}, "`steps_per_execution` must be a positive integer"),
        ({"steps_per_epoch": 2.5}, "`steps_per_epoch` must be a positive integer"),
        ({"steps_per_execution": 4, "steps_per_epoch": 6}, "must divide the steps of an epoch"),
    ],
)
def test_wrong_arguments_are_refused(network, arguments, message):
    with pytest.raises(ConfigError) as caught:
        compile_for(network, "sgd", "mse", **arguments)
    assert message in str(caught.value)
    assert not network.compiled


def test_what_is_no_model_is_refused():
    with pytest.raises(ConfigError, match="`model` must be a Keras model"):
        compile_for(keras.layers.Dense(3), "sgd", "mse")


def test_keras_refuses_xla_among_deterministic_operations(network):
    import tensorflow as tf
    from tensorflow.python.framework import config

    tf.config.experimental.enable_op_determinism()
    try:
        with pytest.warns(UserWarning, match="doesn't support `jit_compile=True`"):
            assert not compile_for(
                network, "sgd", "mse", jit_compile=True, print_fn=None
            ).jit_compile
    finally:
        config.disable_op_determinism()


@pytest.mark.parametrize(
    "gpu, xla, deterministic, flags",
    [
        ((None, None), None, True, ""),
        ((None, None), True, False, ""),
        (("NVIDIA H100", (9, 0)), None, False, "--xla_gpu_deterministic_ops=true"),
        (("NVIDIA H100", (9, 0)), False, True, ""),
    ],
)
def test_a_process_is_deterministic_by_what_runs_its_steps(
    monkeypatch, gpu, xla, deterministic, flags
):
    from tensorflow.python.framework import config

    from keras_resnets.training import TrainingSettings
    from keras_resnets.training.fit import prepare_device

    monkeypatch.setattr(execution, "_gpu", lambda: gpu)
    monkeypatch.setenv("XLA_FLAGS", "")
    prepare_device(TrainingSettings(xla=xla))
    assert config.is_op_determinism_enabled() == deterministic
    assert os.environ["XLA_FLAGS"] == flags
    config.disable_op_determinism()


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
@pytest.mark.sampled(1)
def test_a_step_is_traced_once(policy):
    """Twice where it has to make the optimizer's variables."""
    model = kr.create_model(small_config("resnet20_cifar"), dtype=policy)
    traced = []
    train_step = model.train_step
    model.train_step = lambda data: traced.append(data) or train_step(data)
    compile_for(
        model, keras.optimizers.SGD(0.1, 0.9), "sparse_categorical_crossentropy", print_fn=None
    )
    model.fit(np.zeros((4, *model.input_shape[1:])), np.zeros(4), verbose=0, batch_size=4)
    assert len(traced) == 1


def test_float16_scales_its_loss(network):
    """By the layers' policy: Keras alone looks at the model's, which stays float32."""
    mixed = kr.create_model(small_config("resnet20_cifar"), dtype="mixed_float16")
    compile_for(mixed, keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", print_fn=None)
    assert isinstance(mixed.optimizer, keras.optimizers.LossScaleOptimizer)
    compile_for(mixed, "sgd", "mse", auto_scale_loss=False, print_fn=None)
    assert not isinstance(mixed.optimizer, keras.optimizers.LossScaleOptimizer)
    compile_for(network, "sgd", "mse", print_fn=None)
    assert not isinstance(network.optimizer, keras.optimizers.LossScaleOptimizer)


def test_the_policy_inside_a_larger_model_is_seen():
    mixed = kr.create_model(small_config("resnet20_cifar"), dtype="mixed_bfloat16")
    larger = keras.Sequential([keras.Input(mixed.input_shape[1:]), mixed, keras.layers.Dense(2)])
    assert compile_for(larger, "sgd", "mse", print_fn=None).dtype == "mixed_bfloat16"


@pytest.mark.parametrize(
    "arguments", [{"steps_per_epoch": 0}, {"precision": "half"}, {"xla": "yes"}], ids=str
)
def test_choices_are_checked(arguments):
    with pytest.raises(ConfigError, match=f"`{next(iter(arguments))}` must be"):
        choose_execution(**arguments)


def test_the_global_policy_is_kept():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        assert choose_execution().dtype == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
