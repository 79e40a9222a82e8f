"""A page that explains a map: scores, classes, what the model looked at, and how it was made."""

from .models import describe_models
from .page import land_cover_report

__all__ = ["describe_models", "land_cover_report"]
