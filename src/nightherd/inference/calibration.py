"""Scores that can be read as probabilities: a line on the logit of each class, as Platt (1999) fitted to margins.

The line is monotonic, so that it changes neither the order of the detections of a class nor its average precision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nightherd.types import FloatArray, IntArray

LOWEST = 1e-6
"""Scores are kept this far from 0 and 1, where the logit has no value."""


def calibrated(
    scores: FloatArray, labels: IntArray, classes: Sequence[str], lines: Mapping[str, tuple[float, float]]
) -> FloatArray:
    """Scores after the line of their class: sigmoid(slope · logit(score) + offset).

    Args:
        scores: float32 (N,), 0 to 1.
        labels: int64 (N,), index into `classes`.
        classes: names.
        lines: class → (slope above 0, offset); a class without one keeps its scores.
    """
    if not lines or not len(scores):
        return scores
    slope = np.array([lines.get(name, (1.0, 0.0))[0] for name in classes])[labels]
    offset = np.array([lines.get(name, (1.0, 0.0))[1] for name in classes])[labels]
    is_changed = np.array([name in lines for name in classes])[labels]
    unit = np.clip(scores.astype(np.float64), LOWEST, 1 - LOWEST)
    moved = 1 / (1 + np.exp(-np.clip(slope * np.log(unit / (1 - unit)) + offset, -60, 60)))
    result: FloatArray = np.where(is_changed, moved, scores).astype(np.float32)
    return result
