"""Augmentation of training images as data: what is done, not how."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import pydantic

from keras_resnets.schema import Numbers, Schema

__all__ = ["Augmentation"]


def _range(low: float, high: float):
    """Return a validator of two numbers in order, above `low` and up to `high`."""

    def check(numbers: tuple[float, ...]) -> tuple[float, ...]:
        if len(numbers) != 2 or not low < numbers[0] <= numbers[1] <= high:
            limit = f"and at most {high:g} " if high < float("inf") else ""
            raise ValueError(f"Input should be two numbers, above {low:g} {limit}and in order")
        return numbers

    return pydantic.AfterValidator(check)


# None stands for "none", as `--set crop=none` gives it.
_OrNone = pydantic.BeforeValidator(lambda value: "none" if value is None else value)
_Positive = Annotated[Numbers, _range(0, float("inf"))]
_Part = Annotated[Numbers, _range(0, 1)]
_Probability = Annotated[float, pydantic.Field(ge=0, le=1)]


def _alpha(alpha: float) -> float:
    # Below, float32 has no gamma variates as small as most of the Beta distribution's are made of.
    if alpha != 0 and alpha < 0.05:
        raise ValueError("Input should be 0, or at least 0.05")
    return alpha


_Alpha = Annotated[float, pydantic.AfterValidator(_alpha)]


class Augmentation(Schema):
    """What is done to training images: the ``[augmentation]`` table of a recipe.

    By default images are shifted by up to an eighth of their side and mirrored, the augmentation of
    CIFAR since He 2015, with the border filled by reflection (Zagoruyko 2016). The steps follow one
    another in the order of the fields; docs/augmentation.md shows each.

    Attributes:
        crop: ``"pad"`` shifts images; ``"random_resized"`` cuts a rectangle of random `area` and
            `aspect` and resizes it (Szegedy 2015); ``"scale"`` resizes the image to a random
            `scale` and cuts a random part of the training size from it (Simonyan 2015, He 2015);
            ``"none"`` leaves images as they are.
        padding: Pixels by which ``"pad"`` shifts at most; None for an eighth of the shorter side,
            4 at 32 pixels.
        pad_mode: What ``"pad"`` fills the border with: black, the data set's mean colour (zeros
            after the subtraction of the mean, as in He 2015), or the reflected image.
        flip: Whether half of the images are mirrored, by chance; ``"alternate"`` mirrors each one
            every other epoch, beginning with a half chosen once (Jordan 2024). Data sets of digits
            and letters are never mirrored.
        area: Smallest and largest part of the image that ``"random_resized"`` cuts out.
        aspect: Smallest and largest width by height of that rectangle.
        scale: Smallest and largest shorter side that ``"scale"`` resizes to, for training images of
            224 pixels; proportional for others.
        color: ``"pca"`` adds multiples of the principal components of ImageNet's colours
            (Krizhevsky 2012).
        rand_augment: Operations of RandAugment on each image, of 14 (Cubuk 2020); 0 for none.
        rand_augment_magnitude: Their strength, from 0 to 1.
        trivial_augment: Whether each image gets one random operation of random strength, of the
            wide space of TrivialAugment (Mueller 2021).
        erasing: Probability that a random rectangle is replaced by noise (Zhong 2020).
        mixup: Alpha of the Beta distribution of the weights of mixed images (Zhang 2018), at least
            0.05; 0 for none. Labels are mixed too.
        cutmix: Alpha of the same for pasted rectangles (Yun 2019); 0 for none. With both, each
            batch has one of the two by chance.
        repeats: How often each image appears in a batch, differently augmented (Hoffer 2020). An
            epoch keeps its number of steps, and sees 1 / `repeats` of the images.

    Example:
        >>> Augmentation(crop="random_resized", mixup=0.2, cutmix=1.0).mixes
        True
        >>> Augmentation.parse({"padding": -1}, "augmentation")
        ConfigError: `augmentation.padding` must be greater than or equal to 0. Received: padding=-1
    """

    crop: Annotated[Literal["none", "pad", "random_resized", "scale"], _OrNone] = "pad"
    padding: Annotated[int, pydantic.Field(ge=0)] | None = None
    pad_mode: Literal["zero", "mean", "reflect"] = "reflect"
    flip: Literal[True, False, "alternate"] = True
    area: _Part = (0.08, 1.0)
    aspect: _Positive = (3 / 4, 4 / 3)
    scale: _Positive = (256, 480)
    color: Annotated[Literal["none", "pca"], _OrNone] = "none"
    rand_augment: Annotated[int, pydantic.Field(ge=0)] = 0
    rand_augment_magnitude: _Probability = 0.3
    trivial_augment: bool = False
    erasing: _Probability = 0.0
    mixup: _Alpha = 0.0
    cutmix: _Alpha = 0.0
    repeats: Annotated[int, pydantic.Field(ge=1)] = 1

    @pydantic.field_validator("scale")
    @classmethod
    def _cover(cls, scale):
        if scale[0] < 224:
            raise ValueError("Input should be at least 224, the side that is cut out")
        return scale

    @pydantic.model_validator(mode="after")
    def _agree(self) -> Self:
        if self.rand_augment and self.trivial_augment:
            raise ValueError(
                "`rand_augment` and `trivial_augment` exclude each other. "
                f"Received: rand_augment={self.rand_augment}, trivial_augment=True"
            )
        return self

    @property
    def mixes(self) -> bool:
        """Whether images of several classes are mixed, so that labels are distributions."""
        return self.mixup > 0 or self.cutmix > 0

    @property
    def cuts(self) -> bool:
        """Whether images are cut from their originals, one by one."""
        return self.crop in ("random_resized", "scale")
