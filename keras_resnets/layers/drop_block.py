"""DropBlock: dropping squares of feature maps (Ghiasi 2018, arXiv:1810.12890)."""

import keras
from keras import ops

from keras_resnets.layers.resampling import standardize_data_format

__all__ = ["DropBlock"]


@keras.saving.register_keras_serializable(package="keras_resnets")
class DropBlock(keras.layers.Layer):
    """Drops squares of each channel at random in training, and scales what is left.

    Args:
        rate: Fraction of the values to drop, in [0, 1): one minus the paper's ``keep_prob``.
        block_size: Side of the squares; a smaller map is dropped whole.
        seed: Seed of the draws.
        data_format: ``"channels_last"``, ``"channels_first"`` or None for Keras' default.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Batch of feature maps.
        training: Whether to drop.

    Input shape:
        ``(batch, height, width, channels)``, or channels first.

    Output shape:
        The input's.

    Raises:
        ValueError: `rate` or `block_size` is illegal.

    Example:
        >>> DropBlock(0.1, 7)(np.ones((1, 8, 8, 4)), training=False)[0, 0, 0, 0]
        1.0

    Reference:
        Ghiasi 2018, Algorithm 1 and eq. 1; squares lie within the map, each channel has its own,
        and the survivors are scaled by the batch's part that was kept, as in the authors' code.
    """

    def __init__(self, rate, block_size=7, seed=None, data_format=None, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"`rate` must be in [0, 1). Received: rate={rate}")
        if not isinstance(block_size, int) or block_size < 1:
            raise ValueError(
                f"`block_size` must be a positive integer. Received: block_size={block_size!r}"
            )
        self.rate = float(rate)
        self.block_size = block_size
        self.seed = seed
        self.data_format = standardize_data_format(data_format)
        self.supports_masking = True
        self.seed_generator = keras.random.SeedGenerator(seed) if rate else None
        self._build_at_init()

    def call(self, inputs, training=False):
        if not training or not self.rate:
            return inputs
        first = self.data_format == "channels_first"
        shape = list(ops.shape(inputs))
        if first:
            shape = [shape[0], *shape[2:], shape[1]]
        kept = 1.0 - self._dropped(shape)
        # In float32 under every policy: the mean of a large map is no sum in 16 bits.
        kept = kept / ops.maximum(ops.mean(kept), keras.config.epsilon())
        kept = ops.transpose(kept, (0, 3, 1, 2)) if first else kept
        return inputs * ops.cast(kept, inputs.dtype)

    def _dropped(self, shape):
        """Draw which values are dropped: 1 for these, 0 for others, channels last."""
        count, height, width, channels = shape
        size = self.block_size
        rows, columns = (_larger(side - size + 1, 1) for side in (height, width))
        # Eq. 1: so many corners that `rate` of the map lies in a square, were none to overlap.
        values, squares = height * width, rows * columns
        square = (height - rows + 1) * (width - columns + 1)
        values, squares, square = (ops.cast(n, "float32") for n in (values, squares, square))
        corner = self.rate * values / square / squares
        draws = keras.random.uniform(
            (count, rows, columns, channels), dtype="float32", seed=self.seed_generator
        )
        corners = ops.cast(draws < corner, "float32")
        corners = ops.pad(corners, [(0, 0), (size - 1, size - 1), (size - 1, size - 1), (0, 0)])
        dropped = ops.max_pool(corners, size, 1, padding="valid", data_format="channels_last")
        return dropped[:, :height, :width]

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        names = ("rate", "block_size", "seed", "data_format")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _larger(one, other):
    """Return the larger of two sizes: a number where both are known before the call."""
    return max(one, other) if isinstance(one, int) else ops.maximum(one, other)
