"""What is seen of a made landscape: through the year at 10 m, and on one day at 2 m.

Reflectances are x 10,000, 1 to 15,000. Everything is computed for a window by itself, and comes out the
same however the image is cut into windows: random numbers are drawn for fixed tiles, each with its own seed.

- Spectra. A surface is a mixture, by the cover of living plants, of a canopy and of a ground, both out of
  `SPECTRA` (soil, dry straw, crop leaves, trees, mineral, water, shade).
- Year. Cover follows the class: sugar cane grows to one harvest between July and December; crops have three
  cycles sown at any time; meadows and savannahs follow the rain (January to March), savannahs with a deep
  dry season; orchards, plantations and forests are evergreen; the mineral classes and water stay as they are.
- Objects differ in timing, cover, brightness and colour; pixels in brightness and colour; dates in gain and
  haze; a pixel of 10 m is the mean of its 25 pixels of 2 m, so that parcel borders are mixed.
- Clouds are smooth fields, thick within and hazy just outside the mask; their shadows fall beside them. One
  date has no cloud at all.
- Texture at 2 m. Orchards stand in a square lattice, plantations in rows, each with a spacing and direction
  of its own; forests are clumps of crowns, shrubs are patches; fields, cane, meadows and grass are all fine
  grain and differ by how green they are that day; towns are roofs and streets, greenhouses long bright
  roofs, rocks are boulders; water is smooth. The strength of the texture varies from object to object.
"""

from dataclasses import dataclass

import numpy as np

from .clouds import Clouds
from .landscape import CLASSES, RATIO
from .textures import PATTERNS, smooth, turn, white

__all__ = ["BANDS", "PATCH_BANDS", "Appearance", "series_bands"]

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
PATCH_BANDS = ("blue", "green", "red", "near infrared", "panchromatic")

SPECTRA = {
    "soil": (900, 1150, 1500, 1750, 1900, 2000, 2150, 2250, 2900, 2500),
    "straw": (750, 1000, 1350, 1700, 2000, 2150, 2300, 2450, 3100, 2350),
    "leaves": (380, 750, 450, 1050, 2800, 3500, 3750, 3900, 2000, 1000),
    "trees": (260, 480, 300, 720, 2100, 2600, 2800, 2900, 1350, 650),
    "mineral": (1150, 1300, 1450, 1550, 1650, 1700, 1780, 1820, 2100, 1900),
    "stone": (1080, 1280, 1460, 1570, 1680, 1740, 1820, 1860, 2280, 2100),
    "water": (650, 600, 400, 280, 220, 190, 170, 150, 90, 60),
    "shade": (220, 220, 180, 210, 330, 370, 400, 420, 260, 160),
}
_ORDER_OF_USE = ("B04", "B08", "B03", "B02", "B11", "B05", "B12", "B8A", "B06", "B07")
_PATCH_WEIGHTS = np.eye(5, 10)  # blue, green and red as they are
_PATCH_WEIGHTS[3:] = 0
_PATCH_WEIGHTS[3, BANDS.index("B08")] = 1
_PATCH_WEIGHTS[4, :3] = 1 / 3
_PATCH_TIME = 0.37  # of the year from January: the middle of May

_TRAITS, _DATES, _SERIES, _PATCH, _CLUMPS, _PATCHES = range(10, 16)  # streams of random numbers

# Calibrated once with a random forest: see `m3fusion_sk.synthetic.make_land_cover`.
_OBJECT = {"timing": 0.04, "cover": 0.06, "brightness": 0.09, "color": 0.04}
_PIXEL = {"brightness": 0.06, "color": 0.03, "date": 0.04}
_DATE = {"gain": 0.03, "haze": 40.0}
_GRAIN = 0.06  # of a pixel of 2 m
_STRENGTH = (0.1, 1.5)  # of the texture of an object: from young or sparse stands to contrasted ones


@dataclass(frozen=True)
class Look:
    """How a class looks: its ground and canopy, the year of its cover, its texture at 2 m."""

    ground: str
    canopy: str
    cover: float
    swing: float
    texture: str
    contrast: float
    year: str = "season"
    scl: int = 4


LOOKS = {
    "crop cultivations": Look("soil", "leaves", 0.1, 0.75, "fine", 0.10, "cycles"),
    "sugar cane": Look("straw", "leaves", 0.2, 0.65, "fine", 0.10, "harvest"),
    "orchards": Look("straw", "trees", 0.84, 0.05, "lattice", 0.32),
    "forest plantations": Look("straw", "trees", 0.86, 0.03, "rows", 0.22),
    "meadow": Look("straw", "leaves", 0.60, 0.12, "fine", 0.10),
    "forest": Look("straw", "trees", 0.88, 0.03, "clumps", 0.24),
    "shrubby savannah": Look("straw", "trees", 0.52, 0.16, "patches", 0.25),
    "herbaceous savannah": Look("straw", "leaves", 0.34, 0.28, "fine", 0.10),
    "bare rocks": Look("stone", "leaves", 0.08, 0.02, "boulders", 0.17, scl=5),
    "urbanized areas": Look("mineral", "leaves", 0.12, 0.03, "town", 0.38, scl=5),
    "greenhouse crops": Look("mineral", "leaves", 0.10, 0.02, "roofs", 0.30, scl=5),
    "water surfaces": Look("water", "water", 0.0, 0.0, "smooth", 0.05, scl=6),
    "shadows": Look("shade", "trees", 0.08, 0.02, "smooth", 0.10, scl=7),
}
_LOOKS = tuple(LOOKS[c.name] for c in CLASSES)


def series_bands(n_bands):
    """Positions in `BANDS` of the bands that a series of `n_bands` has, in the order of wavelength.

    >>> [BANDS[i] for i in series_bands(4)]
    ['B02', 'B03', 'B04', 'B08']
    """
    chosen = sorted(BANDS.index(name) for name in _ORDER_OF_USE[:n_bands])
    return np.resize(chosen, n_bands)


class Appearance:
    """The views of one landscape.

    Parameters
    ----------
    landscape : Landscape
    times : array of shape (n_dates,)
        Dates of the series, in years from a first of January.
    n_bands, patch_bands : int
        Bands of the series and of the image.
    cloud_fraction : float
        Mean share of the pixels of a date that are under cloud.
    """

    def __init__(self, landscape, times, n_bands, patch_bands, cloud_fraction):
        self.landscape, self.seed = landscape, landscape.seed
        self.times, self.bands = np.asarray(times), series_bands(n_bands)
        self.patch_bands = np.resize(np.arange(len(PATCH_BANDS)), patch_bands)
        self.traits = _traits(landscape.n_parcels, np.random.default_rng([self.seed, _TRAITS]))
        rng = np.random.default_rng([self.seed, _DATES])
        gain = rng.standard_normal((len(times), 1)) + 0.3 * rng.standard_normal((len(times), n_bands))
        self.gain = (1 + _DATE["gain"] * gain).astype(np.float32)
        self.haze = (_DATE["haze"] * np.abs(rng.standard_normal((len(times), 1)))).astype(np.float32)
        self.clouds = Clouds(self.seed, len(times), cloud_fraction)

    # ----- the series

    def series(self, window, rows=None, cols=None):
        """What is seen in pixels of 10 m.

        Parameters
        ----------
        window : (int, int, int, int)
            Row, column, height and width of a window of pixels of 10 m.
        rows, cols : array of shape (n_pixels,), optional
            Places in the window; all of them, row by row, by default.

        Returns
        -------
        values : array of uint16 of shape (n_pixels, n_dates, n_bands)
        scl : array of uint8 of shape (n_pixels, n_dates)
            Scene classification.
        """
        if rows is None:
            rows, cols = np.divmod(np.arange(window[2] * window[3]), window[3])
        values, clear = self._surface(window, rows, cols)
        n_bands = len(self.bands)
        noise = white([self.seed, _SERIES], window, n_bands * (1 + len(self.times)) + 1)[:, rows, cols].T
        pixel = 1 + _PIXEL["brightness"] * noise[:, :1] + _PIXEL["color"] * noise[:, 1 : 1 + n_bands]
        by_date = self.gain + _PIXEL["date"] * noise[:, 1 + n_bands :].reshape(values.shape)
        values = values * pixel[:, None] * by_date + self.haze
        values, scl = self.clouds.cover(values, clear, window, rows, cols)
        return _as_stored(values), scl

    def _surface(self, window, rows, cols):
        """Mean reflectance of each pixel without noise or clouds, and its code when clear."""
        height, width = window[2:]
        parcels = self.landscape.parcels(tuple(RATIO * n for n in window))
        parcels = parcels.reshape(height, RATIO, width, RATIO)[rows, :, cols].reshape(len(rows), RATIO**2)
        seen, places = np.unique(parcels, return_inverse=True)
        table = self._reflectances(seen, self.times)[..., self.bands]
        places = places.reshape(parcels.shape)
        values = table[places[:, RATIO**2 // 2]]
        mixed = (places != places[:, :1]).any(axis=1)
        values[mixed] = sum(table[places[mixed, k]] for k in range(RATIO**2)) / RATIO**2
        codes = np.array([look.scl for look in _LOOKS], np.uint8)
        return values, codes[self.landscape.class_index[parcels[:, RATIO**2 // 2]]]

    def _reflectances(self, parcels, times):
        """Mean reflectance of some parcels, of shape (n_parcels, n_times, 10)."""
        cover = self._cover(parcels, times)[..., None]
        ground, canopy = (ends[:, None] for ends in self._ends(parcels))
        return (ground + cover * (canopy - ground)).astype(np.float32)

    def _ends(self, parcels):
        """Spectra of the ground and of the canopy of some parcels, each of shape (n_parcels, 10)."""
        looks = [_LOOKS[i] for i in self.landscape.class_index[parcels]]
        own = np.exp(self.traits["brightness"][parcels, None] + self.traits["color"][parcels])
        return tuple(own * [SPECTRA[getattr(look, end)] for look in looks] for end in ("ground", "canopy"))

    def _cover(self, parcels, times):
        """Cover of living plants of some parcels, of shape (n_parcels, n_times)."""
        looks = [_LOOKS[i] for i in self.landscape.class_index[parcels]]
        base, swing = (np.array([[getattr(look, name)] for look in looks]) for name in ("cover", "swing"))
        traits = {name: self.traits[name][parcels, None] for name in ("timing", "phase", "cover")}
        years = np.array([[look.year] for look in looks])
        curve = np.select(
            [years == "harvest", years == "cycles"],
            [_harvest(times, traits["phase"]), _cycles(times, traits["phase"])],
            np.cos(2 * np.pi * (times - 0.15 - traits["timing"])),
        )
        living = base + swing > 0.05  # neither water nor roofs vary by plants
        return np.clip(base + swing * curve + living * traits["cover"], 0, 1)

    # ----- the image

    def image(self, window):
        """What is seen in a window of pixels of 2 m: uint16 of shape (patch_bands, height, width)."""
        parcels = self.landscape.parcels(window)
        noise = white([self.seed, _PATCH], window, len(self.patch_bands) + 1)
        fields = {
            "fine": noise[-1],
            "clumps": smooth([self.seed, _CLUMPS], window, 3.5),
            "patches": smooth([self.seed, _PATCHES], window, 7),
        }
        seen, places = np.unique(parcels, return_inverse=True)
        table = (self._reflectances(seen, np.array([_PATCH_TIME])) * _PATCH_WEIGHTS).sum(axis=2)
        values = table.astype(np.float32)[places.reshape(parcels.shape)][..., self.patch_bands]
        shade = 1 + self._texture(parcels, fields, window)
        return _as_stored(np.moveaxis(values, -1, 0) * shade * (1 + _GRAIN * noise[:-1]))

    def _texture(self, parcels, fields, window):
        """Relative brightness of each pixel of 2 m about the mean of its parcel."""
        classes = self.landscape.class_index[parcels]
        texture = np.zeros(parcels.shape, np.float32)
        for index in np.unique(classes):
            rows, cols = np.nonzero(classes == index)
            own = {name: values[parcels[rows, cols]] for name, values in self.traits.items()}
            at = {name: field[rows, cols] for name, field in fields.items()}
            along = turn(rows + window[0], cols + window[1], own["direction"])
            look = _LOOKS[index]
            pattern = PATTERNS[look.texture](*along, own["spacing"], at)
            texture[rows, cols] = look.contrast * own["strength"] * pattern
        return np.maximum(texture, -0.9)


def _as_stored(values):
    return np.clip(np.rint(values), 1, 15_000).astype(np.uint16)


def _traits(n, rng):
    """What distinguishes the parcels: one value each, except for colour."""
    normal = {name: scale * rng.standard_normal(n) for name, scale in _OBJECT.items() if name != "color"}
    return {
        **normal,
        "color": _OBJECT["color"] * rng.standard_normal((n, len(BANDS))),
        "phase": rng.random(n),
        "direction": rng.uniform(0, np.pi, n),
        "spacing": rng.uniform(0.8, 1.25, n),
        "strength": rng.uniform(*_STRENGTH, n),
    }


def _harvest(times, phase):
    """Growth to a harvest on a day between July and December, from 0 to 1."""
    age = (times - (0.5 + 0.45 * phase)) % 1
    return 1 / (1 + np.exp(-(age - 0.25) / 0.06))


def _cycles(times, phase):
    """Three cycles from sowing to harvest, at any time of the year, from 0 to 1."""
    return np.abs(np.sin(np.pi * (3 * times + phase))) ** 1.5
