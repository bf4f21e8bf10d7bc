"""Average precision and recall from a table of matches, with any weight on every image.

With weight 1 these are COCO's figures; with the counts of a bootstrap sample they are the figures of that sample,
in milliseconds and without matching again. (Equal scores of one image, drawn twice, are the one case where repeating
the image itself would rank them slightly otherwise.)
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nightherd.evaluation.coco import IOU_THRESHOLDS, RECALLS
from nightherd.evaluation.matching import EVERY_SIZE, ClassMatches, match_classes
from nightherd.evaluation.types import COCO_SIZES, SizeBin, Truth
from nightherd.types import Detections, IntArray

Weights = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Ranks:
    """Where the matched and the ignored detections stand in the ranking of one class, size bin and IoU."""

    matched: IntArray
    matched_image: IntArray
    ignored_image: IntArray
    ignored_before: IntArray


class Ranking:
    """Every class's detections in order of score, ready to be weighed.

    Args:
        truth, detections, classes, sizes, max_detections: as for `coco_metrics`.
    """

    def __init__(
        self,
        truth: Sequence[Truth],
        detections: Sequence[Detections],
        classes: Sequence[str],
        sizes: Sequence[SizeBin] = COCO_SIZES,
        max_detections: int = 500,
    ) -> None:
        self.sizes = (EVERY_SIZE, *sizes)
        self.limits = (100, max_detections) if max_detections > 100 else (max_detections,)
        self.classes = match_classes(truth, detections, classes, IOU_THRESHOLDS, self.sizes, max_detections)
        self.n_images = len(truth)
        self._ranks = [
            [[_ranks(one, size, iou) for iou in range(len(IOU_THRESHOLDS))] for size in range(len(self.sizes))]
            for one in self.classes
        ]
        self._recalled = [self._recalled_by_image(one) for one in self.classes]

    def _recalled_by_image(self, one: ClassMatches) -> Weights:
        """float64 (limit, IoU, image): boxes found within the limit, size not considered."""
        recalled = np.zeros((len(self.limits), len(IOU_THRESHOLDS), self.n_images))
        for place, limit in enumerate(self.limits):
            for iou in range(len(IOU_THRESHOLDS)):
                found = one.image[one.matched[0, iou] & (one.rank < limit)]
                recalled[place, iou] = np.bincount(found, minlength=self.n_images)
        return recalled

    def average_precision(self, weights: Weights) -> npt.NDArray[np.float64]:
        """AP of each class, size bin and IoU.

        Args:
            weights: float64 (I,), how often each image counts.

        Returns:
            float64 (class, size, IoU); NaN where no box of truth has weight.
        """
        result = np.full((len(self.classes), len(self.sizes), len(IOU_THRESHOLDS)), np.nan)
        for number, one in enumerate(self.classes):
            seen = np.cumsum(weights[one.image])
            for size, n_truth in enumerate(one.n_truth @ weights):
                if n_truth > 0:
                    result[number, size] = [_ap(ranks, seen, weights, n_truth) for ranks in self._ranks[number][size]]
        return result

    def average_recall(self, weights: Weights) -> npt.NDArray[np.float64]:
        """Recall of each class within each limit of detections, mean over IoU: float64 (class, limit), NaN as above."""
        result = np.full((len(self.classes), len(self.limits)), np.nan)
        for number, one in enumerate(self.classes):
            n_truth = float(one.n_truth[0] @ weights)
            if n_truth > 0:
                result[number] = (self._recalled[number] @ weights).mean(axis=1) / n_truth
        return result

    def figures(self, weights: Weights) -> Mapping[str, float]:
        """COCO's figures by the names of `metrics.json`; NaN where undefined.

        Args:
            weights: float64 (I,), how often each image counts.

        Returns:
            `ap`, `ap50`, `ap75`, `ap_small` …, `ar100`, `ar500`, and `per_class.NAME.ap`, `.ap50`, `.ap75`.
        """
        ap = self.average_precision(weights)
        recall = self.average_recall(weights)
        at50, at75 = (int(np.argmin(np.abs(IOU_THRESHOLDS - iou))) for iou in (0.5, 0.75))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # the mean of nothing is NaN, which is what is meant
            figures = {
                "ap": float(np.nanmean(ap[:, 0])),
                "ap50": float(np.nanmean(ap[:, 0, at50])),
                "ap75": float(np.nanmean(ap[:, 0, at75])),
            }
            for place, limit in enumerate(self.limits):
                figures[f"ar{limit}"] = float(np.nanmean(recall[:, place]))
            for place, size in enumerate(self.sizes[1:], start=1):
                figures[f"ap_{size.name}"] = float(np.nanmean(ap[:, place]))
        for number, one in enumerate(self.classes):
            figures[f"per_class.{one.name}.ap"] = float(ap[number, 0].mean())
            figures[f"per_class.{one.name}.ap50"] = float(ap[number, 0, at50])
            figures[f"per_class.{one.name}.ap75"] = float(ap[number, 0, at75])
        return figures


def _ranks(one: ClassMatches, size: int, iou: int) -> _Ranks:
    matched = np.flatnonzero(one.matched[size, iou])
    ignored = np.flatnonzero(one.ignored[size, iou])
    return _Ranks(matched, one.image[matched], one.image[ignored], np.searchsorted(ignored, matched))


def _ap(ranks: _Ranks, seen: Weights, weights: Weights, n_truth: float) -> float:
    """Precision interpolated at 101 recalls; only a matched detection can raise it, so only those are looked at."""
    if not len(ranks.matched):
        return 0.0
    true = np.cumsum(weights[ranks.matched_image])
    ignored = np.concatenate([[0.0], np.cumsum(weights[ranks.ignored_image])])[ranks.ignored_before]
    precision = true / np.maximum(seen[ranks.matched] - ignored, np.finfo(np.float64).tiny)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    first = np.searchsorted(true / n_truth, RECALLS, side="left")
    return float(np.append(best_from_here, 0.0)[first].mean())
