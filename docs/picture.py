"""A figure as a small file for README and start page: `make picture` makes it from what `make demo` drew."""

import sys

from PIL import Image

WIDTH, N_COLORS = 1200, 48


def main(source, target):
    with Image.open(source) as image:
        height = round(image.height * WIDTH / image.width)
        small = image.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS)
        small.quantize(N_COLORS, dither=Image.Dither.NONE).save(target, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
