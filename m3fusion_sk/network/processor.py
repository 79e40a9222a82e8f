"""What a processor has instructions for."""

import torch


def computes_bfloat16(device="cpu"):
    """Whether products of bfloat16 are fast: on a CPU, torch has to find AVX-512 or what ARM has for them."""
    mkldnn = torch.ops.mkldnn
    if torch.device(device).type != "cpu" or not hasattr(mkldnn, "_is_mkldnn_bf16_supported"):
        return True  # as far as is known
    return mkldnn._is_mkldnn_bf16_supported()
