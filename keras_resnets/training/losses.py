"""The losses of recipes."""

from __future__ import annotations

import keras
from keras import ops

from keras_resnets.models.heads import gives_logits
from keras_resnets.training.recipes.recipe import Loss

__all__ = ["ClassBinaryCrossentropy", "compile_for_evaluation", "make_loss", "needs_one_hot"]


@keras.saving.register_keras_serializable(package="keras_resnets")
class ClassBinaryCrossentropy(keras.losses.Loss):
    """A binary cross-entropy for each class (Wightman 2021, arXiv:2110.00476, section 2.2).

    Unlike Keras', whose smoothing draws every target towards one half, it spreads the smoothed
    part of a label over all classes.

    Args:
        label_smoothing: Part of the label spread over all classes.
        reduction: As for `keras.losses.Loss`, like the next two.
        name: See there.
        dtype: See there.

    Example:
        >>> loss = ClassBinaryCrossentropy()
        >>> round(float(loss([[0.0, 1.0]], [[0.0, 0.0]])), 4)
        0.6931
    """

    def __init__(
        self,
        label_smoothing=0.0,
        reduction="sum_over_batch_size",
        name="class_binary_crossentropy",
        dtype=None,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        """Return the loss of each image, from one-hot labels and logits."""
        smooth = self.label_smoothing
        y_true = y_true * (1 - smooth) + smooth / y_true.shape[-1]
        return ops.mean(ops.binary_crossentropy(y_true, y_pred, from_logits=True), axis=-1)

    def get_config(self):
        """Return the arguments."""
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


def needs_one_hot(recipe) -> bool:
    """Say whether a recipe's loss takes labels as vectors."""
    mixes = recipe.augmentation.mixup or recipe.augmentation.cutmix
    return bool(recipe.loss.kind == "bce" or recipe.loss.label_smoothing or mixes)


def make_loss(table: Loss, one_hot: bool, from_logits: bool) -> keras.losses.Loss:
    """Return the loss that a recipe's table describes.

    Args:
        table: The table.
        one_hot: Whether labels are vectors.
        from_logits: Whether the network gives logits, which ``"bce"`` needs.

    Example:
        >>> make_loss(Loss(), one_hot=False, from_logits=False).name
        'sparse_categorical_crossentropy'
    """
    if table.kind == "bce":
        return ClassBinaryCrossentropy(table.label_smoothing)
    if not one_hot:
        return keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)
    return keras.losses.CategoricalCrossentropy(
        from_logits=from_logits, label_smoothing=table.label_smoothing
    )


def compile_for_evaluation(model) -> None:
    """Compile a trained network so that `evaluate` takes images and the numbers of their classes.

    Args:
        model: A network of ours.

    Example:
        >>> compile_for_evaluation(model)
        >>> loss, accuracy = model.evaluate(images, labels)
    """
    logits = gives_logits(model.config)
    model.compile(
        optimizer=keras.optimizers.SGD(),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=logits),
        metrics=["accuracy"],
        jit_compile=False,
    )
