"""What a processor has instructions for."""

import warnings

import torch
from sklearn.exceptions import EfficiencyWarning


def computes_bfloat16(device="cpu"):
    """Whether products of bfloat16 are fast: on a CPU, torch has to find AVX-512 or what ARM has for them."""
    mkldnn = torch.ops.mkldnn
    if torch.device(device).type != "cpu" or not hasattr(mkldnn, "_is_mkldnn_bf16_supported"):
        return True  # as far as is known
    return mkldnn._is_mkldnn_bf16_supported()


def warn_of_emulation(parameter, device):
    """Say so where a parameter asks for bfloat16 and the device has to emulate it."""
    if not computes_bfloat16(device):
        warnings.warn(
            f"{parameter}='bfloat16' is emulated on this processor, dozens of times slower than "
            f"{parameter}='float32'. Use that, or for prediction precision='int8'.",
            EfficiencyWarning,
            stacklevel=3,
        )
