"""Images of other shapes, sizes from the images and the network, ranges of many bits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from keras_resnets.data import load_data
from keras_resnets.data.decoding import Decoder, to_eight_bits
from keras_resnets.data.settings import parse_color
from keras_resnets.data.sizes import choose_size
from keras_resnets.errors import InputError

SIZES = st.integers(1, 40)


def _ones(height, width):
    return np.full((height, width, 3), 200, np.uint8)


@given(SIZES, SIZES, SIZES, SIZES)
def test_padding_keeps_all_and_cropping_fills_all(height, width, to_height, to_width):
    padded = Decoder(3, (to_height, to_width), "pad", "black").fit(_ones(height, width)).numpy()
    assert padded.shape == (to_height, to_width, 3)
    inside = padded[..., 0] == 200
    rows, columns = inside.any(1).sum(), inside.any(0).sum()
    assert inside.sum() == rows * columns
    assert rows == to_height or columns == to_width
    # The longer side fills its place, the other has the image's proportion, to half a pixel.
    scale = max(height / to_height, width / to_width)
    assert abs(rows - max(1, height / scale)) <= 0.5001
    assert abs(columns - max(1, width / scale)) <= 0.5001
    for how in ("crop", "stretch"):
        assert (
            Decoder(3, (to_height, to_width), how).fit(_ones(height, width)).numpy() == 200
        ).all()


def test_cropping_is_central():
    pixels = np.zeros((20, 60, 3), np.uint8)
    for channel in range(3):
        pixels[:, 20 * channel : 20 * channel + 20, channel] = 255
    np.testing.assert_array_equal(Decoder(3, (20, 20)).fit(pixels)[0, 0], (0, 255, 0))
    wide = Decoder(3, (10, 30), "crop").fit(pixels).numpy()
    assert wide[0, 0].argmax() == 0
    assert wide[0, -1].argmax() == 2


def test_stretching_keeps_the_corners():
    pixels = np.zeros((8, 30, 3), np.uint8)
    pixels[:, :15, 0] = 255
    pixels[:, 15:, 1] = 255
    stretched = Decoder(3, (10, 10), "stretch").fit(pixels).numpy()
    assert (stretched[:, 0].argmax(-1) == 0).all()
    assert (stretched[:, -1].argmax(-1) == 1).all()


def test_padding_has_the_background():
    for background, channels, color in (
        ("white", 3, (255, 255, 255)),
        ("#0a141e", 3, (10, 20, 30)),
        ("#0a141e", 1, (18,)),
    ):
        image = np.zeros((2, 8, channels), np.uint8)
        padded = Decoder(channels, (8, 8), "pad", background).fit(image).numpy()
        np.testing.assert_array_equal(padded[0, 0], color)


@pytest.mark.parametrize("text", ["whit", "", "#12", "#gggggg", "123456", None])
def test_no_colour(text):
    with pytest.raises(InputError, match="`background` must be white, black, gray or #rrggbb"):
        parse_color(text)


@given(st.sampled_from([8, 10, 12, 14, 16]), st.integers(0, 100))
def test_bits_are_scaled_from_the_range_that_holds_them(bits, seed):
    top = 2**bits - 1
    values = np.random.default_rng(seed).integers(0, top + 1, 50).astype(np.uint16)
    values[0] = top
    expected = values / top * 255
    assert np.abs(to_eight_bits(values) - expected).max() <= 0.5
    assert (to_eight_bits(values[::-1]) == to_eight_bits(values)[::-1]).all()


@pytest.mark.parametrize(
    ("values", "largest", "expected"),
    [
        ([0.0, 0.5, 1.0], None, [0, 128, 255]),
        ([0.0, 100.0, 255.0], None, [0, 100, 255]),
        ([-5.0, np.nan, 1.0], None, [0, 0, 255]),
        ([0, 1], None, [0, 1]),
        ([0, 1000, 2000], 2000, [0, 128, 255]),
        ([0, 1000, 4095], 2000, [0, 62, 255]),
        ([0, 2**31], None, [0, 128]),
        ([], None, []),
    ],
)
def test_other_ranges(values, largest, expected):
    assert to_eight_bits(np.array(values), largest).tolist() == expected


PHOTOS = [(3024, 4032), (4032, 3024), (1000, 800)]


@pytest.mark.parametrize(
    ("sizes", "network", "expected", "why"),
    [
        ([(28, 28)], (224, 224), (28, 28), "all images"),
        ([(28, 28)], None, (28, 28), "all images"),
        ([(96, 96)], (32, 32), (96, 96), "all images"),
        ([(96, 128)], (224, 224), (96, 128), "all images"),
        ([(300, 300)], (32, 32), (32, 32), "the network's own, for 300 x 300"),
        ([(3024, 4032)], (224, 224), (224, 224), "the network's own"),
        (PHOTOS, (224, 224), (224, 224), "the network's own, for images of 1000 x 800 to 4032"),
        (PHOTOS, (32, 32), (32, 32), "the network's own"),
        (PHOTOS, None, (64, 64), "the default"),
        ([(50, 70), (80, 80), (90, 75)], (224, 224), (96, 96), "half of the images are smaller"),
        ([(9, 8), (10, 12)], (224, 224), (64, 64), "half of the images are smaller"),
        ([(9, 8), (10, 12)], (32, 32), (32, 32), "the network's own"),
    ],
)
def test_the_size_comes_from_the_images_and_the_network(sizes, network, expected, why):
    size, reason = choose_size(sizes, network)
    assert size == expected
    assert why in reason


def test_a_folder_says_which_size_and_why(tmp_path):
    for name in ("cats", "dogs"):
        (tmp_path / name).mkdir()
        for index in range(3):
            Image.new("RGB", (60 + index, 40)).save(tmp_path / name / f"{index}.png")
    data = load_data(tmp_path, network_size=(32, 32))
    assert data.image_shape == (32, 32, 3)
    assert (
        data.notes[-1]
        == "images of 32 x 32 x 3: the network's own, for images of 40 x 60 to 40 x 62"
    )
    given = load_data(tmp_path, image_size=(20, 30), network_size=(32, 32))
    assert given.image_shape == (20, 30, 3)
    assert given.images("train")[0].shape == (2, 20, 30, 3)
    assert given.notes[-1] == "images of 20 x 30 x 3: as asked for"


def test_what_does_not_fit_in_memory_is_trained_on_all_the_same(tmp_path, monkeypatch):
    """Decoded behind the shuffle: the same images, each once an epoch, and statistics of some."""
    from keras_resnets.data import batches, images

    for name, value in (("cats", 0), ("dogs", 100)):
        (tmp_path / name).mkdir()
        for index in range(10):
            Image.new("RGB", (9, 9), (value + index,) * 3).save(tmp_path / name / f"{index}.png")
    small = load_data(tmp_path)
    kept = next(small.training_batches(16, 0, augmentation=None).as_numpy_iterator())
    for module in (batches, images):
        monkeypatch.setattr(module, "CACHE_BYTES", 10)
    large = load_data(tmp_path)
    assert large.augmenter(None).decode is not None
    epoch = next(large.training_batches(16, 0, augmentation=None).as_numpy_iterator())
    assert sorted(epoch[0][:, 0, 0, 0]) == sorted(kept[0][:, 0, 0, 0])
    np.testing.assert_array_equal(epoch[0][:, 0, 0, 0] >= 50, epoch[1])
    monkeypatch.setattr(images, "_SAMPLE", 4)
    mean, _ = large.channel_statistics
    assert mean[0] == pytest.approx(large.images("train", 4)[0].mean(), abs=1e-3)
