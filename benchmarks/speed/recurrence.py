"""The recurrence against `torch.nn.GRU`: another function, but the one that a user would take."""

import torch

from m3fusion_sk.network.recurrence import Recurrence

from .turns import in_turns, median, ratio

N_DATES, N_BANDS = 34, 16


def rows(rounds, small):
    table = []
    for units in (64,) if small else (64, 256, 1024):
        for batch in (64,) if small else (64, 512):
            x = torch.randn(batch, N_DATES, N_BANDS)
            ours, theirs = Recurrence(N_BANDS, units), torch.nn.GRU(N_BANDS, units, batch_first=True)
            for what, how in (("inference", _infer), ("training step", _train)):
                candidates = {"ours": how(ours, ours, x), "gru": how(_first(theirs), theirs, x)}
                seconds = in_turns(candidates, max(rounds, 5))
                table.append(
                    {
                        "units": units,
                        "batch": batch,
                        "what": what,
                        "ours ms": round(1000 * median(seconds["ours"]), 2),
                        "torch.nn.GRU ms": round(1000 * median(seconds["gru"]), 2),
                        "times": round(ratio(seconds["gru"], seconds["ours"]), 2),
                        "asked for": 1.0 if units == 1024 else 0.8,
                    }
                )
    return table


def _first(network):
    return lambda x: network(x)[0]


def _infer(call, network, x):
    def run():
        with torch.inference_mode():
            call(x)

    return run


def _train(call, network, x):
    def run():
        network.zero_grad()
        call(x).sum().backward()

    return run
