"""Mixed precision that pays: bf16 where the processor is fast at it, float32 where it is not."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn


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
