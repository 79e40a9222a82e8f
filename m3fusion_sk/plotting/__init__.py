"""Figures, each drawn into a matplotlib Axes: maps, accuracy, and what a model looks at."""

from .accuracy import plot_confusion, plot_per_class, plot_reliability
from .curves import plot_learning_curve, plot_time_accuracy
from .explained import plot_attention, plot_contributions, plot_heads, plot_importance
from .maps import add_class_legend, add_zones, plot_class_map, plot_map_pair, plot_where_right
from .zones import densest_zone

__all__ = [
    "add_class_legend",
    "add_zones",
    "densest_zone",
    "plot_attention",
    "plot_class_map",
    "plot_confusion",
    "plot_contributions",
    "plot_heads",
    "plot_importance",
    "plot_learning_curve",
    "plot_map_pair",
    "plot_per_class",
    "plot_reliability",
    "plot_time_accuracy",
    "plot_where_right",
]
