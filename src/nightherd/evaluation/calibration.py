"""Whether a score can be read as a probability: the reliability diagram and the expected calibration error.

Naeini, Cooper, Hauskrecht 2015 (ECE); for detectors Küppers et al. 2020 (arXiv 2004.13546): of the detections with a
score near 0.7, 70 % should stand for a box. Nothing is fitted or corrected here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nightherd.evaluation.matching import ClassMatches

Weights = npt.NDArray[np.float64]

FLOOR = 0.05
"""Scores below this are left out: a detector gives thousands of them, and they would make any error look small."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Scores of one class against how often they are right, in bins of equal width.

    Attributes:
        name: the class.
        edges: float64 (B + 1,), from `FLOOR` to 1.
        number, right, score: float64 (I, B), detections of each image in each bin, those that are right, and the sum
            of their scores; detections that count neither way are in none.
    """

    name: str
    edges: Weights
    number: Weights
    right: Weights
    score: Weights

    def error(self, weights: Weights | None = None) -> float:
        """Expected calibration error: the mean of |share right - mean score| over detections; NaN without any.

        Args:
            weights: float64 (I,), how often each image counts; None once.
        """
        weigh = np.ones(len(self.number)) if weights is None else weights
        total = float((weigh @ self.number).sum())
        return float(np.abs(weigh @ self.right - weigh @ self.score).sum() / total) if total else float("nan")

    def bins(self) -> list[dict[str, float | int | None]]:
        """Each bin: `low`, `high`, `n`, and `score` and `right` (means), None where it is empty."""
        number, right, score = (part.sum(axis=0) for part in (self.number, self.right, self.score))
        return [
            {
                "low": float(self.edges[i]),
                "high": float(self.edges[i + 1]),
                "n": int(n),
                "score": float(score[i] / n) if n else None,
                "right": float(right[i] / n) if n else None,
            }
            for i, n in enumerate(number)
        ]


def calibration(
    matches: ClassMatches, bins: int = 10, size: int = 0, iou: int = 0, floor: float = FLOOR
) -> Calibration:
    """The calibration of one class from its table of matches.

    Args:
        matches: of one class.
        bins: how many, of equal width between `floor` and 1.
        size, iou: which size bin and which overlap of the table.
        floor: the lowest score that counts.
    """
    keep = ~matches.ignored[size, iou] & (matches.scores >= floor)
    scores, right = matches.scores[keep].astype(np.float64), matches.matched[size, iou][keep]
    edges = np.linspace(floor, 1.0, bins + 1)
    which = np.clip(np.searchsorted(edges, scores, side="right") - 1, 0, bins - 1)
    n_images = matches.n_truth.shape[1]
    cell = matches.image[keep] * bins + which

    def table(values: Weights) -> Weights:
        summed = np.bincount(cell, values, minlength=n_images * bins).astype(np.float64)
        return summed.reshape(n_images, bins)

    return Calibration(matches.name, edges, table(np.ones(len(cell))), table(right.astype(np.float64)), table(scores))
