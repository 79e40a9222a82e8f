"""Reference samples drawn from maps."""

import geopandas
import numpy as np
import pytest
import rasterio
from made_rasters import write

from m3fusion_sk.areas import estimate_areas
from m3fusion_sk.reference import draw_reference_sample


@pytest.fixture
def codes():
    rng = np.random.default_rng(0)
    return rng.choice([0, 1, 2, 7], size=(1300, 90), p=[0.1, 0.6, 0.29, 0.01]).astype(np.uint8)


@pytest.fixture
def class_map(codes, tmp_path):
    path = write(tmp_path / "map.tif", codes[None], nodata=0)
    with rasterio.open(path, "r+") as file:
        file.update_tags(CLASS_NAMES='{"1": "forest", "2": "crops", "7": "water"}')
    return path


def test_points_lie_on_pixels_of_their_class_each_once(codes, class_map):
    sample = draw_reference_sample(class_map, 300, least=60, random_state=0)
    names = {"forest": 1, "crops": 2, "water": 7}
    points = sample.points
    assert (codes[points["row"], points["col"]] == points["mapped"].map(names)).all()
    assert not points.duplicated(["row", "col"]).any() and len(points) == 300
    assert points["mapped"].value_counts().to_dict() == sample.strata["n_samples"].to_dict()
    assert sample.strata["n_samples"]["water"] == 60
    assert sample.strata["n_pixels"].tolist() == [(codes == code).sum() for code in (1, 2, 7)]
    assert not points["mapped"].head(100).is_monotonic_increasing  # shuffled: the labeller knows nothing


def test_areas_and_coordinates_are_those_of_the_file(class_map):
    sample = draw_reference_sample(class_map, {"forest": 5, "crops": 5, "water": 5}, random_state=0)
    assert sample.unit == "m2"
    assert (sample.areas == sample.strata["n_pixels"] * 100).all()
    labels = sample.points["mapped"]
    for areas, unit in ((sample.areas, "m2"), (sample.areas.sort_values(), "m2"), (sample.areas / 1e4, None)):
        assert estimate_areas(labels, labels, areas).unit == unit  # hectares are not told to be metres
    with rasterio.open(class_map) as file:
        x, y = file.xy(sample.points["row"], sample.points["col"])
    np.testing.assert_allclose(sample.points[["x", "y"]].T, [x, y])


def test_an_array_gives_the_same_pixels_as_the_file(codes, class_map):
    from_file = draw_reference_sample(class_map, 200, random_state=3)
    from_array = draw_reference_sample(codes, 200, random_state=3)
    columns = ["row", "col"]
    np.testing.assert_array_equal(from_file.points[columns], from_array.points[columns])
    assert from_array.unit == "pixel" and from_array.strata.index.tolist() == [1, 2, 7]


def test_every_pixel_of_a_class_is_as_likely():
    codes = np.repeat([[1, 2]], 10, axis=0)
    drawn = np.zeros(10)
    for seed in range(600):
        points = draw_reference_sample(codes, {1: 2, 2: 2}, random_state=seed).points
        drawn += np.bincount(points.loc[points["mapped"] == 1, "row"], minlength=10)
    np.testing.assert_allclose(drawn / 600, 0.2, atol=0.06)


def test_classes_that_are_too_small_for_an_estimate_are_told(codes):
    codes[codes == 7] = 1
    codes[5, 5] = 7
    with pytest.warns(UserWarning, match=r"fewer than two pixels in the sample: \{7: 0\}\. Their errors"):
        draw_reference_sample(codes, {1: 20, 2: 20, 7: 0}, random_state=0)
    with pytest.warns(UserWarning, match=r"fewer than two pixels in the sample: \{7: 1\}\. Their errors"):
        sample = draw_reference_sample(codes, 200, random_state=0)
    assert sample.strata["n_samples"][7] == 1
    with pytest.raises(ValueError, match="join classes"):
        estimate_areas(sample.points["mapped"], sample.points["mapped"], sample.areas)


def test_sampled_areas_meet_the_truth_that_the_map_misses():
    rng = np.random.default_rng(1)
    truth = rng.choice([1, 2], size=(400, 400), p=[0.2, 0.8])
    wrong = rng.random(truth.shape) < np.where(truth == 1, 0.3, 0.02)
    mapped = np.where(wrong, 3 - truth, truth)
    sample = draw_reference_sample(mapped, 1500, random_state=0)
    reference = truth[sample.points["row"], sample.points["col"]]
    areas = estimate_areas(reference, sample.points["mapped"], sample.areas).areas
    assert areas.loc[1, "mapped"] < 0.9 * (truth == 1).sum()
    assert areas.loc[1, "low"] < (truth == 1).sum() < areas.loc[1, "high"]


def test_the_layer_has_an_empty_field_and_is_never_overwritten(class_map, tmp_path):
    sample = draw_reference_sample(class_map, 200, random_state=0)
    sample.write(tmp_path / "reference.gpkg")
    layer = geopandas.read_file(tmp_path / "reference.gpkg")
    assert len(layer) == 200 and layer.crs.to_epsg() == 32631
    assert (layer["reference"].fillna("") == "").all()
    assert "mapped" not in layer  # whoever labels does not know
    np.testing.assert_allclose(layer.geometry.x, sample.points["x"])
    with pytest.raises(FileExistsError, match="may hold labels"):
        sample.write(tmp_path / "reference.gpkg")


def fill(path, labels):
    """Label points as in a geographic information system: the layer, in another order, is written again."""
    layer = geopandas.read_file(path)
    layer["reference"] = labels
    path.unlink()
    layer.sample(frac=1, random_state=0).to_file(path)


def test_labels_come_back_in_the_order_of_the_points(class_map, tmp_path):
    path = tmp_path / "reference.gpkg"
    draw_reference_sample(class_map, 200, random_state=0).write(path)
    again = draw_reference_sample(class_map, 200, random_state=0)
    fill(path, again.points["mapped"].to_numpy())
    np.testing.assert_array_equal(again.read(path), again.points["mapped"])
    areas = estimate_areas(again.read(path), again.points["mapped"], again.areas).areas
    np.testing.assert_allclose(areas["area"], areas["mapped"])


def test_labels_are_codes_where_the_map_has_no_names(codes, tmp_path):
    sample = draw_reference_sample(write(tmp_path / "map.tif", codes[None], nodata=0), 200, random_state=0)
    sample.write(tmp_path / "reference.gpkg")
    fill(tmp_path / "reference.gpkg", sample.points["mapped"].astype(str).to_numpy())
    np.testing.assert_array_equal(sample.read(tmp_path / "reference.gpkg"), sample.points["mapped"])


def test_layers_of_another_sample_or_without_labels_are_refused(class_map, tmp_path):
    path = tmp_path / "reference.gpkg"
    sample = draw_reference_sample(class_map, 200, random_state=0)
    sample.write(path)
    with pytest.raises(ValueError, match=r"reference must be filled for all points .*; 200 are empty"):
        sample.read(path)
    with pytest.raises(ValueError, match="must have the 200 points of this sample; it has 200 points"):
        draw_reference_sample(class_map, 200, random_state=1).read(path)
    layer = geopandas.read_file(path).drop(columns="reference")
    layer.to_file(tmp_path / "other.gpkg")
    with pytest.raises(ValueError, match=r"it lacks \['reference'\]"):
        sample.read(tmp_path / "other.gpkg")


def test_an_array_has_no_coordinates_to_write(codes, tmp_path):
    with pytest.raises(ValueError, match="write needs coordinates"):
        draw_reference_sample(codes, 200).write(tmp_path / "reference.gpkg")


@pytest.mark.parametrize(
    "n_samples, least, error, message",
    [
        (0, 50, ValueError, r"n_samples must lie between least=50 for each of 3 classes"),
        (-3, 50, ValueError, "n_samples must be a positive integer"),
        (10**7, 50, ValueError, "pixels of the map"),
        ({1: 5}, 50, ValueError, "n_samples must hold for each class of the map"),
        ({1: 5, 2: 5, 7: 10**6}, 50, ValueError, "at most its pixels"),
    ],
)
def test_wrong_numbers_are_refused(codes, n_samples, least, error, message):
    with pytest.raises(error, match=message):
        draw_reference_sample(codes, n_samples, least=least)


def test_masked_pixels_are_no_class(codes, tmp_path):
    mask = np.zeros(codes.shape, bool)
    mask[:, :30] = True
    masked = draw_reference_sample(np.ma.array(codes, mask=mask), 200, random_state=0)
    assert (masked.points["col"] >= 30).all()
    path = write(tmp_path / "map.tif", codes[None])  # without a nodata value, but with a mask
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
        file.write_mask(~mask)
    from_file = draw_reference_sample(path, 200, random_state=0)
    np.testing.assert_array_equal(from_file.points[["row", "col"]], masked.points[["row", "col"]])
    assert from_file.strata["n_pixels"].tolist() == [(codes[:, 30:] == code).sum() for code in (1, 2, 7)]


def test_what_is_no_class_map_is_refused(tmp_path):
    with pytest.raises(TypeError, match="array of integer codes of shape"):
        draw_reference_sample(np.ones((2, 2)), 4)
    with pytest.raises(ValueError, match="all nodata"):
        draw_reference_sample(np.zeros((2, 2), int), 4)
    path = write(tmp_path / "float.tif", np.ones((1, 3, 3), np.float32))
    with pytest.raises(TypeError, match=r"must hold integer codes; .*float\.tif holds float32"):
        draw_reference_sample(path, 4)


def test_pixels_that_differ_in_size_are_told(codes, tmp_path):
    place = rasterio.Affine(0.01, 0, 10, 0, -0.02, 60)  # 26 degrees from north to south
    path = write(tmp_path / "degrees.tif", codes[None], crs="EPSG:4326", transform=place, nodata=0)
    with pytest.warns(UserWarning, match=r"differ 1\.\d+ times in size"):
        draw_reference_sample(path, 200, random_state=0)
    path = write(tmp_path / "web.tif", codes[None], crs="EPSG:3857", nodata=0)
    with pytest.warns(UserWarning, match=r"are 0\.50 times as large on the ground as .* in pixels\. Rep"):
        assert draw_reference_sample(path, 200, random_state=0).unit == "pixel"
    path = write(tmp_path / "nowhere.tif", codes[None], crs="EPSG:3857", origin=(1e12, 1e12), nodata=0)
    with pytest.warns(UserWarning, match="not known to be as large on the ground as"):
        draw_reference_sample(path, 200, random_state=0)


@pytest.mark.parametrize("names", ['{"1": "forest", "2": "crops"}', '{"1": "a", "2": "b", "7": "a"}'])
def test_codes_without_a_name_of_their_own_are_told_before_the_labelling(class_map, names):
    with rasterio.open(class_map, "r+") as file:
        file.update_tags(CLASS_NAMES=names)
    with pytest.raises(ValueError, match=r"CLASS_NAMES of .* must give each code a name .*codes \[1, 2, 7\]"):
        draw_reference_sample(class_map, 200, random_state=0)


def test_labels_that_are_no_class_are_told(class_map, codes, tmp_path):
    path, other = tmp_path / "reference.gpkg", tmp_path / "codes.gpkg"
    sample = draw_reference_sample(class_map, 200, random_state=0)
    sample.write(path)
    fill(path, np.repeat(["Water", "water"], 100))
    with pytest.warns(UserWarning, match=r"reference holds \['Water'\] in .*reference\.gpkg, which are no"):
        assert set(sample.read(path)) == {"Water", "water"}
    sample = draw_reference_sample(write(tmp_path / "map.tif", codes[None], nodata=0), 200, random_state=0)
    sample.write(other)
    fill(other, np.repeat(["9", "1"], 100))
    with pytest.warns(UserWarning, match=r"reference holds \[9\]"):
        sample.read(other)
    fill(other, np.repeat(["forest", "1"], 100))
    with pytest.raises(ValueError, match=r"codes of classes in .*codes\.gpkg, .* got \['forest'\]\. Write"):
        sample.read(other)


def test_labels_must_be_whole_codes(codes, tmp_path):
    sample = draw_reference_sample(write(tmp_path / "map.tif", codes[None], nodata=0), 200, random_state=0)
    sample.write(tmp_path / "reference.gpkg")
    fill(tmp_path / "reference.gpkg", np.full(200, "1.7"))
    with pytest.raises(ValueError, match="must hold codes of classes"):
        sample.read(tmp_path / "reference.gpkg")
