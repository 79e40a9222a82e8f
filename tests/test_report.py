"""The page without a browser: what is in it, what is left out, and what is refused."""

import json
import re
from base64 import b64decode
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from made_rasters import write_class_map
from PIL import Image
from sklearn.pipeline import make_pipeline

from m3fusion_sk import M3FusionClassifier, MultiSource, SelectSources, land_cover_report, stacked_forest
from m3fusion_sk.areas import estimate_areas
from m3fusion_sk.calibration import calibration_scores
from m3fusion_sk.report import describe_models

HOSTILE = '<script>alert("x")</script>&amp;\'"'


class Reader(HTMLParser):
    """Tags, text, ids and addresses of a page."""

    VOID = {"meta", "link", "img", "input", "br"}

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.words = [], [], [], []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):  # of SVG
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.words.append(data.strip())

    def values(self, name):
        return [value for _, key, value in self.attributes if key == name]

    @property
    def sections(self):
        return [value for tag, key, value in self.attributes if tag == "section" and key == "id"]


def read(path):
    return Reader(path.read_text(encoding="utf-8"))


@pytest.fixture
def samples():
    rng = np.random.default_rng(0)
    objects = np.arange(120) // 4
    y = np.array(["crops", "forest", "water"])[objects % 3]
    other = np.where(rng.random(120) < 0.3, "crops", y)
    return y, {"network": y, "forest": other}, objects


@pytest.fixture
def maps(tmp_path):
    first = write_class_map(tmp_path / "a.tif", np.repeat([[1, 2]], 20, axis=0).repeat(10, axis=1))
    second = write_class_map(tmp_path / "b.tif", np.full((20, 20), 2))
    return {"network": first, "forest": second}


def test_what_is_given_is_shown_and_what_is_not_is_left_out(samples, maps, tmp_path):
    y, predictions, objects = samples
    shown = read(land_cover_report(tmp_path / "1.html", y, predictions, groups=objects))
    assert shown.sections == ["scores", "classes", "confusion", "origin"]
    assert "img" not in shown.tags and "input" not in shown.tags
    shown = read(land_cover_report(tmp_path / "2.html", maps=maps))
    assert shown.sections == ["maps", "areas", "origin"]
    assert shown.tags.count("img") == 2
    one = read(land_cover_report(tmp_path / "3.html", maps={"network": maps["network"]}))
    assert one.tags.count("img") == 1 and "range" not in one.values("type")
    proba = (y[:, None] == np.array(["crops", "forest", "water"])) * 0.7 + 0.1
    calibration = {"network": calibration_scores(y, proba, ["crops", "forest", "water"])}
    dates = pd.DataFrame(
        [[0.25, 0.75]], index=["crops"], columns=pd.to_datetime(["2016-04-01", "2016-05-01"])
    )
    falls = pd.DataFrame(
        {"importance": [0.2, -0.01], "std": 0.01}, index=pd.Index(["ts", "p"], name="source")
    )
    areas = estimate_areas(np.roll(y, 1), y, {"crops": 5e4, "forest": 3e4, "water": 2e4})
    rows = {"model": "network", "sources": "all", "accuracy": [0.8, 0.9], "fit_seconds": [3.0, 5.0]}
    extras = {
        "area_unit": "m2",
        "attention": {"ts": dates},
        "importance": falls,
        "calibration": calibration,
        "areas": areas,
    }
    comparison = pd.DataFrame({"split": [0, 1], **rows})
    shown = read(land_cover_report(tmp_path / "4.html", **extras, comparison=comparison))
    assert shown.sections == ["scores", "attention", "importance", "calibration", "areas", "origin"]
    for text in (
        "0.850 ± 0.071",
        "4.0 ± 1.4",
        "2016-04-01",
        "75",
        "0.200 ± 0.010",
        "5.0",
        "svg",
        "estimate (ha)",
    ):
        assert text in shown.words or text in shown.tags, text


def test_scores_stand_with_their_deviations_and_the_difference_first_less_second(samples, tmp_path):
    y, predictions, objects = samples
    words = read(land_cover_report(tmp_path / "r.html", y, predictions, groups=objects)).words
    share = (predictions["forest"] == y).mean()
    number = re.compile(rf"{share:.3f} ± 0\.0\d\d")
    assert any(number.fullmatch(word) for word in words)
    difference = re.compile(rf"▲ \+{1 - share:.3f} ± 0\.0\d\d")
    assert any(difference.fullmatch(word) for word in words)
    assert "network \N{MINUS SIGN} forest" in words
    bare = read(land_cover_report(tmp_path / "bare.html", y, predictions)).words
    assert f"{share:.3f}" in bare and not any("±" in word for word in bare)
    assert "vote of each object" in words and "vote of each object" not in bare


def test_pictures_hold_the_map_and_number_its_classes(maps, tmp_path):
    shown = read(land_cover_report(tmp_path / "r.html", maps=maps))
    first, second = (
        Image.open(BytesIO(b64decode(address.removeprefix("data:image/png;base64,")))).convert("RGB")
        for address in shown.values("src")
    )
    assert first.size == (20, 20)
    assert first.getpixel((0, 0)) == (255, 0, 0) and first.getpixel((19, 19)) == (0, 0, 255)
    assert set(second.get_flattened_data()) == {(0, 0, 255)}
    assert shown.values("data-color") == ["255,0,0", "0,0,255"]
    assert shown.values("data-name")[-2:] == ["forest", "water"]
    for text in ("2.0", "50.0", "4.0", "100.0"):  # hectares and percent
        assert text in shown.words, text


def test_all_text_is_escaped(tmp_path):
    names = {1: HOSTILE, 2: "Wälder & Höfe"}
    path = write_class_map(tmp_path / "map.tif", np.eye(8) + 1, names=names)
    y = np.array([HOSTILE, "Wälder & Höfe"] * 5)
    page = land_cover_report(
        tmp_path / "r.html",
        y,
        {HOSTILE: y, "b": y},
        maps={HOSTILE: path},
        models={HOSTILE: stacked_forest()},
        attention={HOSTILE: pd.DataFrame([[1.0]], index=[HOSTILE], columns=[HOSTILE])},
        calibration={HOSTILE: calibration_scores(y, np.full((10, 2), 0.5), [HOSTILE, "Wälder & Höfe"])},
        title=HOSTILE,
        description=[HOSTILE],
        command=HOSTILE,
    )
    shown = read(page)
    assert shown.tags.count("script") == 1
    assert shown.words.count(HOSTILE) > 10 and "Wälder & Höfe" in shown.words


def test_nothing_of_the_page_lies_elsewhere(samples, maps, tmp_path):
    y, predictions, objects = samples
    shown = read(land_cover_report(tmp_path / "r.html", y, predictions, groups=objects, maps=maps))
    addresses = shown.values("src") + shown.values("href") + shown.values("xlink:href")
    assert addresses and all(a.startswith(("data:", "#")) for a in addresses)
    ids = shown.values("id")
    assert len(ids) == len(set(ids))
    assert {a[1:] for a in addresses if a.startswith("#")} <= set(ids)


def test_maps_of_other_sizes_lie_where_they_are(maps, tmp_path):
    half = write_class_map(tmp_path / "half.tif", np.full((20, 10), 1), origin=(320_100, 7_690_000))
    shown = read(land_cover_report(tmp_path / "r.html", maps={"whole": maps["network"], "half": half}))
    places = [style for style in shown.values("style") if style.startswith("left:") and "width" in style]
    assert places[0] == "left:0.0%; top:0.0%; width:100.0%; height:100.0%"
    assert places[1] == "left:50.0%; top:0.0%; width:50.0%; height:100.0%"
    elsewhere = write_class_map(tmp_path / "elsewhere.tif", np.ones((5, 5)), crs="EPSG:4326", pixel=0.1)
    with pytest.raises(
        ValueError, match=r"one coordinate reference system .*a\.tif has EPSG:32740, and .*4326"
    ):
        land_cover_report(tmp_path / "no.html", maps={"a": maps["network"], "b": elsewhere})
    assert not (tmp_path / "no.html").exists()


def test_large_maps_are_shown_smaller_and_counted_whole(tmp_path):
    codes = np.ones((2400, 3000), np.uint8)
    codes[0, :7] = 2
    shown = read(
        land_cover_report(tmp_path / "r.html", maps={"m": write_class_map(tmp_path / "m.tif", codes)})
    )
    assert any("2,400 x 3,000 pixels, shown as 960 x 1,200" in word for word in shown.words)
    assert "0.1" in shown.words  # hectares: 7 pixels that the picture need not show
    assert (tmp_path / "r.html").stat().st_size < 200_000


def test_more_classes_than_a_palette_has_colours(tmp_path):
    codes = np.arange(1, 401).reshape(20, 20)
    names = {code: f"class {code}" for code in range(1, 401)}
    for colors in (None, dict.fromkeys(names, (9, 9, 9))):  # dropped by another program, or all the same
        path = write_class_map(tmp_path / "m.tif", codes, names, colors)
        shown = read(land_cover_report(tmp_path / "r.html", maps={"m": path}, overwrite=True))
        assert len(set(shown.values("data-color"))) == 400
        address = shown.values("src")[0].removeprefix("data:image/png;base64,")
        picture = Image.open(BytesIO(b64decode(address))).convert("RGB")
        seen = [",".join(map(str, rgb)) for rgb in picture.get_flattened_data()]
        assert seen == shown.values("data-color")


def test_one_class_and_a_class_never_seen(tmp_path):
    y = np.full(6, "sea")
    shown = read(
        land_cover_report(tmp_path / "r.html", y, {"m": y}, groups=np.arange(6), labels=["sea", "ice"])
    )
    assert "1.000 ± 0.000" in shown.words and "\N{EN DASH}" in shown.words  # kappa is not defined


def test_how_it_was_made_names_files_hashes_settings_and_what_does_not_fit(maps, tmp_path):
    rng = np.random.default_rng(0)
    network = M3FusionClassifier(hidden_size=4, max_epochs=1, random_state=0)
    network.fit({"ts": rng.normal(size=(20, 3, 2))}, np.arange(20) % 2)
    report = {
        "run_key": "key-of-run",
        "inputs": {"model": "m", "map": {"chunk_size": 256}, "scene": {"x": 1}},
        "versions": {"gdal": "3.10"},
        "finished": "2026-11-24",
        "grid": {"height": 20, "width": 20, "crs": "?"},
        "outputs": {"class": {"sha256": "0000"}},
        "pixels": {"all": 400},
        "seconds_of_all_chunks": {"cut": 1},
    }
    (tmp_path / "a.report.json").write_text(json.dumps(report))
    page = land_cover_report(
        tmp_path / "r.html", maps=maps, models={"net": network}, command="python my map.py"
    )
    words = " ".join(read(page).words)
    for text in (
        "python my map.py",
        "M3FusionClassifier(hidden_size=4, max_epochs=1, random_state=0)",
        network.content_hash(),
        "key-of-run",
        "not the file of its report, which had 0000",
        '"chunk_size": 256',
        "gdal 3.10",
    ):
        assert text in words, text


@pytest.mark.parametrize("text", ["{", "[]", '{"outputs": 1}', "null"])
def test_a_damaged_report_beside_a_map_is_told_and_does_no_harm(text, maps, tmp_path):
    (tmp_path / "a.report.json").write_text(text)
    words = read(land_cover_report(tmp_path / "r.html", maps=maps)).words
    assert "a.report.json is not what ChunkedPredictor writes" in words


def test_maps_without_common_ground_are_refused(maps, tmp_path):
    far = write_class_map(tmp_path / "far.tif", np.ones((5, 5)), origin=(900_000, 7_690_000))
    with pytest.raises(ValueError, match="must show the same ground"):
        land_cover_report(tmp_path / "r.html", maps={"a": maps["network"], "far": far})


def test_a_disk_that_cannot_be_written_says_so(samples, tmp_path):
    y, predictions, _ = samples
    (tmp_path / "r.html.partial").mkdir()  # stands for what even root may not write to
    with pytest.raises(OSError, match=r"r\.html\.partial"):
        land_cover_report(tmp_path / "r.html", y, predictions)
    with pytest.raises(IsADirectoryError, match="is a folder"):
        land_cover_report(tmp_path, y, predictions, overwrite=True)


def test_an_existing_file_is_kept_unless_it_may_be_replaced(samples, tmp_path):
    y, predictions, _ = samples
    path = tmp_path / "r.html"
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        land_cover_report(path, y, predictions)
    assert path.read_text() == "mine"
    assert land_cover_report(path, y, predictions, overwrite=True) == path
    assert read(path).sections
    with pytest.raises(FileNotFoundError, match=r"The folder of r\.html must exist"):
        land_cover_report(tmp_path / "nowhere" / "r.html", y, predictions)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({}, ValueError, "needs something to show"),
        ({"y_true": ["a"]}, ValueError, "belong together"),
        ({"predictions": {"m": ["a"]}}, ValueError, "belong together"),
        (
            {"y_true": ["a"], "predictions": ["a"]},
            TypeError,
            "predictions must be a dict with a name for each",
        ),
        ({"y_true": ["a"], "predictions": {"m": ["a", "b"]}}, ValueError, "one value for each sample"),
        ({"maps": "map.tif"}, TypeError, "maps must be a dict with a name for each"),
        ({"maps": dict.fromkeys("abc", "map.tif")}, ValueError, "maps must be one or two"),
    ],
)
def test_what_does_not_fit_is_refused(given, error, message, tmp_path):
    with pytest.raises(error, match=message):
        land_cover_report(tmp_path / "r.html", **given)
    assert not list(tmp_path.iterdir())


def test_models_are_asked_in_one_go_and_their_answers_make_a_page(tmp_path):
    rng, y = np.random.default_rng(0), np.repeat(["crops", "forest"], 30)
    X = {
        "ts": rng.normal(size=(60, 3, 2)) + (y == "crops")[:, None, None],
        "terrain": rng.normal(size=(60, 2)),
    }
    objects = np.arange(60) // 3
    network = M3FusionClassifier(hidden_size=4, max_epochs=2, random_state=0)
    models = {"network": make_pipeline(SelectSources(["ts"]), network).fit(X, y)}
    models["forest"] = stacked_forest(5, random_state=0).fit(X, y)
    found = describe_models(models, X, y, groups=objects, dates={"ts": ["May", "June", "July"]}, n_repeats=1)
    np.testing.assert_array_equal(found["predictions"]["forest"], models["forest"].predict(X))
    assert found["attention"]["ts"].columns.tolist() == ["May", "June", "July"]
    assert found["importance"]["of sources"].loc["terrain", "importance"] == 0  # the network does not see it
    shown = read(land_cover_report(tmp_path / "r.html", **found))
    assert shown.sections == [
        "scores",
        "classes",
        "confusion",
        "attention",
        "importance",
        "calibration",
        "origin",
    ]
    assert network.content_hash() in shown.words


def test_a_class_that_only_the_test_samples_have_counts_as_wrong(tmp_path):
    rng, y = np.random.default_rng(0), np.repeat(["crops", "forest", "water"], 20)
    X = MultiSource(ts=rng.normal(size=(60, 3, 2)) + (y == "crops")[:, None, None])
    trained = y != "water"
    forest = stacked_forest(10, random_state=0).fit(X[trained], y[trained])
    found = describe_models({"forest": forest}, X, y, n_repeats=1)
    summary = found["calibration"]["forest"].summary
    right = np.mean(found["predictions"]["forest"] == y)
    assert summary["accuracy"] == pytest.approx(right) and right <= 2 / 3
    assert summary["log_loss"] > 20 / 60 * -np.log(1e-14)
    assert "water" in land_cover_report(tmp_path / "r.html", **found).read_text()
    with pytest.raises(ValueError, match="y_true and classes must hold labels of one type"):
        describe_models({"forest": forest}, X, np.repeat([1, 2, 3], 20))


def test_models_without_series_or_attention_say_less(tmp_path):
    rng, y = np.random.default_rng(0), np.repeat(["crops", "forest"], 30)
    X = {"terrain": rng.normal(size=(60, 2))}
    alone = make_pipeline(SelectSources(["terrain"]), M3FusionClassifier(max_epochs=1, random_state=0))
    both = {**X, "ts": np.zeros((60, 2, 1))}
    assert "attention" not in describe_models({"m": alone.fit(both, y)}, both, y, dates={"ts": ["a", "b"]})
    found = describe_models({"forest": stacked_forest(5, random_state=0).fit(X, y)}, X, y)
    assert "attention" not in found and list(found["importance"]) == ["of sources"]
    assert read(land_cover_report(tmp_path / "r.html", **found)).sections
    few = describe_models(found["models"], X, y, groups=np.arange(60), max_samples=20)
    assert len(few["predictions"]["forest"]) == 60
    score = few["importance"]["of sources"].attrs["score"]
    assert score * 20 == pytest.approx(round(score * 20))  # a share of 20 samples
    with pytest.raises(ValueError, match="models must hold"):
        describe_models({}, X, y)
    with pytest.raises(ValueError, match="one value for each sample"):
        describe_models(found["models"], X, y[1:])


def test_two_models_and_a_class_that_never_occurs(tmp_path):
    y = ["a", "b", "a", "b"]
    predictions = {"m": y, "n": ["a", "a", "a", "b"]}
    page = land_cover_report(tmp_path / "r.html", y, predictions, groups=[1, 2, 3, 4], labels=["a", "b", "c"])
    assert "(standard error)" in page.read_text(encoding="utf-8")


def test_what_has_no_standard_error_is_shown_without(samples, tmp_path):
    y, predictions, objects = samples
    y = np.where(objects == 2, "rare", y)  # of one object
    other = np.where(objects == 2, "crops", predictions["forest"])
    page = land_cover_report(tmp_path / "r.html", y, {"network": y, "forest": other}, groups=objects)
    words = read(page).words
    assert "▲ +1.000" in words[words.index("rare") :][:9]
    assert not any("nan" in word for word in words)
    areas = estimate_areas(list("abbbb"), list("aabbb"), {"a": 100.0, "b": 50.0})
    page = land_cover_report(tmp_path / "r.html", areas=areas, overwrite=True)
    assert "All samples of b agree" in page.read_text(encoding="utf-8")


def test_areas_have_the_unit_that_is_known_and_the_level_of_their_interval(tmp_path):
    areas = pd.Series({"a": 100.0, "b": 50.0})
    cases = [({}, None, "mapped<"), ({}, "km2", "mapped (km2)"), ({"unit": "m2"}, None, "mapped (ha)")]
    for attrs, unit, shown in cases:
        areas.attrs = attrs
        found = estimate_areas(["a", "b", "b", "a"], ["a", "a", "b", "b"], areas, level=0.5)
        page = land_cover_report(tmp_path / "r.html", areas=found, area_unit=unit, overwrite=True)
        text = page.read_text(encoding="utf-8")
        assert shown in text and "interval of 50 %" in text
    with pytest.raises(ValueError, match="area_unit must be that of the areas, 'm2', as their sample"):
        land_cover_report(tmp_path / "q.html", areas=found, area_unit="ha")
