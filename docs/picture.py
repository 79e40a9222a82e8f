"""A figure as a small file for README and start page: `make picture` makes it from what `make demo` drew."""

import sys

from PIL import Image

WIDTH, N_COLORS = 1200, 256


def main(source, target):
    with Image.open(source) as image:
        height = round(image.height * WIDTH / image.width)
        small = image.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS)
    small.quantize(palette=most_common(small), dither=Image.Dither.NONE).save(target, optimize=True)


def most_common(image):
    """A palette of the colours that most pixels have, as they are: the legend keeps those of the classes."""
    counts = sorted(image.getcolors(image.width * image.height), reverse=True)[:N_COLORS]
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for _, color in counts for part in color])
    return palette


if __name__ == "__main__":
    main(*sys.argv[1:])
