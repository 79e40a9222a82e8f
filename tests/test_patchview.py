import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from m3fusion_sk import MultiSource
from m3fusion_sk.patchview import PatchView


@st.composite
def views(draw):
    bands, height, width = (draw(st.integers(1, n)) for n in (3, 9, 9))
    size = draw(st.integers(1, height)), draw(st.integers(1, width))
    n = draw(st.integers(0, 6))
    rows = draw(st.lists(st.integers(0, height - size[0]), min_size=n, max_size=n))
    cols = draw(st.lists(st.integers(0, width - size[1]), min_size=n, max_size=n))
    image = np.arange(bands * height * width, dtype="u2").reshape(bands, height, width)
    return PatchView(image, rows, cols, size)


def _cut(view):
    (height, width), image = view.size, view.image
    patches = [image[:, r : r + height, c : c + width] for r, c in zip(view.rows, view.cols, strict=True)]
    return np.array(patches, dtype=view.dtype).reshape(view.shape)


@given(views())
def test_a_view_equals_cutting_one_by_one(view):
    np.testing.assert_array_equal(np.asarray(view), _cut(view))
    assert np.asarray(view).dtype == view.dtype == np.uint16
    assert len(view) == view.shape[0]


@given(views(), st.integers(1, 3))
def test_patches_of_several_dates_are_those_of_each_date(view, n_dates):
    images = np.stack([view.image + date for date in range(n_dates)])
    dates = PatchView(images, view.rows, view.cols, view.size)
    assert dates.shape == (len(view), n_dates, *view.shape[1:]) and dates.ndim == 5
    for date in range(n_dates):
        np.testing.assert_array_equal(np.asarray(dates)[:, date], _cut(view) + date)
    assert dates[:0].shape == (0, *dates.shape[1:])


@given(views(), st.integers(0, 63))
def test_a_view_without_some_patches_has_nan_there_and_all_else_as_it_was(view, code):
    lacking = (code >> np.arange(len(view))) % 2 == 1
    floats = view.without(lacking, np.float32)
    assert floats.dtype == np.float32 and floats.has_gaps == lacking.any() and not view.has_gaps
    np.testing.assert_array_equal(np.asarray(floats)[~lacking], _cut(view)[~lacking])
    assert np.isnan(np.asarray(floats)[lacking]).all()


@given(views())
def test_rows_of_a_view_are_rows_of_the_patches(view):
    expected, mask = _cut(view), np.arange(len(view)) % 2 == 0
    for index in (slice(None, None, -1), slice(1, 3), mask, np.flatnonzero(mask), [], *range(len(view))):
        np.testing.assert_array_equal(view[index], expected[index])


@given(views())
def test_a_container_cuts_the_same_patches(view):
    X = MultiSource(patch=view, i=np.arange(len(view))[:, None])[::-1]
    np.testing.assert_array_equal(X["patch"], _cut(view)[::-1])
    np.testing.assert_array_equal(
        np.asarray(X)[:, :-1], _cut(view)[::-1].reshape(len(X), X.specs["patch"].size)
    )


def test_patches_are_copies_of_the_block():
    view = PatchView(np.zeros((1, 3, 3)), [0], [0], (3, 3))
    view[:][:] = 7
    assert not view.image.any()


def test_no_patches_may_come_from_a_block_smaller_than_a_patch():
    view = PatchView(np.zeros((2, 3, 3)), [], [], (5, 5))
    assert np.asarray(view).shape == view.shape == (0, 2, 5, 5)


def test_a_pickled_view_carries_the_block_not_the_patches():
    view = PatchView(
        np.zeros((1, 60, 60)), np.repeat(np.arange(36), 36), np.tile(np.arange(36), 36), (25, 25)
    )
    data = pickle.dumps(view)
    assert len(data) < 2 * view.image.nbytes
    np.testing.assert_array_equal(pickle.loads(data)[[5]], view[[5]])


def test_a_view_describes_itself_and_needs_a_copy_to_become_an_array():
    view = PatchView(np.zeros((1, 3, 4)), [0], [1], (3, 3))
    assert repr(view) == "PatchView(shape=(1, 1, 3, 3), dtype=float64, block=(1, 3, 4))"
    assert np.asarray(view, dtype="f4").dtype == np.float32
    with pytest.raises(ValueError, match="cannot become an array without a copy"):
        np.array(view, copy=False)


@pytest.mark.parametrize(
    "shape, rows, cols, message",
    [
        ((5, 5), [0], [0], r"needs an image of shape \(n_bands, height, width\)"),
        ((1, 5, 5), [0, 1], [0], r"one row and one column per patch; got shapes .*\(2,\) and \(1,\)"),
        ((1, 5, 5), [[0]], [[0]], "one row and one column per patch"),
        ((1, 5, 5), [3], [0], "PatchView rows must lie between 0 and 2 for patches of 3 pixels"),
        (
            (1, 5, 9),
            [0],
            [-1],
            "PatchView cols must lie between 0 and 6.*Read the block with a larger margin",
        ),
    ],
)
def test_patches_beyond_the_block_are_refused(shape, rows, cols, message):
    with pytest.raises(ValueError, match=message):
        PatchView(np.zeros(shape), rows, cols, (3, 3))
