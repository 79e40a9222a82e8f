"""Ranges of values between the layers of patch encoders, as training samples have them."""

import numpy as np
import torch

from ..batches import gather_tensor
from ..patch import PatchEncoder
from ..patchseries import PatchSeriesEncoder

N_SAMPLES = 256  # drawn from the training samples


def record_ranges(network, X, seed):
    """Note on the patch encoders which values training samples have between their layers.

    Parameters
    ----------
    network : FusionNetwork
        Just trained; it is in evaluation mode afterwards.
    X : MultiSource
        Training samples.
    seed : int
        Of the samples drawn.
    """
    network.eval()
    rows = np.sort(np.random.default_rng(seed).permutation(len(X))[:N_SAMPLES])
    device = next(network.parameters()).device
    parts = zip(network.sources, network.scalers, network.encoders, strict=True)
    with torch.inference_mode():
        for name, scaler, encoder in parts:
            patch = encoder.patch if isinstance(encoder, PatchSeriesEncoder) else encoder
            if isinstance(patch, PatchEncoder):
                x = network.gaps(scaler(gather_tensor(X, name, rows).to(device)), name)[0]
                patch.ranges.zero_()
                patch.record_ranges(x.flatten(0, -4).nan_to_num(0.0))
