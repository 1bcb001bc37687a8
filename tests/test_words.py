"""Numbers agree with their nouns, and lines fit a terminal of 80 columns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_resnets.words import LINE, clock, compact, count, cut, plural, wrap

NOUNS = {
    "image": "images",
    "epoch": "epochs",
    "trial": "trials",
    "class": "classes",
    "test image": "test images",
    "multiply-add": "multiply-adds",
    "entry": "entries",
    "way": "ways",
    "batch": "batches",
    "MAC": "MACs",
}


@pytest.mark.parametrize(("noun", "many"), NOUNS.items())
def test_a_count_agrees_with_its_noun(noun, many):
    assert plural(noun) == many
    assert count(1, noun) == f"1 {noun}"
    assert [count(number, noun) for number in (0, 2, 1200)] == [
        f"0 {many}",
        f"2 {many}",
        f"1,200 {many}",
    ]


@given(st.integers(0, 10**17))
def test_a_compact_number_is_near_and_short(number):
    text = compact(number)
    factor = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}.get(text[-1], 1)
    value = float(text.rstrip("kMGTP").replace(",", "")) * factor
    assert value == pytest.approx(number, rel=0.051)
    assert len(text) <= 6


@pytest.mark.parametrize(
    ("number", "text"), [(999, "999"), (1000, "1.0k"), (999_949, "999.9k"), (999_960, "1.0M")]
)
def test_a_compact_number_changes_its_suffix_in_time(number, text):
    assert compact(number) == text


@given(st.lists(st.text("abc/-,", min_size=1, max_size=120), min_size=1, max_size=30))
def test_a_wrapped_line_fits_and_loses_nothing(words):
    lines = wrap(" ".join(words)).splitlines()
    assert " ".join(lines).split() == words
    assert all(len(line) <= LINE or len(line.split()) == 1 for line in lines)


def test_a_duration_has_hours_only_where_there_are_some():
    assert [clock(s) for s in (0, 61, 3599.6, 7325)] == ["0:00", "1:01", "1:00:00", "2:02:05"]


@pytest.mark.parametrize(
    ("count_", "most", "shown", "more"),
    [(0, 3, 0, ""), (3, 3, 3, ""), (4, 3, 3, "and 1 more"), (1500, 20, 20, "and 1,480 more")],
)
def test_lists_are_cut_and_the_rest_is_counted(count_, most, shown, more):
    assert cut(map(str, range(count_)), most) == (list(map(str, range(shown))), more)
