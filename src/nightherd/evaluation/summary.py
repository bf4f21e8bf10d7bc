"""Everything that is said about a detector on a set of images, put together in the shape of `metrics.json`."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nightherd.evaluation.bootstrap import Interval, Track, Weights, intervals, plainly
from nightherd.evaluation.coco import coco_metrics
from nightherd.evaluation.comparison import comparison, differences
from nightherd.evaluation.error_types import ERRORS, SUMS
from nightherd.evaluation.measurement import Measurement
from nightherd.evaluation.reasons import why_undefined
from nightherd.evaluation.slices import FIGURES
from nightherd.evaluation.types import labels_among

POINTS_HAVE_NO_OVERLAP = "the truth is points, which have no overlap to measure"
COUNTS_HAVE_NO_PLACE = "the truth is a count an image, which does not tell which detection is right"


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of one detector on one set of images.

    Attributes:
        metrics: plain values for JSON, as `metrics.json` has them; None where undefined, with the reason in `reasons`.
        measured: what they are of: curves, confusion, calibration, outcomes of every image.
        notes: what a reader must know, one sentence each.
    """

    metrics: dict[str, Any]
    measured: Measurement
    notes: tuple[str, ...]


def summarise(
    measured: Measurement,
    *,
    replicates: int = 1000,
    seed: int = 0,
    groups: Sequence[Hashable] | None = None,
    against: Measurement | None = None,
    names: tuple[str, str] = ("the first", "the second"),
    track: Track = plainly,
) -> Summary:
    """All the figures, with intervals.

    Args:
        measured: the detector on the images.
        replicates, seed, groups: of the bootstrap; 0 replicates give no intervals, nor does a single image.
        against: another detector on the same images, to be compared with.
        names: of the two.
        track: shows progress, called as `track(items, description, total)`.
    """
    n = measured.n_images
    once = np.ones(n)
    figures = measured.figures(once)
    others = against.main_figures(once) if against is not None else {}

    def statistic(weights: Weights) -> dict[str, float]:
        found = measured.figures(weights)
        return found | (differences(found, against.main_figures(weights)) if against is not None else {})

    found: dict[str, Interval | None] = {}
    if replicates and n > 1:  # one image is no sample: every replicate would be the same
        found = intervals(statistic, n, replicates, seed, groups, track=track)
    metrics, reasons = _skeleton(measured)
    for name, value in figures.items():
        if not name.startswith("slices."):
            if math.isnan(value):
                reasons.setdefault(name, why_undefined(name, n))
            _put(metrics, name, None if math.isnan(value) else value)
    _describe_classes(metrics, measured)
    if measured.errors is not None:
        costs = metrics.pop("error_types")
        counts = measured.errors.counts
        sums = {"false_positive": sum(counts.values()) - counts["missed"], "false_negative": None}
        metrics["error_types"] = {
            kind: {"cost": costs[kind], "n": counts[kind] if kind in ERRORS else sums[kind]}
            for kind in (*ERRORS, *SUMS)
        }
        del metrics["error_types"]["false_negative"]["n"]
    metrics["slices"] = _slices(measured, figures, found, reasons, groups)
    if against is not None:
        metrics["against"] = comparison(*names, figures, others, found)
    metrics["intervals"] = {
        name: list(pair)
        for name, pair in found.items()
        if pair and name not in reasons and not name.startswith(("slices.", "against."))
    }
    metrics["reasons"] = reasons
    return Summary(metrics, measured, tuple(_notes(metrics, measured)))


def _skeleton(measured: Measurement) -> tuple[dict[str, Any], dict[str, str]]:
    """The metrics as far as COCO's own evaluation fills them, and why some are undefined."""
    if measured.kind == "boxes":
        coco = coco_metrics(
            measured.truth, measured.detections, measured.classes, measured.max_detections, measured.sizes
        )
        metrics = coco.to_dict()
        reasons: dict[str, str] = metrics.pop("undefined")
    else:
        reason = POINTS_HAVE_NO_OVERLAP if measured.kind == "points" else COUNTS_HAVE_NO_PLACE
        missing = ["ap", "ap50", "ap75", "ar100", "ar500"]
        if measured.kind == "counts":
            missing += ["precision", "recall", "f1", "false_alarms", "confusion"]
        metrics = dict.fromkeys(missing)
        reasons = dict.fromkeys([*missing, "error_types"], reason)
        there = {point.name: int(point.truth.sum()) for point in measured.points}
        metrics |= {
            "per_class": {name: {"n_boxes": n} for name, n in there.items()},
            "n_images": measured.n_images,
            "n_boxes": sum(there.values()),
            "error_types": None,
        }
    metrics["truth"] = {"kind": measured.kind}
    metrics["sizes"] = [{"name": one.name, "low": one.low, "high": one.high} for one in measured.sizes]
    confusion = measured.confusion
    if confusion is not None:
        metrics["confusion"] = {
            "labels": list(confusion.labels),
            "matrix": confusion.matrix.tolist(),
            "iou": confusion.iou if measured.kind == "boxes" else None,
            "thresholds": dict(confusion.thresholds),
        }
    return metrics, reasons


def _describe_classes(metrics: dict[str, Any], measured: Measurement) -> None:
    """What is not a figure with an interval: thresholds, how many were detected, the reliability diagram."""
    labels = [labels_among(one, measured.classes) for one in measured.detections]
    for number, point in enumerate(measured.points):
        metrics["per_class"][point.name] |= {
            "threshold": point.threshold,
            "n_detections": sum(int((one == number).sum()) for one in labels),
        }
    for curve in measured.curves:
        metrics["per_class"][curve.name]["threshold_best_f1"] = curve.best()
        if curve.best() is None:
            metrics["per_class"][curve.name]["threshold_best_f1"] = None
    for one in measured.calibrations:
        metrics["per_class"][one.name]["reliability"] = one.bins()


def _slices(
    measured: Measurement,
    figures: Mapping[str, float],
    found: Mapping[str, Interval | None],
    reasons: dict[str, str],
    groups: Sequence[Hashable] | None,
) -> dict[str, list[dict[str, Any]]]:
    """By column, one record a part; adds why a figure of a part is undefined to `reasons`.

    A part of one flight has no interval where flights are resampled: it is there whole or not at all.
    """
    result: dict[str, list[dict[str, Any]]] = {}
    for place, one in enumerate(measured.parts):
        record: dict[str, Any] = {
            "value": one.part.value,
            "n_images": one.n_images,
            "n_boxes": one.n_boxes,
            "is_small": one.is_small,
        }
        inside = np.flatnonzero(one.part.images)
        n_groups = len(inside) if groups is None else len({groups[int(image)] for image in inside})
        if n_groups < 2:
            reasons[f"slices.{one.part.column}.{one.part.value}.intervals"] = "one flight or image is no sample"
        ranges = {}
        for name in FIGURES:
            value, pair = figures[f"slices.{place}.{name}"], found.get(f"slices.{place}.{name}")
            if measured.kind == "counts" and not name.startswith("count_"):
                value, reason = math.nan, COUNTS_HAVE_NO_PLACE
            else:
                reason = why_undefined(name, one.n_images, "in these images")
            record[name] = None if math.isnan(value) else value
            if math.isnan(value):
                reasons[f"slices.{one.part.column}.{one.part.value}.{name}"] = reason
            elif pair and n_groups > 1:
                ranges[name] = list(pair)
        result.setdefault(one.part.column, []).append({**record, "intervals": ranges})
    return result


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


def _notes(metrics: Mapping[str, Any], measured: Measurement) -> list[str]:
    notes = list(measured.chosen.notes)
    if measured.rule.looks_at_the_truth:
        notes.insert(
            0,
            f"Thresholds are {measured.rule.describe()} on these very images, so precision, recall, F1 and counts "
            "flatter a little; the intervals hold the thresholds fixed.",
        )
    for name, one in metrics["per_class"].items():
        if not one["n_boxes"]:
            notes.append(f"No box of {name} is labelled in these images: it has no AP and is not in the means.")
        elif not one["n_detections"]:
            notes.append(f"{name} is never predicted, at any score: its AP is 0.")
    if measured.confusion is not None:
        notes += _suspicions(measured)
    return notes


def _suspicions(measured: Measurement) -> list[str]:
    """Classes whose boxes are mostly taken for one other class: their numbers or names are likely mixed up."""
    assert measured.confusion is not None
    matrix = measured.confusion.matrix[:-1, :-1]
    sentences = []
    for number, row in enumerate(matrix):
        other = int(np.argmax(row)) if row.size else number
        if other != number and row[other] >= 10 and row[other] > 0.8 * row.sum():
            name, wrong = measured.classes[number], measured.classes[other]
            sentences.append(
                f"Of {int(row.sum()):,} boxes of {name} that were found, {int(row[other]):,} are called {wrong}: are "
                "the classes of the results numbered or named as the data set's are?"
            )
    return sentences
