"""What a map depends on, as one hash: the model, the parameters and the content of all inputs."""

import hashlib
import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from types import CodeType, FunctionType

import numpy as np
from joblib.hashing import Hasher
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import BallTree, KDTree
from sklearn.utils.validation import check_is_fitted

from .._version import __version__
from ..sources import all_kinds

__all__ = ["RunKey", "hash_estimator"]

_SHOWN = 4  # differences in a message
_OF_SESSION = "n_jobs", "verbose"  # parameters that predictions do not depend on
_OF_SEARCH = "cv_results_", "refit_time_"  # the same of what a search has found
_GENERATORS = np.random.RandomState, np.random.Generator
_VALUES = bool, int, float, complex, str, bytes, np.ndarray, np.generic  # of globals that count


@dataclass(frozen=True)
class RunKey:
    """The hash of a run, and the parts that it was made of.

    Parameters
    ----------
    parts : dict
        Nested dicts of what JSON can hold.

    Examples
    --------
    >>> from m3fusion_sk.mapping.runkey import RunKey
    >>> key = RunKey({"model": "a", "map": {"chunk_size": 256}})
    >>> key.differences({"model": "a", "map": {"chunk_size": 128}})
    'map.chunk_size'
    """

    parts: dict

    @classmethod
    def of(cls, estimator, scene, parameters):
        """The key of a map of `scene` by `estimator`, with these parameters of the map."""
        parts = {
            "m3fusion_sk": __version__,
            "model": hash_estimator(estimator),
            "map": parameters,
            "scene": scene.fingerprint(),
        }
        return cls(json.loads(json.dumps(parts, default=_plain)))

    @property
    def digest(self):
        """SHA-256 of the parts, as text."""
        return hashlib.sha256(json.dumps(self.parts, sort_keys=True).encode()).hexdigest()

    def differences(self, other):
        """Names of the parts that differ from those of another run, for a message."""
        mine, theirs = _flat(self.parts), _flat(other)
        names = sorted(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name))
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        return ", ".join(names[:_SHOWN]) + more or "nothing that is known"


def hash_estimator(estimator):
    """Hash of a fitted estimator's content: parameters and everything learned.

    The same in every process for the same content. An object with a method ``content_hash``, which returns
    text, speaks for itself, also within a pipeline. Functions count by their code and by the numbers, texts
    and arrays that it names, not by other functions that they call; all else is hashed by its pickled state.
    Generators of random numbers do not count, since any code may have drawn from them, nor do `n_jobs`,
    `verbose`, and the scores and seconds of a search.

    Raises
    ------
    TypeError
        If the estimator, or a part of it, cannot be pickled.
    """
    try:
        return _ContentHasher("sha256").hash(estimator)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(
            f"{type(estimator).__name__} must have a content that can be hashed, so that a run is only "
            f"resumed by the same model; it cannot be pickled: {error}. Define its class at the top of a "
            "module, or give it a method content_hash() that returns text."
        ) from error


class _ContentHasher(Hasher):
    """joblib's hasher, which orders dicts and sets; arrays count by their values alone."""

    def save(self, obj):
        kind = type(obj)
        if callable(getattr(kind, "content_hash", None)) and _is_fitted(obj):
            obj = (kind.__module__, kind.__qualname__, obj.content_hash())
        elif hasattr(kind, "detach") and hasattr(kind, "numpy"):  # a torch tensor
            obj = ("tensor", str(obj.dtype), _values(obj.detach().cpu().double().numpy()))
        elif isinstance(obj, np.ndarray) and not obj.dtype.hasobject:
            obj = _values(obj)
        elif isinstance(obj, FunctionType):
            obj = ("function", obj.__module__, obj.__qualname__, *_code(obj))
        elif isinstance(obj, _GENERATORS):
            obj = kind.__name__
        elif isinstance(obj, KDTree | BallTree):  # which count their own calls, as integers
            obj = (kind.__name__, [part for part in obj.__getstate__() if not isinstance(part, int)])
        elif isinstance(obj, all_kinds()):
            dates = getattr(obj, "dates", None)  # by which gaps may be filled
            obj = (obj.kind, obj.shape, getattr(obj, "names", None), *([dates] if dates else []))
        elif isinstance(obj, np.dtype):
            obj = ("dtype", obj.str, obj.names)
        elif isinstance(obj, dict) and kind is not dict:  # its attributes need not survive pickling
            obj = (kind.__module__, kind.__qualname__, dict(obj))
        super().save(obj)

    def reducer_override(self, obj):
        """Estimators as they are pickled, each once, without what is of the session."""
        if not isinstance(obj, BaseEstimator) or isinstance(obj, type):
            return NotImplemented
        reduced = obj.__reduce_ex__(self.proto)
        if isinstance(reduced, str) or len(reduced) < 3 or not isinstance(reduced[2], dict):
            return reduced
        left_out = _OF_SESSION + (_OF_SEARCH if hasattr(obj, "best_estimator_") else ())
        state = {name: value for name, value in reduced[2].items() if name not in left_out}
        return (*reduced[:2], state, *reduced[3:])


def _is_fitted(obj):
    """False for templates, as in the parameters of a voting classifier: those are their parameters."""
    try:
        check_is_fitted(obj)
    except NotFittedError:
        return False
    except (TypeError, AttributeError):  # it is none of scikit-learn's: it can be used as it is
        pass
    return True


def _code(function):
    """What a function does, as far as it is its own: not what it calls."""
    code, cells = function.__code__, function.__closure__ or ()
    held = [cell.cell_contents for cell in cells]
    named = {name: function.__globals__.get(name) for name in sorted(_names(code))}
    values = {name: value for name, value in named.items() if isinstance(value, _VALUES)}
    return _instructions(code), function.__defaults__, function.__kwdefaults__, held, values


def _names(code):
    """All that the code of a function names, also within it."""
    inner = (_names(part) for part in code.co_consts if isinstance(part, CodeType))
    return {*code.co_names}.union(*inner)


def _instructions(code):
    return code.co_code, _constant(code.co_consts), code.co_names, code.co_varnames


def _constant(value):
    if isinstance(value, CodeType):
        return _instructions(value)
    if isinstance(value, tuple):
        return [_constant(part) for part in value]
    return set(value) if isinstance(value, frozenset) else value  # of which the hasher orders the former


def _values(array):
    """What an array holds, without the bytes between the fields of a record, which are anything."""
    if array.dtype.names:
        return ("record", [(name, _values(array[name])) for name in array.dtype.names])
    digest = hashlib.sha256(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data).hexdigest()
    return ("array", array.dtype.str, array.shape, digest)


def _flat(parts, prefix=""):
    if not isinstance(parts, Mapping):
        return {prefix: parts}
    return {
        name: value
        for key, part in parts.items()
        for name, value in _flat(part, f"{prefix}.{key}" if prefix else str(key)).items()
    }


def _plain(value):
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)
