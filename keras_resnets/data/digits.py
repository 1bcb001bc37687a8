"""The embedded data set: 1,797 real handwritten digits, as a TensorFlow Datasets builder."""

import hashlib

import numpy as np
import tensorflow_datasets as tfds

from keras_resnets.data.settings import DIGITS

__all__ = ["DIGITS", "KerasResnetsDigits"]

_SPLITS = (("train", 70), ("validation", 85), ("test", 100))


class KerasResnetsDigits(tfds.core.GeneratorBasedBuilder):
    """Handwritten digits, 8 x 8 pixels, from scikit-learn: nothing is downloaded.

    Importing `keras_resnets.data.digits` registers the builder, so that
    ``tfds.load("keras_resnets_digits")`` works. An image's split (about 70, 15 and 15 %) follows
    from a hash of its pixels: it never changes, and equal images never cross splits.

    Reference:
        E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
        Repository, 1998 (doi:10.24432/C50P49), test part.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            description="1,797 handwritten digits of 8 x 8 pixels, 0 (paper) to 255 (ink).",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(8, 8, 1)),
                    "label": tfds.features.ClassLabel(names=[str(digit) for digit in range(10)]),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://doi.org/10.24432/C50P49",
        )

    def _split_generators(self, dl_manager):
        from sklearn.datasets import load_digits

        digits = load_digits()
        # Ink comes in 17 steps; spread over the range that images have.
        images = np.round(digits.images * (255 / 16)).astype(np.uint8)[..., np.newaxis]
        splits = np.array([_split_of(image) for image in images])
        return {
            name: self._generate_examples(images, digits.target, np.flatnonzero(splits == name))
            for name, _ in _SPLITS
        }

    def _generate_examples(self, images, labels, indices):
        for index in indices:
            yield int(index), {"image": images[index], "label": int(labels[index])}


def _split_of(image: np.ndarray) -> str:
    percentile = int.from_bytes(hashlib.sha256(image.tobytes()).digest()[:4], "big") % 100
    return next(name for name, end in _SPLITS if percentile < end)
