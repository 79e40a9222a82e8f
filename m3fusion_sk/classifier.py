"""The scikit-learn face of the fusion network."""

from types import SimpleNamespace

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from .fitted import FittedFusion
from .holdout import hold_out
from .missing import check_samples
from .progress import CallbackSupportMixin
from .settings import check_n_samples, check_settings, check_unchanged
from .targets import encode_targets, named_classes
from .training import Run, learn

_LARGEST_SEED = 2**31 - 1


class M3FusionClassifier(FittedFusion, CallbackSupportMixin, BaseEstimator):
    """Land cover classifier that fuses series, patches and vectors in one network.

    Each source has its encoder: attention over the dates of a series, a convolutional network for a patch,
    both for a series of patches, a small perceptron for a vector. One head classifies the features of all
    sources together; an auxiliary head for each source makes sure, while training, that its feature tells the
    classes apart alone. Inputs are raw values: their normalisation, learned in `fit`, is part of the network.
    The defaults are this package's; `paper_settings` has those of the paper, with its recurrence.

    Parameters
    ----------
    alpha : float or dict of str to float, default=0.3
        Weight of the auxiliary losses: one for all sources, or by source name.
    hidden_size : int, default=64
        Units of the series encoder.
    n_filters : int, default=16
        Filters of the first convolution; the others have twice as many.
    series_encoder : {"attention", "gru", "conv"}, default="attention"
        What sees the dates of a series: several heads of attention, which cost least; the paper's gated
        recurrence; or convolutions over time. The last two end in the paper's attention.
    date_embedding : int or None, default=64
        Size of a linear embedding of each date, with layer norm and sinusoidal position, before the
        encoder; None feeds the bands themselves.
    linear_path : int, default=16
        Number of whitened principal components of the flattened series that join its feature.
    patch_path : int, default=16
        The same for patches, averaged over squares to at most 512 values before.
    linear_vote : float, default=0.3
        Share of a linear discriminant in the probabilities; 0 for none. It sees the scaled values of all
        sources (patches as for `patch_path`; no source of more than 2,048 values, nor of 4,096 together), and
        takes no part in training the network, in its losses or in early stopping.
    stem : {"auto", "7x7", "3x3"}, default="auto"
        First convolution. "auto" takes 7x7 for patches of 20 pixels a side and more, 3x3 for smaller ones.
    feature_norm : bool, default=False
        Batch normalisation of each series and patch feature before dropout and heads.
    dropout : float, default=0.5
        Share of each source's feature that is dropped before the heads while training.
    augment : bool, default=True
        Random flips and quarter turns of patches while training.
    mixup : float, default=0.2
        Train on samples between two samples: concentration of the beta distribution of their shares, 0 for
        none. Where all sources are vectors nothing is mixed.
    normalize : {"standard", "minmax", None}, default="standard"
        Scaling of each source per band, from the training samples.
    missing : {"error", "fill", "mask"}, default="error"
        What becomes of dates of a series that a sample lacks (NaN). "fill" fills each band linearly in time
        (by the dates that X knows, else those of `fit`, else at equal steps); "mask" leaves dates with NaN
        in any band out: attention gives them a weight of 0, the recurrence carries its state over.
    missing_sources : {"error", "drop"}, default="error"
        What becomes of samples that lack a whole source (all NaN, or after `fit` a source that X does not
        have at all). "drop" predicts from the other sources.
    source_dropout : float, default=0.25
        With ``missing_sources="drop"``, share of the samples from which each source is withheld in
        training the fusion head, so that one model serves samples with and without it.
    layout : dict of str to tuple, optional
        How to cut a table of shape (n_samples, n_features) into sources, as in
        ``{"ts": (34, 16), "patch": (5, 25, 25)}``. By default such a table is one vector source, unless
        its columns are named ``ts_t00_b00``, ``patch_b00_r00_c00`` or ``terrain_f00``.
    classes : array-like, optional
        All classes that may occur, so that the columns of `predict_proba` do not depend on the samples.
        Where scikit-learn hands over codes instead of labels (voting, stacking, ``cross_val_predict`` of
        probabilities), names stand for the codes 0, 1, ... and must be those of all of y, no others.
    optimizer : {"adamw", "adam"}, default="adamw"
    lr : float, default=2e-3
        Learning rate; the highest one with the one-cycle schedule.
    schedule : {"one-cycle", "constant"}, default="one-cycle"
    batch_size : int, default=64
        Samples of a training step.
    max_epochs : int or "auto", default="auto"
        Passes over the training samples. "auto" makes about 1,500 training steps, and at least 20 and at
        most 200 passes: small sets are seen more often.
    weight_decay : float, default=0
    class_weight : dict or "balanced", optional
        As in scikit-learn.
    early_stopping : bool, default=False
        Hold out some samples, stop when the fusion head has not improved on them for `patience` epochs,
        and keep the best epoch.
    validation_fraction : float, default=0.2
        Share of each class to hold out: of its objects where `fit` gets ``groups``, else of its samples.
    patience : int, default=20
    dtype : {"float32", "float64", "bfloat16"}, default="float32"
        Arithmetic of training; bfloat16 is autocast with float32 weights.
    precision : {"float32", "bfloat16", "int8"}, default="float32"
        Arithmetic of prediction; it may be set after `fit`. "float32" is exact (float64 after training in
        it). The others are for large networks and differ a little: "bfloat16" everywhere (on processors
        that compute with it, others warn), "int8" (x86 only) in convolutions and in the recurrence.
    device : str, default="auto"
        A torch device; "auto" is a CUDA GPU if there is one. Not measured on a GPU.
    random_state : int, RandomState instance or None, default=None
        Governs initial weights, order, dropout and the hold-out. Global generators stay as they are.
    verbose : int, default=0
        1 shows a progress bar with the losses of each head.
    callbacks : list, optional
        Further skorch callbacks. Those of scikit-learn 1.9 and newer are set by ``set_callbacks``.
    warm_start : bool, default=False
        Whether `fit` goes on from the network that is there, for `max_epochs` more epochs, instead of
        building a new one. The scaling of the inputs, the linear parts, the classes and what is held out
        stay as they were.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
    sources_ : dict of str to SeriesSpec, PatchSpec, PatchSeriesSpec or VectorSpec
        What one sample looks like in each source.
    n_features_in_ : int
        Values of a sample in all sources.
    feature_names_in_ : array of str, one for each column
        Names of the columns, if `fit` saw a DataFrame.
    n_iter_ : int
        Epochs of training, also where early stopping then went back to the best of them.
    history_ : list of dict
        Losses of each epoch, by head.
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_`` is the torch network.

    See Also
    --------
    stacked_forest : The random forest on stacked features that the paper compares with.
    paper_settings : Parameters as in the paper.

    Notes
    -----
    With the same seed, versions, machine and number of threads a fit repeats. Another number of threads
    rounds in another order, which grows during training into another network, as with another seed. An
    interrupt from the keyboard ends `fit` with a warning; what was learned so far is kept.

    Values are computed in float32: a band whose values lie more than 10 million deviations away from zero
    needs ``dtype="float64"``, or its offset taken off before.

    References
    ----------
    Benedetti, P., Ienco, D., Gaetano, R., Ose, K., Pensa, R. G., Dupuy, S. (2018). M3Fusion: A Deep
    Learning Architecture for Multiscale Multimodal Multitemporal Satellite Data Fusion. IEEE Journal of
    Selected Topics in Applied Earth Observations and Remote Sensing 11(12), 4939-4949.

    Examples
    --------
    >>> import numpy as np
    >>> from m3fusion_sk import M3FusionClassifier, MultiSource
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(["forest", "water"], 30)
    >>> level = np.where(y == "forest", 3000, 500)[:, None, None]
    >>> X = MultiSource(ts=level + rng.normal(0, 300, (60, 6, 2)), patch=rng.normal(0, 1, (60, 1, 5, 5)))
    >>> clf = M3FusionClassifier(hidden_size=8, n_filters=4, random_state=0).fit(X, y)
    >>> clf.predict(X[[0, 59]])
    array(['forest', 'water'], dtype='<U6')
    >>> clf.attention(X)["ts"].shape
    (60, 6)
    """

    def __init__(
        self,
        alpha=0.3,
        hidden_size=64,
        n_filters=16,
        series_encoder="attention",
        date_embedding=64,
        linear_path=16,
        patch_path=16,
        linear_vote=0.3,
        stem="auto",
        feature_norm=False,
        dropout=0.5,
        augment=True,
        mixup=0.2,
        normalize="standard",
        missing="error",
        missing_sources="error",
        source_dropout=0.25,
        layout=None,
        classes=None,
        optimizer="adamw",
        lr=2e-3,
        schedule="one-cycle",
        batch_size=64,
        max_epochs="auto",
        weight_decay=0.0,
        class_weight=None,
        early_stopping=False,
        validation_fraction=0.2,
        patience=20,
        dtype="float32",
        precision="float32",
        device="auto",
        random_state=None,
        verbose=0,
        callbacks=None,
        warm_start=False,
    ):
        self.alpha = alpha
        self.hidden_size = hidden_size
        self.n_filters = n_filters
        self.series_encoder = series_encoder
        self.date_embedding = date_embedding
        self.linear_path = linear_path
        self.patch_path = patch_path
        self.linear_vote = linear_vote
        self.stem = stem
        self.feature_norm = feature_norm
        self.dropout = dropout
        self.augment = augment
        self.mixup = mixup
        self.normalize = normalize
        self.missing = missing
        self.missing_sources = missing_sources
        self.source_dropout = source_dropout
        self.layout = layout
        self.classes = classes
        self.optimizer = optimizer
        self.lr = lr
        self.schedule = schedule
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.weight_decay = weight_decay
        self.class_weight = class_weight
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.dtype = dtype
        self.precision = precision
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
        self.callbacks = callbacks
        self.warm_start = warm_start

    def fit(self, X, y, sample_weight=None, groups=None):
        """Train the network.

        Parameters
        ----------
        X : MultiSource, dict of str to array, DataFrame or array
            Training samples: series (n_samples, n_dates, n_bands), patches (n_samples, n_bands, height,
            width), vectors (n_samples, n_features), or a table (see `layout`). NaN only as
            `missing` and `missing_sources` allow.
        y : array of shape (n_samples,)
            Labels: strings or integers.
        sample_weight : array of shape (n_samples,), optional
            Weight of each sample; samples of weight 0 are left out, and so are classes of only such.
        groups : array of shape (n_samples,), optional
            Object of each sample. With `early_stopping`, no object is on both sides of the hold-out.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X, y, the weights or a parameter are not as described; the message says which and why.
        """
        before = vars(self).get("net_") if self.warm_start else None
        if before is None:
            vars(self).pop("net_", None)  # a fit that fails leaves no model behind
        X = self._check_samples(X, before)
        classes = named_classes(self, self.classes, before)
        targets = encode_targets(self, X, y, sample_weight, classes, goes_on=before is not None)
        seed = self._seed(before)
        sides = hold_out(self, targets, groups, len(X), seed)
        return learn(self, Run("fit", self, X[targets.rows], targets, sides, seed, before))

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Train the network for one epoch on these samples, going on from where it is.

        The first call builds the network and learns the scaling of the inputs from its samples: give it
        samples of all kinds. Later calls keep the state of the optimizer; the learning rate is `lr`
        throughout, and nothing is held out. So n calls with the same samples are `fit` with
        ``max_epochs=n, schedule="constant", early_stopping=False``.

        Parameters
        ----------
        X : MultiSource, dict of str to array, DataFrame or array
            Samples, as in `fit`; in later calls with the same sources.
        y : array of shape (n_samples,)
            Labels; not all classes need be there.
        classes : array of shape (n_classes,), optional
            All classes of this and of later calls; needed in the first call, unless the parameter
            `classes` names them.
        sample_weight : array of shape (n_samples,), optional
            As in `fit`. With ``class_weight="balanced"``, classes are balanced within each call.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X, y, the weights, the classes or a parameter are not as described, or differ from those of
            the calls before. The model then stays as it was.
        KeyboardInterrupt
            If the keyboard interrupts it, so that loops end too. What was learned is kept.
        """
        before = vars(self).get("net_")
        X = self._check_samples(X, before)
        classes = named_classes(self, self.classes if classes is None else classes, before, needed=True)
        targets = encode_targets(self, X, y, sample_weight, classes, 1, goes_on=before is not None)
        one = {**self.get_params(deep=False), "max_epochs": 1, "schedule": "constant"}
        rows = np.arange(len(targets.rows))
        check_n_samples(self, self.sources_, len(rows))
        run = Run(
            "partial_fit",
            SimpleNamespace(**one),
            X[targets.rows],
            targets,
            (rows, rows[:0]),
            self._seed(before),
            before,
        )
        return learn(self, run)

    def _check_samples(self, X, before):
        X = check_samples(self, X, self.get_params(deep=False), reset=before is None)
        check_settings(self, self.sources_)
        if before is not None:
            check_unchanged(self, before.module_)
        return X

    def _seed(self, before):
        """The seed of a run: a net that goes on keeps its own, and so what is held out."""
        if before is not None and before.seed is not None:
            return before.seed
        return check_random_state(self.random_state).randint(_LARGEST_SEED)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.dict = True
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = self.missing != "error" or self.missing_sources != "error"
        tags.transformer_tags.preserves_dtype = []  # features have the number type of the network
        return tags
