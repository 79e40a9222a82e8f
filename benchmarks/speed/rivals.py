"""What a user would take instead: forests and boosting, and the exported network in other runtimes."""

import copy
import importlib.util
import tempfile
from pathlib import Path

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline

from m3fusion_sk import (
    M3FusionClassifier,
    StackedFeatures,
    StratifiedGroupShuffleSplit,
    make_land_cover,
    paper_settings,
    stacked_forest,
)

from .training import samples
from .turns import PRECISIONS, in_turns, median


def rows(rounds, small):
    return [*_models(small), *_runtimes(rounds, small)]


def _models(small):
    """Accuracy, seconds to fit and pixels a second of whole models, on the same made samples."""
    X, y, groups = make_land_cover(400 if small else 4000, random_state=0)
    train, test = next(StratifiedGroupShuffleSplit(1, train_size=0.3, random_state=0).split(X, y, groups))
    network = M3FusionClassifier(random_state=0, max_epochs=2 if small else "auto")
    models = {
        "random forest, 500 trees": stacked_forest(10 if small else 500, random_state=0),
        "boosting": make_pipeline(
            StackedFeatures(), HistGradientBoostingClassifier(max_iter=2 if small else 100, random_state=0)
        ),
        "network, the defaults": network,
    }
    table = []
    for name, model in models.items():
        model, found = clone(model), {}
        fit = in_turns({name: lambda model=model: model.fit(X[train], y[train])}, 1, warm=0)[name]
        predict = in_turns({name: lambda m=model, f=found: f.update(y=m.predict(X[test]))}, 1)[name]
        table.append(
            {
                "what": name,
                "accuracy": round(float((found["y"] == y[test]).mean()), 4),
                "fit s": round(median(fit), 1),
                "pixels a second": round(len(test) / median(predict)),
            }
        )
    return table


def _runtimes(rounds, small):
    """Pixels a second of the network at the paper's sizes, here and in other runtimes."""
    X, y = samples(64 if small else 1024)
    sizes = {"hidden_size": 32, "n_filters": 8} if small else {}
    classifier = M3FusionClassifier(**{**paper_settings(), **sizes, "max_epochs": 1, "random_state": 0})
    classifier.fit(X[:64], y[:64])
    inputs = {name: np.asarray(X[name]) for name in X.names}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.onnx")
        classifier.to_onnx(path)
        candidates = {f"ours, {p}": _ours(classifier, p, X) for p in PRECISIONS}
        candidates |= _onnx_runtime(path, inputs) | _openvino(path, inputs)
        seconds = in_turns(candidates, rounds)
    return [
        {"what": f"paper's sizes: {name}", "pixels a second": round(len(X) / median(parts), 1)}
        for name, parts in seconds.items()
    ]


def _ours(classifier, precision, X):
    """A model of its own, which is made ready for prediction once, as a session of the runtimes is."""
    ready = copy.deepcopy(classifier).set_params(precision=precision)
    return lambda: ready.predict_proba(X)


def _onnx_runtime(path, inputs):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return {"ONNX Runtime, float32": lambda: session.run(None, inputs)}


def _openvino(path, inputs):
    if importlib.util.find_spec("openvino") is None:
        print('OpenVINO is left out: pip install "m3fusion_sk[bench]"')
        return {}
    import openvino

    core, found = openvino.Core(), {}
    for name, kind in (("float32", "f32"), ("bfloat16", "bf16")):
        if name not in PRECISIONS:
            continue
        compiled = core.compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": kind})
        found[f"OpenVINO, {name}"] = lambda compiled=compiled: compiled(inputs)
    return found
