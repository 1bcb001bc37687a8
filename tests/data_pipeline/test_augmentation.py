"""Augmentation: checked settings, and images that are functions of the seed, epoch and step."""

import dataclasses
import hashlib
import itertools
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps
from test_image_data import in_memory
from test_image_folder import write_class

from keras_resnets.data import Augmentation, load_data
from keras_resnets.data import batches as batches_of
from keras_resnets.data.augmenting import add_pca_color, cut_area, cut_scaled, shift
from keras_resnets.data.mixing import Eraser, Mixer
from keras_resnets.data.operations import OPERATIONS, rand_augment, trivial_augment
from keras_resnets.errors import ConfigError

NOTHING = {"crop": "none", "flip": False}
EACH = {
    "none": NOTHING,
    "pad": {},
    "zero": {"pad_mode": "zero"},
    "mean": {"pad_mode": "mean"},
    "alternate": {"flip": "alternate"},
    "random_resized": {"crop": "random_resized"},
    "scale": {"crop": "scale"},
    "pca": NOTHING | {"color": "pca"},
    "rand_augment": NOTHING | {"rand_augment": 1},
    "trivial_augment": NOTHING | {"trivial_augment": True},
    "erasing": NOTHING | {"erasing": 0.5},
    "mixup": NOTHING | {"mixup": 0.2},
    "cutmix": NOTHING | {"cutmix": 1.0},
    "both": NOTHING | {"mixup": 0.2, "cutmix": 2.0},
    "repeats": {"repeats": 3},
    "rsb": {
        "crop": "random_resized",
        "rand_augment": 2,
        "mixup": 0.1,
        "cutmix": 1.0,
        "repeats": 2,
        "flip": "alternate",
    },
}
SIZE = 40


def _images(count=SIZE, shape=(16, 12, 3), seed=0):
    """Images with edges and slopes, all of them different."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, -(-shape[0] // 4), -(-shape[1] // 4), shape[2]))
    fine = coarse.repeat(4, 1).repeat(4, 2)[:, : shape[0], : shape[1]]
    return np.clip(fine + rng.integers(-9, 9, (count, *shape)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def data():
    return in_memory(_images())


def _take(data, steps, *, batch_size=12, seed=0, **options):
    batches = data.training_batches(batch_size, seed, **options)
    return list(batches.take(steps).as_numpy_iterator())


def _assert_same(left, right):
    for (images, labels), (other_images, other_labels) in zip(left, right, strict=True):
        np.testing.assert_array_equal(images, other_images)
        np.testing.assert_array_equal(labels, other_labels)


# Settings


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"crop": "centre"}, "`augmentation.crop` must be 'none', 'pad', 'random_resized' or"),
        ({"padding": -1}, "`augmentation.padding` must be greater than or equal to 0"),
        ({"padding": 1.5}, "`augmentation.padding` must be a valid integer"),
        ({"pad_mode": "edge"}, "`augmentation.pad_mode` must be 'zero', 'mean' or 'reflect'"),
        ({"flip": "often"}, "`augmentation.flip` must be True, False or 'alternate'"),
        ({"area": [0, 1]}, "`augmentation.area` must be two numbers, above 0 and at most 1"),
        ({"area": [0.5, 1.1]}, "`augmentation.area` must be two numbers"),
        ({"area": [0.5, 0.2]}, "`augmentation.area` must be two numbers"),
        ({"aspect": [0.5]}, "`augmentation.aspect` must be two numbers, above 0 and in order"),
        ({"scale": [200, 480]}, "`augmentation.scale` must be at least 224"),
        ({"color": "jitter"}, "`augmentation.color` must be 'none' or 'pca'"),
        ({"rand_augment": -1}, "`augmentation.rand_augment` must be greater than or equal to 0"),
        ({"rand_augment_magnitude": 9}, "must be less than or equal to 1"),
        ({"trivial_augment": 1}, "`augmentation.trivial_augment` must be a valid boolean"),
        ({"trivial_augment": True, "rand_augment": 2}, "exclude each other"),
        ({"mixup": -0.1}, "`augmentation.mixup` must be 0, or at least 0.05. Received: mixup=-0.1"),
        ({"cutmix": 0.01}, "`augmentation.cutmix` must be 0, or at least 0.05"),
        ({"cutmix": float("inf")}, "`augmentation.cutmix` must be a finite number"),
        ({"erasing": 1.5}, "`augmentation.erasing` must be less than or equal to 1"),
        ({"repeats": 0}, "`augmentation.repeats` must be greater than or equal to 1"),
        ({"mix_up": 1}, "`augmentation.mix_up` is not a setting; nearest: mixup"),
    ],
)
def test_illegal_settings_are_refused_in_one_line(values, message):
    with pytest.raises(ConfigError) as caught:
        Augmentation.parse(values, "augmentation")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("values", EACH.values(), ids=EACH)
def test_settings_survive_being_written_down(values):
    augmentation = Augmentation(**values)
    assert Augmentation.parse(augmentation.to_dict()) == augmentation


def test_none_may_stand_for_none():
    assert Augmentation.parse({"crop": None, "color": None}) == Augmentation(crop="none")


@pytest.mark.parametrize(
    ("shape", "values", "options", "message"),
    [
        ((6, 9, 3), {"padding": 6}, {}, "`padding` must be less than the images' sides"),
        ((6, 9, 1), {"color": "pca"}, {}, "`color` = 'pca' is for images of three channels"),
        ((6, 9, 3), {}, {"size": 0}, "`size` must be a positive integer"),
    ],
)
def test_what_does_not_fit_the_data_is_refused(shape, values, options, message):
    data = in_memory(_images(8, shape))
    with pytest.raises(ConfigError, match=message):
        data.training_batches(8, 0, augmentation=Augmentation(**values), **options)


# Every augmentation


@pytest.mark.parametrize("values", EACH.values(), ids=EACH)
@pytest.mark.sampled(1)
def test_batches_hang_on_seed_epoch_and_step_alone(values, data):
    """Going on at epoch 1 gives what a training from the start gives there; epochs differ."""
    augmentation = Augmentation(**values)
    whole = _take(data, 6, augmentation=augmentation)
    for images, labels in whole:
        assert images.shape == (12, 16, 12, 3)
        assert images.dtype == np.uint8
        assert labels.shape == ((12, 2) if augmentation.mixes else (12,))
    tf.random.set_seed(99)
    np.random.seed(99)
    _assert_same(_take(data, 3, augmentation=augmentation, first_epoch=1), whole[3:])
    assert len({images.tobytes() for images, _ in whole}) == 6


@pytest.mark.parametrize("name", ["pad", "alternate", "both"])
@pytest.mark.sampled(1)
def test_another_seed_gives_other_images(name, data):
    first, other = (_take(data, 1, augmentation=Augmentation(**EACH[name]), seed=s) for s in (0, 1))
    assert not np.array_equal(first[0][0], other[0][0])


def digest(names=("rsb", "erasing", "scale")):
    """A hash of the first batches of some augmentations."""
    content = hashlib.sha256()
    for name in names:
        for part in itertools.chain(
            *_take(in_memory(_images()), 4, augmentation=Augmentation(**EACH[name]))
        ):
            content.update(part.tobytes())
    return content.hexdigest()


@pytest.mark.large
def test_another_process_makes_the_same_images(run_python):
    folder = Path(__file__).parent
    program = (
        f"import sys; sys.path[:0] = [{str(folder)!r}, {str(folder.parent)!r}]\n"
        "import tensorflow as tf; tf.config.threading.set_inter_op_parallelism_threads(1)\n"
        "from test_augmentation import digest; print(digest())"
    )
    assert run_python(program, PYTHONHASHSEED="7").strip() == digest()


@pytest.mark.parametrize("name", ["pad", "alternate", "random_resized", "repeats", "cutmix"])
@pytest.mark.sampled(2)
def test_images_that_may_not_be_mirrored_never_are(name):
    """Of a picture dark on the left and bright on the right."""
    ramp = np.broadcast_to(np.linspace(0, 250, 12)[None, :, None], (8, 16, 12, 3)).astype(np.uint8)
    data = in_memory(ramp, flip=False)
    augmentation = Augmentation(**{"flip": True} | EACH[name])
    for images, _ in _take(data, 2, batch_size=6, augmentation=augmentation):
        halves = images.astype(float).mean((1, 3)).reshape(-1, 2, 6).mean(-1)
        assert (halves[:, 1] > halves[:, 0]).all()


@pytest.mark.parametrize(
    ("crop", "size"), [("pad", 8), ("pad", 24), ("random_resized", 8), ("scale", 12)]
)
@pytest.mark.sampled(1)
def test_training_images_may_have_another_size(crop, size, data):
    for images, _ in _take(data, 2, augmentation=Augmentation(crop=crop), size=size):
        assert images.shape == (12, round(16 * size / 12), size, 3)
        assert images.dtype == np.uint8


def test_smaller_images_are_antialiased():
    """A fine chequerboard becomes grey, not one of its colours."""
    board = np.indices((16, 16)).sum(0) % 2 * 255
    data = in_memory(np.broadcast_to(board[None, :, :, None], (4, 16, 16, 1)).astype(np.uint8))
    ((images, _),) = _take(data, 1, batch_size=4, augmentation=None, size=8)
    assert abs(images.astype(int) - 127).max() < 20


# Shifts and flips


@given(
    mode=st.sampled_from(["zero", "mean", "reflect"]),
    flip=st.booleans(),
    padding=st.integers(0, 5),
    seed=st.integers(0, 2**31),
)
def test_shifts_are_numpys_pad_and_a_crop(mode, flip, padding, seed):
    images, fill = _images(9, (7, 6, 2)), (31.4, 200.6)
    color = {"zero": (0, 0), "mean": fill, "reflect": None}[mode]
    result = shift(tf.constant(images), tf.constant([seed, 1], tf.int64), flip, padding, color)
    for before, after in zip(images, result.numpy(), strict=True):
        assert after.tobytes() in _crops(before, padding, mode, np.round(fill), flip)


def _crops(image, padding, mode, fill, flip):
    sides = ((padding,) * 2,) * 2
    channels = [
        np.pad(image[..., i], sides, mode="reflect")
        if mode == "reflect"
        else np.pad(image[..., i], sides, constant_values=0 if mode == "zero" else int(fill[i]))
        for i in range(image.shape[-1])
    ]
    padded = np.stack(channels, -1)
    height, width = image.shape[:2]
    crops = [
        padded[row : row + height, column : column + width]
        for row, column in itertools.product(range(2 * padding + 1), repeat=2)
    ]
    mirrored = [crop[:, ::-1] for crop in crops] if flip else []
    return {crop.tobytes() for crop in (*crops, *mirrored)}


@pytest.mark.parametrize("mode", ["zero", "mean"])
def test_the_border_has_the_colour_that_is_asked_for(mode, data):
    colors = {"zero": [0, 0, 0], "mean": np.round(data.channel_statistics[0])}
    augmentation = Augmentation(pad_mode=mode, padding=6, flip=False)
    found = 0
    for images, _ in _take(data, 3, augmentation=augmentation):
        corners = images[:, [0, 0, -1, -1], [0, -1, 0, -1]]
        found += (corners == colors[mode]).all(-1).any(1).sum()
    assert found > 20


def test_alternating_flips_alternate():
    """Each image mirrored every other epoch, half of them in the first."""
    images = _images(SIZE, (4, 4, 1))
    images[:, 0, 0, 0] = np.arange(SIZE)  # its number, in the first corner or mirrored
    images[:, 0, 3, 0] = 255
    augmentation = Augmentation(crop="none", flip="alternate")
    mirrored = {}
    for epoch in range(4):
        for batch, _ in _take(
            in_memory(images), 4, batch_size=10, augmentation=augmentation, first_epoch=epoch
        ):
            for image in batch:
                number = int(image[0, [0, 3], 0].min())
                flipped = image[0, 0, 0] == 255
                np.testing.assert_array_equal(image, images[number][:, :: -1 if flipped else 1])
                mirrored.setdefault(number, []).append(bool(flipped))
    assert len(mirrored) == SIZE
    assert all(a != b for row in mirrored.values() for a, b in itertools.pairwise(row))
    assert 10 < sum(row[0] for row in mirrored.values()) < 30


# Crops from the original


def _gradient(height, width):
    """An image whose pixels tell where they are: red by row, green by column."""
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([rows * 255 / height, columns * 255 / width, 0 * rows], -1).astype(np.uint8)


@given(
    sides=st.tuples(st.integers(20, 90), st.integers(20, 90)),
    low=st.floats(0.1, 0.9),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=15)
def test_a_part_has_the_area_and_the_aspect_that_are_asked_for(sides, low, seed):
    image = tf.constant(_gradient(*sides))
    part = cut_area(image, [seed, 0], (32, 32), (low, min(1.0, low + 0.1)), (0.8, 1.25)).numpy()
    assert part.shape == (32, 32, 3)
    # Half a pixel less at each end, where interpolation has no neighbours; then rounding.
    spans = [np.ptp(part[..., i].astype(float)) / 255 for i in (0, 1)]
    whole = min(spans) > 0.9  # no such rectangle: the image as it is
    assert whole or low - 0.15 < spans[0] * spans[1] < low + 0.2
    width, height = spans[1] * sides[1], spans[0] * sides[0]
    assert whole or 0.65 < width / height < 1.55


@given(
    sides=st.tuples(st.integers(20, 90), st.integers(20, 90)),
    scale=st.integers(224, 600),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=15)
def test_a_scaled_image_has_the_shorter_side_that_is_asked_for(sides, scale, seed):
    image = tf.constant(_gradient(*sides))
    part = cut_scaled(image, [seed, 0], (28, 28), (scale, scale)).numpy().astype(float)
    assert part.shape == (28, 28, 3)
    seen = [np.ptp(part[..., i]) / 255 * sides[i] for i in (0, 1)]  # pixels of the original
    expected = min(sides) * 224 / scale
    assert np.allclose(seen, expected, atol=0.1 * expected + 2)


@pytest.mark.large
def test_parts_are_cut_from_the_uncropped_originals(tmp_path):
    """Red, green and blue squares side by side: the central square shows only green."""
    for name in ("a", "b"):
        write_class(tmp_path / name, 10)
        for path in (tmp_path / name).iterdir():
            pixels = np.zeros((20, 60, 3), np.uint8)
            for channel in range(3):
                pixels[:, 20 * channel : 20 * channel + 20, channel] = 255
            Image.fromarray(pixels).save(path)
    data = load_data(tmp_path, image_size=16)
    for crop in ("random_resized", "scale"):
        batches = _take(
            data, 4, batch_size=8, augmentation=Augmentation(crop=crop, area=(0.08, 0.3))
        )
        images = np.concatenate([images for images, _ in batches])
        assert images.shape[1:] == (16, 16, 3)
        assert (images[..., 0] == 255).any()
        assert (images[..., 2] == 255).any()
    (images, _), *_ = _take(data, 1, batch_size=8)
    assert (images == np.uint8([0, 255, 0])).all()


# Colour, RandAugment, TrivialAugment


def test_pca_colours_shift_each_image_by_one_colour_as_published():
    """Of grey images: the mean square of the shift is the sum of the variances."""
    images = np.full((4000, 2, 2, 3), 128, np.uint8)
    shifted = add_pca_color(tf.constant(images), [0, 0]).numpy().astype(float) - 128
    assert (np.ptp(shifted, axis=(1, 2)) == 0).all()
    covariance = np.cov(shifted[:, 0, 0].T) - np.eye(3) / 12  # less that of rounding
    vectors = np.array(
        [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]
    )
    expected = (vectors * (np.array([55.46, 4.794, 1.148]) * 0.1) ** 2) @ vectors.T
    np.testing.assert_allclose(covariance, expected, rtol=0.1, atol=0.1)


def _apply(name, images, strength):
    strengths = tf.fill([len(images)], float(strength))
    return OPERATIONS[name].function(tf.constant(images), strengths).numpy().astype(int)


def _enhance(name):
    kind = getattr(ImageEnhance, name)
    return [
        (strength, lambda image, factor=1 + strength: kind(image).enhance(factor))
        for strength in (-0.9, -0.3, 0.5, 0.9)
    ]


PIL = {
    "auto_contrast": [(0, ImageOps.autocontrast)],
    "equalize": [(0, ImageOps.equalize)],
    "posterize": [(4, lambda image: ImageOps.posterize(image, 4))],
    "solarize": [(127 / 255, lambda image: ImageOps.solarize(image, 128))],
    "brightness": _enhance("Brightness"),
    "color": _enhance("Color"),
    "contrast": _enhance("Contrast"),
    "sharpness": _enhance("Sharpness"),
}


@pytest.mark.parametrize("name", PIL)
def test_operations_are_pils(name):
    images = _images(6, (16, 12, 3)) // 2 + 30
    images[0] = 77  # one colour: nothing to stretch or to spread
    for strength, oracle in PIL[name]:
        expected = np.stack([np.asarray(oracle(Image.fromarray(image))) for image in images])
        tolerance = 2 if name == "contrast" else 1  # PIL rounds the mean grey on its way
        assert abs(_apply(name, images, strength) - expected).max() <= tolerance


@pytest.mark.parametrize(
    ("name", "strength", "oracle"),
    [
        ("identity", 0, lambda x: x),
        ("translate_x", 3 / 12, lambda x: np.pad(x, ((0, 0), (0, 0), (3, 0), (0, 0)))[:, :, :-3]),
        ("translate_y", -2 / 16, lambda x: np.pad(x, ((0, 0), (0, 2), (0, 0), (0, 0)))[:, 2:]),
        ("rotate", 180, lambda x: x[:, ::-1, ::-1]),
        ("rotate", 0, lambda x: x),
        ("shear_x", 0, lambda x: x),
        ("shear_y", 0, lambda x: x),
    ],
)
def test_geometry_is_numpys(name, strength, oracle):
    images = _images(3)
    assert abs(_apply(name, images, strength) - oracle(images.astype(int))).max() <= 1


def test_shears_move_rows_and_columns_by_their_number():
    images = _images(2, (8, 8, 1))
    sheared = _apply("shear_x", images, 1)
    for row in range(8):
        np.testing.assert_array_equal(sheared[:, row, : 8 - row], images[:, row, row:])
    sheared = _apply("shear_y", images, 1)
    for column in range(8):
        np.testing.assert_array_equal(sheared[:, : 8 - column, column], images[:, column:, column])


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("shape", [(0, 8, 8, 3), (3, 8, 6, 1), (2, 5, 9, 4), (2, 2, 1, 3)], ids=str)
def test_operations_take_any_images_and_none(name, shape):
    result = OPERATIONS[name].function(tf.zeros(shape, tf.uint8), tf.fill([shape[0]], 0.9))
    assert result.shape == shape
    assert result.dtype == tf.uint8


@pytest.mark.parametrize("kind", ["rand_augment", "trivial_augment"])
def test_each_image_has_its_own_operation(kind):
    """Of many copies of one image; about one in fourteen stays as it is, and many are alike."""
    images = np.repeat(_images(1), 700, 0)
    augment = {
        "rand_augment": lambda x: rand_augment(x, [0, 0], 1, 0.5),
        "trivial_augment": lambda x: trivial_augment(x, [0, 0]),
    }[kind]
    results = [image.tobytes() for image in augment(tf.constant(images)).numpy()]
    kinds = len(set(results))
    # One strength and two signs of nine, five others; or 31 strengths.
    assert 20 <= kinds <= 23 if kind == "rand_augment" else kinds > 150
    assert 30 < results.count(images[0].tobytes()) < 170


def test_an_image_is_augmented_alone():
    """What becomes of an image does not hang on the others of the batch."""
    images = _images(20)
    others = images.copy()
    others[1:] = _images(19, seed=1)
    for augment in (
        lambda x: rand_augment(x, [3, 4], 3, 0.9),
        lambda x: trivial_augment(x, [3, 4]),
    ):
        first, second = augment(tf.constant(images))[0], augment(tf.constant(others))[0]
        np.testing.assert_array_equal(first, second)


def test_more_magnitude_changes_more():
    images = tf.constant(_images(200))
    changes = [
        np.abs(rand_augment(images, [0, 0], 2, m).numpy().astype(int) - images.numpy()).mean()
        for m in (0.1, 0.4, 0.9)
    ]
    assert changes == sorted(changes)
    assert changes[0] < 0.7 * changes[2]


# Mixing and erasing


def _distinct(count=16, side=8):
    """Images of one value each, a class each: a mixture tells what it was made of."""
    values = np.arange(count, dtype=np.uint8) * 16
    images = np.broadcast_to(values[:, None, None, None], (count, side, side, 3))
    return tf.constant(images), tf.eye(count)


@pytest.mark.parametrize("alpha", [0.05, 0.2, 1.0, 3.0])
def test_mixup_mixes_images_as_labels_say(alpha):
    images, labels = _distinct()
    weights = []
    for step in range(20):
        mixed, mixture = Mixer(alpha, 0)(images, labels, [0, step])
        np.testing.assert_allclose(np.sum(mixture, 1), 1, atol=1e-5)
        assert ((mixture.numpy() > 0).sum(1) <= 2).all()
        expected = mixture.numpy() @ (np.arange(16) * 16)
        np.testing.assert_allclose(mixed[:, 0, 0, 0], expected, atol=0.51)
        assert (np.ptp(mixed, axis=(1, 2, 3)) == 0).all()
        weights.append(np.diag(mixture))
    # Of a Beta distribution: 1 / (4 (2 alpha + 1)), and a mean of a half.
    partnered = np.concatenate(weights)
    assert 0.35 < partnered.mean() < 0.7
    spread = {0.05: 0.227, 0.2: 0.179, 1.0: 0.083, 3.0: 0.036}[alpha]
    assert partnered.var() == pytest.approx(spread, abs=0.06)


@pytest.mark.parametrize("alpha", [0.3, 1.0, 2.0])
@pytest.mark.sampled(1)
def test_cutmix_pastes_as_much_as_labels_say(alpha):
    images, labels = _distinct()
    for step in range(20):
        mixed, mixture = Mixer(0, alpha)(images, labels, [0, step])
        np.testing.assert_allclose(np.sum(mixture, 1), 1, atol=1e-5)
        for number, (image, weights) in enumerate(zip(mixed.numpy(), mixture.numpy(), strict=True)):
            parts = np.bincount(image[..., 0].ravel() // 16, minlength=16) / 64
            np.testing.assert_allclose(weights, parts, atol=1e-5)
            pasted = image[..., 0] != number * 16
            rows, columns = pasted.any(1), pasted.any(0)
            assert pasted.sum() == rows.sum() * columns.sum()  # a rectangle


def test_with_both_each_batch_has_one_of_the_two():
    images, labels = _distinct()
    pasted = 0
    for step in range(40):
        mixed, _ = Mixer(1.0, 1.0)(images, labels, [0, step])
        values = {int(value) for value in np.unique(mixed)}
        pasted += values <= {16 * i for i in range(16)}
    assert 10 < pasted < 30


def test_erasing_replaces_a_rectangle_of_some_images_by_noise():
    images = np.full((400, 16, 12, 3), 99, np.uint8)
    erased = Eraser(0.25)(tf.constant(images), [0, 0]).numpy()
    changed = (erased != 99).any(-1)
    touched = changed.any((1, 2))
    assert 70 < touched.sum() < 130
    noise = []
    for mask, image in zip(changed[touched], erased[touched], strict=True):
        rows, columns = mask.any(1), mask.any(0)
        rectangle = np.outer(rows, columns)
        assert mask.sum() >= 0.9 * rectangle.sum()
        assert np.diff(np.flatnonzero(rows)).max(initial=1) == 1
        assert 0.01 < rectangle.mean() < 0.4
        noise.append(image[mask])
    noise = np.concatenate(noise)
    assert noise.mean() == pytest.approx(127.5, abs=3)
    assert noise.std() == pytest.approx(256 / 12**0.5, abs=3)


def test_no_layer_takes_the_global_policy():
    """In half precision labels and values would be rounded."""
    import keras

    images, labels = _distinct()
    expected = Mixer(0.5, 0)(images, labels, [0, 0])
    keras.config.set_dtype_policy("mixed_float16")
    try:
        found = Mixer(0.5, 0)(images, labels, [0, 0])
    finally:
        keras.config.set_dtype_policy("float32")
    np.testing.assert_array_equal(found[1], expected[1])


# Repeats


@pytest.mark.parametrize("crop", ["none", "pad", "random_resized"])
def test_repeated_images_appear_in_one_batch_differently(crop):
    images = np.zeros((48, 8, 8, 2), np.uint8)
    images[..., 0] = np.arange(48)[:, None, None]  # a number that every crop shows
    images[..., 1] = _images(48, (8, 8, 1))[..., 0]
    data = in_memory(images)
    augmentation = Augmentation(crop=crop, flip=False, repeats=3)
    steps = data.steps_per_epoch(12)
    epochs = []
    whole = _take(data, 3 * steps, augmentation=augmentation)
    for epoch in range(3):
        numbers = []
        for batch, _ in whole[epoch * steps : (epoch + 1) * steps]:
            found, counts = np.unique(batch[:, 0, 0, 0], return_counts=True)
            assert len(found) == 4
            assert (counts == 3).all()
            different = len({image.tobytes() for image in batch})
            assert different == 4 if crop == "none" else different > 6
            numbers += list(found)
        assert len(numbers) == len(set(numbers)) == 16
        epochs.append(frozenset(numbers))
    assert len(set(epochs)) == 3


def test_repeats_need_not_divide_the_batch():
    augmentation = Augmentation(crop="none", flip=False, repeats=3)
    data = in_memory(_images(12, (6, 9, 3)))
    images, _ = next(data.training_batches(8, 0, augmentation=augmentation).as_numpy_iterator())
    _, counts = np.unique(images.reshape(8, -1), axis=0, return_counts=True)
    assert sorted(counts) == [2, 3, 3]


def test_repeats_come_to_all_images_of_a_set_that_no_buffer_holds(monkeypatch):
    monkeypatch.setattr(batches_of, "_SHUFFLE_BYTES", 100)
    monkeypatch.setattr(batches_of, "CACHE_BYTES", 10)
    augmentation = Augmentation(crop="none", flip=False, repeats=3)
    data = in_memory(_images(60, (2, 2, 3)))
    batches = data.training_batches(6, 0, augmentation=augmentation)
    seen = {
        image.tobytes() for images, _ in batches.take(90).as_numpy_iterator() for image in images
    }
    assert len(seen) > 57


def test_repeats_read_the_data_once():
    """An epoch that sees a part of the images still leaves all of them in memory."""
    reads = []

    def count(image, label):
        tf.py_function(lambda: reads.append(1), [], [])
        return image, label

    data = in_memory(_images(24))
    counted = dataclasses.replace(data, read=lambda split: data.read(split).map(count))
    _take(counted, 9, batch_size=8, augmentation=Augmentation(repeats=4))
    assert len(reads) == 24
