"""Areas of classes and accuracies of a map, estimated from a stratified reference sample."""

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real

import numpy as np
import pandas as pd
from scipy.stats import norm

from .labels import check_labels, check_same_length, check_same_type
from .metrics import count_pairs

__all__ = ["AreaEstimates", "estimate_areas", "reference_sample_size"]


@dataclass(frozen=True, eq=False)
class AreaEstimates:
    """What `estimate_areas` returns.

    Attributes
    ----------
    areas : pandas.DataFrame
        By class: ``mapped`` (area in the map), ``area`` (estimate that is adjusted for the map's errors),
        its standard error ``se``, and the ends ``low`` and ``high`` of its confidence interval.
    accuracy : pandas.DataFrame
        By class: ``users`` and ``producers`` accuracy, each with ``_se``, ``_low`` and ``_high``.
    overall : pandas.Series
        Overall accuracy: ``accuracy``, ``se``, ``low``, ``high``.
    proportions : pandas.DataFrame
        Estimated share of the area by mapped (rows) and reference class (columns).
    level : float
        Of the confidence intervals.
    unit : str or None
        Of the areas, where they are those of a `ReferenceSample` as it told them: "m2", say.
    notes : tuple of str
        What to beware of: mapped classes without spread in the sample, and classes of the reference only.

    Examples
    --------
    >>> from m3fusion_sk.areas import estimate_areas
    >>> reference = ["crops"] * 8 + ["water"] * 11 + ["crops"]
    >>> mapped = ["crops"] * 10 + ["water"] * 10
    >>> found = estimate_areas(reference, mapped, {"crops": 100.0, "water": 900.0})
    >>> found.areas["area"].round(1).to_dict()
    {'crops': 170.0, 'water': 830.0}
    >>> found.overall["accuracy"].round(2)
    np.float64(0.89)
    """

    areas: pd.DataFrame
    accuracy: pd.DataFrame
    overall: pd.Series
    proportions: pd.DataFrame
    level: float = 0.95
    unit: str | None = None
    notes: tuple = ()

    def __str__(self):
        with pd.option_context("display.float_format", "{:.4g}".format, "display.width", 1000):
            tables = (self.areas, self.accuracy, self.overall.to_frame().T, self.proportions)
            return "\n\n".join([*(table.to_string() for table in tables), *self.notes])


def estimate_areas(reference, mapped, map_areas, *, level=0.95):
    """Areas and accuracies with confidence intervals, from a map and a stratified reference sample.

    Pixels counted in a map are a biased estimate of area: the map's errors do not cancel. A sample drawn
    at random within each mapped class corrects them.

    Parameters
    ----------
    reference : array of shape (n_samples,)
        True class of each sampled place.
    mapped : array of shape (n_samples,)
        Its class in the map, by which the sample was drawn.
    map_areas : dict or pandas.Series
        Area of every class of the map, in any unit (pixels, hectares); estimates have the same unit. Its
        order is that of the tables; classes that occur in `reference` only come last.
    level : float, default=0.95
        Level of the confidence intervals, estimate plus and minus normal quantile times standard error.
        They are not cut, so that they stay symmetric, as in the article: an end may lie below 0, or above 1
        or the total area.

    Returns
    -------
    AreaEstimates
        ``print`` shows its tables.

    Raises
    ------
    ValueError
        If a mapped class has an area and fewer than two samples, or samples and no area; or the arguments
        are not as described.

    See Also
    --------
    draw_reference_sample : draws the sample from a map.
    reference_sample_size : how many samples an overall standard error needs.

    Notes
    -----
    The estimators are those for stratified random sampling with the map's classes as strata. A simple
    random sample of the whole map is valid too: it is divided by mapped class afterwards. A sample drawn by
    other strata is not.

    Intervals hold the truth less often than they say where errors are few. Simulated with the article's
    population and numbers of samples, those of 95 % held the four areas in 89, 74, 95 and 96 % of the
    samples, and the producer's accuracies in 93, 63, 93 and 93 %. With 50 samples of each of four classes
    they held areas in 73 to 89 % where each class is 97 % right, and in 40 % where it is 99.5 % right; with
    100 samples in 89 to 93 % and in 39 to 61 %. Where all n samples of a class are right,
    its standard error is 0, though about 3 / n of the class may be wrong. Classes of which the sample holds
    most pixels have too large standard errors: there is no correction for a finite map.

    References
    ----------
    Olofsson, P., Foody, G. M., Herold, M., Stehman, S. V., Woodcock, C. E., Wulder, M. A. (2014). Good
    practices for estimating area and assessing accuracy of land change. Remote Sensing of Environment
    148, 42-57.

    Examples
    --------
    The article's table 8, where deforestation covers 18,000 ha of the map:

    >>> import numpy as np
    >>> from m3fusion_sk.areas import estimate_areas
    >>> classes = ["deforestation", "forest gain", "forest", "other"]
    >>> counts = [[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]]
    >>> mapped, reference = (np.repeat(part, np.ravel(counts)) for part in np.meshgrid(
    ...     classes, classes, indexing="ij"))  # one value for each of 640 sampled pixels
    >>> hectares = dict(zip(classes, [18_000, 13_500, 288_000, 580_500]))
    >>> estimates = estimate_areas(reference.ravel(), mapped.ravel(), hectares)
    >>> estimates.areas.loc["deforestation"].round().tolist()
    [18000.0, 21158.0, 3142.0, 15000.0, 27315.0]
    >>> estimates.overall.round(2)["accuracy"].item()
    0.95
    """
    reference, mapped = check_labels("reference", reference), check_labels("mapped", mapped)
    check_same_length(reference=reference, mapped=mapped)
    areas = _checked_areas(map_areas)
    check_same_type(reference=reference, mapped=mapped, map_areas=areas.index)
    strangers = pd.Index(reference).unique().difference(areas.index)
    classes = areas.index.append(strangers)
    areas = areas.reindex(classes, fill_value=0.0)
    _check_areas_known(mapped, areas)
    counts = count_pairs(classes.get_indexer(mapped), classes.get_indexer(reference), *[len(classes)] * 2)
    _check_strata(counts, areas)
    unit = _told_unit(map_areas, areas.sum())
    notes = _note_on_strangers(strangers.tolist()) + _note_on_agreement(counts, classes)
    return _estimates(counts, areas.to_numpy(), classes, _checked_level(level), unit, notes)


def _note_on_strangers(strangers):
    if not strangers:
        return ()
    return (f"The map has no class {strangers}, as the reference has: correct those that are misspelt.",)


def _note_on_agreement(counts, classes):
    """On mapped classes that the sample found no spread in."""
    sizes = counts.sum(axis=1)
    same = pd.Series(sizes, index=classes)[(sizes > 0) & (counts.max(axis=1) == sizes)]
    if same.empty:
        return ()
    return (
        f"All samples of these mapped classes are of one class (mapped: samples): {same.to_dict()}. They add "
        "nothing to standard errors, so that intervals are too narrow. Draw more of them.",
    )


def _estimates(counts, areas, classes, level, unit, notes):
    z = norm.ppf((1 + level) / 2)
    total, weight = areas.sum(), areas / areas.sum()
    sampled = np.maximum(counts.sum(axis=1), 2)  # rows without area have no samples, and weight 0
    share = counts / sampled[:, None]  # of each mapped class that is truly of class j
    spread = weight[:, None] ** 2 * share * (1 - share) / (sampled[:, None] - 1)
    p = weight[:, None] * share
    columns = classes.rename("class")
    table = {"mapped": areas, **_interval("area", total * p.sum(axis=0), total**2 * spread.sum(axis=0), z)}
    overall = _interval("accuracy", p.trace(), np.trace(spread), z)
    return AreaEstimates(
        pd.DataFrame(table, index=columns).rename(columns=lambda name: name.removeprefix("area_")),
        pd.DataFrame({**_users(share, sampled, areas, z), **_producers(p, spread, z)}, index=columns),
        pd.Series(overall, name="overall").rename(lambda name: name.removeprefix("accuracy_")),
        pd.DataFrame(p, index=classes.rename("mapped"), columns=classes.rename("reference")),
        level,
        unit,
        notes,
    )


def _users(share, sampled, areas, z):
    hit = np.where(areas > 0, share.diagonal(), np.nan)
    return _interval("users", hit, hit * (1 - hit) / (sampled - 1), z)


def _producers(p, spread, z):
    """Equation 7 of the article, in shares of the area."""
    truth = p.sum(axis=0)
    there = truth > 0
    accuracy = np.divide(p.diagonal(), truth, out=np.full(len(p), np.nan), where=there)
    diagonal = spread.diagonal()
    others = spread.sum(axis=0) - diagonal
    numerator = (1 - accuracy) ** 2 * diagonal + accuracy**2 * others
    variance = np.divide(numerator, truth**2, out=np.full(len(p), np.nan), where=there)
    return _interval("producers", accuracy, variance, z)


def _interval(name, estimate, variance, z):
    se = np.sqrt(variance)
    return {
        name: estimate,
        f"{name}_se": se,
        f"{name}_low": estimate - z * se,
        f"{name}_high": estimate + z * se,
    }


def reference_sample_size(map_areas, users_accuracy, standard_error=0.01, *, allocation="proportional"):
    """Samples that an estimate of overall accuracy with a given standard error needs.

    Parameters
    ----------
    map_areas : dict or pandas.Series
        Area of each class of the map, in any unit.
    users_accuracy : float, dict or pandas.Series
        Conjectured user's accuracy of each class, or of all.
    standard_error : float, default=0.01
        Standard error of overall accuracy to aim at.
    allocation : {"proportional", "optimal"}, default="proportional"
        How the samples are shared among the classes: in proportion to area, or to area times
        ``sqrt(users_accuracy * (1 - users_accuracy))``, which needs the fewest.

    Returns
    -------
    int
        For a large map, rounded up, and at least two for each class that has an area. The optimal number is
        equation 13 of the article.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Notes
    -----
    ``draw_reference_sample(class_map, n, least=2)`` shares ``n`` in proportion to area. A larger `least`
    takes samples from large classes: draw as many more as it gives to the rare ones. The optimal number
    must be shared as in the example below; shared by area, it does not reach the standard error.

    References
    ----------
    Olofsson et al. (2014), as in `estimate_areas`.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from m3fusion_sk.areas import reference_sample_size
    >>> areas = pd.Series({"deforestation": 200, "gain": 150, "forest": 3200, "other": 6450})
    >>> accuracy = pd.Series({"deforestation": 0.7, "gain": 0.6, "forest": 0.9, "other": 0.95})
    >>> reference_sample_size(areas, accuracy)
    673

    The article's number, and what `draw_reference_sample` takes for it:

    >>> reference_sample_size(areas, accuracy, allocation="optimal")
    641
    >>> share = areas * np.sqrt(accuracy * (1 - accuracy))
    >>> np.ceil(641 * share / share.sum()).clip(lower=2).astype(int).to_dict()
    {'deforestation': 24, 'gain': 19, 'forest': 244, 'other': 357}
    """
    areas = _checked_areas(map_areas)
    accuracy = _checked_accuracy(users_accuracy, areas.index)
    if not isinstance(standard_error, Real) or not standard_error > 0:
        raise ValueError(f"standard_error must be a positive number; got {standard_error!r}.")
    if allocation not in ("proportional", "optimal"):
        raise ValueError(f"allocation must be 'proportional' or 'optimal'; got {allocation!r}.")
    weight, variance = areas / areas.sum(), accuracy * (1 - accuracy)
    optimal = allocation == "optimal"
    spread = (weight * np.sqrt(variance)).sum() ** 2 if optimal else (weight * variance).sum()
    needed = int(np.ceil((spread / standard_error**2).round(6)))  # without the noise of its digits
    return max(needed, 2 * int((areas > 0).sum()))


def _checked_accuracy(users_accuracy, classes):
    if not isinstance(users_accuracy, Real | Mapping | pd.Series):
        raise TypeError(
            "users_accuracy must be one number, or a dict or Series with one for each class; got "
            f"{users_accuracy!r:.200}."
        )
    if isinstance(users_accuracy, Real):
        users_accuracy = dict.fromkeys(classes, users_accuracy)
    given = pd.Series(users_accuracy, dtype=float)
    accuracy = given.reindex(classes)
    if not accuracy.between(0, 1).all() or len(given) != len(classes):
        raise ValueError(
            f"users_accuracy must be a share from 0 to 1 for each of {classes.tolist()}, and no other; "
            f"got {dict(users_accuracy)}."
        )
    return accuracy


def _checked_areas(map_areas):
    if not isinstance(map_areas, Mapping | pd.Series) or not len(map_areas):
        raise TypeError(f"map_areas must be a dict or Series of areas by class; got {map_areas!r}.")
    areas = pd.Series(map_areas, dtype=float)
    if not np.isfinite(areas).all() or (areas < 0).any() or not areas.any() or areas.index.has_duplicates:
        raise ValueError(
            "map_areas must hold a finite area from 0 for each class, each class once, and not only 0; got "
            f"{areas.to_dict()}."
        )
    return areas


def _told_unit(map_areas, total):
    """What a `ReferenceSample` told of its areas, unless these have become others, as hectares or shares."""
    told = getattr(map_areas, "attrs", {})
    same = told.get("total") is None or np.isclose(told["total"], total, rtol=0.01)  # but for rounding
    return told.get("unit") if same else None


def _checked_level(level):
    if not isinstance(level, Real) or not 0 < level < 1:
        raise ValueError(f"level must be a number between 0 and 1, such as 0.95; got {level!r}.")
    return level


def _check_areas_known(mapped, areas):
    unknown = pd.Index(mapped).unique().difference(areas.index[areas > 0]).tolist()
    if unknown:
        raise ValueError(
            f"map_areas must hold the area of every mapped class; {unknown} have samples and no area. Add "
            f"them to {areas.to_dict()}."
        )


def _check_strata(counts, areas):
    few = areas.index[(counts.sum(axis=1) < 2) & (areas > 0)].tolist()
    if few:
        raise ValueError(
            f"Every mapped class with an area needs two samples or more; {few} have fewer. Draw more, or "
            "join classes (in the map and in the reference)."
        )
