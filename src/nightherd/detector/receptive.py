"""Theoretical receptive fields: how much of the image one place of a backbone's map can see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from nightherd.detector.backbone import Backbone


def receptive_fields(backbone: str, strides: Sequence[int]) -> tuple[int, ...]:
    """Side in pixels of the theoretical receptive field of a timm backbone's map at each stride.

    1 + Σ (k - 1) · j over all convolutions and poolings up to that stride, with k the kernel and j the stride of their
    input, along the longest path and without the top-down pathway (Araujo et al. 2019). ResNet50: 35, 91, 267 and 427
    at strides 4 to 32, the numbers that RFLA's authors use. A stride beyond the backbone's last, which subsampling
    makes, sees what the last one sees.

    Args:
        backbone: a timm model that offers `features_only`.
        strides: wanted strides.
    """
    side = 256
    with torch.device("meta"):
        body = Backbone(backbone, (min(32, max(strides)),))
    growth: list[tuple[float, float]] = []

    def note(module: nn.Module, given: tuple[torch.Tensor, ...], out: torch.Tensor) -> None:
        kernel: Any = module.kernel_size
        kernel = kernel if isinstance(kernel, int) else max(kernel)
        growth.append((side / out.shape[-1], (kernel - 1) * side / given[0].shape[-1]))

    for module in body.modules():
        if isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
            module.register_forward_hook(note)
    body.eval()(torch.zeros(1, 1, side, side, device="meta"))
    return tuple(round(1 + sum(grown for stride, grown in growth if stride <= wanted)) for wanted in strides)
