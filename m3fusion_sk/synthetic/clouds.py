"""Made clouds over a series: where they are on each date, their shadows, and what is seen of both."""

from statistics import NormalDist

import numpy as np

__all__ = ["CLOUD", "SHADOW", "Clouds"]

CLOUD, SHADOW = 9, 3  # codes of Sentinel-2's scene classification
_STREAM = 20  # of random numbers
_N_WAVES = 24
_LENGTHS = (25, 120)  # of the waves, in pixels of 10 m
_DRIFT = 9  # pixels of 10 m from a cloud to its shadow
_RIM = 0.25  # of the field's deviation: how far haze reaches out of the mask


class Clouds:
    """Clouds of each date: where a smooth field, a sum of plane waves, exceeds a limit.

    Parameters
    ----------
    seed : int
    n_dates : int
    fraction : float
        Mean share of clouds on a date; one date of each series has none.
    """

    def __init__(self, seed, n_dates, fraction):
        rng = np.random.default_rng([seed, _STREAM])
        length = rng.uniform(*_LENGTHS, (n_dates, _N_WAVES))
        turn, self._phase = rng.uniform(0, 2 * np.pi, (2, n_dates, _N_WAVES))
        self._waves = 2 * np.pi / length * np.stack([np.cos(turn), np.sin(turn)])
        self._limit = _limits(n_dates, fraction, rng)
        self._white = rng.uniform(5000, 8000, n_dates).astype(np.float32)

    def cover(self, values, clear, window, rows, cols):
        """Put clouds and shadows over pixels, at `rows` and `cols` of a window (row, col, height, width).

        Parameters
        ----------
        values : array of shape (n_pixels, n_dates, n_bands)
            Reflectance x 10,000 of the ground.
        clear : array of shape (n_pixels,)
            Scene classification of the ground.

        Returns
        -------
        values : array of shape (n_pixels, n_dates, n_bands)
        scl : array of uint8 of shape (n_pixels, n_dates)
        """
        cloud = (self._field(window)[:, rows, cols] - self._limit[:, None]).T  # above 0 within
        row, col, *size = window
        above = self._field((row - _DRIFT, col + _DRIFT, *size))[:, rows, cols].T
        shadow = (above > self._limit) & (cloud <= 0)
        haze = 0.08 * np.clip(1 + cloud / _RIM, 0, 1)
        opacity = np.where(cloud > 0, 0.4 + 0.6 * np.clip(cloud / 0.5, 0, 1), haze)[..., None]
        values = np.where(shadow, np.float32(0.45), np.float32(1))[..., None] * values
        values += opacity * (self._white[:, None] - values)
        return values, np.where(cloud > 0, CLOUD, np.where(shadow, SHADOW, clear[:, None])).astype(np.uint8)

    def _field(self, window):
        """Standard normal field of each date, of shape (n_dates, height, width)."""
        row, col, height, width = window
        down = (row + np.arange(height)) * self._waves[0][..., None] + self._phase[..., None]
        across = (col + np.arange(width)) * self._waves[1][..., None]  # both (n_dates, n_waves, n)
        rows, cols = (np.stack([np.cos(angle), np.sin(angle)]).astype(np.float32) for angle in (down, across))
        field = np.zeros((len(self._limit), height, width), np.float32)
        for k in range(_N_WAVES):  # a matrix product would round by the shape of the window
            field += rows[0, :, k, :, None] * cols[0, :, k, None]
            field -= rows[1, :, k, :, None] * cols[1, :, k, None]
        return np.sqrt(np.float32(2 / _N_WAVES)) * field


def _limits(n_dates, fraction, rng):
    """The limit of each date: some are nearly clear and some nearly overcast."""
    shares = rng.beta(1.5 * fraction, 1.5 * (1 - fraction), n_dates) if fraction else np.zeros(n_dates)
    limits = [NormalDist().inv_cdf(1 - share) for share in np.clip(shares, 1e-4, 0.97)]
    limits = np.where(shares < 1e-4, np.inf, limits)
    limits[rng.integers(n_dates)] = np.inf
    return limits.astype(np.float32)
