"""Why a detector errs: the six error types of TIDE, and what average precision each costs.

Bolya, Foley, Hays, Hoffman 2020, 'TIDE: A General Toolbox for Identifying Object Detection Errors' (ECCV, arXiv
2008.08115). A detection that is not right is one of five errors, a box that nothing explains is missed; the cost of a
type is the AP at the foreground overlap that would be gained if an oracle mended that type alone. Where the paper
leaves a choice, the authors' released code decides: localisation before classification before duplicate, and of
several detections that could be mended to the same box the highest score over both types.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from nightherd.evaluation.matching import iou_matrix, match_one
from nightherd.evaluation.ranking import Ranked, mean_defined
from nightherd.evaluation.types import Truth, check_inputs, labels_among
from nightherd.types import Detections, FloatArray

Weights = npt.NDArray[np.float64]

ERRORS: Mapping[str, str] = {
    "classification": "right place, wrong class",
    "localisation": "right class, box too far off",
    "both": "wrong class and box too far off",
    "duplicate": "a box that was found already",
    "background": "nothing there",
    "missed": "a box that nothing explains",
}
"""The types, and what each is."""

SUMS: Mapping[str, str] = {
    "false_positive": "every detection that is not right",
    "false_negative": "every box not found",
}
"""The two sums over the types, and what an oracle mends for each."""

_RIGHT, _IGNORED, _MOVED, _WRONG = "right", "ignored", "moved", "wrong"


@dataclass(frozen=True, slots=True)
class ErrorTypes:
    """How often each type of error occurs and what it costs.

    Attributes:
        counts: detections of each type, boxes for `missed`; at every score.
        base: the detections of each class as they are.
        mended: by type, the detections of each class after an oracle mended that type.
    """

    counts: Mapping[str, int]
    base: tuple[Ranked, ...]
    mended: Mapping[str, tuple[Ranked, ...]]

    def costs(self, weights: Weights | None = None) -> dict[str, float]:
        """The gain in AP at the foreground overlap, mean over classes, if each type alone were mended.

        Args:
            weights: float64 (I,), how often each image counts; None once.

        Returns:
            By type, and `false_positive` and `false_negative`; NaN where no class has a box.
        """
        once = np.ones(len(self.base[0].truth) if self.base else 0)
        whole_before, whole = self._precisions(once)
        before, after = (whole_before, whole) if weights is None else self._precisions(weights)
        ap = mean_defined(before, whole_before)
        result = {}
        for kind, values in after.items():
            mended = mean_defined(values, whole[kind])
            result[kind] = mended - ap if not math.isnan(mended) or math.isnan(ap) else 0.0
        return result

    def _precisions(self, weights: Weights) -> tuple[list[float], dict[str, list[float]]]:
        """The AP of each class as it is, and by type after mending; NaN for a class without a box.

        A class that has none left after mending (its missed boxes are not asked for) has an AP of 0 with detections,
        which are then all wrong, and leaves the mean without.
        """
        before = [one.average_precision(weights) for one in self.base]
        after = {
            kind: [
                0.0
                if not one.truth @ weights and len(one.image) and not math.isnan(b)
                else one.average_precision(weights)
                for one, b in zip(classes, before, strict=True)
            ]
            for kind, classes in self.mended.items()
        }
        return before, after


@dataclass(slots=True)
class _Rows:
    """What is known of every detection, gathered image by image."""

    score: list[float] = field(default_factory=list)
    image: list[int] = field(default_factory=list)
    place: list[int] = field(default_factory=list)
    label: list[int] = field(default_factory=list)
    kind: list[str] = field(default_factory=list)
    target: list[int] = field(default_factory=list)
    """The class that the box to be mended to has, -1 where mending removes the detection."""


def error_types(
    truth: Sequence[Truth],
    detections: Sequence[Detections],
    classes: Sequence[str],
    foreground: float = 0.5,
    background: float = 0.1,
    max_detections: int = 500,
) -> ErrorTypes:
    """Sorts every detection and every box into TIDE's types.

    Args:
        truth, detections, classes, max_detections: as for `coco_metrics`.
        foreground: overlap from which a detection stands for a box.
        background: overlap below which there is nothing.

    Raises:
        ResultsError: a score or a box is not finite.
        ValueError: lengths or labels do not agree.
    """
    check_inputs(truth, detections, classes)
    n_classes = len(classes)
    rows = _Rows()
    boxes = np.zeros((n_classes, len(truth)))
    missed, found = np.zeros_like(boxes), np.zeros_like(boxes)
    for number, (image, one) in enumerate(zip(truth, detections, strict=True)):
        labels = labels_among(one, classes)
        used, explained = _sort_image(
            rows, number, image, one, labels, n_classes, foreground, background, max_detections
        )
        boxes[:, number] = np.bincount(image.labels, minlength=n_classes)
        found[:, number] = np.bincount(image.labels[used], minlength=n_classes)
        missed[:, number] = np.bincount(image.labels[~used & ~explained], minlength=n_classes)
    counts = {kind: rows.kind.count(kind) for kind in ERRORS} | {"missed": int(missed.sum())}
    score, where = np.array(rows.score, np.float32), np.array(rows.image, np.int64)
    label, target = np.array(rows.label, np.int64), np.array(rows.target, np.int64)
    kind = np.array(rows.kind, object)
    order = np.lexsort((np.array(rows.place, np.int64), where, -score))  # COCO's order of equal scores
    right = kind == _RIGHT

    def after(mended: str, truth_left: Weights = boxes) -> tuple[Ranked, ...]:
        now_right = right | ((kind == mended) & (target >= 0))
        gone = (kind == _IGNORED) | ((kind == mended) & (target < 0))
        if mended == "false_positive":
            gone = ~right
        classed = np.where((kind == mended) & (target >= 0), target, label)
        chosen = [order[(classed[order] == number) & ~gone[order]] for number in range(n_classes)]
        return tuple(Ranked(where[at], now_right[at], truth_left[n]) for n, at in enumerate(chosen))

    mended = {name: after(name) for name in ERRORS if name != "missed"}
    mended["missed"] = after("missed", boxes - missed)
    mended["false_positive"] = after("false_positive")
    mended["false_negative"] = after("false_negative", found)
    return ErrorTypes(counts, after("nothing"), mended)


def _sort_image(
    rows: _Rows,
    number: int,
    image: Truth,
    one: Detections,
    labels: npt.NDArray[np.int64],
    n_classes: int,
    foreground: float,
    background: float,
    max_detections: int,
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Adds the detections of one image to `rows`; returns which boxes are found and which an error explains."""
    place = [_highest(one, np.flatnonzero(labels == label), max_detections) for label in range(n_classes)]
    used = np.zeros(len(image.boxes), bool)
    wrong: list[int] = []
    for label, chosen in enumerate(place):
        own = np.flatnonzero(image.labels == label)
        matched, ignored = _matched(one.boxes[chosen], image.boxes[own], image.ignore, foreground)
        used[own[matched[matched >= 0]]] = True
        for detection, is_right, is_ignored in zip(chosen, matched >= 0, ignored, strict=True):
            if is_right or is_ignored:
                _add(rows, one, number, int(detection), label, _RIGHT if is_right else _IGNORED)
            else:
                wrong.append(int(detection))
    wrong = sorted(wrong, key=lambda detection: -float(one.scores[detection]))
    overlaps = iou_matrix(one.boxes[wrong], image.boxes)
    best: dict[int, int] = {}
    for detection, overlap in zip(wrong, overlaps, strict=True):
        label = int(labels[detection])
        kind, box = _kind(overlap, image.labels == label, foreground, background)
        target = -1
        if box >= 0 and not used[box] and best.setdefault(box, detection) == detection:
            target = int(image.labels[box])
        _add(rows, one, number, detection, label, kind, target)
    explained = np.zeros(len(image.boxes), bool)
    explained[list(best)] = True
    return used, explained


def _highest(one: Detections, chosen: npt.NDArray[np.intp], limit: int) -> npt.NDArray[np.intp]:
    return chosen[np.argsort(-one.scores[chosen], kind="stable")][:limit]


def _matched(
    found: FloatArray, boxes: FloatArray, ignore: FloatArray, iou: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """The box that each detection stands for, -1 for none, and which detections lie in a region to ignore."""
    regions = np.arange(len(boxes) + len(ignore)) >= len(boxes)
    overlaps = iou_matrix(found, np.concatenate([boxes, ignore]), regions)
    match = match_one(overlaps, regions, regions[None], np.array([iou]))[0, 0]
    return np.where(match < len(boxes), match, -1), match >= len(boxes)


def _kind(
    overlap: npt.NDArray[np.float64], own: npt.NDArray[np.bool_], foreground: float, background: float
) -> tuple[str, int]:
    """The type of one wrong detection, and the box that it would be mended to, -1 for none."""
    if not len(overlap):
        return "background", -1
    same, other = np.where(own, overlap, -1.0), np.where(own, -1.0, overlap)
    if background <= same.max() < foreground:
        return "localisation", int(same.argmax())
    if other.max() >= foreground:
        return "classification", int(other.argmax())
    if same.max() >= foreground:
        return "duplicate", -1
    return ("background" if overlap.max() < background else "both"), -1


def _add(rows: _Rows, one: Detections, image: int, detection: int, label: int, kind: str, target: int = -1) -> None:
    rows.score.append(float(one.scores[detection]))
    rows.image.append(image)
    rows.place.append(detection)
    rows.label.append(label)
    rows.kind.append(kind)
    rows.target.append(target)
