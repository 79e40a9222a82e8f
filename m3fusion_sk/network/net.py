"""The skorch net that trains the fusion network: the only module that knows skorch."""

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping, LRScheduler, PassthroughScoring
from skorch.utils import noop
from tqdm.auto import tqdm

from .loss import FusionLoss
from .mixup import mix
from .prepared import prepare
from .processor import warn_of_emulation

OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
MONITOR = "valid_fusion"
AUTO_STEPS = 1500  # "auto" trains for about this many steps,
AUTO_EPOCHS = (20, 200)  # but sees each sample this often at least and at most


class FusionNet(NeuralNet):
    """A skorch net whose data set is a pair of `Batches`: for training, and held out or None.

    The history holds, per epoch and prefixed with ``train_`` or ``valid_``, the total ``loss``, the
    ``fusion`` loss, and ``aux_<name>`` for the auxiliary loss of each source.
    """

    autocast = False
    mixup = 0.0
    interrupted = False
    seed = None  # of the run that trained it
    position = None  # where `partial_fit` left off
    prepared = None  # precision and network of the last prediction

    def fit_loop(self, X, y=None, epochs=None, **fit_params):
        """Train; early stopping ends it quietly, a keyboard interrupt is remembered in `interrupted`."""
        try:
            super().fit_loop(X, y, epochs, **fit_params)
        except StoppedEarly:
            pass
        except KeyboardInterrupt:
            self.interrupted = not any(map(_has_had_enough, self.callbacks_))
        return self

    def get_split_datasets(self, X, y=None, **fit_params):
        return X

    def get_iterator(self, dataset, training=False):
        return dataset

    def train_step_single(self, batch, **fit_params):
        inputs, targets = self._on_device(*batch)
        network = self.module_
        if self.mixup and network.may_mix:
            n_classes = network.fusion_head.out_features
            inputs, targets = mix(inputs, targets, self.mixup, n_classes, network.may_have_gaps)
        return super().train_step_single((inputs, targets), **fit_params)

    def infer(self, x, **fit_params):
        inputs, _ = self._on_device(x)
        kind = torch.device(self.device).type
        with torch.autocast(kind, torch.bfloat16, enabled=self.autocast and self.module_.training):
            return self.module_(inputs)

    def get_loss(self, y_pred, y_true, X=None, training=False):
        _, targets = self._on_device({}, y_true)
        fused, auxiliary = self.criterion_.heads(_in_full_precision(y_pred, targets[1].dtype), targets)
        self._record(fused, auxiliary, "train" if training else "valid")
        return self.criterion_.total(fused, auxiliary)

    def go_on_from(self, before):
        """Take over the optimizer's state, not its settings, of a net that trained the same network."""
        state = before.optimizer_.state_dict()["state"]
        self.optimizer_.load_state_dict({**self.optimizer_.state_dict(), "state": state})

    def finish(self, position=None):
        """Ready for prediction, and for storage: without a second network, and without what only trains.

        With a `position` to go on from, the optimizer keeps its state.
        """
        self.module_.eval()
        self.position = position
        if position is None:
            self.optimizer_.state.clear()
        self.module = type(self.module_)
        for name, part in [("callbacks_", self.callbacks_), ("callbacks", self.callbacks)]:
            setattr(self, name, [(key, call) for key, call in part if not isinstance(call, EpochTask)])
        for _, callback in self.callbacks_:
            vars(callback).pop("lr_scheduler_", None)  # which holds the optimizer, and so the weights
        return self

    def for_prediction(self, precision):
        """The network in the arithmetic of a prediction; it is made once."""
        if self.prepared is None or self.prepared[0] != precision:
            if precision == "bfloat16":
                warn_of_emulation("precision", self.device, stacklevel=4)
            self.prepared = precision, prepare(self.module_, precision)
        return self.prepared[1]

    def __getstate__(self):
        return {**super().__getstate__(), "prepared": None}

    def epochs(self, first=1):
        """The history as plain numbers: one dict of losses and duration for each epoch."""
        complete = [row for row in self.history if "dur" in row]
        return [
            {"epoch": epoch, "dur": row["dur"], **{k: float(row[k]) for k in losses_of(row)}}
            for epoch, row in enumerate(complete, start=first)
        ]

    def _on_device(self, inputs, targets=()):
        inputs = {name: values.to(self.device, non_blocking=True) for name, values in inputs.items()}
        return inputs, tuple(part.to(self.device, non_blocking=True) for part in targets)

    def _record(self, fused, auxiliary, prefix):
        values = torch.stack([fused.detach(), *(loss.detach() for loss in auxiliary.values())]).tolist()
        names = ["fusion", *(f"aux_{name}" for name in auxiliary)]
        for name, value in zip(names, values, strict=True):
            self.history.record_batch(f"{prefix}_{name}", value)


def _has_had_enough(named):
    """Whether it is the user's own early stopping that ended training, by what looks like an interrupt."""
    callback = named[1]
    return isinstance(callback, EarlyStopping) and callback.misses_ == callback.patience


def _in_full_precision(outputs, dtype):
    fused, auxiliary = outputs
    return fused.to(dtype), {name: logits.to(dtype) for name, logits in auxiliary.items()}


class ForgetBatches(Callback):
    """Keep the history of epochs only, so that it does not grow with the number of batches."""

    def on_epoch_end(self, net, **kwargs):
        net.history[-1]["batches"] = []


class EpochBar(Callback):
    """A progress bar over epochs: losses of each head and the time left."""

    def on_train_begin(self, net, **kwargs):
        self.bar_ = tqdm(total=net.max_epochs, desc="M3Fusion", unit="epoch")

    def on_epoch_end(self, net, **kwargs):
        row = net.history[-1]
        losses = {name: f"{row[name]:.3f}" for name in losses_of(row)}
        self.bar_.set_postfix(losses)
        self.bar_.update()

    def on_train_end(self, net, **kwargs):
        self.bar_.close()
        self.bar_ = None


class EpochTask(Callback):
    """Tells a task about its epochs, and ends training where it asks for that."""

    def __init__(self, task):
        self.task = task

    def on_epoch_begin(self, net, **kwargs):
        self.task.begin_epoch()

    def on_epoch_end(self, net, **kwargs):
        if self.task.end_epoch(net.module_):
            raise StoppedEarly


class Patience(EarlyStopping):
    """skorch's early stopping, told apart from the user's keyboard interrupt."""

    def on_epoch_end(self, net, **kwargs):
        try:
            super().on_epoch_end(net, **kwargs)
        except KeyboardInterrupt:
            raise StoppedEarly from None


class StoppedEarly(KeyboardInterrupt):
    """The held-out loss has not improved for `patience` epochs, or a callback wants no more."""


def losses_of(row):
    """Names of the losses of an epoch: ``train_loss``, ``train_fusion``, ``valid_aux_ts``, ...

    Each has a twin ``<name>_best``, by which it is known.
    """
    return [name for name in row if f"{name}_best" in row]


def make_net(network, alpha, settings, batches, device, task=None):
    """The net for one call of ``fit``.

    Parameters
    ----------
    network : FusionNetwork
    alpha : dict of str to float
    settings : M3FusionClassifier
        Read for its training parameters.
    batches : (Batches, Batches or None)
    device : str
    task : FitTask, optional
        Told about each epoch.
    """
    names = list(alpha) if len(alpha) > 1 else []
    net = FusionNet(
        network,
        criterion=FusionLoss,
        criterion__alpha=alpha,
        criterion__may_lack=network.may_lack_sources,
        optimizer=OPTIMIZERS[settings.optimizer],
        optimizer__fused=torch.device(device).type in ("cpu", "cuda"),
        optimizer__weight_decay=settings.weight_decay,
        lr=settings.lr,
        max_epochs=epochs_for(settings.max_epochs, len(batches[0])),
        device=device,
        train_split=None,
        verbose=0,
        callbacks__print_log=None,
        callbacks=list(_callbacks(names, settings, batches, task)),
    )
    net.autocast, net.mixup = settings.dtype == "bfloat16", settings.mixup
    return net


def _callbacks(names, settings, batches, task):
    train, valid = batches
    for prefix in ["train"] if valid is None else ["train", "valid"]:
        for head in ["fusion", *(f"aux_{name}" for name in names)]:
            name = f"{prefix}_{head}"
            yield name, PassthroughScoring(name, on_train=prefix == "train")
    n_steps = epochs_for(settings.max_epochs, len(train)) * len(train)
    if settings.schedule == "one-cycle" and n_steps > 1:  # a cycle of one step has but its end
        yield "schedule", _one_cycle(settings, n_steps)
    for i, callback in enumerate(settings.callbacks or []):
        yield callback if isinstance(callback, tuple) else (f"user_{i}", callback)
    if settings.verbose:
        yield "bar", EpochBar()
    yield "forget", ForgetBatches()
    if task is not None:
        yield "task", EpochTask(task)
    if valid is not None:  # the last: it ends training by an exception
        yield "early_stopping", Patience(MONITOR, settings.patience, load_best=True, sink=noop)


def _one_cycle(settings, n_steps):
    return LRScheduler(
        torch.optim.lr_scheduler.OneCycleLR,
        step_every="batch",
        max_lr=settings.lr,
        total_steps=n_steps,
    )


def epochs_for(max_epochs, n_batches):
    """The number of epochs: as given, or "auto" by the number of steps that an epoch has."""
    if max_epochs != "auto":
        return int(max_epochs)
    least, most = AUTO_EPOCHS
    return min(max(round(AUTO_STEPS / max(n_batches, 1)), least), most)
