"""Spectral indices: the catalogue's formulas, added to whatever has bands."""

import pickle

import numpy as np
import pandas as pd
import pytest
import spyndex
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from m3fusion_sk import GapFiller, MultiSource, SpectralIndices, stacked_forest
from m3fusion_sk.patchview import PatchView

S2 = ["B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"]
NAMES = dict(zip(S2, ["B", "G", "R", "RE1", "RE2", "RE3", "N", "N2", "S1", "S2"], strict=True))
METHOD = ["NDVI", "NDWI", "BITM", "MNDVI", "MNDWI", "NDREI"]


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    ts = rng.integers(100, 6000, (12, 4, 10)).astype(np.uint16)
    spot = rng.integers(1, 900, (12, 3, 7, 5)).astype(np.uint16)
    return MultiSource(ts=ts, spot=spot, terrain=rng.normal(size=(12, 2)))


def oracle(index, values, names, scale=1.0, **constants):
    """spyndex itself, value by value."""
    bands = {name: float(value) * scale for name, value in zip(names, values, strict=True)}
    defaults = {name: c.default for name, c in spyndex.constants.items()}
    params = {**defaults, **constants, **bands}
    return spyndex.computeIndex(index, {p: params[p] for p in spyndex.indices[index].bands})


def test_the_method_s_ten_bands_become_sixteen_variables(X):
    step = SpectralIndices({"ts": S2}).fit(X)
    assert step.indices_ == {"ts": METHOD}
    more = step.transform(X)
    assert more["ts"].shape == (12, 4, 16) and more["ts"].dtype == np.float32
    np.testing.assert_array_equal(more["ts"][..., :10], X["ts"])
    for k, index in enumerate(METHOD):
        for place in np.ndindex(12, 4):
            expected = oracle(index, X["ts"][place], NAMES.values())
            np.testing.assert_allclose(more["ts"][place][10 + k], expected, rtol=1e-5)
    assert more.values_of("terrain") is X.values_of("terrain")


@pytest.mark.parametrize("index", ["NDVI", "EVI", "SAVI", "IRECI", "NIRv", "NDMI", "VARI", "BI", "S2REP"])
def test_other_indices_of_the_catalogue_use_scale_and_constants(X, index):
    step = SpectralIndices({"ts": S2}, [index], scale=1e-4, constants={"L": 0.7})
    got = step.fit_transform(X)["ts"][..., 10]
    for place in [(0, 0), (5, 2), (11, 3)]:
        expected = oracle(index, X["ts"][place], NAMES.values(), 1e-4, L=0.7)
        np.testing.assert_allclose(got[place], expected, rtol=2e-4)


def test_patches_get_the_indices_whose_bands_they_have(X):
    step = SpectralIndices({"ts": [*S2[:9], None], "spot": ["G", "R", "N"]}).fit(X)
    assert step.indices_ == {"ts": ["NDVI", "NDWI", "BITM", "MNDWI", "NDREI"], "spot": ["NDVI", "NDWI"]}
    spot, raw = step.transform(X)["spot"], X["spot"].astype(float)
    assert spot.shape == (12, 5, 7, 5)
    np.testing.assert_allclose(spot[:, 3], (raw[:, 2] - raw[:, 1]) / (raw[:, 2] + raw[:, 1]), rtol=1e-5)
    np.testing.assert_allclose(spot[:, 4], (raw[:, 0] - raw[:, 2]) / (raw[:, 0] + raw[:, 2]), rtol=1e-5)


@settings(deadline=None, max_examples=50)
@given(hnp.arrays(np.int16, (3, 2, 10), elements=st.integers(-3, 3)))
def test_zeros_and_negative_values_give_finite_indices(ts):
    for indices in (METHOD, ["SR", "EVI", "GEMI", "IRECI", "CIRE"]):
        more = SpectralIndices({"ts": S2}, indices).fit_transform({"ts": ts})["ts"]
        assert np.isfinite(more).all()
    undefined = ts[..., 6].astype(int) + ts[..., 2] == 0
    ndvi = SpectralIndices({"ts": S2}, ["NDVI"]).fit_transform({"ts": ts})["ts"][..., 10]
    assert (ndvi[undefined] == 0).all()


def test_a_missing_band_is_missing_in_its_indices_only():
    ts = np.full((1, 2, 3), 500.0)
    ts[0, 0, 2] = np.nan
    more = SpectralIndices({"ts": ["G", "R", "N"]}, ["NDVI", "NGRDI"]).fit_transform({"ts": ts})["ts"]
    assert more.dtype == np.float64
    np.testing.assert_array_equal(more[0, :, 3:], [[np.nan, 0], [0, 0]])
    assert np.isfinite(GapFiller().fit_transform({"ts": more})["ts"]).all()


def test_views_of_an_image_stay_views_also_of_some_rows(X):
    image = np.random.default_rng(1).integers(0, 900, (3, 20, 20)).astype(np.uint16)
    view = PatchView(image, np.arange(12), np.arange(12), (7, 5))
    lazy, eager = X.replace(spot=view), X.replace(spot=view[:])
    step = SpectralIndices({"spot": ["G", "R", "N"]}).fit(lazy)
    for rows in (slice(None), [3, 1, 11]):
        more = step.transform(lazy[rows])
        assert isinstance(more.values_of("spot"), PatchView)
        np.testing.assert_array_equal(more.gather("spot"), step.transform(eager[rows])["spot"])


def test_views_of_images_of_several_dates_stay_views(X):
    images = np.random.default_rng(1).integers(0, 900, (4, 3, 20, 20)).astype(np.uint16)
    view = PatchView(images, np.arange(12), np.arange(12), (7, 5))
    step = SpectralIndices({"spots": ["G", "R", "N"]})
    more = step.fit_transform(X.replace(spots=view))
    assert isinstance(more.values_of("spots"), PatchView)
    np.testing.assert_array_equal(more.gather("spots"), step.transform(X.replace(spots=view[:]))["spots"])


def test_sources_on_disk_are_computed_as_they_are_read(X, tmp_path):
    np.save(tmp_path / "spot.npy", X["spot"])
    on_disk = X.replace(spot=np.load(tmp_path / "spot.npy", mmap_mode="r"))
    step = SpectralIndices({"spot": ["G", "R", "N"]})
    expected = step.fit_transform(X)["spot"]
    more = step.fit_transform(on_disk[2:])
    assert not isinstance(more.values_of("spot"), np.ndarray)
    np.testing.assert_array_equal(more["spot"], expected[2:])
    np.testing.assert_array_equal(more[[4, 0]]["spot"], expected[[6, 2]])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(more))["spot"], expected[2:])


def test_a_dict_chooses_by_source_and_radar_has_names_too(X):
    s1 = np.random.default_rng(0).uniform(0.01, 0.3, (12, 6, 2))
    step = SpectralIndices({"ts": S2, "s1": ["VV", "VH"]}, {"s1": ["DpRVIVV"], "ts": ["NDVI"]})
    more = step.fit_transform(X.replace(s1=s1))
    assert more["s1"].shape == (12, 6, 3) and more["ts"].shape == (12, 4, 11)
    assert step.formulas_["DpRVIVV"] == spyndex.indices["DpRVIVV"].formula


def test_columns_are_named_so_that_a_table_can_be_cut_again(X):
    step = SpectralIndices({"ts": S2}, ["NDVI"]).set_output(transform="pandas")
    frame = step.fit_transform(X)
    assert isinstance(frame, pd.DataFrame)
    assert frame.columns[10] == "ts_t00_b10" and len(frame.columns) == X.shape[1] + 4
    again = GapFiller().fit_transform(frame)
    np.testing.assert_allclose(again["ts"], SpectralIndices({"ts": S2}, ["NDVI"]).fit_transform(X)["ts"])


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"scale": {"tss": 1e-4}}, r"scale must name sources of X, each once; got \['tss'\]"),
        ({"constants": {"l": 0.5}}, r"constants must be among those of spyndex, .*'L'.*; got \['l'\]"),
    ],
)
def test_misspelt_keys_are_refused(X, parameters, message):
    with pytest.raises(ValueError, match=message):
        SpectralIndices({"ts": S2}, ["SAVI"], **parameters).fit(X)


def test_a_scale_by_source_is_1_for_the_others(X):
    bands, spot = {"ts": S2, "spot": ["G", "R", "N"]}, X["spot"]
    more = SpectralIndices(bands, ["SAVI"], scale={"ts": 1e-4}).fit_transform(X)
    alone = SpectralIndices({"spot": bands["spot"]}, ["SAVI"]).fit_transform({"spot": spot})
    np.testing.assert_array_equal(more["spot"], alone["spot"])


def test_it_is_a_step_before_a_classifier(X):
    model = make_pipeline(SpectralIndices({"ts": S2, "spot": ["G", "R", "N"]}), stacked_forest(5))
    assert len(cross_val_score(model, X, np.arange(12) % 2, cv=2, error_score="raise")) == 2


def test_another_catalogue_than_in_fit_is_refused(X, monkeypatch):
    step = SpectralIndices({"ts": S2}, ["NDVI"]).fit(X)
    monkeypatch.setattr(spyndex.indices["NDVI"], "formula", "N/R")
    with pytest.raises(ValueError, match=r"NDVI must be \(N-R\)/\(N\+R\), as in fit; spyndex .* has N/R"):
        step.transform(X)


@pytest.mark.parametrize(
    "parameters, error, message",
    [
        ({"bands": None}, TypeError, "bands must be a dict of band names by source"),
        ({"bands": {"s2": S2}}, ValueError, "bands must name sources of X"),
        ({"bands": {"ts": S2[:3]}}, ValueError, r"bands\['ts'\] must name each of the 10 bands"),
        ({"bands": {"terrain": ["R", "N"]}}, ValueError, "of a series or patch; .* is a vector"),
        ({"bands": {"spot": ["G", "R", "NIR"]}}, ValueError, r"unknown \['NIR'\]"),
        ({"bands": {"spot": ["R", "B04", "N"]}}, ValueError, r"twice \['R'\]"),
        (
            {"bands": {"spot": ["G", "R", "N"]}, "indices": ["NDIV"]},
            ValueError,
            "spyndex's catalogue.*'NDIV'",
        ),
        (
            {"bands": {"spot": ["G", "R", "N"]}, "indices": ["MNDWI"]},
            ValueError,
            "MNDWI needs G, S1; .*no S1",
        ),
        ({"bands": {"spot": ["G", "R", "N"]}, "indices": {"ts": ["NDVI"]}}, ValueError, "indices must name"),
        ({"bands": {"spot": [None, None, "N"]}}, ValueError, "No source has the bands of any"),
        ({"bands": {"ts": S2}, "indices": "NDVI"}, TypeError, "indices must be a list, such as"),
        ({"bands": {"ts": S2}, "indices": {"ts": "NDVI"}}, TypeError, "or a dict of lists"),
        ({"bands": {"ts": S2}, "scale": 0}, ValueError, "scale must be a positive number"),
        ({"bands": {"ts": S2}, "constants": {"L": "x"}}, ValueError, "constants must hold numbers"),
    ],
)
def test_wrong_parameters_are_refused(X, parameters, error, message):
    with pytest.raises(error, match=message):
        SpectralIndices(**parameters).fit(X)
