"""The fusion network: an encoder and an auxiliary head for each source, and one head on all features."""

import torch
from torch import nn

from ..sources import PatchSeriesSpec, PatchSpec, SeriesSpec, VectorSpec
from .blocks import PatchBlock
from .gaps import SourceDropout, carried, has_values, lacking_dates
from .initialization import glorot
from .linear_path import LinearPath
from .patch import PatchEncoder
from .patchseries import PatchSeriesEncoder
from .series import SeriesEncoder
from .vector import VectorEncoder
from .vote import LinearVote

ENCODERS = {  # by kind of source
    SeriesSpec: lambda spec, s: SeriesEncoder(
        spec, s["hidden_size"], s["date_embedding"], s["series_encoder"]
    ),
    PatchSpec: lambda spec, s: PatchEncoder(spec, s["n_filters"], s["stem"], s["augment"]),
    VectorSpec: lambda spec, s: VectorEncoder(spec),
    PatchSeriesSpec: PatchSeriesEncoder,
}


class FusionNetwork(nn.Module):
    """M3Fusion for any number of named sources of any kind.

    Parameters
    ----------
    sources : dict of str to SeriesSpec, PatchSpec, VectorSpec or PatchSeriesSpec
        What one sample looks like.
    scalers : dict of str to InputScaler
        Input normalisation of each source.
    n_classes : int
    hidden_size, n_filters, series_encoder, date_embedding, linear_path, patch_path, linear_vote, stem,
    dropout, feature_norm, augment, missing, missing_sources, source_dropout
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
        components = {SeriesSpec: shaping["linear_path"], PatchSpec: shaping["patch_path"]}
        feature_norm, dropout = shaping["feature_norm"], shaping["dropout"]
        self.scalers = nn.ModuleList(scalers[name] for name in sources)
        self.encoders = nn.ModuleList(ENCODERS[type(spec)](spec, shaping) for spec in sources.values())
        self.paths = nn.ModuleList(
            LinearPath(spec, components.get(type(spec), 0)) for spec in sources.values()
        )
        parts = zip(self.encoders, self.paths, strict=True)
        sizes = [encoder.n_outputs + path.n_outputs for encoder, path in parts]
        self.norms = nn.ModuleList(
            nn.BatchNorm1d(size) if feature_norm and not isinstance(spec, VectorSpec) else nn.Identity()
            for spec, size in zip(sources.values(), sizes, strict=True)
        )
        self.dropout = nn.Dropout(dropout)
        self.source_dropout = SourceDropout(shaping["source_dropout"])
        n_auxiliary = len(sizes) if len(sizes) > 1 else 0
        self.auxiliary_heads = nn.ModuleList(glorot(nn.Linear(n, n_classes)) for n in sizes[:n_auxiliary])
        self.fusion_head = glorot(nn.Linear(sum(sizes), n_classes))
        n_values = {name: path.n_values for name, path in zip(sources, self.paths, strict=True)}
        self.vote = LinearVote(n_values, n_classes, shaping["linear_vote"], self.may_lack_sources)

    @property
    def may_mix(self):
        """Whether mixup applies: features of plain tables need not have values in between."""
        return not all(isinstance(spec, VectorSpec) for spec in self.sources.values())

    @property
    def may_lack_sources(self):
        return self.settings["missing_sources"] == "drop"

    @property
    def may_have_gaps(self):
        return self.may_lack_sources or self.settings["missing"] != "error"

    def gaps(self, x, name):  # scaled (n, ...) -> without NaN, and lacking (n, dates) for a masked series
        missing = self.settings["missing"]
        if missing == "error" or "n_dates" not in self.sources[name].axes:
            return x, {}
        if missing == "fill":  # in time it is filled already: here is what has no date at all
            return x.nan_to_num(nan=0.0), {}
        lacking = lacking_dates(x)
        return carried(x, lacking), {"lacking": lacking}

    def without_gaps(self, blocks, name):
        """Blocks of scaled samples (n, ...) and weights (n,), without gaps and samples that lack them all."""
        for values, weights in blocks:
            values = torch.as_tensor(values)
            there = has_values(values)
            if there.any():
                yield self.gaps(values[there], name)[0].numpy(), weights[there.numpy()]

    def present(self, inputs):  # {name: (n, ...)} -> {name: (n,)}
        masked = self.settings["missing"] == "mask"
        return {
            name: ~lacking_dates(inputs[name]).all(dim=1)
            if masked and "n_dates" in spec.axes
            else has_values(inputs[name])
            for name, spec in self.sources.items()
            if name in inputs
        }

    def flat_values(self, inputs):  # {name: (n, ...)} of some sources -> {name: (n, n_values)}
        parts = zip(self.sources, self.scalers, self.paths, strict=True)
        return {
            name: path.flatten(self.gaps(scaler(inputs[name]), name)[0])
            for name, scaler, path in parts
            if name in inputs
        }

    def features(self, inputs):  # {name: (n, ...)} -> {name: (n, n_outputs)}
        present = self.present(inputs) if self.may_lack_sources else {}
        return {name: feature for name, (feature, _) in self._looks(inputs, present).items()}

    def _looks(self, inputs, present):  # {name: (n, ...)} -> {name: ((n, n_outputs), (n, values) or None)}
        parts = zip(self.sources, self.scalers, self.encoders, self.paths, self.norms, strict=True)
        return {name: self._look(name, inputs[name], present.get(name), *modules) for name, *modules in parts}

    def _look(self, name, x, present, scaler, encoder, path, norm):
        if present is not None and self.training:  # statistics of batches come from the samples that have it
            return self._feature_of_some(name, x, present, scaler, encoder, path, norm), None
        x, lacking = self.gaps(scaler(x), name)
        parts, values = [encoder(x, **lacking)], None
        if path.n_outputs or (name in self.vote.names and not self.training):
            values = path.flatten(x.patches() if isinstance(x, PatchBlock) else x)
        if path.n_outputs:
            parts.append(path.components(values))
        feature = norm(torch.cat(parts, dim=1))
        return feature if present is None else torch.where(present[:, None], feature, 0), values

    def _feature_of_some(self, name, x, present, scaler, *modules):
        rows = present.nonzero().squeeze(1)
        if len(rows) < 2:  # too few for the statistics of a batch
            size = modules[0].n_outputs + modules[1].n_outputs
            return scaler.center.new_zeros(len(x), size)
        some, _ = self._look(name, x[rows], None, scaler, *modules)
        return some.new_zeros(len(x), some.shape[1]).index_copy(0, rows, some)

    def forward(self, inputs):  # {name: (n, ...)} -> (n, classes), {name: (n, classes)}
        present = self.present(inputs) if self.may_lack_sources else {}
        return self._heads(self._looks(inputs, present), present)

    def predict(self, inputs):
        """The same for prediction: the linear discriminants have their share in the fused logits."""
        present = self.present(inputs) if self.may_lack_sources else {}
        looks = self._looks(inputs, present)
        fused, auxiliary = self._heads(looks, present)
        return self.vote(fused, {name: values for name, (_, values) in looks.items()}, present), auxiliary

    def _heads(self, looks, present):
        features = {name: self.dropout(feature) for name, (feature, _) in looks.items()}
        heads = zip(features.items(), self.auxiliary_heads, strict=False)  # a single source has none
        auxiliary = {name: head(feature) for (name, feature), head in heads}
        if present:
            kept = self.source_dropout(torch.stack(list(present.values()), dim=1))
            features = {n: f * kept[:, i : i + 1] for i, (n, f) in enumerate(features.items())}
            auxiliary = {n: z.masked_fill(~present[n][:, None], torch.nan) for n, z in auxiliary.items()}
        return self.fusion_head(torch.cat(list(features.values()), dim=1)), auxiliary

    def attention(self, inputs):  # {name: (n, ...)} -> {series name: (n, dates)}
        weights = {}
        for name, scaler, encoder in zip(self.sources, self.scalers, self.encoders, strict=True):
            if hasattr(encoder, "attend"):
                x, lacking = self.gaps(scaler(inputs[name]), name)
                weights[name] = encoder.attend(x, **lacking)[1]
        if self.may_lack_sources:
            present = self.present(inputs)
            return {name: torch.where(present[name][:, None], w, 0) for name, w in weights.items()}
        return weights
