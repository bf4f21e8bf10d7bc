"""Everything that is said about a detector on a set of images, put together in the shape of `metrics.json`."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nightherd.evaluation.bootstrap import Track, Weights, intervals, plainly
from nightherd.evaluation.coco import coco_metrics
from nightherd.evaluation.confusion import ConfusionMatrix, confusion_matrix
from nightherd.evaluation.counts import count_errors, count_figures
from nightherd.evaluation.curves import ConfidenceCurve, OperatingPoint, confidence_curve, operating_point
from nightherd.evaluation.matching import match_classes
from nightherd.evaluation.ranking import Ranking
from nightherd.evaluation.types import COCO_SIZES, SizeBin, Truth, labels_among
from nightherd.types import Detections


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of one detector on one set of images.

    Attributes:
        metrics: plain values for JSON, as DESIGN's `metrics.json`; None where undefined, with the reason in
            `undefined`.
        curves: precision, recall and F1 against confidence of each class.
        confusion: the confusion matrix.
        notes: what a reader must know, one sentence each.
    """

    metrics: dict[str, Any]
    curves: tuple[ConfidenceCurve, ...]
    confusion: ConfusionMatrix
    notes: tuple[str, ...]


def summarise(
    truth: Sequence[Truth],
    detections: Sequence[Detections],
    classes: Sequence[str],
    *,
    iou: float = 0.5,
    thresholds: Mapping[str, float] | None = None,
    fallback: Mapping[str, float] | None = None,
    sizes: Sequence[SizeBin] = COCO_SIZES,
    max_detections: int = 500,
    replicates: int = 1000,
    seed: int = 0,
    groups: Sequence[Hashable] | None = None,
    track: Track = plainly,
) -> Summary:
    """All the figures, with intervals.

    Args:
        truth, detections, classes, sizes, max_detections: as for `coco_metrics`.
        iou: overlap that makes a detection right, for precision, recall, F1, counts and the confusion matrix.
        thresholds: the confidence of each class to work at; None takes the one with the highest F1 on these images.
        fallback: the confidence of a class for which no F1 can be had; else 0.5.
        replicates, seed, groups: of the bootstrap; 0 replicates give no intervals.
        track: shows progress, called as `track(items, description, total)`.

    Raises:
        ResultsError: a score or a box is not finite.
        ValueError: lengths or labels do not agree.
    """
    ranking = Ranking(truth, detections, classes, sizes, max_detections)
    coco = coco_metrics(truth, detections, classes, max_detections, sizes)
    matches = match_classes(truth, detections, classes, np.array([iou]), max_detections=max_detections)
    curves = tuple(confidence_curve(one) for one in matches)
    chosen = dict(thresholds) if thresholds is not None else _thresholds(curves, fallback or {})
    points = [operating_point(one, chosen[one.name]) for one in matches]
    errors = count_errors(points) if points else np.zeros(len(truth))

    def statistic(weights: Weights) -> dict[str, float]:
        return {**ranking.figures(weights), **_at_thresholds(points, errors, weights)}

    metrics = coco.to_dict()
    undefined: dict[str, str] = metrics.pop("undefined")
    for name, value in _at_thresholds(points, errors, np.ones(len(truth))).items():
        if math.isnan(value):
            undefined[name] = _why_undefined(name, len(truth))
        _put(metrics, name, None if math.isnan(value) else value)
    labels = [labels_among(one, classes) for one in detections]
    for number, point in enumerate(points):
        metrics["per_class"][point.name] |= {
            "threshold": point.threshold,
            "n_detections": sum(int((one == number).sum()) for one in labels),
        }
    confusion = confusion_matrix(truth, detections, classes, chosen, iou)
    metrics["confusion"] = {
        "labels": list(confusion.labels),
        "matrix": confusion.matrix.tolist(),
        "iou": iou,
        "thresholds": dict(confusion.thresholds),
    }
    metrics["intervals"] = {}
    if replicates and truth:
        found = intervals(statistic, len(truth), replicates, seed, groups, track=track)
        metrics["intervals"] = {name: list(pair) for name, pair in found.items() if pair and name not in undefined}
    metrics["undefined"] = undefined
    return Summary(metrics, curves, confusion, tuple(_notes(metrics, thresholds is None)))


def _thresholds(curves: Sequence[ConfidenceCurve], fallback: Mapping[str, float]) -> dict[str, float]:
    best = {curve.name: curve.best() for curve in curves}
    return {name: fallback.get(name, 0.5) if value is None else value for name, value in best.items()}


def _at_thresholds(points: Sequence[OperatingPoint], errors: Weights, weights: Weights) -> dict[str, float]:
    """Precision, recall, F1 and count errors by their names in `metrics.json`."""
    figures = {f"count.{name}": value for name, value in count_figures(errors, weights).items()}
    for point in points:
        figures |= {f"per_class.{point.name}.{name}": value for name, value in point.figures(weights).items()}
        own = count_figures(count_errors([point]), weights)
        figures |= {f"per_class.{point.name}.count.{name}": value for name, value in own.items()}
    return figures


def _put(metrics: dict[str, Any], name: str, value: float | None) -> None:
    """Sets `per_class.NAME.count.mae` in nested dictionaries; a class name may hold dots."""
    where: dict[str, Any] = metrics
    if name.startswith("per_class."):
        name = name.removeprefix("per_class.")
        owner = max((one for one in metrics["per_class"] if name.startswith(f"{one}.")), key=len)
        where, name = metrics["per_class"][owner], name.removeprefix(f"{owner}.")
    *path, last = name.split(".")
    for part in path:
        where = where.setdefault(part, {})
    where[last] = value


def _why_undefined(name: str, n_images: int) -> str:
    if not n_images:
        return "there is no image"
    if name.endswith(".precision"):
        return "nothing is detected at this threshold"
    return "no box of the class in the truth" + (" and none detected" if name.endswith(".f1") else "")


def _notes(metrics: Mapping[str, Any], chosen_here: bool) -> list[str]:
    notes = []
    if chosen_here:
        notes.append(
            "Thresholds are those with the highest F1 on these very images, so precision, recall, F1 and counts "
            "flatter a little; the intervals hold the thresholds fixed."
        )
    for name, one in metrics["per_class"].items():
        if not one["n_boxes"]:
            notes.append(f"No box of {name} is labelled in these images: it has no AP and is not in the means.")
        elif not one["n_detections"]:
            notes.append(f"{name} is never predicted, at any score: its AP is 0.")
    return notes
