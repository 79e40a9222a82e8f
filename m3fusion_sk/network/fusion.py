"""The fusion network: an encoder and an auxiliary head for each source, and one head on all features."""

import torch
from torch import nn

from ..sources import PatchSpec, SeriesSpec, VectorSpec
from .initialization import glorot
from .linear_path import LinearPath
from .patch import PatchEncoder
from .series import SeriesEncoder
from .vector import VectorEncoder


class FusionNetwork(nn.Module):
    """M3Fusion for any number of named sources of any kind.

    Parameters
    ----------
    sources : dict of str to SeriesSpec, PatchSpec or VectorSpec
        What one sample looks like.
    scalers : dict of str to InputScaler
        Input normalisation of each source.
    n_classes : int
    hidden_size, n_filters, series_encoder, date_embedding, linear_path, patch_path, stem, dropout,
    feature_norm, augment
        As in `M3FusionClassifier`.

    References
    ----------
    Benedetti, P., Ienco, D., Gaetano, R., Ose, K., Pensa, R. G., Dupuy, S. (2018). M3Fusion: A Deep
    Learning Architecture for Multiscale Multimodal Multitemporal Satellite Data Fusion. IEEE Journal of
    Selected Topics in Applied Earth Observations and Remote Sensing 11(12), 4939-4949.
    """

    def __init__(self, sources, scalers, n_classes, **shaping):
        super().__init__()
        self.sources, self.settings = dict(sources), shaping
        make = {
            SeriesSpec: lambda spec: SeriesEncoder(
                spec, shaping["hidden_size"], shaping["date_embedding"], shaping["series_encoder"]
            ),
            PatchSpec: lambda spec: PatchEncoder(
                spec, shaping["n_filters"], shaping["stem"], shaping["augment"]
            ),
            VectorSpec: VectorEncoder,
        }
        components = {SeriesSpec: shaping["linear_path"], PatchSpec: shaping["patch_path"], VectorSpec: 0}
        feature_norm, dropout = shaping["feature_norm"], shaping["dropout"]
        self.scalers = nn.ModuleList(scalers[name] for name in sources)
        self.encoders = nn.ModuleList(make[type(spec)](spec) for spec in sources.values())
        self.paths = nn.ModuleList(LinearPath(spec, components[type(spec)]) for spec in sources.values())
        parts = zip(self.encoders, self.paths, strict=True)
        sizes = [encoder.n_outputs + path.n_outputs for encoder, path in parts]
        self.norms = nn.ModuleList(
            nn.BatchNorm1d(size) if feature_norm and not isinstance(spec, VectorSpec) else nn.Identity()
            for spec, size in zip(sources.values(), sizes, strict=True)
        )
        self.dropout = nn.Dropout(dropout)
        n_auxiliary = len(sizes) if len(sizes) > 1 else 0
        self.auxiliary_heads = nn.ModuleList(glorot(nn.Linear(n, n_classes)) for n in sizes[:n_auxiliary])
        self.fusion_head = glorot(nn.Linear(sum(sizes), n_classes))

    @property
    def may_mix(self):
        """Whether mixup applies: features of plain tables need not have values in between."""
        return not all(isinstance(spec, VectorSpec) for spec in self.sources.values())

    def features(self, inputs):  # {name: (n, ...)} -> {name: (n, n_outputs)}
        features = {}
        for name, scaler, encoder, path, norm in zip(
            self.sources, self.scalers, self.encoders, self.paths, self.norms, strict=True
        ):
            x = scaler(inputs[name])
            parts = [encoder(x), path(x)] if path.n_outputs else [encoder(x)]
            features[name] = norm(torch.cat(parts, dim=1))
        return features

    def forward(self, inputs):  # {name: (n, ...)} -> (n, classes), {name: (n, classes)}
        features = {name: self.dropout(feature) for name, feature in self.features(inputs).items()}
        fused = self.fusion_head(torch.cat(list(features.values()), dim=1))
        heads = zip(features.items(), self.auxiliary_heads, strict=False)  # a single source has none
        return fused, {name: head(feature) for (name, feature), head in heads}

    def attention(self, inputs):  # {name: (n, ...)} -> {series name: (n, dates)}
        parts = zip(self.sources, self.scalers, self.encoders, strict=True)
        return {
            name: encoder.attend(scaler(inputs[name]))[1]
            for name, scaler, encoder in parts
            if isinstance(encoder, SeriesEncoder)
        }
