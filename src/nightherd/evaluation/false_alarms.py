"""False alarms a frame at equal recall: what two detectors cost that find as much, frame by frame for the bootstrap.

A false alarm is a detection that overlaps no box of its class (IoU under `low`); one that overlaps a box but less than
`high`, or a second one on the same box, is wrong but not a false alarm, and is counted beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nightherd.evaluation.matching import ClassMatches, iou_matrix, match_classes
from nightherd.evaluation.types import Truth, labels_among
from nightherd.types import Detections

BoolArray = npt.NDArray[np.bool_]
Figures = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class AlarmTable:
    """The detections over all images that count, highest score first, of one class or of all.

    Attributes:
        scores: float64 (D,).
        image: int64 (D,), index of the image.
        right, alarm: bool (D,), found a box; lies on none.
        n_truth: float64 (I,), boxes of truth in each image.
    """

    scores: Figures
    image: npt.NDArray[np.int64]
    right: BoolArray
    alarm: BoolArray
    n_truth: Figures

    def highest_recall(self) -> float:
        """The share of the boxes that all detections together find; 0 without any."""
        return float(self.right.sum() / max(self.n_truth.sum(), 1.0))

    def recall_at_best_f1(self) -> float:
        """The recall at the score where precision and recall have the highest harmonic mean; 0 where nothing is found.

        Precision counts every wrong detection.
        """
        right = np.cumsum(self.right)
        if not len(right) or not right[-1]:
            return 0.0
        f1 = 2 * right / (np.arange(1, len(right) + 1) + self.n_truth.sum())
        return float(right[int(np.argmax(f1))] / self.n_truth.sum())

    def at_recall(self, recall: float, weights: Figures | None = None) -> tuple[float, Figures, Figures]:
        """What it takes to reach a recall: the highest score with at least so much recall.

        Args:
            recall: share of the boxes of truth.
            weights: float64 (I,), how often each image counts; None once.

        Returns:
            That score, and float64 (I,) each: false alarms and wrong detections of any sort in each image from that
            score on, unweighted. NaN, and all NaN, where the recall is not reached.
        """
        weigh = np.ones(len(self.n_truth)) if weights is None else weights
        found = np.cumsum(weigh[self.image] * self.right)
        total = float(weigh @ self.n_truth)
        enough = np.searchsorted(found, recall * total - 1e-9)
        nothing = np.full(len(self.n_truth), np.nan)
        if total <= 0 or enough >= len(found):
            return float("nan"), nothing, nothing
        score = self.scores[enough]
        end = int(np.searchsorted(-self.scores, -score, side="right"))
        alarms, wrong = (
            np.bincount(self.image[:end][chosen[:end]], minlength=len(self.n_truth)).astype(np.float64)
            for chosen in (self.alarm, ~self.right)
        )
        return float(score), alarms, wrong


def alarm_tables(
    truth: Sequence[Truth],
    detections: Sequence[Detections],
    classes: Sequence[str],
    low: float = 0.1,
    high: float = 0.5,
) -> dict[str | None, AlarmTable]:
    """The tables of each class, and under None that of all classes at one common score.

    Args:
        truth: one per image; labels index `classes`.
        detections: one per image, same order; matched to `classes` by name.
        classes: names of the classes.
        low: IoU with every box of its class under which a wrong detection is a false alarm.
        high: IoU that makes a detection right.

    Raises:
        ResultsError: a score or a box is not finite.
        ValueError: lengths or labels do not agree.
    """
    matches = match_classes(truth, detections, classes, np.array([high]))
    far = [_far_from_truth(t, d, labels_among(d, classes), low) for t, d in zip(truth, detections, strict=True)]
    tables: dict[str | None, AlarmTable] = {one.name: _table([one], far, len(truth)) for one in matches}
    return {None: _table(matches, far, len(truth)), **tables}


def _far_from_truth(truth: Truth, detections: Detections, labels: npt.NDArray[np.int64], low: float) -> BoolArray:
    own = labels[:, None] == truth.labels[None]
    best = np.where(own, iou_matrix(detections.boxes, truth.boxes), 0.0).max(axis=1, initial=0.0)
    return np.asarray(best < low)


def _table(matches: Sequence[ClassMatches], far: Sequence[BoolArray], n_images: int) -> AlarmTable:
    scores, image, right, alarm = [np.zeros(0)], [np.zeros(0, np.int64)], [np.zeros(0, bool)], [np.zeros(0, bool)]
    n_truth = np.zeros(n_images)
    for one in matches:
        n_truth += one.n_truth[0]
        counts = ~one.ignored[0, 0]
        is_right = one.matched[0, 0][counts]
        is_far = np.array([far[i][k] for i, k in zip(one.image[counts], one.place[counts], strict=True)], bool)
        scores.append(one.scores[counts].astype(np.float64))
        image.append(one.image[counts])
        right.append(is_right)
        alarm.append(~is_right & is_far)
    every = np.concatenate(scores)
    order = np.argsort(-every, kind="stable")
    return AlarmTable(
        every[order],
        np.concatenate(image)[order],
        np.concatenate(right)[order],
        np.concatenate(alarm)[order],
        n_truth,
    )
