"""Average precision and recall from a table of matches, with any weight on every image.

With weight 1 these are COCO's figures; with the counts of a bootstrap sample they are the figures of that sample,
in milliseconds and without matching again. (Equal scores of one image, drawn twice, are the one case where repeating
the image itself would rank them slightly otherwise.)
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nightherd.evaluation.coco import IOU_THRESHOLDS, RECALLS
from nightherd.evaluation.matching import EVERY_SIZE, BoolArray, ClassMatches, match_classes
from nightherd.evaluation.types import COCO_SIZES, SizeBin, Truth
from nightherd.types import Detections, IntArray

Weights = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ranks:
    """Where the matched and the ignored detections stand in the ranking of one class, size bin and IoU."""

    matched: IntArray
    matched_image: IntArray
    ignored_image: IntArray
    ignored_before: IntArray


class Ranking:
    """Every class's detections in order of score, ready to be weighed.

    Args:
        truth, detections, classes, sizes, max_detections: as for `coco_metrics`.
        ious: float64 (T,), the overlaps at which precision and recall are ranked.
    """

    def __init__(
        self,
        truth: Sequence[Truth],
        detections: Sequence[Detections],
        classes: Sequence[str],
        sizes: Sequence[SizeBin] = COCO_SIZES,
        max_detections: int = 500,
        ious: Weights = IOU_THRESHOLDS,
    ) -> None:
        self.ious = ious
        self.sizes = (EVERY_SIZE, *sizes)
        self.limits = (100, max_detections) if max_detections > 100 else (max_detections,)
        self.classes = match_classes(truth, detections, classes, ious, self.sizes, max_detections)
        self.n_images = len(truth)
        self._ranks = [
            [[_ranks(one, size, iou) for iou in range(len(ious))] for size in range(len(self.sizes))]
            for one in self.classes
        ]
        # Nothing below the last detection that is right at any IoU can change an average precision.
        self._depth = [int(np.flatnonzero(one.matched.any(axis=(0, 1)))[-1:].sum()) + 1 for one in self.classes]
        self._recalled = [self._recalled_by_image(one) for one in self.classes]
        self._whole = self._both(np.ones(self.n_images))

    def _recalled_by_image(self, one: ClassMatches) -> Weights:
        """float64 (limit, IoU, image): boxes found within the limit, size not considered."""
        recalled = np.zeros((len(self.limits), len(self.ious), self.n_images))
        for place, limit in enumerate(self.limits):
            for iou in range(len(self.ious)):
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
        result = np.full((len(self.classes), len(self.sizes), len(self.ious)), np.nan)
        for number, one in enumerate(self.classes):
            seen = np.cumsum(weights[one.image[: self._depth[number]]])
            for size, n_truth in enumerate(one.n_truth @ weights):
                if n_truth > 0:
                    result[number, size] = [
                        weighted_ap(ranks, seen, weights, n_truth) for ranks in self._ranks[number][size]
                    ]
        return result

    def average_recall(self, weights: Weights) -> npt.NDArray[np.float64]:
        """Recall of each class within each limit of detections, mean over IoU: float64 (class, limit), NaN as above."""
        result = np.full((len(self.classes), len(self.limits)), np.nan)
        for number, one in enumerate(self.classes):
            n_truth = float(one.n_truth[0] @ weights)
            if n_truth > 0:
                result[number] = (self._recalled[number] @ weights).mean(axis=1) / n_truth
        return result

    def _both(self, weights: Weights) -> tuple[Weights, Weights]:
        return self.average_precision(weights), self.average_recall(weights)

    def figures(self, weights: Weights, steady: bool = False) -> Mapping[str, float]:
        """COCO's figures by the names of `metrics.json`; NaN where undefined. It wants COCO's ten overlaps.

        Args:
            weights: float64 (I,), how often each image counts.
            steady: means over classes are over those of all images, as `mean_defined` says; else over those that
                have weight, as COCO does.

        Returns:
            `ap`, `ap50`, `ap75`, `ap_small` …, `ar100`, `ar500`, and `per_class.NAME.ap`, `.ap50`, `.ap75`.
        """
        own_ap, own_recall = self._both(weights)
        ap, recall = own_ap, own_recall
        if steady:
            ap, recall = (
                np.where(np.isnan(own), whole, own)
                for own, whole in zip((own_ap, own_recall), self._whole, strict=True)
            )
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
            figures[f"per_class.{one.name}.ap"] = float(own_ap[number, 0].mean())
            figures[f"per_class.{one.name}.ap50"] = float(own_ap[number, 0, at50])
            figures[f"per_class.{one.name}.ap75"] = float(own_ap[number, 0, at75])
        return figures


@dataclass(frozen=True, slots=True)
class Ranked:
    """The detections of one class at one overlap, highest score first, to be weighed on their own.

    Attributes:
        image: int64 (D,), index of the image of each detection that counts.
        right: bool (D,), whether it stands for a box of truth.
        truth: float64 (I,), boxes of truth in each image.
    """

    image: IntArray
    right: BoolArray
    truth: Weights

    def __post_init__(self) -> None:
        last = int(np.flatnonzero(self.right)[-1:].sum()) + 1
        object.__setattr__(self, "image", self.image[:last])
        object.__setattr__(self, "right", self.right[:last])

    def average_precision(self, weights: Weights) -> float:
        """At weights (I,) of the images; NaN where no box of truth has weight."""
        n_truth = float(self.truth @ weights)
        if n_truth <= 0:
            return float("nan")
        matched = np.flatnonzero(self.right)
        nowhere = np.zeros(0, np.int64)
        ranks = Ranks(matched, self.image[matched], nowhere, np.zeros(len(matched), np.int64))
        return weighted_ap(ranks, np.cumsum(weights[self.image]), weights, n_truth)


def ranked(one: ClassMatches, size: int = 0, iou: int = 0, images: BoolArray | None = None) -> Ranked:
    """One class of a table of matches at one size bin and overlap.

    Args:
        one: of the class.
        size, iou: which size bin and which overlap of the table.
        images: bool (I,), the images to keep; None keeps all.
    """
    counts = ~one.ignored[size, iou]
    truth = one.n_truth[size].astype(np.float64)
    if images is not None:
        counts &= images[one.image]
        truth = np.where(images, truth, 0.0)
    return Ranked(one.image[counts], one.matched[size, iou][counts], truth)


def mean_defined(values: Iterable[float], whole: Iterable[float] = ()) -> float:
    """The mean of the figures that are no NaN; NaN where there is none.

    Args:
        values: one a class.
        whole: the same on all images. A class that is in them and not in a bootstrap sample keeps its value from there;
            else the mean over classes would jump with every sample that misses a rare one.
    """
    base = list(whole)
    kept = [base[place] if base and math.isnan(value) else value for place, value in enumerate(values)]
    defined = [value for value in kept if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else float("nan")


def _ranks(one: ClassMatches, size: int, iou: int) -> Ranks:
    matched = np.flatnonzero(one.matched[size, iou])
    ignored = np.flatnonzero(one.ignored[size, iou])
    return Ranks(matched, one.image[matched], one.image[ignored], np.searchsorted(ignored, matched))


def weighted_ap(ranks: Ranks, seen: Weights, weights: Weights, n_truth: float) -> float:
    """Average precision of one class under weights: precision interpolated at 101 recalls.

    Only a matched detection can raise it, so only those are looked at.

    Args:
        ranks: where the matched and the ignored detections stand.
        seen: float64 (D,), the sum of the weights of the detections down to each.
        weights: float64 (I,), how often each image counts.
        n_truth: boxes of truth, weighted.
    """
    if not len(ranks.matched):
        return 0.0
    true = np.cumsum(weights[ranks.matched_image])
    ignored = np.concatenate([[0.0], np.cumsum(weights[ranks.ignored_image])])[ranks.ignored_before]
    precision = true / np.maximum(seen[ranks.matched] - ignored, np.finfo(np.float64).tiny)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    first = np.searchsorted(true / n_truth, RECALLS, side="left")
    return float(np.append(best_from_here, 0.0)[first].mean())
