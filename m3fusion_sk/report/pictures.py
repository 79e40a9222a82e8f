"""Pictures of a report, as text that stands in the page: maps, and a diagram."""

import io
from base64 import b64encode
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt

from ..plotting.classmap import ClassMap
from ..plotting.style import scale_bar

__all__ = ["Layer", "Swipe", "diagram", "swipe_of"]

_SIDE = 1200  # pixels of a picture of a map
_TAGS, _TAG_SIDE = 2, 300  # numbers of each class on the map, and pixels of the map to look for their places


@dataclass(frozen=True)
class Layer:
    """One map: its picture and its place in the frame, in percent from the left, top, ...

    Attributes
    ----------
    name : str
    image : str
        Address that holds the picture itself.
    place : dict of str to float
        left, top, width and height in percent of the frame.
    tags : list of (int, float, float)
        Number of a class, and where it stands in percent from the left and the top of the map.
    shape : (int, int)
        Height and width of the map in pixels.
    shown : (int, int)
        Those of the picture.
    """

    name: str
    image: str
    place: dict
    tags: list
    shape: tuple
    shown: tuple


@dataclass(frozen=True)
class Swipe:
    """One map or two of the same ground, with their common legend.

    Attributes
    ----------
    layers : list of Layer
    legend : list of (int, str, (int, int, int))
        Number, name and colour of each class; no two have the same colour.
    ratio : float
        Width of the frame as a part of its height.
    bounds : tuple of float
        Left, bottom, right and top of the frame.
    unit : str
        Of these.
    scale : (float, str) or None
        Length of the scale bar in percent of the width, and its label.
    """

    layers: list
    legend: list
    ratio: float
    bounds: tuple
    unit: str
    scale: tuple | None


def swipe_of(maps):
    """The maps as one frame.

    Parameters
    ----------
    maps : dict of str to path
        One or two class maps by name.

    Raises
    ------
    ValueError
        If they have different reference systems, or no ground in common.
    """
    found = {name: ClassMap.read(path, side=_SIDE) for name, path in maps.items()}
    first, *others = found.values()
    for other in others:
        if other.crs != first.crs:
            raise ValueError(
                f"maps must have one coordinate reference system to be laid over each other; {first.path} "
                f"has {first.crs}, and {other.path} has {other.crs}."
            )
    edges = np.array([shown.bounds for shown in found.values()])
    bounds = (*edges[:, :2].min(axis=0).tolist(), *edges[:, 2:].max(axis=0).tolist())
    _check_overlap(found, edges)
    legend = _legend(found.values())
    layers = [_layer(name, shown, legend, bounds) for name, shown in found.items()]
    width, height = bounds[2] - bounds[0], bounds[3] - bounds[1]
    return Swipe(layers, legend, width / first.aspect / height, bounds, first.unit, _scale(first, width))


def _check_overlap(found, edges):
    left, bottom = edges[:, :2].max(axis=0)
    right, top = edges[:, 2:].min(axis=0)
    if left >= right or bottom >= top:
        places = {shown.path: shown.bounds for shown in found.values()}
        raise ValueError(f"maps must show the same ground to be laid over each other; got bounds {places}.")


def _scale(shown, width):
    if shown.metres is None:
        return None
    length, label = scale_bar(width * shown.metres)
    return 100 * length / (width * shown.metres), label


def _legend(maps):
    """All classes by name in the order in which they come, each with a colour of its own."""
    colors = {}
    for shown in maps:
        for code, name in shown.names.items():
            rgb = tuple(round(255 * part) for part in shown.colors[code])
            colors.setdefault(name, rgb)
    taken = {(255, 255, 255)}  # nodata
    legend = []
    for number, (name, rgb) in enumerate(colors.items(), start=1):
        while rgb in taken:  # the next colour cannot be told by eye, but by the page
            rgb = _next(rgb)
        taken.add(rgb)
        legend.append((number, name, rgb))
    return legend


def _next(rgb):
    number = int.from_bytes(rgb) + 1
    return tuple((number % 2**24).to_bytes(3))


def _layer(name, shown, legend, bounds):
    numbers = {label: number for number, label, _ in legend}
    codes, places = np.unique(shown.codes, return_inverse=True)
    of_code = [numbers[shown.names[int(c)]] if int(c) in shown.names else 0 for c in codes]
    image = np.array(of_code)[places].reshape(shown.codes.shape)
    left, bottom, right, top = shown.bounds
    width, height = bounds[2] - bounds[0], bounds[3] - bounds[1]
    place = {
        "left": 100 * (left - bounds[0]) / width,
        "top": 100 * (bounds[3] - top) / height,
        "width": 100 * (right - left) / width,
        "height": 100 * (top - bottom) / height,
    }
    palette = [(255, 255, 255), *[rgb for _, _, rgb in legend]]
    return Layer(name, _png(image, palette), place, _tags(image), shown.shape, image.shape)


def _png(image, palette):
    from PIL import Image

    if len(palette) <= 256:
        picture = Image.fromarray(image.astype(np.uint8))
        picture.putpalette(np.array(palette, np.uint8).tobytes())
        options = {"transparency": 0}
    else:
        picture, options = Image.fromarray(np.array(palette, np.uint8)[image]), {}
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True, **options)
    return "data:image/png;base64," + b64encode(buffer.getvalue()).decode()


def _tags(image):
    """Where to write the numbers of the classes: in the middle of the widest parts of each."""
    step = -(-max(image.shape) // _TAG_SIDE)
    small = image[::step, ::step]
    (height, width), longest = small.shape, max(small.shape)
    tags, far = [], max(1, longest // 4)
    for number in np.unique(small[small > 0]).tolist():
        depth = distance_transform_edt(np.pad(small == number, 1))[1:-1, 1:-1]
        for _ in range(_TAGS):
            row, col = (int(place) for place in np.unravel_index(depth.argmax(), depth.shape))
            if depth[row, col] < longest / 60:
                break
            tags.append((number, round(100 * (col + 0.5) / width, 2), round(100 * (row + 0.5) / height, 2)))
            depth[max(0, row - far) : row + far, max(0, col - far) : col + far] = 0
    return tags


def diagram(calibration):
    """The reliability of models as an SVG picture that is readable on a telephone."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    from ..plotting import plot_reliability

    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "m3fusion_sk", "font.family": "sans-serif"}):
        figure = Figure(figsize=(3.4, 3.3 + 0.2 * len(calibration)), layout="constrained")
        ax = figure.add_subplot()
        for name, scores in calibration.items():
            plot_reliability(scores, ax=ax, label=name)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
