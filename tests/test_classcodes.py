"""Codes of maps, counted block by block."""

import numpy as np
import pytest
from made_rasters import write_class_map

from m3fusion_sk.classcodes import open_codes


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "int64"])
def test_counts_are_those_of_the_whole_array(dtype):
    codes = np.random.default_rng(0).integers(0, 200, (1300, 40)).astype(dtype)  # three blocks
    values, counts = np.unique(codes[codes > 0], return_counts=True)
    assert open_codes(codes).count() == dict(zip(values.tolist(), counts.tolist(), strict=True))


def test_a_file_counts_like_its_array(tmp_path):
    codes = np.random.default_rng(1).integers(0, 3, (600, 30))
    source = open_codes(write_class_map(tmp_path / "map.tif", codes))
    assert source.count() == open_codes(codes).count()
    assert (source.unit, source.pixel_area, source.names) == ("m2", 100, {1: "forest", 2: "water"})


def test_nodata_alone_counts_nothing():
    assert open_codes(np.zeros((3, 3), np.uint8)).count() == {}
