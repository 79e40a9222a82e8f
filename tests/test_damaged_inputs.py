"""Inputs that were cut short, overwritten or emptied: errors that name them, never another map."""

import os
import random
import shutil
import warnings

import geopandas
import numpy as np
import pytest
import rasterio
import rasterio.shutil
import shapely
import zarr
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from made_rasters import ORIGIN, coded, folder, write, write_vrt
from test_predictor import CodeReader, read_map, write_scene

from m3fusion_sk.mapping import ChunkedPredictor, PatchRaster, RasterArray, Scene, SeriesRaster, VectorRaster
from m3fusion_sk.mapping.checksums import check_blocks
from m3fusion_sk.mapping.shapefile import check_shapefile
from m3fusion_sk.mapping.tiff import directories

N_MUTANTS = 200 if os.environ.get("M3FUSION_SOAK") else 20
CRS = "EPSG:32631"
PLACE = Affine(10, 0, ORIGIN[0], 0, -10, ORIGIN[1])
DEFLATE = {"compress": "deflate", "tiled": True, "blockxsize": 16, "blockysize": 16}


def truncated(content, rng):
    return content[: rng.randrange(len(content))]


def overwritten(content, rng):
    n_bytes = min(200, len(content) // 3)
    start = rng.randrange(len(content) - n_bytes)
    return content[:start] + rng.randbytes(n_bytes) + content[start + n_bytes :]


def emptied(content, rng):
    start = rng.randrange(len(content) // 2)
    return content[:start] + bytes(len(content) // 2) + content[start + len(content) // 2 :]


DAMAGES = [truncated, overwritten, emptied]


def map_of(sources, grid, path):
    """The codes of a map, which is removed again."""
    codes = read_map(ChunkedPredictor(CodeReader(), 32).predict(Scene(sources, grid=grid), path, True))
    path.unlink()
    return codes


# ----- rasters


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("victim", ["s2.tif", "mask.tif", "dem.tif", "spot.tif"])
@pytest.mark.timeout(1800)
def test_damaged_rasters_are_errors_that_name_them(tmp_path, victim, damage):
    noise = np.random.default_rng(0).integers(1, 4000, (6, 70, 70)).astype("uint16")
    write(tmp_path / "s2.tif", noise, **DEFLATE)
    write(tmp_path / "mask.tif", noise[:3].astype("uint8") % 8, **DEFLATE)
    write(tmp_path / "dem.tif", noise[:1, :14, :14], pixel=50, **DEFLATE)
    write(tmp_path / "spot.tif", noise[:2].repeat(2, axis=1).repeat(2, axis=2), pixel=5, **DEFLATE)
    content, rng = (tmp_path / victim).read_bytes(), random.Random(victim + damage.__name__)

    def make():
        sources = {
            "s2": SeriesRaster(tmp_path / "s2.tif", n_bands=2, mask=tmp_path / "mask.tif"),
            "dem": VectorRaster(tmp_path / "dem.tif"),
            "spot": PatchRaster(tmp_path / "spot.tif", size=3),
        }
        return map_of(sources, "s2", tmp_path / "map.tif")

    expected, n_errors = make(), 0
    for _ in range(N_MUTANTS):
        (tmp_path / victim).write_bytes(damage(content, rng))
        try:
            np.testing.assert_array_equal(make(), expected)
        except (OSError, ValueError) as error:
            assert victim in str(error), error
            n_errors += 1
        assert not (tmp_path / "map.tif").exists()
    assert n_errors >= 0.5 * N_MUTANTS


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.timeout(1800)
def test_without_checksums_a_map_is_that_of_the_values_that_the_file_holds(tmp_path, damage):
    path = write(tmp_path / "v.tif", coded(3, 40, 40, "uint16"))
    content, rng, n_errors, n_maps = path.read_bytes(), random.Random(damage.__name__), 0, 0
    for _ in range(N_MUTANTS):
        path.write_bytes(damage(content, rng))
        try:
            codes = map_of({"v": VectorRaster(path)}, "v", tmp_path / "map.tif")
        except (OSError, ValueError) as error:
            assert "v.tif" in str(error), error
            n_errors += 1
            continue
        n_maps += 1
        with rasterio.open(path) as file:
            held = RasterArray(file.read(), file.transform, file.crs)
        np.testing.assert_array_equal(codes, map_of({"v": VectorRaster(held)}, "v", tmp_path / "map.tif"))
    assert n_errors + n_maps == N_MUTANTS
    assert (n_maps == 0) == (damage is truncated)  # what is cut is never a map


KINDS = {
    "by band": {"interleave": "band"},
    "by pixel": {"interleave": "pixel"},
    "differences": {"predictor": 2},
    "large": {"BIGTIFF": "YES"},
    "from the big end": {"ENDIANNESS": "BIG"},
    "strips": {"tiled": False},
    "one block": {"blockxsize": 64, "blockysize": 64},
    "cloud-optimised": {"driver": "COG", "BLOCKSIZE": 128, "compress": "deflate"},
}


def noise_in(path, kind):
    """A file of one of the kinds, with values that do not compress."""
    noise = np.random.default_rng(0).integers(0, 60_000, (2, 40, 40)).astype("uint16")
    if kind != "cloud-optimised":
        return write(path, noise, **{**DEFLATE, **KINDS[kind]})
    rasterio.shutil.copy(write(path.with_suffix(".part"), noise, **DEFLATE), path, **KINDS[kind])
    return path


def blocks_of(path):
    """Place and size of each block of each band, as GDAL tells them."""
    with rasterio.open(path) as file:
        return {
            tuple(int(file.get_tag_item(f"BLOCK_{what}_{col}_{row}", "TIFF", bidx=band)) for what in names)
            for band in file.indexes
            for (row, col), _ in file.block_windows(band)
            for names in [("OFFSET", "SIZE")]
        }


@pytest.mark.parametrize("kind", KINDS)
def test_every_block_of_every_layout_is_found_and_looked_at(tmp_path, kind):
    path = noise_in(tmp_path / "v.tif", kind)
    with open(path, "rb") as file:
        (directory,) = directories(file)
    blocks = blocks_of(path)
    assert set(zip(directory.offsets.tolist(), directory.sizes.tolist(), strict=True)) == blocks
    check_blocks([path])
    content = path.read_bytes()
    for start, size in blocks:
        middle = start + size // 2
        other = bytes(255 - byte for byte in content[middle : middle + 2])
        path.write_bytes(content[:middle] + other + content[middle + 2 :])
        with pytest.raises(OSError, match=rf"v\.tif is damaged: the block at byte {start} (does|ends)"):
            check_blocks([path])


def test_pages_overviews_and_masks_are_looked_at(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (1, 64, 64)).astype("uint8")
    path = write(tmp_path / "v.tif", noise, **DEFLATE)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
        file.write_mask(noise[0] > 100)
        file.build_overviews([2])
    with open(path, "rb") as file:
        assert [len(directory.offsets) for directory in directories(file)] == [16, 16, 1, 1]
    content = path.read_bytes()
    with open(path, "rb") as file:
        places = [(d.offsets[-1], d.sizes[-1]) for d in directories(file)]
    for start, size in places:
        middle = int(start + size // 2)
        path.write_bytes(content[:middle] + bytes([255 - content[middle]]) + content[middle + 1 :])
        with pytest.raises(OSError, match=rf"v\.tif is damaged: the block at byte {start}"):
            check_blocks([path])


@pytest.mark.parametrize("kind", ["strips", "large", "by band"])
def test_a_table_of_blocks_that_was_emptied_is_damage(tmp_path, kind):
    path = noise_in(tmp_path / "v.tif", kind)
    n_bytes = path.stat().st_size
    with open(path, "rb") as file:
        (directory,) = directories(file)
    content = path.read_bytes()
    sizes = b"".join(int(size).to_bytes(4, "little") for size in directory.sizes)
    if content.count(sizes) != 1:
        sizes = b"".join(int(size).to_bytes(2, "little") for size in directory.sizes)
    assert content.count(sizes) == 1 and n_bytes > 6000
    path.write_bytes(content.replace(sizes, bytes(len(sizes))))
    with pytest.raises(OSError, match="a block has a place and no size"):
        check_blocks([path])
    places = [b"".join(int(at).to_bytes(n, "little") for at in directory.offsets) for n in (2, 4, 8)]
    (places,) = (each for each in places if content.count(each) == 1)
    path.write_bytes(content.replace(sizes, bytes(len(sizes))).replace(places, bytes(len(places))))
    with pytest.raises(OSError, match=r"of its blocks hold nothing, while \d+ bytes belong to none"):
        check_blocks([path])


@pytest.mark.parametrize("compress", ["none", "lzw", "zstd", "deflate"])
def test_what_is_whole_passes_and_what_is_cut_does_not(tmp_path, compress):
    noise = np.random.default_rng(0).integers(0, 255, (2, 40, 40)).astype("uint8")
    path = write(tmp_path / "v.tif", noise, **{**DEFLATE, "compress": compress})
    check_blocks([path])
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(OSError, match=r"v\.tif is damaged: .* reaches over the end of the file"):
        check_blocks([path])


def test_maps_empty_blocks_overviews_and_other_formats_pass(tmp_path):
    sparse = write(tmp_path / "sparse.tif", np.zeros((1, 64, 64), "uint8"), SPARSE_OK=True, **DEFLATE)
    scene = write_scene(tmp_path)
    made = ChunkedPredictor(CodeReader()).predict(scene, tmp_path / "map.tif")
    virtual = write_vrt(tmp_path / "v.vrt", "sparse.tif", 64, 64)
    shutil.make_archive(tmp_path / "zipped", "zip", tmp_path, "sparse.tif")
    check_blocks([sparse, made, virtual, tmp_path / "zipped.zip", *scene.files()])


def test_damage_is_told_before_the_first_chunk_and_not_looked_for_again(tmp_path, monkeypatch):
    noise = np.random.default_rng(0).integers(1, 4000, (2, 40, 40)).astype("uint16")
    path = write(tmp_path / "v.tif", noise, **DEFLATE)
    content, scene = path.read_bytes(), Scene({"v": VectorRaster(path)}, grid="v")
    damaged = bytearray(content)
    damaged[max(blocks_of(path))[0] + 20] ^= 255
    path.write_bytes(damaged)
    reader = CodeReader()
    with pytest.raises(OSError, match=r"v\.tif is damaged"):
        ChunkedPredictor(reader, 8).predict(scene, tmp_path / "map.tif")
    assert reader.n_calls == 0
    path.write_bytes(content)
    with pytest.raises(RuntimeError, match="stopped"):
        ChunkedPredictor(CodeReader(stop_after=3), 8).predict(scene, tmp_path / "map.tif")
    monkeypatch.setattr("m3fusion_sk.mapping.run.check_blocks", lambda paths: pytest.fail("looked again"))
    ChunkedPredictor(reader, 8).predict(scene, tmp_path / "map.tif")


# ----- layers of polygons


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["labels.gpkg", "labels.geojson", "labels.shp", "labels.dbf", "labels.shx"])
@pytest.mark.timeout(1800)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of GDAL, about what it meets before the error
def test_damaged_layers_are_errors_or_the_same_samples(tmp_path, name, damage):
    scene, rng = write_scene(tmp_path), random.Random(name + damage.__name__)
    squares = [shapely.box(500_000 + 30 * i, 5_629_900, 500_030 + 30 * i, 5_629_960) for i in range(5)]
    path = tmp_path / name
    layer = path.with_suffix(".shp") if name[-3:] in ("dbf", "shx") else path
    geopandas.GeoDataFrame({"class": list("abcde")}, geometry=squares, crs=CRS).to_file(layer)
    expected, content, n_errors = scene.sample(layer, "class"), path.read_bytes(), 0
    for _ in range(N_MUTANTS):
        path.write_bytes(damage(content, rng))
        try:
            found = scene.sample(layer, "class")
        except (OSError, ValueError) as error:
            n_errors += 1
            told = str(error)
            assert "labels" in told or "labelled pixels" in told or "field 'class'" in told, told
        else:
            assert [found.y.tolist(), found.rows.tolist(), found.cols.tolist()] == [
                expected.y.tolist(), expected.rows.tolist(), expected.cols.tolist()
            ]  # fmt: skip
    unread = name == "labels.gpkg" and damage is overwritten  # free room of a database
    assert n_errors > (0 if unread else 0.4 * N_MUTANTS)


@st.composite
def layers(draw):
    """Tables of shapes as they may stand in a shapefile: with holes, parts, heights, or nothing."""
    corner = st.floats(-1e6, 1e6)
    side = st.floats(1e-3, 1e5)
    heights, kind = draw(st.booleans()), draw(st.sampled_from(["polygons", "points", "groups"]))
    shapes = []
    for _ in range(draw(st.integers(1, 6))):
        x, y, size = draw(corner), draw(corner), draw(side)
        whole = shapely.box(x, y, x + size, y + size)
        hole = shapely.box(x + size / 4, y + size / 4, x + size / 2, y + size / 2)
        other = shapely.box(x + 2 * size, y, x + 3 * size, y + size)
        polygons = [whole, whole.difference(hole), shapely.MultiPolygon([whole, other]), None]
        group = shapely.MultiPoint([(x, y), (x + size, y)])
        kinds = {"polygons": polygons, "points": [shapely.Point(x, y), None], "groups": [group, None]}
        shape = draw(st.sampled_from(kinds[kind]))
        shapes.append(shapely.force_3d(shape, 7.0) if heights and shape is not None else shape)
    return geopandas.GeoDataFrame({"class": draw(st.permutations(range(len(shapes))))}, geometry=shapes)


@given(layers())
def test_every_shapefile_that_was_written_passes(frame):
    with folder() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of geopandas, where no shape has a reference system
        frame.to_file(place / "l.shp")
        check_shapefile(place / "l.shp")


def test_a_shapefile_that_was_edited_in_place_passes(tmp_path):
    import pyogrio

    squares = [shapely.box(i, 0, i + 1, 1) for i in range(3)]
    frame = geopandas.GeoDataFrame({"class": [1, 2, 3]}, geometry=squares, crs=CRS)
    path = tmp_path / "l.shp"
    frame.to_file(path)
    pyogrio.write_dataframe(frame.iloc[:1], path, append=True)
    check_shapefile(path)
    path.with_suffix(".shx").unlink()  # without it only the length is known
    check_shapefile(path)
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(OSError, match=r"l.shp must be as long as its header says"):
        check_shapefile(path)


def damage_of_shapefile(path, where, content):
    whole = bytearray(path.read_bytes())
    whole[where : where + len(content)] = content
    path.write_bytes(whole)


@pytest.mark.parametrize(
    ("suffix", "where", "content", "words"),
    [
        (".shp", 108, bytes(4), "an empty shape takes more room than it needs in record 0"),
        (".shp", 108, b"\1", "there is another kind of geometry in record 0"),
        (".shp", 104, b"\x7f", "there is more or less than was written in record 0"),
        (".shp", 148, b"\0", "a polygon has more or fewer corners than it says in record 0"),
        (".shp", 150, b"\xff", "a polygon has more or fewer corners than it says in record 0"),
        (".shp", 152, b"\2", "a part of a polygon begins where it has no corner in record 0"),
        (".shp", 100, b"\0\0\0\7", "its index has another order than its records"),
        (".shx", 24, b"\0\0\0\x36", "it has 1 shapes, and a table of 2 rows"),
        (".shx", 24, b"\0\0\0\x37", "its last entry is not whole"),
        (".shx", 24, b"\0\0\1\0", "must be as long as its header says, 512 bytes"),
        (".shx", 104, bytes(4), "there is more or less than was written in record 0"),
        (".dbf", 4, b"\1", "it has 2 shapes, and a table of 1 rows"),
        (".dbf", 48, b"\1", "its fields must fill rows of 19 bytes"),
        (".shp", 156, b"\xff" * 8, "a polygon lies outside its own bounding box in record 0"),
        (".shp", 156, bytes(8), "a polygon lies outside its own bounding box in record 0"),
        (".dbf", -1, b"", "must have 2 rows that each begin with a blank or an asterisk"),
    ],
)
def test_what_contradicts_itself_in_a_shapefile_is_named(tmp_path, suffix, where, content, words):
    path = tmp_path / "l.shp"
    squares = [shapely.box(i, 50, i + 1, 51) for i in (7, 9)]
    geopandas.GeoDataFrame({"class": [1, 2]}, geometry=squares, crs=CRS).to_file(path)
    check_shapefile(path)
    table = path.with_suffix(".dbf").read_bytes()
    if where < 0:
        where, content = int.from_bytes(table[8:10], "little"), bytes(1)  # the mark of the first row
    damage_of_shapefile(path.with_suffix(suffix), where, content)
    with pytest.raises(OSError, match=words):
        check_shapefile(path)


@pytest.mark.parametrize("kind", ["plain", "with heights"])
@pytest.mark.parametrize(
    ("where", "content", "words"),
    [
        (112, b"\xff" * 8, "a point lies outside the bounding box of all in record 0"),
        (120, bytes(8), "a point lies outside the bounding box of all in record 0"),
        (108, bytes(4), "an empty shape takes more room than it needs in record 0"),
        (104, b"\x7f", "there is more or less than was written in record 0"),
    ],
)
def test_damaged_points_of_a_shapefile_are_named(tmp_path, kind, where, content, words):
    path, height = tmp_path / "l.shp", [5.0] if kind == "with heights" else []
    points = [shapely.Point(i, 50, *height) for i in (7, 9)]
    geopandas.GeoDataFrame({"class": [1, 2]}, geometry=points, crs=CRS).to_file(path)
    check_shapefile(path)
    damage_of_shapefile(path, where, content)
    with pytest.raises(OSError, match=words):
        check_shapefile(path)


@pytest.mark.parametrize(
    "box", [[0, 0, 0, 0], [1e300, 1e300, -1e300, -1e300], [np.nan] * 4, np.float32([4e5 / 3, 5e6 / 3] * 2)]
)
def test_points_pass_whose_box_of_all_is_not_known_or_rounded(tmp_path, box):
    path, point = tmp_path / "l.shp", shapely.Point(4e5 / 3, 5e6 / 3)
    geopandas.GeoDataFrame({"class": [1]}, geometry=[point], crs=CRS).to_file(path)
    damage_of_shapefile(path, 36, np.array(box, "<f8").tobytes())
    check_shapefile(path)


@pytest.mark.parametrize("kind", ["plain", "with heights"])
@pytest.mark.parametrize(
    ("where", "content", "words"),
    [
        (144, b"\3", "there are more or fewer points than it says in record 0"),
        (147, b"\x40", "there are more or fewer points than it says in record 0"),
        (148, np.float64(50).tobytes(), "a point lies outside its bounding box in record 0"),
        (112, np.float64(50).tobytes(), "a point lies outside its bounding box in record 0"),
    ],
)
def test_damaged_groups_of_points_of_a_shapefile_are_named(tmp_path, kind, where, content, words):
    path, height = tmp_path / "l.shp", [5.0] if kind == "with heights" else []
    groups = [shapely.MultiPoint([(i, 50, *height), (i + 2, 52, *height)]) for i in (7, 90)]
    geopandas.GeoDataFrame({"class": [1, 2]}, geometry=groups, crs=CRS).to_file(path)
    check_shapefile(path)
    damage_of_shapefile(path, where, content)
    with pytest.raises(OSError, match=words):
        check_shapefile(path)


@pytest.mark.parametrize("form", ["folder", "capitals"])
def test_shapefiles_are_looked_at_in_folders_and_capitals(tmp_path, form):
    path = tmp_path / "l.shp"
    geopandas.GeoDataFrame({"class": [1]}, geometry=[shapely.box(7, 50, 8, 51)], crs=CRS).to_file(path)
    damage_of_shapefile(path, 156, bytes(8))
    if form == "capitals":
        for part in list(tmp_path.iterdir()):
            part.rename(tmp_path / part.name.upper())
    with pytest.raises(OSError, match="lies outside its own bounding box"):
        check_shapefile(tmp_path if form == "folder" else tmp_path / "L.SHP")


# ----- arrays


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.timeout(1800)
def test_damaged_zarr_stores_with_checksums_are_errors_that_name_the_source(tmp_path, damage):
    values = np.random.default_rng(0).integers(1, 4000, (2, 40, 40)).astype("uint16")
    codecs = [zarr.codecs.ZstdCodec(), zarr.codecs.Crc32cCodec()]
    kept = zarr.create_array(
        tmp_path / "v.zarr", shape=values.shape, chunks=(2, 16, 16), dtype="uint16", compressors=codecs
    )
    kept[:] = values
    scene = Scene({"v": VectorRaster(RasterArray(kept, PLACE, CRS))}, grid="v")
    chunks = sorted(path for path in (tmp_path / "v.zarr" / "c").rglob("*") if path.is_file())
    rng = random.Random(damage.__name__)
    for _ in range(N_MUTANTS):
        chunk = rng.choice(chunks)
        content = chunk.read_bytes()
        chunk.write_bytes(damage(content, rng))
        with pytest.raises(OSError, match="the array of source 'v' cannot be read at rows and columns"):
            ChunkedPredictor(CodeReader()).predict(scene, tmp_path / "map.tif")
        chunk.write_bytes(content)
    assert not (tmp_path / "map.tif").exists()


@pytest.mark.parametrize("part", ["whole", "part", "plain view"])
def test_a_memory_map_that_is_cut_short_is_an_error_that_names_its_file(tmp_path, part):
    values = np.memmap(tmp_path / "v.dat", np.uint8, "w+", shape=(3, 64, 64))
    values[:] = 1
    array = {"whole": values, "part": values[:1], "plain view": np.asarray(values[:1])}[part]

    scene = Scene({"v": VectorRaster(RasterArray(array, PLACE, CRS))}, grid="v")
    os.truncate(tmp_path / "v.dat", 100)
    with pytest.raises(
        OSError, match=r"source 'v' is mapped from .*v\.dat, which must have 12288 bytes; it has 100"
    ):
        ChunkedPredictor(CodeReader(), 8).predict(scene, tmp_path / "map.tif")
    assert not (tmp_path / "map.tif").exists()
