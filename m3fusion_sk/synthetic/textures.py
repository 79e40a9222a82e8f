"""Textures at 2 m, from random fields that come out the same however an image is cut into windows."""

import numpy as np

__all__ = ["PATTERNS", "TILE", "smooth", "tiles", "turn", "white"]

TILE = 64  # pixels, of whatever size, that share a seed


def tiles(shape):
    """Windows (row, col, height, width) of the tiles of an image, row by row."""
    return [
        (row, col, min(TILE, shape[0] - row), min(TILE, shape[1] - col))
        for row in range(0, shape[0], TILE)
        for col in range(0, shape[1], TILE)
    ]


def white(key, window, depth):
    """Standard normal noise of shape (depth, height, width) in any window of an endless plane."""
    row, col, height, width = window
    noise = np.empty((depth, height, width), np.float32)
    for i in range(row // TILE, (row + height - 1) // TILE + 1):
        for j in range(col // TILE, (col + width - 1) // TILE + 1):
            tile = np.random.default_rng([*key, i + 1, j + 1])  # lattices begin one before the image
            tile = tile.standard_normal((depth, TILE, TILE), np.float32)
            top, left = max(row, i * TILE), max(col, j * TILE)
            bottom, right = min(row + height, (i + 1) * TILE), min(col + width, (j + 1) * TILE)
            part = tile[:, top - i * TILE : bottom - i * TILE, left - j * TILE : right - j * TILE]
            noise[:, top - row : bottom - row, left - col : right - col] = part
    return noise


def smooth(key, window, period):
    """Smooth noise of shape (height, width), of about unit variance: white noise every `period` pixels."""
    row, col, height, width = window
    (r, dr), (c, dc) = (_steps(first, n, period) for first, n in ((row, height), (col, width)))
    lattice = white(key, (r[0], c[0], r[-1] - r[0] + 2, c[-1] - c[0] + 2), 1)[0]
    r, c, dr, dc = r - r[0], c - c[0], dr[:, None], dc
    rows = lattice[r] * (1 - dr) + lattice[r + 1] * dr
    return 1.5 * (rows[:, c] * (1 - dc) + rows[:, c + 1] * dc)


def _steps(first, n, period):
    place = (first + np.arange(n)) / period
    whole = np.floor(place).astype(int)
    part = (place - whole).astype(np.float32)
    return whole, part * part * (3 - 2 * part)


def turn(rows, cols, direction):
    """Coordinates along and across a direction, in radians."""
    return (
        rows * np.cos(direction) + cols * np.sin(direction),
        cols * np.cos(direction) - rows * np.sin(direction),
    )


# Each pattern has about zero mean and unit deviation. It follows from coordinates along the parcel's
# direction (u, v), its spacing, and the noise fields at the same pixels.


def _fine(u, v, spacing, at):
    return 0.8 * at["fine"] + 0.3 * at["patches"]


def _lattice(u, v, spacing, at):
    step = 2 * np.pi / (4.2 * spacing)
    return np.cos(step * u) + np.cos(step * v) + 0.3 * at["fine"]


def _rows(u, v, spacing, at):
    return 1.2 * np.cos(2 * np.pi / (3.2 * spacing) * u) + 0.4 * at["clumps"] + 0.3 * at["fine"]


def _clumps(u, v, spacing, at):
    return 1.1 * at["clumps"] + 0.3 * at["fine"]


def _shrubs(u, v, spacing, at):
    return 0.6 - 1.6 * (at["clumps"] + 0.5 * at["patches"] > 0.4) + 0.3 * at["fine"]


def _boulders(u, v, spacing, at):
    return 0.9 * at["fine"] + 0.6 * at["clumps"]


def _town(u, v, spacing, at):
    """Roofs of various tones on plots along streets."""
    size = 6 * spacing
    tone = _tone(u // size, v // (1.4 * size))
    street = (u % size < 2) | (v % (1.4 * size) < 1.5)
    return np.where(street, -0.7, 2.4 * tone - 0.9) + 0.25 * at["fine"]


def _roofs(u, v, spacing, at):
    """Long bright roofs with narrow gaps."""
    size = 4.5 * spacing
    gap = (u % size < 1.2) | (v % (5 * size) < 2)
    return np.where(gap, -1.7, 0.6 + 0.5 * _tone(u // size, v // (5 * size))) + 0.2 * at["fine"]


def _smooth(u, v, spacing, at):
    return 0.6 * at["patches"] + 0.3 * at["fine"]


def _tone(i, j):
    """A number from 0 to 1 for each pair of whole numbers, without order that one could see."""
    return (np.sin(12.9898 * i + 78.233 * j) * 43758.5453) % 1


PATTERNS = {
    "fine": _fine,
    "lattice": _lattice,
    "rows": _rows,
    "clumps": _clumps,
    "patches": _shrubs,
    "boulders": _boulders,
    "town": _town,
    "roofs": _roofs,
    "smooth": _smooth,
}
