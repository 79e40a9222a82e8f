"""Made samples and scenes: seeded, in proportion, whole however they are cut, and told apart as stated."""

import dataclasses
import sys
from itertools import pairwise

import geopandas
import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.features import geometry_mask
from sklearn.ensemble import RandomForestClassifier

from m3fusion_sk.model_selection import StratifiedGroupShuffleSplit
from m3fusion_sk.shares import allot
from m3fusion_sk.synthetic import make_land_cover, make_scene
from m3fusion_sk.synthetic.appearance import BANDS, Appearance, series_bands
from m3fusion_sk.synthetic.clouds import CLOUD, SHADOW, Clouds
from m3fusion_sk.synthetic.landscape import CLASSES, RATIO, Landscape
from m3fusion_sk.synthetic.samples import _patches

NAMES = [c.name for c in CLASSES]
EVERGREEN = ["forest", "forest plantations", "orchards"]
YEARLY = ["sugar cane", "crop cultivations", "herbaceous savannah"]


@pytest.fixture(scope="module")
def samples():
    return make_land_cover(3000, n_dates=12, random_state=0)


@pytest.fixture(scope="module")
def view():
    return Appearance(Landscape((70, 80), 5, 15), np.arange(3) / 3, 4, 5, 0.3)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scene")
    return make_scene(folder, shape=(70, 90), n_dates=6, n_bands=4, cloud_fraction=0.4, random_state=3)


def read(path):
    with rasterio.open(path) as file:
        return file.read()


def small(random_state, **changed):
    return make_land_cover(
        **{"n_samples": 50, "n_dates": 3, "n_bands": 2, "patch_size": 5, **changed}, random_state=random_state
    )


# ----- samples


def test_the_same_seed_makes_the_same_samples():
    (X, y, groups), (X2, y2, groups2) = small(4), small(4)
    assert (np.asarray(X) == np.asarray(X2)).all()
    assert (y == y2).all() and (groups == groups2).all()


def test_other_seeds_make_other_samples():
    assert (np.asarray(small(4)[0]) != np.asarray(small(5)[0])).mean() > 0.9
    assert (np.asarray(small(None)[0]) != np.asarray(small(None)[0])).mean() > 0.9


def test_generators_are_seeds_and_the_global_state_is_left_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    for kind in (np.random.default_rng, np.random.RandomState):
        assert (np.asarray(small(kind(1))[0]) == np.asarray(small(kind(1))[0])).all()
    small(None)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_shapes_types_and_values(samples):
    X, y, groups = samples
    assert X["ts"].shape == (3000, 12, 10) and X["patch"].shape == (3000, 5, 25, 25)
    assert y.shape == groups.shape == (3000,) and y.dtype.kind == "U" and groups.dtype.kind == "i"
    for name in ("ts", "patch"):
        assert X[name].dtype == np.uint16
        assert X[name].min() >= 1 and X[name].max() <= 15_000


@pytest.mark.parametrize("n_bands, patch_bands, patch_size", [(1, 1, 1), (16, 7, 8)])
def test_any_numbers_of_bands_and_sizes_of_patches(n_bands, patch_bands, patch_size):
    X, _, _ = small(0, n_bands=n_bands, patch_bands=patch_bands, patch_size=patch_size)
    assert X["ts"].shape[2] == n_bands and X["patch"].shape[1:] == (patch_bands, patch_size, patch_size)


def test_few_bands_are_the_usual_ones_by_wavelength():
    assert [BANDS[i] for i in series_bands(4)] == ["B02", "B03", "B04", "B08"]
    assert [BANDS[i] for i in series_bands(12)][9:] == ["B12", "B02", "B03"]


def test_pixels_and_objects_are_in_proportion(samples):
    _, y, groups = samples
    for c in CLASSES:
        assert abs((y == c.name).sum() - 3000 * c.n_pixels / 322_748) < 6
        assert abs(len(np.unique(groups[y == c.name])) - 300 * c.n_objects / 2656) < 2


@pytest.mark.parametrize("n_objects, least", [(13, 1), (39, 3), (60, 3)])
def test_every_class_has_as_many_objects_as_there_can_be(n_objects, least):
    _, y, groups = small(1, n_samples=70, n_objects=n_objects)
    assert len(np.unique(groups)) == n_objects
    assert min(len(np.unique(groups[y == name])) for name in NAMES) >= least


@pytest.mark.parametrize("n_samples, n_objects", [(1, 1), (7, 5), (700, 13), (1200, 14)])
def test_exactly_so_many_samples_and_objects(n_samples, n_objects):
    X, y, groups = small(2, n_samples=n_samples, n_objects=n_objects, n_dates=1)
    assert len(X) == len(y) == n_samples and len(np.unique(groups)) == n_objects


def test_every_object_has_one_class_and_no_pixel_comes_twice(samples):
    X, y, groups = samples
    for group in np.unique(groups):
        assert len(np.unique(y[groups == group])) == 1
    assert len(np.unique(X["patch"].reshape(3000, -1), axis=0)) == 3000


def test_samples_of_one_object_resemble_each_other(samples):
    X, y, groups = samples
    ts = X["ts"][y == "sugar cane"].mean(axis=2)
    objects = groups[y == "sugar cane"]
    within = np.mean([ts[objects == g].var(axis=0).mean() for g in np.unique(objects)])
    assert within < 0.5 * ts.var(axis=0).mean()


def test_without_clouds_nothing_is_filled_and_all_dates_are_dark():
    X, y, _ = small(6, n_samples=300, cloud_fraction=0, n_dates=8, n_bands=10)
    assert X["ts"][y == "water surfaces"].max() < 1500


@given(st.integers(0, 400), st.lists(st.floats(0.1, 50), min_size=1, max_size=13))
def test_allotted_numbers_are_whole_and_fair(total, weights):
    counts = allot(total, weights)
    share = total * np.array(weights) / sum(weights)
    assert counts.sum() == total and counts.min() >= 0
    assert (counts >= np.floor(share) - len(weights)).all() and (counts <= share + len(weights)).all()


# ----- what the sources tell apart


def forest_recall(samples, source, names):
    """Recalls of some classes among themselves, of a forest that learns on other objects."""
    X, y, groups = samples
    rows = np.isin(y, names)
    X, y, groups = X[source][rows].reshape(rows.sum(), -1), y[rows], groups[rows]
    train, test = next(StratifiedGroupShuffleSplit(1, train_size=0.5, random_state=0).split(X, y, groups))
    forest = RandomForestClassifier(50, class_weight="balanced", random_state=0).fit(X[train], y[train])
    predicted = forest.predict(X[test])
    return np.mean([(predicted[y[test] == name] == name).mean() for name in names])


def test_the_series_tells_what_differs_over_the_year(samples):
    assert forest_recall(samples, "ts", YEARLY) > 0.85
    assert forest_recall(samples, "ts", YEARLY) > forest_recall(samples, "patch", YEARLY) + 0.1


def test_the_series_hardly_tells_evergreens_apart(samples):
    assert forest_recall(samples, "ts", EVERGREEN) < 0.6


def contrast_along_rows(patches):
    """Share of a patch's variance at wavelengths of 2.4 to 6.5 pixels in its strongest direction."""
    panchromatic = patches[:, 4].astype(float)
    panchromatic -= panchromatic.mean(axis=(1, 2), keepdims=True)
    power = np.abs(np.fft.fft2(panchromatic)) ** 2
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(25), np.fft.fftfreq(25)))
    band = (frequency > 1 / 6.5) & (frequency < 1 / 2.4)
    return power[:, band].max(axis=1) / power.sum(axis=(1, 2))


def test_texture_tells_rows_from_clumps(samples):
    X, y, _ = samples
    planted = np.isin(y, EVERGREEN[1:])
    strength = contrast_along_rows(X["patch"])
    assert np.median(strength[planted]) > 2 * np.median(strength[y == "forest"])


def test_the_patch_shows_no_texture_of_crops_and_cane(samples):
    X, y, _ = samples
    strength = contrast_along_rows(X["patch"])
    ratio = np.median(strength[y == "sugar cane"]) / np.median(strength[y == "crop cultivations"])
    assert 0.7 < ratio < 1.4


# ----- the same however it is cut


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_an_image_is_the_same_however_it_is_cut(view, data):
    height, width = (RATIO * n for n in view.landscape.shape)
    row, col = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    window = (
        row,
        col,
        data.draw(st.integers(1, min(90, height - row))),
        data.draw(st.integers(1, min(90, width - col))),
    )
    whole = view.image((0, 0, height, width))
    assert (view.image(window) == whole[:, row : row + window[2], col : col + window[3]]).all()


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 69), max_size=4, unique=True))
def test_a_series_is_the_same_in_strips_of_any_height(view, cuts):
    height, width = view.landscape.shape
    cuts = [0, *sorted(cuts), height]
    strips = [view.series((a, 0, b - a, width)) for a, b in pairwise(cuts)]
    for whole, parts in zip(view.series((0, 0, height, width)), zip(*strips, strict=True), strict=True):
        assert (whole == np.concatenate(parts)).all()


def test_patches_are_centred_on_the_pixel_and_reflected_at_the_edges(view):
    height, width = (RATIO * n for n in view.landscape.shape)
    image = np.pad(view.image((0, 0, height, width)), [(0, 0), (12, 12), (12, 12)], mode="reflect")
    rows, cols = np.array([0, 69, 33]), np.array([79, 0, 12])
    patches = _patches(view, rows, cols, 25)
    for patch, row, col in zip(patches[:], rows, cols, strict=True):
        assert (patch == image[:, 5 * row + 2 :, 5 * col + 2 :][:, :25, :25]).all()


# ----- scenes


def test_a_scene_says_what_it_has(made):
    assert len(made.dates) == 6 and made.dates == sorted(made.dates) and made.dates[0] == "2016-04-01"
    assert made.class_names == tuple(NAMES) and list(made.colors) == NAMES
    assert len(set(made.colors.values())) == 13
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.dates = []


def test_rasters_lie_on_aligned_grids(made):
    with rasterio.open(made.series) as series, rasterio.open(made.patch) as patch:
        assert series.crs == patch.crs == rasterio.CRS.from_epsg(32740)
        assert series.shape == (70, 90) and patch.shape == (350, 450)
        assert series.bounds == patch.bounds and series.res == (10, 10) and patch.res == (2, 2)
        assert (
            series.profile["tiled"] and series.profile["compress"] == patch.profile["compress"] == "deflate"
        )
        assert series.dtypes[0] == patch.dtypes[0] == "uint16" and patch.count == 5
        for path in (made.mask, made.truth):
            with rasterio.open(path) as file:
                assert (file.shape, file.transform, file.crs) == (series.shape, series.transform, series.crs)


def test_bands_are_described_date_by_date(made):
    with rasterio.open(made.series) as series, rasterio.open(made.mask) as mask:
        bands = ("B02", "B03", "B04", "B08")
        assert series.descriptions == tuple(f"{day}_{band}" for day in made.dates for band in bands)
        assert mask.count == 6 and mask.descriptions[0].startswith(made.dates[0])


def test_bands_that_come_again_are_numbered(tmp_path):
    scene = make_scene(tmp_path, shape=(30, 30), n_dates=1, n_bands=11, patch_bands=6, random_state=0)
    with rasterio.open(scene.series) as series, rasterio.open(scene.patch) as patch:
        assert series.descriptions[-1] == "2016-04-01_B02_2" and patch.descriptions[-1] == "blue_2"


def test_values_stay_in_range(made):
    for path in (made.series, made.patch):
        assert read(path).min() >= 1 and read(path).max() <= 15_000
    assert set(np.unique(read(made.mask))) == {3, 4, 5, 6, 7, 9}
    assert set(np.unique(read(made.truth))) == set(range(1, 14))


def test_polygons_have_the_class_of_the_truth_at_their_pixels(made):
    frame = geopandas.read_file(made.objects)
    assert frame.crs.to_epsg() == 32740 and set(frame["class"]) == set(NAMES)
    assert frame["object_id"].is_unique and frame.geometry.is_valid.all()
    truth = read(made.truth)[0]
    with rasterio.open(made.truth) as file:
        for shape, name in zip(frame.geometry, frame["class"], strict=True):
            inside = ~geometry_mask([shape], truth.shape, file.transform)
            assert inside.any() and set(truth[inside]) == {NAMES.index(name) + 1}


def test_the_mask_marks_what_is_bright(made):
    blue = read(made.series).reshape(6, 4, 70, 90)[:, 0]
    scl = read(made.mask)
    cloudy = scl == CLOUD
    assert cloudy.mean() > 0.02
    assert blue[cloudy].min() > np.percentile(blue[~cloudy], 90)
    assert not cloudy.any(axis=(1, 2)).all()  # one date is clear
    plants = np.isin(read(made.truth)[0], [2, 5, 6])
    assert np.median(blue[(scl == SHADOW) & plants]) < 0.8 * np.median(blue[(scl == 4) & plants])


def test_the_same_seed_makes_the_same_scene(made, tmp_path):
    settings = {"shape": (70, 90), "n_dates": 6, "n_bands": 4, "cloud_fraction": 0.4}
    again = make_scene(tmp_path / "new" / "folder", random_state=3, **settings)
    for name in ("series", "mask", "patch", "truth"):
        assert (read(getattr(made, name)) == read(getattr(again, name))).all()
    assert geopandas.read_file(made.objects).equals(geopandas.read_file(again.objects))
    other = make_scene(tmp_path / "new" / "folder", random_state=4, **settings)  # replaces the files
    assert (read(other.series) != read(made.series)).mean() > 0.9


def test_as_many_polygons_as_asked_for(tmp_path):
    scene = make_scene(tmp_path, shape=(60, 60), n_dates=1, n_bands=1, n_objects=15, random_state=0)
    frame = geopandas.read_file(scene.objects)
    assert len(frame) == 15 and frame["class"].nunique() == 13


def test_clouds_cover_the_share_asked_for():
    rows, cols = np.multiply(np.divmod(np.arange(16), 4), 40)
    ground = np.full((16, 200, 1), 500, np.float32)
    for fraction in (0.0, 0.1, 0.4):
        clouds = Clouds(0, 200, fraction)
        _, scl = clouds.cover(ground, np.full(16, 4), (0, 0, 160, 160), rows, cols)
        assert abs((scl == CLOUD).mean() - fraction) < 0.08


# ----- bad input


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"n_samples": 0}, "n_samples must be 1 or more; got 0"),
        ({"n_samples": 5, "n_objects": 6}, "at most n_samples.*6 objects for 5 samples.*Leave n_objects out"),
        ({"n_objects": 0}, "n_objects must be 1 or more; got 0"),
        ({"n_dates": 0}, "n_dates must be 1 or more; got 0"),
        ({"n_bands": -1}, "n_bands must be 1 or more; got -1"),
        ({"patch_size": 0}, "patch_size must be 1 or more; got 0"),
        ({"cloud_fraction": 20}, "from 0 to 0.9; got 20. For 20 % write 0.2"),
    ],
)
def test_numbers_out_of_range_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        make_land_cover(**wrong)


@pytest.mark.parametrize("wrong", [{"n_samples": 9.5}, {"n_dates": True}, {"cloud_fraction": "some"}])
def test_what_is_no_number_is_refused(wrong):
    with pytest.raises(TypeError, match=f"{next(iter(wrong))} must be .*; got"):
        make_land_cover(**wrong)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"shape": 300}, r"shape must be a pair \(height, width\).*got 300"),
        ({"shape": (20, 300)}, r"30 pixels of 10 m or more.*got \(20, 300\)"),
        (
            {"shape": (60, 60), "n_objects": 9999},
            "n_objects must be at most .* got 9999. Make the scene larger",
        ),
        ({"cloud_fraction": 0.95}, "cloud_fraction must be a share"),
    ],
)
def test_scenes_that_cannot_be_made_are_refused(tmp_path, wrong, message):
    with pytest.raises(ValueError, match=message):
        make_scene(tmp_path / "scene", **wrong)
    assert not (tmp_path / "scene").exists()


def test_a_scene_without_rasterio_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(ImportError, match=r'rasterio is missing.*pip install "m3fusion_sk\[raster\]"'):
        make_scene(tmp_path)
