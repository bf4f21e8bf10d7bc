"""Fits the line that turns a detector's scores into probabilities (Platt 1999, with the targets of Lin et al. 2007)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

LOWEST = 1e-6


def fit_line(scores: npt.NDArray[np.floating], is_right: npt.NDArray[np.bool_]) -> tuple[float, float] | None:
    """The slope and offset on the logit of a score under which it is the chance of being right.

    Maximum likelihood by Newton's method, towards targets (n₊ + 1) / (n₊ + 2) and 1 / (n₋ + 2), so that scores which
    part right from wrong without fault do not lead to an infinite slope.

    Args:
        scores: (N,), 0 to 1.
        is_right: (N,), whether the detection stands for a box of truth.

    Returns:
        (slope, offset), or None where there are under ten of either kind or where higher scores are not more often
        right: nothing can be learned then.
    """
    right = int(is_right.sum())
    wrong = len(is_right) - right
    if min(right, wrong) < 10:
        return None
    unit = np.clip(np.asarray(scores, np.float64), LOWEST, 1 - LOWEST)
    x = np.log(unit / (1 - unit))
    target = np.where(is_right, (right + 1) / (right + 2), 1 / (wrong + 2))
    design = np.stack([x, np.ones_like(x)], axis=1)
    line = np.array([1.0, 0.0])

    def loss(at: npt.NDArray[np.float64]) -> float:
        z = design @ at
        return float(np.sum(np.logaddexp(0, z) - target * z))

    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(design @ line, -60, 60)))
        gradient = design.T @ (p - target)
        hessian = (design * (p * (1 - p))[:, None]).T @ design + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        size, before = 1.0, loss(line)
        while loss(line - size * step) > before and size > 1e-6:
            size /= 2
        line = line - size * step
        if float(np.abs(size * step).max()) < 1e-9:
            break
    slope, offset = float(line[0]), float(line[1])
    return (slope, offset) if slope > 0 else None
