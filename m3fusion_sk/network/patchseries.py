"""The encoder of patch series: the patch encoder at each date, then the series encoder over the dates."""

from torch import nn

from ..sources import PatchSpec, SeriesSpec
from .patch import Dihedral, PatchEncoder
from .series import SeriesEncoder


class PatchSeriesEncoder(nn.Module):
    """From the patches of all dates to one feature, and to the weight of each date in it."""

    def __init__(self, spec, shaping):
        super().__init__()
        sides = spec.height, spec.width
        self.augment = Dihedral(*sides) if shaping["augment"] else nn.Identity()  # all dates are turned alike
        patch = PatchSpec(spec.n_bands, spec.height, spec.width)
        self.patch = PatchEncoder(patch, shaping["n_filters"], shaping["stem"])
        self.series = SeriesEncoder(
            SeriesSpec(spec.n_dates, self.patch.n_outputs),
            shaping["hidden_size"],
            shaping["date_embedding"],
            shaping["series_encoder"],
        )
        self.n_outputs = self.series.n_outputs

    def attend(self, x, lacking=None):  # (n, dates, bands, height, width) -> (n, units), (n, dates)
        n, dates, bands = x.shape[:3]
        x = self.augment(x.flatten(1, 2)).unflatten(1, (dates, bands))
        features = self.patch(x.flatten(0, 1)).unflatten(0, (n, dates))  # (n, dates, 2 n_filters)
        return self.series.attend(features, lacking)

    def forward(self, x, lacking=None):
        return self.attend(x, lacking)[0]
