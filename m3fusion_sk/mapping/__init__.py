"""Rasters: sources on disk, scenes that hold them, and maps made from them."""
