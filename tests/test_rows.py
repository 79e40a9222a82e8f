import numpy as np

from m3fusion_sk import MultiSource
from m3fusion_sk.rows import SelectedRows, take_rows


class OnDisk:
    """An array that, as zarr, knows no steps backwards and no positions from the end."""

    def __init__(self, values):
        self.values, self.shape, self.dtype = values, values.shape, values.dtype

    def __getitem__(self, index):
        if isinstance(index, slice):
            assert index.step is None or index.step > 0
        else:
            assert (np.asarray(index) >= 0).all()
        return self.values[index]


def test_only_plain_indices_reach_arrays_of_other_libraries():
    values = np.arange(20).reshape(10, 2)
    for rows in (slice(None, None, -3), [-1, 0], [-2, -1], np.arange(10) > 6, [], slice(3, 99)):
        np.testing.assert_array_equal(take_rows(OnDisk(values), rows), values[rows])
        X = MultiSource(v=OnDisk(values))
        np.testing.assert_array_equal(X[rows]["v"], values[rows])


def test_selected_rows_are_read_when_asked_for_and_compose():
    values = np.arange(20).reshape(10, 2)
    once = SelectedRows(OnDisk(values), np.array([9, 0, 4]))
    twice = SelectedRows(once, np.array([2, 0]))
    assert once.shape == (3, 2) and twice.dtype == values.dtype
    assert isinstance(twice.values, OnDisk)
    np.testing.assert_array_equal(twice[::-1], values[[9, 4]])


def test_contiguous_rows_of_an_array_are_not_copied():
    values = np.arange(20).reshape(10, 2)
    for rows in (slice(2, 5), [2, 3, 4], np.arange(-8, -5)):
        assert np.shares_memory(take_rows(values, rows), values)
        np.testing.assert_array_equal(take_rows(values, rows), values[2:5])
