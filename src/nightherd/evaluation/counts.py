"""The error of the count in each image, the figure that a survey lives on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nightherd.evaluation.curves import OperatingPoint

Counts = npt.NDArray[np.float64]


def count_errors(points: Sequence[OperatingPoint]) -> Counts:
    """Detections minus boxes of truth in each image, summed over classes; regions to ignore are not counted.

    Args:
        points: the operating point of each class that is counted together.

    Returns:
        float64 (I,).
    """
    total: Counts = np.sum([point.true + point.false - point.truth for point in points], axis=0)
    return total


def count_figures(errors: Counts, weights: Counts | None = None) -> dict[str, float]:
    """How far the counts are off, in animals an image.

    Args:
        errors: float64 (I,), counted minus true.
        weights: float64 (I,), how often each image counts; None once.

    Returns:
        `mae` (mean absolute error), `rmse` (root of the mean square) and `bias` (mean, positive is counted too many);
        NaN without images.
    """
    weigh = np.ones(len(errors)) if weights is None else weights
    total = float(weigh.sum())
    if not total:
        return {"mae": float("nan"), "rmse": float("nan"), "bias": float("nan")}
    return {
        "mae": float(np.abs(errors) @ weigh) / total,
        "rmse": float(np.sqrt(np.square(errors) @ weigh / total)),
        "bias": float(errors @ weigh) / total,
    }
