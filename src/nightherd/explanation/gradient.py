"""The gradient of a class score with respect to the input pixels, plain or averaged over noise (Smilkov et al. 2017).

https://arxiv.org/abs/1312.6034 and https://arxiv.org/abs/1706.03825.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from nightherd.detector.two_stage import TwoStageDetector
from nightherd.explanation.activations import as_input, labels_of, log_odds, regions_of
from nightherd.explanation.types import Target
from nightherd.types import FloatArray


def gradient(
    detector: TwoStageDetector,
    image: FloatArray,
    targets: Sequence[Target],
    samples: int = 0,
    noise: float = 0.1,
    seed: int = 0,
) -> FloatArray:
    """How much each pixel moves the log-odds of each target's class, up or down.

    Args:
        detector: in evaluation mode.
        image: (H, W), normalised, sides multiples of the stride.
        targets: N of them.
        samples: noisy images that the gradient is averaged over (SmoothGrad); 0 takes the image as it is.
        noise: standard deviation of the noise, in the unit of the normalised image.
        seed: of the noise.

    Returns:
        float32 (N, H, W), absolute values.
    """
    shape = (int(image.shape[0]), int(image.shape[1]))
    total = np.zeros((len(targets), *shape), np.float32)
    if not targets:
        return total
    given = as_input(image)
    with torch.no_grad():
        regions = regions_of(detector, list(detector.maps(given).values()), shape, targets)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(max(samples, 1)):
        shaken = given + noise * torch.randn(given.shape, generator=generator) if samples else given.clone()
        shaken.requires_grad_()
        pyramid = list(detector.maps(shaken).values())
        scores = log_odds(detector, pyramid, shape, regions, labels_of(targets))
        for number in range(len(targets)):
            (slope,) = torch.autograd.grad(scores[number], shaken, retain_graph=True)
            total[number] += slope[0, 0].numpy()
    return np.abs(total / max(samples, 1))
