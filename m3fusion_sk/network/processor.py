"""What a processor has instructions for."""

import warnings

import torch


def computes_bfloat16(device="cpu"):
    """Whether a device has instructions for bfloat16; what torch cannot tell counts as having them."""
    mkldnn, cpu = torch.ops.mkldnn, torch.cpu
    if torch.device(device).type != "cpu" or not hasattr(mkldnn, "_is_mkldnn_bf16_supported"):
        return True
    if not mkldnn._is_mkldnn_bf16_supported():
        return False
    if not hasattr(cpu, "_is_avx512_bf16_supported") or not cpu._is_avx512_supported():
        return True
    return cpu._is_avx512_bf16_supported()  # oneDNN takes any AVX-512 for it, several times slower


def warn_of_emulation(name, device, stacklevel):
    """Say so where the parameter `name` asks for bfloat16 and the device has to emulate it."""
    if not computes_bfloat16(device):
        warnings.warn(
            f"{name}='bfloat16' is emulated on this processor, many times slower than {name}='float32': "
            "use that.",
            RuntimeWarning,
            stacklevel=stacklevel + 1,
        )
