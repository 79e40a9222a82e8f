"""Callbacks of scikit-learn from 1.9 on: a fit is a task, and each of its epochs is one within it."""

import copy
import functools
from dataclasses import dataclass

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # before 1.9 there are none

    class CallbackSupportMixin:
        """An estimator without callbacks."""

    def with_callbacks(method):
        """As a decorator that does nothing, and is as deep as the one it stands for."""

        @functools.wraps(method)
        def called(*args, **kwargs):
            return method(*args, **kwargs)

        return called


class FitTask:
    """One call of ``fit``, as callbacks see it; they may ask for the model as it is after each epoch.

    Parameters
    ----------
    classifier : M3FusionClassifier
    name : str
        "fit" or "partial_fit".
    samples : dict
        ``X``, ``y`` and ``metadata`` of training, or functions that give them.
    classes : array of shape (n_classes,)
    n_epochs : int
        The most that there will be.
    """

    def __init__(self, classifier, name, samples, classes, n_epochs):
        self.classifier, self.samples, self.classes = classifier, samples, classes
        self.context = self.epoch = None
        if hasattr(classifier, "_init_callback_context"):
            self.context = classifier._init_callback_context(task_name=name, max_subtasks=n_epochs)
            self.context.call_on_fit_task_begin(estimator=classifier, **samples)

    def begin_epoch(self):
        if self.context is not None:
            self.epoch = self.context.subcontext(task_name="epoch")
            self.epoch.call_on_fit_task_begin(estimator=self.classifier, **self.samples)

    def end_epoch(self, network):
        """True if a callback wants training to end here."""
        return self._end(self.epoch, network)

    def end(self, network):
        self._end(self.context, network)

    def _end(self, context, network):
        if context is None:
            return False
        return context.call_on_fit_task_end(
            estimator=self.classifier,
            **self.samples,
            reconstruction_attributes=lambda: {
                "net_": NetworkOfEpoch(copy.deepcopy(network).eval()),
                "classes_": self.classes,
            },
        )


@dataclass
class NetworkOfEpoch:
    """What predictions of a callback take for a net: the network as it is then, exact in any `precision`."""

    module_: object

    def for_prediction(self, precision):
        return self.module_
