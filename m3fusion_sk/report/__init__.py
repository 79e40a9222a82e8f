"""A page that explains a map: scores, classes, what the model looked at, and how it was made."""

from .page import land_cover_report

__all__ = ["land_cover_report"]
