"""The catalogue of spectral indices, spyndex: which bands and constants its formulas need."""

from collections.abc import Mapping
from numbers import Real

import numpy as np

from .transformer import check_chosen

INDICES = ("NDVI", "NDWI", "BITM", "MNDVI", "MNDWI", "NDREI")  # of the M3Fusion method


def load_catalogue():
    """The package spyndex."""
    try:
        import spyndex
    except ImportError as error:
        raise ImportError('SpectralIndices needs spyndex: pip install "m3fusion_sk[indices]".') from error
    return spyndex


def standard_names(bands, sources, catalogue):
    """The names of `bands` as the formulas write them."""
    if not isinstance(bands, Mapping) or not bands:
        raise TypeError(
            f"bands must be a dict of band names by source, such as {{'ts': ['B02', 'B03']}}; got {bands!r}."
        )
    check_chosen("bands", list(bands), sources)
    known = _known_bands(catalogue)
    standard = {}
    for name, given in bands.items():
        spec = sources[name]
        if isinstance(given, str) or len(given) != spec.n_channels or spec.kind == "vector":
            raise ValueError(
                f"bands[{name!r}] must name each of the {spec.n_channels} bands of a series or patch; "
                f"X[{name!r}] is a {spec.kind} {spec.shape}, got {given!r}."
            )
        unknown = [band for band in given if band is not None and band not in known]
        standard[name] = [None if band is None else known.get(band) for band in given]
        twice = [band for band in set(standard[name]) - {None} if standard[name].count(band) > 1]
        if unknown or twice:
            raise ValueError(
                f"bands[{name!r}] must hold names of spyndex or Sentinel-2, such as 'N' or 'B08', each once, "
                f"or None; got {list(given)}, unknown {unknown}, twice {twice}."
            )
    return standard


def _known_bands(catalogue):
    known = {name: name for name in ("VV", "VH", "HV", "HH")}
    for name, band in catalogue.bands.items():
        known[name] = name
        sentinel = getattr(band, "sentinel2a", None)
        if sentinel is not None:
            known[sentinel.band] = name
            if len(sentinel.band) == 2:  # B2 is B02
                known[f"B0{sentinel.band[1]}"] = name
    return known


def default_constants(catalogue):
    defaults = {name: constant.default for name, constant in catalogue.constants.items()}
    return {name: value for name, value in defaults.items() if value is not None}


def checked_constants(constants, catalogue):
    constants = {} if constants is None else constants
    known = sorted(catalogue.constants)
    if not isinstance(constants, Mapping):
        raise TypeError(f"constants must be a dict, such as {{'L': 0.5}}; got {constants!r}.")
    unknown = [name for name in constants if name not in catalogue.constants]
    if unknown:
        raise ValueError(f"constants must be among those of spyndex, {known}; got {unknown}.")
    for name, value in constants.items():
        if not isinstance(value, Real) or not np.isfinite(value):
            raise ValueError(
                f"constants must hold numbers by name, such as {{'L': 0.5}}; got {name}={value!r}."
            )
    return constants


def indices_by_source(indices, names, constants, catalogue):
    by_source = isinstance(indices, Mapping)
    if by_source:
        check_chosen("indices", list(indices), names)
    common = INDICES if indices is None else indices
    for part in indices.values() if by_source else [INDICES if indices is None else indices]:
        if isinstance(part, str) or not np.iterable(part):
            raise TypeError(f"indices must be a list, such as ['NDVI'], or a dict of lists; got {indices!r}.")
    wanted = indices if by_source else {name: list(common) for name in names}
    lacking = {
        (name, index): [p for p in needed(index, catalogue) if p not in names[name] and p not in constants]
        for name in wanted
        for index in wanted[name]
    }
    if indices is None and all(lacking.values()):
        raise ValueError(f"No source has the bands of any of {INDICES}; got bands {names}. Name the indices.")
    nowhere = [
        (name, index, gap)
        for (name, index), gap in lacking.items()
        if gap and (by_source or all(lacking[other, index] for other in wanted))
    ]
    if nowhere and indices is not None:
        name, index, gap = nowhere[0]
        raise ValueError(
            f"{index} needs {', '.join(needed(index, catalogue))}; X[{name!r}] has no "
            f"{' and no '.join(gap)} among {names[name]}. Leave it out, or name the bands (or constants)."
        )
    chosen = {name: [i for i in dict.fromkeys(wanted[name]) if not lacking[name, i]] for name in wanted}
    return {name: part for name, part in chosen.items() if part}


def needed(index, catalogue):
    if index not in catalogue.indices:
        raise ValueError(
            f"indices must be names in spyndex's catalogue, such as {list(INDICES)}; got {index!r}."
        )
    return tuple(catalogue.indices[index].bands)


def check_formulas(formulas, catalogue):
    for index, formula in formulas.items():
        found = catalogue.indices[index].formula if index in catalogue.indices else None
        if found != formula:
            raise ValueError(
                f"{index} must be {formula}, as in fit; spyndex {catalogue.__version__} has {found}. Fit "
                "again, or install the spyndex that fit had."
            )
