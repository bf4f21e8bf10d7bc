"""ODAM: instance-specific gradient × activation, on every map that the pyramid is made of (Zhao & Chan 2023).

https://arxiv.org/abs/2304.06354. One forward pass a frame and one backward pass a target, through the pyramid and the
head alone and around the target only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nightherd.detector.two_stage import TwoStageDetector
from nightherd.explanation.activations import Activations, to_image
from nightherd.explanation.types import Target
from nightherd.types import FloatArray

SMOOTHING = 3
"""Cells of a side over which the gradient is averaged before it meets the activation, the paper's local smoothing."""


def odam(
    detector: TwoStageDetector, image: FloatArray, targets: Sequence[Target], smoothing: int = SMOOTHING
) -> FloatArray:
    """Saliency maps by gradient × activation, joined over the levels.

    Each level gives Σ_channels activation × locally averaged gradient of the target's log-odds: to first order, what
    each cell adds to them. Those are amounts in the same unit, so levels are joined by adding them, spread over the
    pixels of a cell; what speaks against the class is cut off.

    Args:
        detector: in evaluation mode.
        image: (H, W), normalised, sides multiples of the stride.
        targets: N of them.
        smoothing: cells, odd; 1 for none.

    Returns:
        float32 (N, H, W), at least 0.
    """
    if not targets:
        return np.zeros((0, *image.shape), np.float32)
    seen = Activations(detector, image)
    maps = np.zeros((len(targets), *seen.shape), np.float32)
    for number, (target, region) in enumerate(zip(targets, seen.regions(targets), strict=True)):
        left, top, right, bottom = window = seen.around(region)
        score, leaves = seen.in_window(region, target.label, window)
        gradients = torch.autograd.grad(score, leaves, allow_unused=True)
        shape = (bottom - top, right - left)
        heat = torch.zeros(shape)
        for leaf, gradient in zip(leaves, gradients, strict=True):
            if gradient is not None:
                heat = heat + to_image(_level(leaf, gradient, smoothing), shape)[0]
        maps[number, top:bottom, left:right] = heat.clamp(min=0).numpy()
    return maps


def _level(activation: Tensor, gradient: Tensor, smoothing: int) -> Tensor:
    """(1, H', W') of one level."""
    if smoothing > 1:
        gradient = functional.avg_pool2d(gradient, smoothing, 1, smoothing // 2, count_include_pad=False)
    heat: Tensor = (activation.detach() * gradient).sum(dim=1)
    return heat
