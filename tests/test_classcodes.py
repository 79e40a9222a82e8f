"""Codes of maps, counted block by block."""

import numpy as np
import pytest
from made_rasters import write, write_class_map

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


@pytest.mark.parametrize(
    "crs, origin, pixel, size, unit",
    [
        ("EPSG:32631", (300_000, 5_630_000), 100, 1100, "m2"),
        ("EPSG:32631", (300_000, 5_630_000), 0.1, 1, "m2"),
        ("EPSG:2154", (100_000, 7_100_000), 100, 10_980, "m2"),  # France, whose areas are 0.5 % off
        ("EPSG:2263", (990_000, 200_000), 30, 300, "US survey foot2"),
        ("EPSG:3035", (2_500_000, 5_500_000), 1000, 4000, "m2"),
        ("ESRI:54009", (-18_040_000, 9_020_000), 10_000, 3608, "m2"),  # its corners are not on the earth
        ("EPSG:3395", (0, 20_000), 10, 300, "m2"),  # Mercator's at the equator
        *(
            (f"EPSG:{code}", (500_000, 8_400_000), 100, 300, "pixel")
            for code in (3857, 3395, 4087, 32662, 3413)
        ),
        ("EPSG:3857", (1e12, 1e12), 10, 3, "pixel"),
        ("EPSG:4326", (10, 60), 0.01, 300, "pixel"),
        ('LOCAL_CS["site",UNIT["metre",1]]', (0, 0), 10, 3, "pixel"),
        (None, (0, 0), 10, 3, "pixel"),
    ],
)
def test_square_metres_are_those_on_the_ground(tmp_path, crs, origin, pixel, size, unit):
    column = np.ones((1, size, 1), np.uint8)
    source = open_codes(write(tmp_path / "map.tif", column, pixel, origin, crs, nodata=0))
    assert (source.unit, source.pixel_area) == (unit, pytest.approx(1 if unit == "pixel" else pixel**2))


def test_pixels_are_compared_by_their_area_on_the_ellipsoid(tmp_path):
    values = np.ones((1, 120, 1), np.uint8)
    source = open_codes(write(tmp_path / "map.tif", values, 1, (0, 60), "EPSG:4326"))  # 60 north to 60 south
    area = np.cos(np.radians([0, 59.5])) / (1 - 0.00669438 * np.sin(np.radians([0, 59.5])) ** 2) ** 2
    assert source.stretch == pytest.approx(area[0] / area[1], rel=1e-3)
    mercator = open_codes(write(tmp_path / "web.tif", values, 100, (0, 8_400_000), "EPSG:3857"))
    assert mercator.ground == pytest.approx(1 / np.cosh(8_394_000 / 6_378_137) ** 2, rel=0.01)
