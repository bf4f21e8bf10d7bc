"""One detector on one set of images, matched once: every figure at any weights of the images from then on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from nightherd.evaluation.calibration import Calibration, calibration
from nightherd.evaluation.confusion import ConfusionMatrix, count_outcomes
from nightherd.evaluation.counts import count_errors, count_figures
from nightherd.evaluation.curves import ConfidenceCurve, OperatingPoint, confidence_curve, operating_point
from nightherd.evaluation.error_types import ErrorTypes, error_types
from nightherd.evaluation.matching import match_classes
from nightherd.evaluation.outcomes import Outcome, image_outcomes
from nightherd.evaluation.presence import presence_figures
from nightherd.evaluation.ranking import Ranking, mean_defined, ranked
from nightherd.evaluation.slices import MeasuredPart, Part, measure_part
from nightherd.evaluation.thresholds import LAST_RESORT, Chosen, Rule, choose
from nightherd.evaluation.types import COCO_SIZES, SizeBin, Truth, check_inputs, labels_among
from nightherd.types import Detections

Weights = npt.NDArray[np.float64]
Kind = Literal["boxes", "points", "counts"]

HALF = np.array([0.5])


class Measurement:
    """What a detector does on images whose truth is boxes, points or a count.

    Args:
        truth: one per image; labels index `classes`. All of them points where one has a radius.
        detections: one per image, same order; matched to `classes` by name, other classes left out.
        classes: names of the classes.
        counts: float64 (I, C), where the truth is only how many of each class an image holds; `truth` is then empty of
            boxes.
        iou: overlap that makes a detection right, outside AP; points have a radius instead.
        rule: how the confidence of each class is chosen.
        fallback: the model's own confidence of each class, where it has one.
        sizes: bins for AP by size.
        max_detections: highest scores kept per image and class.
        parts: sets of images that are measured on their own, too.

    Raises:
        ResultsError: a score or a box is not finite.
        ValueError: lengths or labels do not agree.
    """

    def __init__(
        self,
        truth: Sequence[Truth],
        detections: Sequence[Detections],
        classes: Sequence[str],
        *,
        counts: Weights | None = None,
        iou: float = 0.5,
        rule: Rule | None = None,
        fallback: Mapping[str, float] | None = None,
        sizes: Sequence[SizeBin] = COCO_SIZES,
        max_detections: int = 500,
        parts: Sequence[Part] = (),
    ) -> None:
        check_inputs(truth, detections, classes)
        rule = rule or Rule()
        has_points = any(image.radius is not None for image in truth)
        self.kind: Kind = "counts" if counts is not None else "points" if has_points else "boxes"
        self.truth, self.detections, self.classes = truth, detections, tuple(classes)
        self.n_images = len(truth)
        self.max_detections = max_detections
        self.sizes = tuple(sizes) if self.kind == "boxes" else ()
        self.iou = iou if self.kind == "boxes" else 0.5
        self.rule = Rule("model") if counts is not None and rule.looks_at_the_truth else rule
        self.ranking: Ranking | None = None
        self.curves: tuple[ConfidenceCurve, ...] = ()
        self.confusion: ConfusionMatrix | None = None
        self.outcomes: tuple[Outcome, ...] = ()
        self.calibrations: tuple[Calibration, ...] = ()
        self.errors: ErrorTypes | None = None
        if counts is not None:
            self.chosen = _without_curves(self.rule, self.classes, fallback or {})
            self.points = _counted(detections, self.classes, self.chosen.thresholds, counts)
            at50 = []
        else:
            at_iou = match_classes(truth, detections, classes, np.array([self.iou]), max_detections=max_detections)
            self.curves = tuple(confidence_curve(one) for one in at_iou)
            self.chosen = choose(self.rule, self.curves, fallback or {})
            self.points = tuple(operating_point(one, self.chosen.thresholds[one.name]) for one in at_iou)
            if self.kind == "boxes":
                self.ranking = Ranking(truth, detections, classes, sizes, max_detections)
                self.errors = error_types(truth, detections, classes, max_detections=max_detections)
                at50 = list(self.ranking.classes)
            else:
                at50 = list(at_iou)
            self.calibrations = tuple(calibration(one) for one in at_iou)
            self.outcomes = image_outcomes(truth, detections, classes, self.chosen.thresholds, self.iou)
            self.confusion = count_outcomes(truth, self.outcomes, classes, self.chosen.thresholds, self.iou)
        self._ranked = [ranked(one) for one in at50] if self.kind == "points" else []
        self._whole = [one.average_precision(np.ones(self.n_images)) for one in self._ranked]
        self.count_errors = count_errors(self.points) if self.points else np.zeros(self.n_images)
        self.parts: tuple[MeasuredPart, ...] = tuple(
            measure_part(one, at50, self.points, self.count_errors) for one in parts
        )

    def figures(self, weights: Weights) -> dict[str, float]:
        """Every figure by its name in `metrics.json`, those of part k as `slices.k.NAME`; NaN where undefined.

        Args:
            weights: float64 (I,), how often each image counts.
        """
        result = {**self.main_figures(weights)}
        if self.errors is not None:
            result |= {f"error_types.{name}": value for name, value in self.errors.costs(weights).items()}
        for one in self.calibrations:
            result[f"per_class.{one.name}.calibration_error"] = one.error(weights)
        for place, part in enumerate(self.parts):
            result |= {f"slices.{place}.{name}": value for name, value in part.figures(weights).items()}
        return result

    def main_figures(self, weights: Weights) -> dict[str, float]:
        """AP, precision, recall, F1, accuracy and counts, without error types, calibration and slices."""
        result: dict[str, float] = {}
        if self.ranking is not None:
            result |= self.ranking.figures(weights, steady=True)
        if self.kind == "points":
            found = {one: part.average_precision(weights) for one, part in zip(self.classes, self._ranked, strict=True)}
            result["ap_point"] = mean_defined(found.values(), self._whole)
            result |= {f"per_class.{name}.ap_point": value for name, value in found.items()}
        if self.confusion is not None:
            result |= _together(self.points, weights)
            result["accuracy.matched_class"] = self.confusion.class_accuracy(weights)
        presence = {point.name: presence_figures(point, weights) for point in self.points}
        result["accuracy.presence"] = mean_defined(one["accuracy"] for one in presence.values())
        result |= {f"count.{name}": value for name, value in count_figures(self.count_errors, weights).items()}
        for point in self.points:
            start = f"per_class.{point.name}."
            if self.confusion is not None:
                result |= {f"{start}{name}": value for name, value in point.figures(weights).items()}
            own = count_figures(count_errors([point]), weights)
            result |= {f"{start}count.{name}": value for name, value in own.items()}
            result |= {f"{start}presence.{name}": value for name, value in presence[point.name].items()}
        return result


def _together(points: Sequence[OperatingPoint], weights: Weights) -> dict[str, float]:
    """Precision, recall and F1 of all classes together, and false alarms an image."""
    zero = np.zeros(len(weights))
    whole = OperatingPoint(
        "", 0.0, *(sum((getattr(point, what) for point in points), zero) for what in ("true", "false", "truth"))
    )
    images = float(weights.sum())
    return {**whole.figures(weights), "false_alarms": float(whole.false @ weights) / images if images else float("nan")}


def _without_curves(rule: Rule, classes: Sequence[str], fallback: Mapping[str, float]) -> Chosen:
    """Thresholds where the truth cannot tell which detection is right."""
    if rule.kind == "confidence":
        return Chosen(dict.fromkeys(classes, rule.value or 0.0), ())
    unknown = [name for name in classes if name not in fallback]
    notes = [
        f"The threshold of {name} is {LAST_RESORT:g}, for want of a better; give --confidence." for name in unknown
    ]
    return Chosen({name: fallback.get(name, LAST_RESORT) for name in classes}, tuple(notes))


def _counted(
    detections: Sequence[Detections], classes: Sequence[str], thresholds: Mapping[str, float], counts: Weights
) -> tuple[OperatingPoint, ...]:
    """Operating points that know how many were found and how many there are, and not which is right."""
    if counts.shape != (len(detections), len(classes)):
        raise ValueError(f"counts {counts.shape} for {len(detections)} images and {len(classes)} classes")
    labels = [labels_among(one, classes) for one in detections]
    points = []
    for number, name in enumerate(classes):
        found = [
            float(((of == number) & (one.scores >= thresholds[name])).sum())
            for of, one in zip(labels, detections, strict=True)
        ]
        nothing = np.zeros(len(detections))
        points.append(OperatingPoint(name, thresholds[name], nothing, np.array(found), counts[:, number]))
    return tuple(points)
