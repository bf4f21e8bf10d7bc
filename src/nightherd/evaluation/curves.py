"""Precision, recall and F1 against confidence, and the confidence to work at.

A detector has no true negatives; precision is the share of detections that are right, recall the share of boxes found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nightherd.evaluation.matching import ClassMatches

Curve = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ConfidenceCurve:
    """Precision, recall and F1 of one class at every confidence that makes a difference.

    Attributes:
        name: the class.
        threshold: float64 (P,), falling; a detection counts when its score is at least this.
        true, false: float64 (P,), detections right and wrong at each threshold; those to ignore in neither.
        n_truth: boxes of truth.
    """

    name: str
    threshold: Curve
    true: Curve
    false: Curve
    n_truth: int

    @property
    def precision(self) -> Curve:
        """(P,), true / (true + false)."""
        return self.true / np.maximum(self.true + self.false, 1.0)

    @property
    def recall(self) -> Curve:
        """(P,), true / boxes of truth; 0 without any."""
        return self.true / max(self.n_truth, 1)

    @property
    def f1(self) -> Curve:
        """(P,), the harmonic mean of precision and recall: 2 true / (true + false + boxes of truth)."""
        return 2 * self.true / np.maximum(self.true + self.false + self.n_truth, 1.0)

    def best(self) -> float | None:
        """The threshold with the highest F1, the higher of equals; None where no detection is right."""
        if not len(self.threshold) or not self.true.any():
            return None
        return float(self.threshold[int(np.argmax(self.f1))])

    def for_recall(self, recall: float) -> float | None:
        """The highest threshold that still finds this share of the boxes; None where none does."""
        reached = np.flatnonzero((self.recall >= recall) & (self.n_truth > 0))
        return float(self.threshold[reached[0]]) if len(reached) else None

    def for_precision(self, precision: float) -> float | None:
        """The lowest threshold at which this share of the detections is right; None where there is none."""
        reached = np.flatnonzero((self.precision >= precision) & (self.true > 0))
        return float(self.threshold[reached[-1]]) if len(reached) else None


def confidence_curve(matches: ClassMatches, size: int = 0, iou: int = 0) -> ConfidenceCurve:
    """The curve of one class from its table of matches.

    Args:
        matches: of one class.
        size, iou: which size bin and which IoU threshold of the table.
    """
    counts = ~matches.ignored[size, iou]
    scores = matches.scores[counts].astype(np.float64)
    right = matches.matched[size, iou][counts]
    last_of_equals = np.flatnonzero(np.append(scores[1:] != scores[:-1], True)) if len(scores) else np.zeros(0, int)
    true = np.cumsum(right)[last_of_equals].astype(np.float64)
    return ConfidenceCurve(
        matches.name, scores[last_of_equals], true, last_of_equals + 1.0 - true, int(matches.n_truth[size].sum())
    )


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What one class does at one confidence.

    Attributes:
        name: the class.
        threshold: the confidence.
        true, false, truth: float64 (I,) per image: detections right and wrong, boxes of truth.
    """

    name: str
    threshold: float
    true: Curve
    false: Curve
    truth: Curve

    def figures(self, weights: Curve | None = None) -> dict[str, float]:
        """`precision`, `recall` and `f1` over the images; NaN where there is nothing to divide by.

        Args:
            weights: float64 (I,), how often each image counts; None once.
        """
        weigh = np.ones(len(self.truth)) if weights is None else weights
        true, false, truth = (float(part @ weigh) for part in (self.true, self.false, self.truth))
        return {
            "precision": true / (true + false) if true + false else float("nan"),
            "recall": true / truth if truth else float("nan"),
            "f1": 2 * true / (true + false + truth) if true + false + truth else float("nan"),
        }


def operating_point(matches: ClassMatches, threshold: float, size: int = 0, iou: int = 0) -> OperatingPoint:
    """Detections right and wrong in each image at one confidence; those to ignore count as neither.

    Args:
        matches: of one class.
        threshold: a detection counts when its score is at least this.
        size, iou: which size bin and which IoU threshold of the table.
    """
    counts = (matches.scores >= threshold) & ~matches.ignored[size, iou]
    right = counts & matches.matched[size, iou]
    n_images = matches.n_truth.shape[1]
    true, false = (
        np.bincount(matches.image[chosen], minlength=n_images).astype(np.float64) for chosen in (right, counts & ~right)
    )
    return OperatingPoint(matches.name, threshold, true, false, matches.n_truth[size].astype(np.float64))
