"""How a network runs fastest on the device at hand.

The rules, the figures behind those for a CPU, and what is not measured yet (GPUs) are in
``docs/performance.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras

from keras_resnets.errors import ConfigError
from keras_resnets.models.checks import check, is_int
from keras_resnets.models.network import Network
from keras_resnets.training.settings import check_execution

__all__ = ["Execution", "choose_execution", "compile_for", "execution_for"]


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How to run on a device.

    Attributes:
        device: ``"CPU"``, or the name of the GPU.
        jit_compile: Whether training steps are compiled by XLA.
        dtype: Dtype policy to build networks with.
        data_format: Data format to build networks with.
        steps_per_execution: Training steps behind one call from Python.

    Example:
        >>> print(choose_execution())
        CPU: no XLA, float32, channels_last, 1 step per call
    """

    device: str
    jit_compile: bool
    dtype: str
    data_format: str
    steps_per_execution: int

    def __str__(self):
        steps = self.steps_per_execution
        return (
            f"{self.device}: {'XLA' if self.jit_compile else 'no XLA'}, {self.dtype}, "
            f"{self.data_format}, {steps} step{'s' * (steps > 1)} per call"
        )


def choose_execution(
    steps_per_epoch: int | None = None, *, precision: str = "auto", xla: bool | None = None
) -> Execution:
    """Return how networks run fastest on the device that Keras will use.

    On a CPU without XLA, which makes a training step of TensorFlow's slower (on JAX everything is
    compiled), in float32, one step a call: a call costs a hundredth of the smallest network's step.
    On a GPU compiled by XLA, in bfloat16 where the GPU has it (in float16 from Volta on), several
    steps a call. Networks are channels last everywhere: a CPU has no other kernels, cuDNN's for
    16 bits are faster so, and XLA gives convolutions the layout that cuDNN runs faster whatever the
    network says.

    Args:
        steps_per_epoch: Steps of an epoch, of which the steps a call are a divisor.
        precision: A dtype policy to have in any case, ``"auto"`` to choose: Keras' global one where
            it is not float32.
        xla: Whether to compile by XLA in any case, None to choose.

    Returns:
        The choice.

    Raises:
        ConfigError: An argument is illegal.

    Example:
        >>> choose_execution().jit_compile
        False
    """
    check_execution(precision, xla)
    _check_count("steps_per_epoch", steps_per_epoch, optional=True)
    name, capability = _gpu()
    compiles = keras.backend.backend() == "jax" or name is not None
    fastest = keras.config.dtype_policy().name
    if fastest == "float32" and name:
        fastest = _dtype(capability)
    return Execution(
        device=name or "CPU",
        jit_compile=compiles if xla is None else xla,
        dtype=fastest if precision == "auto" else precision,
        data_format="channels_last",
        steps_per_execution=_divisor(steps_per_epoch, 16) if name else 1,
    )


def execution_for(settings, steps_per_epoch: int | None = None) -> Execution:
    """Return the choice for the `precision` and `xla` of a training's or a search's settings."""
    return choose_execution(steps_per_epoch, precision=settings.precision, xla=settings.xla)


def compile_for(
    model: keras.Model,
    optimizer="rmsprop",
    loss=None,
    metrics=None,
    *,
    steps_per_epoch: int | None = None,
    jit_compile: bool | str = "auto",
    steps_per_execution: int | str = "auto",
    print_fn: Callable[[str], None] | None = print,
    **kwargs,
) -> Execution:
    """Compile a model for the device at hand, as `choose_execution` says, and say how.

    The optimizer's variables are made at once, which halves the time to the first training step;
    what is frozen or thawed afterwards asks for another call.

    Args:
        model: Any Keras model; it is compiled.
        optimizer: As for `keras.Model.compile`, like the next two.
        loss: See there.
        metrics: See there.
        steps_per_epoch: Steps of an epoch in `fit`, if known.
        jit_compile: Whether XLA compiles training, ``"auto"`` to choose.
        steps_per_execution: Training steps a call, ``"auto"`` to choose; it must divide the steps
            of an epoch.
        print_fn: Called with a line that says what was chosen, and with another where a network of
            another dtype policy would be faster; None for silence.
        **kwargs: Further arguments of `keras.Model.compile`.

    Returns:
        How the model runs.

    Raises:
        ConfigError: An argument is illegal.

    Example:
        >>> compile_for(create_model("resnet20_cifar"), "sgd", "sparse_categorical_crossentropy")
        CPU: no XLA, float32, channels_last, 1 step per call
    """
    _check_compile(model, jit_compile, steps_per_execution, steps_per_epoch)
    chosen = choose_execution(steps_per_epoch)
    policy = _policy_of(model)
    if policy == "mixed_float16" and kwargs.get("auto_scale_loss", True):
        # Keras looks at the policy of the model alone, which its layers need not share.
        optimizer = keras.optimizers.get(optimizer)
        if not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    model.compile(
        optimizer=optimizer,
        loss=loss,
        metrics=metrics,
        jit_compile=chosen.jit_compile if jit_compile == "auto" else jit_compile,
        steps_per_execution=(
            chosen.steps_per_execution if steps_per_execution == "auto" else steps_per_execution
        ),
        **kwargs,
    )
    if model.built:
        # Else the first step makes the optimizer's variables, and TensorFlow traces it twice.
        model.optimizer.build(model.trainable_variables)
    execution = Execution(
        device=chosen.device,
        jit_compile=model.jit_compile,  # Keras may not have followed, and has warned then
        dtype=policy,
        data_format=_data_format_of(model),
        steps_per_execution=model.steps_per_execution,
    )
    if print_fn is not None:
        print_fn(str(execution))
        if isinstance(model, Network) and execution.dtype == "float32" != chosen.dtype:
            print_fn(f"faster here: create_model(..., dtype={chosen.dtype!r})")
    return execution


def _check_compile(model, jit_compile, steps_per_execution, steps_per_epoch):
    if not isinstance(model, keras.Model):
        raise ConfigError(f"`model` must be a Keras model. Received: model={model!r}")
    if jit_compile != "auto" and not isinstance(jit_compile, bool):
        raise ConfigError(
            f"`jit_compile` must be a bool or 'auto'. Received: jit_compile={jit_compile!r}"
        )
    if steps_per_execution != "auto":
        _check_count("steps_per_execution", steps_per_execution)
    _check_count("steps_per_epoch", steps_per_epoch, optional=True)
    if steps_per_epoch and steps_per_execution != "auto" and steps_per_epoch % steps_per_execution:
        raise ConfigError(
            "`steps_per_execution` must divide the steps of an epoch, or `fit` makes more of them. "
            f"Received: steps_per_execution={steps_per_execution}, "
            f"steps_per_epoch={steps_per_epoch}"
        )


def _check_count(name, value, optional=False):
    check(is_int(value) or (optional and value is None), name, "a positive integer", value)


def _policy_of(model) -> str:
    """Return the policy of the layers in front of the head, which is float32 under every policy."""
    layers = [*model._flatten_layers(include_self=False)]
    names = [layer.dtype_policy.name for layer in layers if layer.weights]
    mixed = [name for name in names if name.startswith("mixed")]
    return mixed[0] if mixed else names[0] if names else model.dtype_policy.name


def _data_format_of(model) -> str:
    layers = model._flatten_layers(include_self=False)
    formats = [getattr(layer, "data_format", None) for layer in layers]
    return next((name for name in formats if name), keras.config.image_data_format())


def _divisor(number: int | None, most: int) -> int:
    """Return the greatest divisor of a number that is no more than `most`; 1 for None."""
    if number is None:
        return 1
    return next(part for part in range(min(most, number), 0, -1) if number % part == 0)


def _dtype(capability: tuple[int, int] | None) -> str:
    """Return the policy for a GPU: bfloat16 needs Ampere's tensor cores, float16 Volta's."""
    if capability is None or capability >= (8, 0):
        return "mixed_bfloat16"
    return "mixed_float16" if capability >= (7, 0) else "float32"


def _gpu() -> tuple[str | None, tuple[int, int] | None]:
    """Return name and compute capability of the first GPU that Keras would use, or Nones."""
    if keras.backend.backend() == "jax":
        import jax

        device = jax.devices()[0]
        if device.platform != "gpu":
            return None, None
        major, _, minor = str(getattr(device, "compute_capability", "8.0")).partition(".")
        return device.device_kind, (int(major), int(minor or 0))
    import tensorflow as tf

    devices = tf.config.get_visible_devices("GPU")
    if not devices:
        return None, None
    details = tf.config.experimental.get_device_details(devices[0])
    return details.get("device_name", "GPU"), details.get("compute_capability")
