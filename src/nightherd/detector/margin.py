"""How much margin a detector leaves around what it finds, changed without training."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from nightherd.detector.two_stage import TwoStageDetector
from nightherd.errors import ModelError


def enlarge_boxes(detector: TwoStageDetector, factors: Mapping[str, float]) -> None:
    """Draws the boxes of some classes larger about their centres, in place; scores stay as they are.

    The second stage gives the width of a box as exp(dw / w) times that of its region; the bias of dw grows by w · ln f,
    so that every width, and every height likewise, comes out f times as long. A box is still cut at the frame's edge,
    and of neighbours whose boxes then overlap by more than half only the surer one is left.

    Args:
        detector: whose last layer is changed.
        factors: class → f, of width and of height; under 1 draws them smaller.

    Raises:
        ModelError: a class that the detector does not know, or a factor that is no positive number.
    """
    bias = detector.head.box_predictor.bbox_pred.bias
    for name, factor in factors.items():
        if name not in detector.classes:
            raise ModelError(f"no class '{name}' to enlarge; it knows {', '.join(detector.classes)}")
        if not (math.isfinite(factor) and factor > 0):
            raise ModelError(f"boxes of '{name}' cannot be {factor:g} times as large")
        row = 4 * (detector.classes.index(name) + 1)
        weights = torch.tensor(detector.head.box_coder.weights[2:], dtype=bias.dtype)
        with torch.no_grad():
            bias[row + 2 : row + 4] += math.log(factor) * weights
