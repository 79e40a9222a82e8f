"""What a fitted classifier can do: predict, tell what it looked at, be stored and exported."""

from sklearn.base import ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from . import onnx_export, persistence
from .missing import check_samples
from .network import inference
from .settings import check_choice
from .units import warn_of_units


class FittedFusion(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClassifierMixin):
    """The methods of `M3FusionClassifier` that need a trained network."""

    @property
    def _allow_absent(self):
        """Whether samples may lack sources: as it was fitted, whatever was set since."""
        return self.net_.module_.settings["missing_sources"] == "drop"

    def predict(self, X):
        """The most probable class of each sample.

        Parameters
        ----------
        X : MultiSource, dict of str to array, DataFrame or array
            Samples with the sources that `fit` saw, in the units that `fit` saw. NaN only as `missing` and
            `missing_sources` allow.

        Returns
        -------
        array of shape (n_samples,)
            Labels, of the type that `fit` was given.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If X lacks a source, has another one, or one of another shape; the message names it.
        """
        check_is_fitted(self, "net_")
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def predict_proba(self, X):
        """Probabilities of the classes.

        They are those of the fusion head, averaged with those of a linear discriminant by its share
        (`linear_vote`).

        Parameters
        ----------
        X : MultiSource, dict of str to array, DataFrame or array
            As in `predict`, with the same errors.

        Returns
        -------
        array of shape (n_samples, n_classes)
            Columns in the order of ``classes_``; rows sum to 1.
        """
        return self._run(inference.proba, X)

    def predict_proba_by_source(self, X):
        """Probabilities of the auxiliary heads: what each source tells on its own.

        Parameters
        ----------
        X : MultiSource, dict of str to array, DataFrame or array
            As in `predict`, with the same errors.

        Returns
        -------
        dict of str to array of shape (n_samples, n_classes)
            By name of the source. A model with a single source has one head only; its probabilities are
            given. NaN where a sample lacks the source (``missing_sources="drop"``).
        """
        return self._run(inference.proba_by_source, X)

    def attention(self, X):
        """Weight of each date of each series in the features.

        Parameters
        ----------
        X : MultiSource, dict of str to array, DataFrame or array
            As in `predict`, with the same errors.

        Returns
        -------
        dict of str to array of shape (n_samples, n_dates)
            By name of the series; rows sum to 1. 0 for dates that a sample lacks, and all 0 where it lacks
            the whole series.
        """
        return self._run(inference.attention, X)

    def transform(self, X):
        """The features of all sources, before the fusion head.

        Parameters
        ----------
        X : MultiSource, dict of str to array, DataFrame or array
            As in `predict`, with the same errors.

        Returns
        -------
        array of shape (n_samples, n_fused)
            Side by side, in the order of ``sources_``.
        """
        return self._run(inference.features, X)

    def _run(self, compute, X):
        check_is_fitted(self, "net_")
        X = check_samples(self, X, self.net_.module_.settings, reset=False)
        check_choice(self, "precision")
        warn_of_units(X, self.net_.module_)
        return inference.run(self.net_.for_prediction(self.precision), X, compute)

    @property
    def _n_features_out(self):
        return self.net_.module_.fusion_head.in_features

    def content_hash(self):
        """Hash of everything that predictions depend on: weights, parameters, classes, sources.

        The same for a classifier that was saved and loaded, in any process; another one if a single weight
        differs. `ChunkedPredictor` knows by it whether a map is of the same model.

        Returns
        -------
        str
        """
        check_is_fitted(self, "net_")
        return persistence.content_hash(self)

    def save(self, path):
        """Write the fitted classifier to one file of JSON and safetensors.

        ``random_state``, ``device``, ``verbose`` and ``callbacks`` belong to the session and are not saved;
        nor is what `partial_fit` goes on with: the optimizer's state, and what the linear vote counted.

        Parameters
        ----------
        path : str or path-like
            Commonly ``*.m3f``. An existing file is replaced, at once and as a whole.

        Raises
        ------
        FileNotFoundError
            If the folder does not exist.
        ValueError
            If labels or parameters are not strings, numbers or booleans.
        """
        check_is_fitted(self, "net_")
        persistence.save(self, path)

    @classmethod
    def load(cls, path):
        """Read a classifier that `save` wrote; nothing is unpickled, no code in the file is run.

        Parameters
        ----------
        path : str or path-like

        Returns
        -------
        M3FusionClassifier
            Fitted, with the same predictions, on any machine: "auto" chooses the device anew.

        Raises
        ------
        ValueError
            If the file is not such a file, is damaged, or was written by a newer format.
        """
        return persistence.load(cls, path)

    def to_onnx(self, path, *, auxiliary=False, attention=False):
        """Write the network in the ONNX format, for ONNX Runtime and others without torch.

        The inputs are the sources by name, in raw values: their scaling is in the graph, and so are the
        softmax and, as the standard operator GRU, the recurrence. The outputs are ``probabilities`` and, on
        demand, ``probabilities_<source>`` and ``attention_<series>``. The number of samples is free.
        Classes and sources are in the file's metadata, as JSON under "classes" and "sources".

        Parameters
        ----------
        path : str or path-like
            Commonly ``*.onnx``. An existing file is replaced, at once and as a whole.
        auxiliary : bool, default=False
            Whether to give the probabilities of each source's own head too.
        attention : bool, default=False
            Whether to give the weight of each date of each series too.

        Raises
        ------
        ImportError
            Without the package onnx, which the extra "onnx" brings.
        FileNotFoundError
            If the folder does not exist.
        NotImplementedError
            For sources or settings that have no writer yet: series of patches, and what is missing.

        Notes
        -----
        Inputs are float32 (float64 for ``dtype="float64"``, of which only the scaling is done in float64);
        cast integers to it. Probabilities are those of `predict_proba` but for rounding.
        """
        check_is_fitted(self, "net_")
        onnx_export.write(self, path, auxiliary=auxiliary, attention=attention)
