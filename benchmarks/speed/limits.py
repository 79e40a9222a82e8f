"""How near the network comes to what bare products of its shapes reach in the same process."""

import time
from collections import defaultdict
from functools import partial
from threading import get_ident

import numpy as np
import torch
from torch.nn.functional import conv2d

from m3fusion_sk import M3FusionClassifier, MultiSource, paper_settings
from m3fusion_sk.network.inference import BATCH_SIZE
from m3fusion_sk.network.prepared.int8 import Int8Convolution, Int8Linear, quantized
from m3fusion_sk.network.threads import in_threads

from .steps import neighbours
from .turns import PRECISIONS, in_turns, median

SIDE, STEP, UNITS, FILTERS, N_DATES, N_BANDS = 32, 5, 1024, 256, 34, 16
REPEATS = 8  # of a bare product, so that the first in turn does not count for much
WAYS = {
    "shared": lambda *given: list(map(*given)),
    "apart": lambda compute, parts: list(in_threads(compute, parts, len(parts))),
}
KINDS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def rows(rounds, small):
    units, filters = (32, 8) if small else (UNITS, FILTERS)
    X = _neighbours()
    settings = {**paper_settings(), "hidden_size": units, "n_filters": filters, "max_epochs": 1}
    classifier = M3FusionClassifier(**settings, random_state=0).fit(X[:64].materialize(), np.arange(64) % 13)
    work, table = multiply_adds(units, filters), []
    for precision in PRECISIONS:
        classifier.set_params(precision=precision)
        bare = {"product": _product(precision, units), "convolution": _convolution(precision, filters)}
        seconds = in_turns({"network": lambda: classifier.predict_proba(X), **_ways(bare)}, rounds)
        best = {name: min(median(seconds[name, way]) for way in WAYS) for name in bare}
        counts = {"product": units * 2 * units, "convolution": 49 * 9 * (2 * filters) ** 2}
        speeds = {name: REPEATS * len(x) * counts[name] / best[name] for name, (_, x) in bare.items()}
        least = len(X) * (work["products"] / speeds["product"] + work["convolutions"] / speeds["convolution"])
        taken = median(seconds["network"])
        parts = _parts(classifier, X)
        table.append(
            {
                "precision": precision,
                "GMAC/s of a product": round(speeds["product"] / 1e9, 1),
                "GMAC/s of a convolution": round(speeds["convolution"] / 1e9, 1),
                "GMAC/s of the network": round(len(X) * sum(work.values()) / taken / 1e9, 1),
                "share of the limit": round(least / taken, 3),
                "asked for": 0.85,
                **{f"{name} ms/pixel": round(1000 * part / len(X), 3) for name, part in parts.items()},
            }
        )
    return table


def multiply_adds(units, filters):
    """What a pixel of a tile costs where neighbours share two convolutions and their pooling."""
    side = STEP * (SIDE - 1) + 25 - 6  # of the first convolution's map of a tile
    twice, n = 2 * filters, SIDE * SIDE
    shared = side**2 * 49 * 5 * filters / n + 4 * (side // 2 - 3) ** 2 / n * (9 * filters + twice) * twice
    single = 49 * (9 * twice + twice) * twice
    recurrence = N_DATES * (3 * units * N_BANDS + 4 * units**2)
    return {"products": recurrence, "convolutions": shared + single}


def _ways(bare):
    """Products and convolutions by threads that share each, and by threads with parts of their own."""
    ways = {}
    for name, (compute, x) in bare.items():
        parts = {"shared": [x] * REPEATS, "apart": [*x.split(BATCH_SIZE)] * REPEATS}
        ways |= {(name, way): partial(WAYS[way], partial(_forgotten, compute), parts[way]) for way in parts}
    return ways


def _forgotten(compute, x):
    """Compute, and give the memory back at once."""
    compute(x)


def _neighbours():
    patch = neighbours(STEP, SIDE)["patch"]
    shape = len(patch), N_DATES, N_BANDS
    return MultiSource(ts=np.random.default_rng(0).integers(0, 4000, shape).astype(np.uint16), patch=patch)


def _product(precision, units):
    n, weight = SIDE * SIDE, torch.randn(2 * units, units) / units**0.5
    if precision == "int8":
        return Int8Linear(weight, 1 / 255), torch.randint(0, 255, (n, units), dtype=torch.uint8)
    weight = weight.to(KINDS[precision]).T
    return lambda x: x @ weight, torch.randn(n, units, dtype=weight.dtype)


def _convolution(precision, filters):
    shape, last = (BATCH_SIZE, 2 * filters, 7, 7), {"memory_format": torch.channels_last}
    weight = torch.randn(2 * filters, 2 * filters, 3, 3).contiguous(**last)
    if precision == "int8":
        convolution = Int8Convolution(*quantized(weight), torch.zeros(len(weight)), 1, 0.01, out_scale=1.0)
        return convolution, torch.randint(0, 255, shape, dtype=torch.uint8).contiguous(**last)
    weight = weight.to(KINDS[precision])
    return lambda x: conv2d(x, weight, padding=1), torch.randn(shape, dtype=weight.dtype).contiguous(**last)


def _parts(classifier, X):
    """Seconds of each encoder, on average over the threads, and of what is left."""
    begun, seconds, hooks = {}, defaultdict(list), []

    def begin(name):
        begun[name, get_ident()] = _now()

    def end(name):
        seconds[name].append(_now() - begun[name, get_ident()])

    network = classifier.net_.for_prediction(classifier.precision)
    for name, encoder in zip(network.sources, network.encoders, strict=True):
        hooks += [
            encoder.register_forward_pre_hook(lambda *_, name=name: begin(name)),
            encoder.register_forward_hook(lambda *_, name=name: end(name)),
        ]
    start = _now()
    classifier.predict_proba(X)
    whole = _now() - start
    for hook in hooks:
        hook.remove()
    n_threads = len({thread for _, thread in begun})
    parts = {name: sum(seconds[name]) / n_threads for name in network.sources}
    return {**parts, "rest": whole - sum(parts.values())}


def _now():
    return time.perf_counter()
