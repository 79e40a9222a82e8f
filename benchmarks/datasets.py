"""Labelled samples for the benchmarks: made ones, and real ones from the folder M3FUSION_DATA.

Each function returns a `Dataset`. Real rasters are read through `Scene`, as a user would.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import geopandas
import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from m3fusion_sk import GapFiller, MultiSource, StratifiedGroupShuffleSplit
from m3fusion_sk.mapping import PatchRaster, Scene, SeriesRaster

MINIMUM_CROWNS = 10
MINIMUM_POLYGONS = 5
PIXELS_OF_A_POLYGON = 60
OTHER = 99


@dataclass(frozen=True)
class Dataset:
    """Samples, what may be split (`groups`), what votes (`objects`), and the splits of the study."""

    X: MultiSource
    y: np.ndarray
    groups: np.ndarray
    objects: np.ndarray
    cv: object
    note: str


class DataMissing(Exception):
    """The real data are not there."""


def data_folder(name):
    """A folder of real data."""
    root = os.environ.get("M3FUSION_DATA")
    if not root or not Path(root, name).is_dir():
        raise DataMissing(f"no folder {name!r} in M3FUSION_DATA={root!r}: set it to where the real data are")
    return Path(root, name)


def made(n_splits, seed=0, n_samples=10_000):
    """Samples of the paper's classes, from made objects."""
    from m3fusion_sk import make_land_cover

    X, y, groups = make_land_cover(n_samples, random_state=seed)
    cv = StratifiedGroupShuffleSplit(n_splits, train_size=0.3, random_state=seed)
    note = "30 % of the objects of each class to train, 70 % to test"
    return Dataset(X, y, groups, groups, cv, note)


def idtrees(n_splits, seed=0):
    """Tree crowns in 46 plots: spectra at 1 m as a sequence over wavelength, patches at 0.1 m."""
    folder = data_folder("idtrees_mlbs")
    crowns = idtrees_crowns(folder)
    parts = [
        (plot, idtrees_scene(folder, plot).sample(part, label="taxon", group="crown_id"))
        for plot, part in crowns.groupby("plot")
    ]
    group_of = dict(zip(crowns["crown_id"], crowns["plot_group"], strict=True))
    objects = np.concatenate([samples.groups for _, samples in parts])
    return Dataset(
        X=MultiSource.concatenate([samples.X for _, samples in parts]),
        y=np.concatenate([samples.y for _, samples in parts]),
        groups=np.array([group_of[crown] for crown in objects]),
        objects=objects,
        cv=StratifiedGroupKFold(n_splits, shuffle=True, random_state=seed),
        note=f"{n_splits} folds by plot group; taxa with at least {MINIMUM_CROWNS} crowns; crowns vote",
    )


def idtrees_crowns(folder):
    """Crowns of the taxa that have enough of them."""
    crowns = geopandas.read_file(folder / "crowns.gpkg")
    counts = crowns["taxon"].map(crowns["taxon"].value_counts())
    return crowns[counts >= MINIMUM_CROWNS]


def idtrees_scene(folder, plot):
    """One plot: 369 bands as 41 steps of 9, and 25x25 pixels of the colour image, ten times finer."""
    sources = {
        "hsi": SeriesRaster(folder / "hsi" / f"{plot}.tif", n_bands=9),
        "rgb": PatchRaster(folder / "rgb" / f"{plot}.tif", size=25),
    }
    return Scene(sources, grid="hsi")


def lpis(n_splits, seed=0):
    """Parcels in Belgium: Sentinel-2 at 10 and 20 m and Sentinel-1, on their own grids and calendars.

    The remainder, code 99 ("other"), is left out: it is no class, and one of its objects covers
    39 % of the square.
    """
    folder = data_folder("lpis_belgium_2018")
    parcels = geopandas.read_file(folder / "parcels.gpkg")
    parcels = parcels[parcels["landcover"] != OTHER]
    samples = lpis_scene(folder).sample(parcels, label="landcover", group="object_id")
    return Dataset(
        X=samples.X,
        y=samples.y,
        groups=samples.groups,
        objects=samples.groups,
        cv=StratifiedGroupShuffleSplit(n_splits, train_size=0.5, random_state=seed),
        note="half of the parcels of each class to train; 22 parcels: too few to rank models",
    )


def lpis_scene(folder):
    """The three series; clouds by the scene classification, filled linearly in time."""
    dates = json.loads((folder / "dates.json").read_text())
    optical = {"dates": dates["s2_dates"], "mask": folder / "s2_scl.tif", "valid": (4, 5, 6, 7)}
    sources = {
        "s2_10m": SeriesRaster(folder / "s2_10m.tif", n_bands=4, **optical),
        "s2_20m": SeriesRaster(folder / "s2_20m.tif", n_bands=6, **optical),
        "s1": SeriesRaster(folder / "s1.tif", n_bands=2, dates=dates["s1_dates"]),
    }
    return Scene(sources, grid="s2_10m")


def rondonia(n_splits, seed=0):
    """Sentinel-2 series of pixels in Rondonia, split by squares of 0.1 degree."""
    stored = np.load(data_folder("amazon_rondonia") / "series.npz")
    return Dataset(
        X=MultiSource(ts=stored["ts"]),
        y=stored["class_names"][stored["y"]],
        groups=stored["block"],
        objects=stored["block"],
        cv=StratifiedGroupKFold(n_splits, shuffle=True, random_state=seed),
        note=f"{n_splits} folds by squares of 0.1 degree",
    )


def eolearn(n_splits, seed=0):
    """Land use in Slovenia: a gappy NDVI series of 68 dates, 13 bands of 5 dates, and terrain height."""
    stored = np.load(data_folder("eolearn_slovenia") / "testeopatch.npz")
    rows, cols = eolearn_pixels(stored["lulc"], stored["poly"], seed)
    gaps = np.where(stored["valid"], stored["ndvi"], np.nan)[:, rows, cols].T
    ndvi = GapFiller().fit_transform(MultiSource(ndvi=gaps.astype(np.float32)[:, :, None]))["ndvi"]
    bands = stored["bands5"][:, rows, cols].transpose(1, 0, 2)
    polygons = stored["poly"][rows, cols]
    return Dataset(
        X=MultiSource(ndvi=np.asarray(ndvi), bands=bands, height=stored["dem"][rows, cols][:, None]),
        y=stored["class_names"][stored["lulc"][rows, cols]],
        groups=polygons,
        objects=polygons,
        cv=StratifiedGroupKFold(n_splits, shuffle=True, random_state=seed),
        note=f"{n_splits} folds by polygon, {PIXELS_OF_A_POLYGON} pixels of each: too few to rank models",
    )


def eolearn_pixels(classes, polygons, seed):
    """Rows and columns of pixels of classes with enough polygons, some of each polygon."""
    rng = np.random.default_rng(seed)
    chosen = []
    for code in np.unique(classes[classes > 0]):
        parts = [
            np.argwhere((classes == code) & (polygons == p)) for p in np.unique(polygons[classes == code])
        ]
        if len(parts) >= MINIMUM_POLYGONS:
            chosen += [rng.permutation(part)[:PIXELS_OF_A_POLYGON] for part in parts]
    return np.concatenate(chosen).T


DATASETS = {"made": made, "idtrees": idtrees, "rondonia": rondonia, "lpis": lpis, "eolearn": eolearn}
