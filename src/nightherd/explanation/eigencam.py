"""Eigen-CAM: the first principal component of the pyramid's maps, for every target alike (Muhammad & Yeasin 2020).

https://arxiv.org/abs/2008.00299. It knows neither the class nor the object, so it is a control: a method that explains
a detection has to do better.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from nightherd.detector.two_stage import TwoStageDetector
from nightherd.explanation.activations import as_input, to_image
from nightherd.explanation.types import Target
from nightherd.types import FloatArray


def eigencam(detector: TwoStageDetector, image: FloatArray, targets: Sequence[Target]) -> FloatArray:
    """The strength of the strongest pattern in the pyramid's maps, the same map for each target.

    Args:
        detector: in evaluation mode.
        image: (H, W), normalised, sides multiples of the stride.
        targets: N of them.

    Returns:
        float32 (N, H, W), at least 0: the mean over levels, each with a sum of 1.
    """
    shape = (int(image.shape[0]), int(image.shape[1]))
    with torch.no_grad():
        levels = list(detector.maps(as_input(image)).values())
        parts = [to_image(_first_component(level[0])[None], shape)[0] for level in levels]
        joined = sum((part / part.sum().clamp(min=1e-12) for part in parts), torch.zeros(shape)) / len(parts)
    return np.repeat(joined.numpy()[None], len(targets), axis=0).astype(np.float32)


def _first_component(level: Tensor) -> Tensor:
    """(H', W') of a map (C, H', W'): its projection on the first right singular vector, the positive side."""
    cells = level.flatten(1)
    _, vectors = torch.linalg.eigh(cells @ cells.T)
    heat = vectors[:, -1] @ cells
    if heat.abs().max() > heat.max():
        heat = -heat
    positive: Tensor = heat.clamp(min=0).reshape(level.shape[1:])
    return positive
