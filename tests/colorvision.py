"""How far colours are apart for readers of each colour vision."""

import numpy as np

# Machado, Oliveira and Fernandes (2009), full severity, for linear red, green and blue
VISIONS = {
    "all cones": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "no long": ((0.1523, 1.0526, -0.2049), (0.1145, 0.7863, 0.0992), (-0.0039, -0.0481, 1.0520)),
    "no middle": ((0.3673, 0.8606, -0.2280), (0.2801, 0.6725, 0.0474), (-0.0118, 0.0429, 0.9689)),
    "no short": ((1.2555, -0.0767, -0.1788), (-0.0784, 0.9308, 0.1476), (0.0047, 0.6914, 0.3039)),
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
)
WHITE = np.array([0.95047, 1, 1.08883])


def as_lab(linear):
    """CIELAB of linear red, green and blue (n, 3)."""
    xyz = np.clip(linear, 0, 1) @ TO_XYZ.T / WHITE
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def least_distance(colors):
    """Between any two of the colours (n, 3), 0 to 255, in CIELAB: by vision."""
    shares = np.asarray(colors) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    found = {}
    for vision, matrix in VISIONS.items():
        lab = as_lab(linear @ np.transpose(matrix))
        apart = np.linalg.norm(lab[:, None] - lab, axis=2)
        found[vision] = apart[np.triu_indices(len(lab), 1)].min()
    return found
