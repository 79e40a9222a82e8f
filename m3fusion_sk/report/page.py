"""The page itself: what was given becomes sections, and these become one file."""

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import numpy as np

from .._version import __version__
from ..deviations import draw_scores
from ..labels import check_labels
from ..metrics import land_cover_scores
from ..wholefile import whole_file
from . import sections
from .origin import origin
from .pictures import diagram, swipe_of

__all__ = ["land_cover_report"]


@dataclass(frozen=True)
class Section:
    """A part of the page; what is empty is not shown."""

    id: str
    title: str
    tables: list = field(default_factory=list)
    lists: list = field(default_factory=list)
    swipe: object = None
    diagram: str = ""
    caption: str = ""


def land_cover_report(
    path,
    y_true=None,
    predictions=None,
    *,
    groups=None,
    labels=None,
    maps=None,
    attention=None,
    importance=None,
    calibration=None,
    areas=None,
    area_unit=None,
    comparison=None,
    models=None,
    title="Land cover map",
    description=None,
    command=None,
    overwrite=False,
):
    """Write a page that shows a map, how good it is, and how it was made.

    One HTML file that needs no network and nothing beside it, for a browser, a telephone or paper. It has a
    section for all that is given, and none for what is not.

    Parameters
    ----------
    path : path
        The file to write, such as ``report.html``.
    y_true : array of shape (n_samples,), optional
        True class of each test sample, of objects that did not train.
    predictions : dict of str to array of shape (n_samples,), optional
        Predicted classes by name of the model. Of two models, the differences are shown, first less second:
        ``{"network": ..., "forest": ...}``.
    groups : array of shape (n_samples,), optional
        Object of each test sample, for the accuracy of their votes and for standard errors.
    labels : sequence, optional
        Classes in the order of the tables; sorted by default.
    maps : dict of str to path, optional
        One class map or two by name, as `ChunkedPredictor` writes them; two are swiped over each other. What
        it reported (``map.report.json``) is read where it lies beside them.
    attention : dict of str to DataFrame, optional
        Of each series, from `attention_by_class`.
    importance : DataFrame or dict of str to DataFrame, optional
        From `grouped_importance`: one table, or some by title.
    calibration : dict of str to CalibrationScores, optional
        From `calibration_scores`, by name of the model.
    areas : AreaEstimates, optional
        From `estimate_areas`. The pixels of each class are counted in `maps` without it.
    area_unit : str, optional
        Unit of these areas, such as "ha", where the estimates do not know theirs. Square metres ("m2") are
        shown as hectares.
    comparison : DataFrame, optional
        From `compare_by_source`: scores of each source alone and of all, over splits.
    models : dict of str to estimator, optional
        Fitted models, whose settings and content hashes are stated.
    title : str, default="Land cover map"
    description : str or sequence of str, optional
        Paragraphs at the top: what was mapped, from which images, with whose labels.
    command : str, optional
        What was run to get here; the command of this process by default.
    overwrite : bool, default=False
        Whether to replace an existing file.

    Returns
    -------
    pathlib.Path
        The file, which is there as a whole or not at all.

    Raises
    ------
    OSError
        If there is such a file and `overwrite` is false (`FileExistsError`), or it cannot be written.
    ImportError
        If jinja2 or matplotlib are missing, or rasterio where there are maps.
    TypeError, ValueError
        If nothing is given, or what is given does not fit together.

    See Also
    --------
    m3fusion_sk.plotting : the same as figures, for articles.

    Notes
    -----
    Standard errors are those of `m3fusion_sk.deviations.draw_scores`. Numbers on the maps and the choice of
    a class in the legend tell classes apart where colours do not. Maps of more than 1,200 pixels a side are
    shown smaller; areas are counted at full size.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from m3fusion_sk import land_cover_report
    >>> y, objects = ["crops", "crops", "forest", "forest"], [1, 1, 2, 3]
    >>> predictions = {"network": y, "forest": ["crops", "forest", "forest", "forest"]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = land_cover_report(Path(folder) / "report.html", y, predictions, groups=objects)
    ...     "<h1>Land cover map</h1>" in page.read_text(encoding="utf-8")
    True
    """
    path = _checked_path(path, overwrite)
    scored, draws = _scored(y_true, predictions, groups, labels)
    maps = _checked_dict("maps", maps)
    if len(maps) > 2:
        raise ValueError(f"maps must be one or two; got {list(maps)}. Write a page for each pair.")
    attention = _checked_dict("attention", attention)
    calibration = _checked_dict("calibration", calibration)
    found = [
        *_map_sections(maps),
        *_score_sections(scored, draws, comparison),
        *_section("attention", "Attention by date", sections.attention(attention)),
        *_section("importance", "Importance", [] if importance is None else sections.importances(importance)),
        *_calibration_section(calibration),
        *_section("areas", "Areas", _area_tables(maps, areas, area_unit)),
    ]
    if not found:
        raise ValueError(
            "land_cover_report needs something to show: y_true with predictions, maps, attention, "
            "importance, calibration, areas or comparison."
        )
    models = _checked_dict("models", models)
    found.append(Section("origin", "How it was made", lists=origin(maps, models, command)))
    paragraphs = [description] if isinstance(description, str) else list(description or [])
    text = _render(title=title, description=paragraphs, sections=found, headline=_headline(scored, draws))
    with whole_file(path) as file:
        file.write(text.encode("utf-8", errors="replace"))
    return path


def _checked_path(path, overwrite):
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder. Give the name of a file in it, such as report.html.")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists. Choose another name, or write overwrite=True to replace it.")
    return path


def _checked_dict(name, value):
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a dict with a name for each; got {type(value).__name__}.")
    return {str(key): part for key, part in value.items()}


def _scored(y_true, predictions, groups, labels):
    """LandCoverScores and ScoreDraws by model."""
    predictions = _checked_dict("predictions", predictions)
    if (y_true is None) != (not predictions):
        raise ValueError("y_true and predictions belong together: give both or none.")
    if labels is None and predictions:
        named = {"y_true": y_true, **predictions}
        labels = np.unique(np.concatenate([check_labels(name, values) for name, values in named.items()]))
    scored = {
        name: land_cover_scores(y_true, values, labels=labels, groups=groups)
        for name, values in predictions.items()
    }
    if not scored or groups is None:
        return scored, None
    return scored, draw_scores(y_true, predictions, groups, labels=labels)


def _section(name, title, tables):
    return [Section(name, title, tables=tables)] if tables else []


def _map_sections(maps):
    if not maps:
        return []
    swipe = swipe_of(maps)
    return [Section("maps", "Maps" if len(maps) > 1 else "Map", swipe=swipe, caption=_map_caption(swipe))]


def _map_caption(swipe):
    parts = []
    for layer in swipe.layers:
        size = f"{layer.shape[0]:,} x {layer.shape[1]:,} pixels"
        shown = f", shown as {layer.shown[0]:,} x {layer.shown[1]:,}" if layer.shown != layer.shape else ""
        parts.append(f"{layer.name}: {size}{shown}")
    return "; ".join(parts) + ". White is without data."


def _score_sections(scored, draws, comparison):
    tables = [sections.scores(scored, draws)] if scored else []
    tables += [sections.comparison(comparison)] if comparison is not None else []
    found = _section("scores", "Scores", tables)
    if scored:
        found += _section("classes", "Classes", [sections.classes(scored, draws)])
        found += _section("confusion", "Confusion", sections.confusions(scored))
    return found


def _calibration_section(calibration):
    if not calibration:
        return []
    caption = "Accuracy of the samples of each confidence; on the dashed line, probabilities can be believed."
    table, picture = sections.calibration(calibration), _safe(diagram(calibration))
    return [Section("calibration", "Calibration", tables=[table], diagram=picture, caption=caption)]


def _area_tables(maps, areas, unit):
    tables = [] if areas is None else [sections.areas(areas, _unit_of(areas, unit))]
    return tables + ([sections.counted_areas(maps)] if maps else [])


def _unit_of(areas, unit):
    if areas.unit is not None and unit not in (None, areas.unit):
        raise ValueError(
            f"area_unit must be that of the areas, {areas.unit!r}, as their sample told it; got {unit!r}. "
            "Leave it out: square metres are shown as hectares."
        )
    return areas.unit or unit


def _headline(scored, draws):
    found = []
    for name, part in scored.items():
        std = draws[name].summary["accuracy"].std() if draws else np.nan
        shown = "" if np.isnan(std) else f" ± {std:.3f} (standard error)"
        found.append((f"{name}: accuracy", f"{part.summary['accuracy']:.3f}{shown}"))
    return found


def _render(**context):
    try:
        import jinja2
    except ImportError as error:
        raise ImportError('Reports need jinja2: pip install "m3fusion_sk[plot]".') from error
    folder = resources.files(__package__)
    page, style, script = (
        folder.joinpath(name).read_text(encoding="utf-8") for name in ("page.html", "page.css", "page.js")
    )
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.from_string(page).render(
        version=__version__, style=_safe(style), script=_safe(script), script_hash=digest, **context
    )


def _safe(text):
    """Text of our own, which is not escaped."""
    try:
        from markupsafe import Markup
    except ImportError as error:
        raise ImportError('Reports need jinja2: pip install "m3fusion_sk[plot]".') from error
    return Markup(text)
