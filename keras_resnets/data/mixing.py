"""Mixed and erased images: Keras' layers, driven by seeds instead of a state.

Keras' augmentation layers draw from a generator that counts its calls, so that what they do hangs
on what ran before them. Given a generator that derives its seeds from a tensor, they are functions
of their images and that tensor.
"""

from __future__ import annotations

import keras
import tensorflow as tf

__all__ = ["Eraser", "Mixer"]

# Whatever the global policy and data format are. Keras would draw a missing seed from Python's
# global generator. A name of its own, since TensorFlow takes none that begins with an underscore.
_RAW = {"dtype": "float32", "data_format": "channels_last", "seed": 0, "name": "augmentation"}


class _Seeds(keras.random.SeedGenerator):
    """A generator of seeds derived from one seed, without a variable."""

    def __init__(self, seed):
        self._seed = seed
        self._count = 0

    def next(self, ordered=True):
        self._count += 1
        return tf.random.fold_in(self._seed, self._count)


class Mixer:
    """Mixes each image and its label with another's of the batch.

    Made outside of `tf.function`s, to be called in them.

    Args:
        mixup: Alpha of the Beta distribution of mixup's weights (Zhang 2018), 0 for none.
        cutmix: The same of CutMix (Yun 2019). With both, a batch gets one of the two by chance.

    Example:
        >>> images, labels = Mixer(mixup=0.2, cutmix=1.0)(images, tf.one_hot(labels, 10), [0, 1])
    """

    def __init__(self, mixup: float, cutmix: float):
        self._layers = [_MixUp(mixup)] if mixup else []
        self._layers += [_CutMix(cutmix)] if cutmix else []

    def __call__(self, images, labels, seed):
        """Return mixed images and labels.

        Args:
            images: uint8 images, ``(batch, height, width, channels)``.
            labels: Their labels, one-hot, ``(batch, classes)``.
            seed: Two integers.

        Returns:
            uint8 images and float32 labels of the same shapes.
        """
        coin_seed, seed = tf.unstack(tf.random.split(seed, 2))
        values, labels = tf.cast(images, tf.float32), tf.cast(labels, tf.float32)

        def mixed(layer):
            layer.tensor_seed = seed
            # A dict for each call: the layers write into it.
            result = layer({"images": values, "labels": labels})
            return tf.cast(tf.round(result["images"]), tf.uint8), result["labels"]

        if not self._layers:
            return images, labels
        first, last = self._layers[0], self._layers[-1]
        if first is last:
            return mixed(first)
        coin = tf.random.stateless_uniform([], coin_seed) < 0.5
        return tf.cond(coin, lambda: mixed(first), lambda: mixed(last))


class Eraser:
    """Replaces a random rectangle of some of the images by noise (Zhong 2020).

    Made outside of `tf.function`s, to be called in them.

    Args:
        probability: Of each image to lose a rectangle.

    Example:
        >>> Eraser(probability=0.25)(images, [0, 1])
    """

    def __init__(self, probability: float):
        self._layer = _Erasing(probability)

    def __call__(self, images, seed):
        """Return images with and without a rectangle of noise.

        Args:
            images: uint8 images, ``(batch, height, width, channels)``.
            seed: Two integers.

        Returns:
            Images of the same shape and type.
        """
        self._layer.tensor_seed = seed
        return tf.cast(tf.round(self._layer(tf.cast(images, tf.float32))), tf.uint8)


class _MixUp(keras.layers.MixUp):
    def __init__(self, alpha):
        super().__init__(alpha, **_RAW)

    def get_random_transformation(self, data, training=True, seed=None):
        return super().get_random_transformation(data, training, _Seeds(self.tensor_seed))


class _CutMix(keras.layers.CutMix):
    def __init__(self, alpha):
        super().__init__(**_RAW)
        self.factor = (alpha, alpha)  # Keras takes a range of alphas, none above 1

    def get_random_transformation(self, data, training=True, seed=None):
        drawn = super().get_random_transformation(data, training, _Seeds(self.tensor_seed))
        # The part of the pixels that stay: Keras' weight is that of a rectangle between pixels.
        pasted = tf.reduce_mean(tf.cast(drawn["batch_masks"], tf.float32), axis=(1, 2, 3))
        return drawn | {"mix_weight": 1 - pasted}


class _Erasing(keras.layers.RandomErasing):
    def __init__(self, probability):
        super().__init__((probability, probability), **_RAW)

    def get_random_transformation(self, data, training=True, seed=None):
        drawn = super().get_random_transformation(data, training, _Seeds(self.tensor_seed))
        # Uniform noise as in the paper; of Keras' normal noise half would be black.
        noise_seed = tf.random.fold_in(self.tensor_seed, 0)
        noise = tf.random.stateless_uniform(tf.shape(data), noise_seed, 0, 256)
        return drawn | {"fill_value": tf.floor(noise)}
