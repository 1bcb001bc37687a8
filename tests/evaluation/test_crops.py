"""Ten crops and several scales, against the same by hand."""

import numpy as np
import pytest

from keras_resnets.errors import InputError
from keras_resnets.evaluation.crops import plan_crops, ten_crops


def numbered(height, width):
    """One image whose pixels are numbered row by row."""
    return np.arange(height * width).reshape(1, height, width, 1)


def test_ten_crops_of_a_tiny_image_by_hand():
    """3 x 4 pixels 0..11, crops of 2 x 2."""
    crops = [crop[0, :, :, 0].tolist() for crop in ten_crops(numbered(3, 4), 2)]
    assert crops == [
        [[0, 1], [4, 5]],
        [[2, 3], [6, 7]],
        [[4, 5], [8, 9]],
        [[6, 7], [10, 11]],
        [[1, 2], [5, 6]],
        [[1, 0], [5, 4]],
        [[3, 2], [7, 6]],
        [[5, 4], [9, 8]],
        [[7, 6], [11, 10]],
        [[2, 1], [6, 5]],
    ]


def test_without_mirrors():
    assert len(ten_crops(numbered(3, 4), 2, mirror=False)) == 5


def test_images_of_the_crops_size_are_seen_once():
    crops = ten_crops(numbered(2, 2), 2)
    assert [crop[0, :, :, 0].tolist() for crop in crops] == [[[0, 1], [2, 3]], [[1, 0], [3, 2]]]


def test_images_smaller_than_the_crops_are_refused():
    with pytest.raises(InputError, match=r"at most the images' 2 x 4\. Received: size=3"):
        ten_crops(numbered(2, 4), 3)


def test_the_papers_sizes():
    """Krizhevsky 2012: 224 from 256; He 2015: {224, 256, 384, 480, 640}."""
    shape = (224, 224, 3)
    assert plan_crops("ten", (None, *shape), shape).sides == (256,)
    fixed = plan_crops("multi", (None, *shape), shape)
    whole = plan_crops("multi", (None, None, None, 3), shape)
    assert fixed.sides == whole.sides == (224, 256, 384, 480, 640)
    assert (fixed.size, whole.size) == (224, None)
    assert (fixed.count, whole.count) == (2 + 4 * 10, 5 * 2)
    assert plan_crops("multi", (None, 32, 32, 3), (32, 32, 3)).sides == (32, 37, 55, 69, 91)


def test_the_center_is_the_image_itself():
    plan = plan_crops("center", (None, 3, 4, 1), (3, 4, 1))
    ((weight, view),) = plan.views([numbered(3, 4)])
    assert weight == 1
    assert (view == numbered(3, 4)).all()
    assert (plan.sides, plan.count) == ((), 1)


@pytest.mark.parametrize("crops", ["ten", "multi"])
@pytest.mark.parametrize("input_shape", [(None, 8, 8, 1), (None, None, None, 1)])
@pytest.mark.parametrize("mirror", [True, False])
def test_weights_sum_to_one_and_scales_weigh_the_same(crops, input_shape, mirror):
    plan = plan_crops(crops, input_shape, (8, 8, 1), mirror)
    pyramid = [numbered(side, side) for side in plan.sides]
    views = list(plan.views(pyramid))
    assert len(views) == plan.count
    assert sum(weight for weight, _ in views) == pytest.approx(1)
    if plan.size is None:
        shares = dict.fromkeys(plan.sides, 0)
        for weight, view in views:
            shares[view.shape[1]] += weight
        assert list(shares.values()) == pytest.approx([1 / len(plan.sides)] * len(plan.sides))
    else:
        assert {view.shape for _, view in views} == {(1, 8, 8, 1)}


def test_a_mean_over_views_is_the_mean_of_its_scales_by_hand():
    """A model that answers the mean pixel, on whole images of two scales."""
    plan = plan_crops("multi", (None, None, None, 1), (8, 8, 1), mirror=True)
    pyramid = [np.full((2, side, side, 1), number) for number, side in enumerate(plan.sides)]
    mean = sum(weight * view.mean((1, 2, 3)) for weight, view in plan.views(pyramid))
    np.testing.assert_allclose(mean, [2, 2])  # of 0, 1, 2, 3, 4


def test_mirrors_make_the_mean_of_an_image_and_its_mirror_equal():
    """What only looks at the left half answers the same to an image and to its mirror."""

    def left(view):
        return view[:, :, : view.shape[2] // 2].astype(float).mean((1, 2, 3))

    image = np.random.default_rng(0).integers(0, 256, (1, 10, 10, 1))
    plan = plan_crops("ten", (None, 8, 8, 1), (8, 8, 1))
    answers = [
        sum(weight * left(view) for weight, view in plan.views([given]))
        for given in (image, image[:, :, ::-1])
    ]
    np.testing.assert_allclose(answers[0], answers[1])
    assert left(image) != left(image[:, :, ::-1])


@pytest.mark.parametrize("crops", ["ten", "multi"])
def test_images_that_are_not_square_are_refused(crops):
    with pytest.raises(InputError, match=r"needs square images\. Received: images of 8 x 6"):
        plan_crops(crops, (None, 8, 6, 1), (8, 6, 1))


def test_unknown_crops_are_refused():
    with pytest.raises(InputError, match="one of 'center', 'ten', 'multi'"):
        plan_crops("twelve", (None, 8, 8, 1), (8, 8, 1))


def test_the_centre_of_a_larger_image():
    plan = plan_crops("center", (None, 4, 4, 1), (4, 4, 1), crop_ratio=0.5)
    assert plan.sides == (8,)
    image = np.arange(64).reshape(1, 8, 8, 1)
    ((weight, view),) = plan.views([image])
    assert weight == 1
    np.testing.assert_array_equal(view, image[:, 2:6, 2:6])
    assert str(plan) == "one view an image, the centre of 8 pixels"


@pytest.mark.parametrize(("crops", "ratio"), [("center", 0), ("center", 1.5), ("ten", 0.9)])
def test_a_wrong_ratio_is_refused(crops, ratio):
    with pytest.raises(InputError, match="`crop_ratio` must be in"):
        plan_crops(crops, (None, 4, 4, 1), (4, 4, 1), crop_ratio=ratio)
