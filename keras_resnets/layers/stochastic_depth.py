"""Stochastic depth: dropping a residual branch whole (Huang 2016, arXiv:1603.09382)."""

import keras
from keras import ops

__all__ = ["StochasticDepth"]


@keras.saving.register_keras_serializable(package="keras_resnets")
class StochasticDepth(keras.layers.Layer):
    """Drops its input at random in training.

    Args:
        survival: Probability that the input survives, in [0, 1].
        mode: ``"batch"``, the paper's form: one coin for the whole batch, the survivor is not
            scaled, and inference multiplies by `survival` (eq. 5). ``"sample"``, the modern form:
            one coin a sample, survivors are divided by `survival`, inference passes through.
            A `ResidualBlock` skips the work of a branch that is dropped for the whole batch (not
            outside a graph of TensorFlow's); the moving statistics inside stay as they are, as in
            the authors' code.
        seed: Seed of the coins.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of any rank, the batch first.
        training: Whether to drop.

    Input shape:
        Any.

    Output shape:
        The input's.

    Raises:
        ValueError: `survival` or `mode` is illegal.

    Example:
        >>> StochasticDepth(0.5)(np.ones((2, 3)), training=False)[0, 0]
        0.5
    """

    def __init__(self, survival, mode="batch", seed=None, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= survival <= 1:
            raise ValueError(
                f"`survival` must be a probability, in [0, 1]. Received: survival={survival}"
            )
        if mode not in ("batch", "sample"):
            raise ValueError(f"`mode` must be 'batch' or 'sample'. Received: mode={mode!r}")
        self.survival = float(survival)
        self.mode = mode
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed) if 0 < survival < 1 else None
        self.supports_masking = True
        self._build_at_init()

    def call(self, inputs, training=False):
        if self.survival == 1:
            return inputs
        if not training:
            return inputs * self.survival if self.mode == "batch" else inputs
        if self.survival == 0:
            return ops.zeros_like(inputs)
        count = 1 if self.mode == "batch" else ops.shape(inputs)[0]
        alive = self._coins((count,) + (1,) * (len(inputs.shape) - 1))
        scale = 1.0 if self.mode == "batch" else 1.0 / self.survival
        return inputs * ops.cast(ops.where(alive, scale, 0.0), inputs.dtype)

    def drops_whole_batches(self, training) -> bool:
        """Return whether a branch need not be computed where `coin` says so."""
        return bool(training) and self.mode == "batch" and 0 < self.survival < 1

    def coin(self):
        """Draw whether the batch's branch survives, as a scalar boolean tensor."""
        return ops.reshape(self._coins((1,)), ())

    def _coins(self, shape):
        # Drawn in float32: a coin in a 16-bit type would be biased by its rounding.
        draws = keras.random.uniform(shape, dtype="float32", seed=self.seed_generator)
        return draws < self.survival

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        config = {"survival": self.survival, "mode": self.mode, "seed": self.seed}
        return {**super().get_config(), **config}
