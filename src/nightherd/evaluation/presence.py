"""Whether a class is in an image at all, said and true: the one accuracy of a detector that has true negatives."""

from __future__ import annotations

import numpy as np

from nightherd.evaluation.curves import Curve, OperatingPoint


def presence_figures(point: OperatingPoint, weights: Curve | None = None) -> dict[str, float]:
    """How often an image is rightly said to hold a class or not, at the confidence of an operating point.

    An image is said to hold the class where any detection of it counts, right or wrong; where it lies is not asked.

    Args:
        point: of one class.
        weights: float64 (I,), how often each image counts; None once.

    Returns:
        `accuracy` (share of the images), `sensitivity` (of those with the class) and `specificity` (of those without);
        NaN where there is no such image.
    """
    weigh = np.ones(len(point.truth)) if weights is None else weights
    said, there = point.true + point.false > 0, point.truth > 0
    agrees = said == there

    def share(of: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> float:
        total = float(weigh[of].sum())
        return float(weigh[of & agrees].sum()) / total if total else float("nan")

    return {"accuracy": share(np.ones_like(there)), "sensitivity": share(there), "specificity": share(~there)}
