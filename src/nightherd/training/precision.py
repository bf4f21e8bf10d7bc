"""Mixed precision that pays: bf16 where what computes is made for it, float32 elsewhere."""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

Precision = Literal["auto", "bf16", "f32"]

BF16_INSTRUCTIONS = ("amx_bf16", "avx512_bf16")
"""With either oneDNN multiplies in bf16; without, it emulates that several times slower than float32 is."""


def precision_for(wanted: Precision, device: str) -> Literal["bf16", "f32"]:
    """The precision to train in: what is wanted, or for `auto` bf16 where the device is made for it.

    Args:
        wanted: of the settings.
        device: PyTorch's name of its type, `cpu`, `cuda` or another.
    """
    if wanted != "auto":
        return wanted
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "f32"
    return "bf16" if device == "cpu" and _processor_computes_bf16() else "f32"


def _processor_computes_bf16() -> bool:
    told = getattr(torch.cpu, "get_capabilities", None)  # not in older versions of torch
    if told is not None:
        capabilities = told()
        return any(capabilities.get(name) for name in BF16_INSTRUCTIONS)
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def _forward_in_float32(module: nn.Conv2d, images: Tensor) -> Tensor:
    with torch.autocast(images.device.type, enabled=False):
        result: Tensor = type(module).forward(module, images.float())
        return result


def depthwise_in_float32(model: nn.Module) -> int:
    """Makes the depthwise convolutions of a model run in float32 under autocast; returns how many there are.

    oneDNN's bf16 backward of 5 × 5 and strided depthwise convolutions is so slow (AMX processors, torch 2.15) that a
    whole bf16 step of a mobile backbone takes as long as a float32 one; `benchmarks/training_step.py` prints both.
    """
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.groups == m.in_channels > 1]
    for convolution in convolutions:
        convolution.forward = partial(_forward_in_float32, convolution)  # type: ignore[method-assign]
    return len(convolutions)
