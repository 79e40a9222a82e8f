"""Samples to batches: our loader against that of skorch, around a network that does nothing."""

import numpy as np
import skorch
import torch

from m3fusion_sk import M3FusionClassifier
from m3fusion_sk.network import inference
from m3fusion_sk.network.batches import Batches
from m3fusion_sk.network.net import make_net

from .training import samples
from .turns import in_turns, ratio

N_SAMPLES, BATCH = 8192, 1024
TARGETS = {"fit": 3, "predict": 10}


class Trivial(torch.nn.Module):
    """One linear layer on the first date; the patch is loaded, and not looked at."""

    may_mix = may_lack_sources = False

    def __init__(self, n_bands=16, n_classes=13):
        super().__init__()
        self.fusion_head = torch.nn.Linear(n_bands, n_classes)
        self.sources, self.encoders = ("ts", "patch"), (None, None)

    def forward(self, X):
        return self.fusion_head(X["ts"][:, 0]), {}

    def predict(self, X):
        return self(X)


class Plain(torch.nn.Module):
    """The same as skorch calls it: with sources by name, and logits alone."""

    def __init__(self):
        super().__init__()
        self.inner = Trivial()

    def forward(self, ts, patch):
        return self.inner({"ts": ts, "patch": patch})[0]


def rows(rounds, small):
    seconds = in_turns(candidates(256 if small else N_SAMPLES), rounds)
    return [
        {
            "what": what,
            "times": round(ratio(seconds[f"{what}, theirs"], seconds[what]), 1),
            "of": "skorch's own loader",
            "asked for": wanted,
        }
        for what, wanted in TARGETS.items()
    ]


def candidates(n_samples):
    """One epoch and one prediction of made samples, by either loader."""
    X, y = samples(n_samples)
    arrays = {name: X[name] for name in X.names}
    theirs = skorch.NeuralNetClassifier(
        Plain,
        criterion=torch.nn.CrossEntropyLoss,
        max_epochs=1,
        batch_size=BATCH,
        iterator_train__shuffle=True,  # as ours does
        train_split=None,
        verbose=0,
    )
    fitted, ours = theirs.fit(arrays, y), _fit(X, y)
    return {
        "fit, theirs": lambda: theirs.fit(arrays, y),
        "fit": lambda: _fit(X, y),
        "predict, theirs": lambda: fitted.predict_proba(arrays),
        "predict": lambda: inference.run(ours.module_, X, inference.proba, BATCH),
    }


def _fit(X, y):
    """One epoch with our batches and our net."""
    settings = M3FusionClassifier(max_epochs=1, mixup=0, schedule="constant")
    batches = Batches(X, y, np.ones(len(y), np.float32), BATCH, torch.float32, seed=0)
    net = make_net(Trivial(), {}, settings, (batches, None), "cpu").initialize()
    return net.partial_fit((batches, None)).finish()
