"""From scores on labelled frames to probabilities and thresholds: what `nightherd export --calibrate` fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nightherd.datasets import open_dataset
from nightherd.datasets.types import Dataset
from nightherd.errors import DatasetError
from nightherd.evaluation.curves import confidence_curve
from nightherd.evaluation.matching import match_classes
from nightherd.evaluation.platt import fit_line
from nightherd.evaluation.types import Truth
from nightherd.frames.readers import read_frame
from nightherd.inference.calibration import calibrated
from nightherd.types import Detections
from nightherd.workflows.detector import Detector
from nightherd.workflows.telling import Track, untracked

FLOOR = 0.02
"""Scores below this are left out of the fit: thousands that nobody looks at would decide the line."""


@dataclass(frozen=True, slots=True)
class Calibrated:
    """Class → (slope, offset), class → threshold of best F1 after it, and a line for people about each class."""

    lines: dict[str, tuple[float, float]]
    thresholds: dict[str, float]
    notes: tuple[str, ...]


def calibrate(
    detector: Detector,
    data: Sequence[str | Dataset],
    mapping: Mapping[str, str] | None = None,
    *,
    iou: float = 0.5,
    track: Track = untracked,
) -> Calibrated:
    """Fits the scores of a detector on held-out labelled frames, all data sets together.

    Here classes compete for a body with the scores that the detector has, afterwards with the fitted ones; where the
    lines of two classes lie far apart, other claims win then than were fitted.

    Args:
        detector: with thresholds of 0, so that every score is seen.
        data: data sets, their `val` split where they have splits; never frames that the model was trained on. A class
            that a data set does not label counts as absent from its frames.
        mapping: new names of classes.
        iou: overlap that makes a detection right.
        track: shows progress.

    Raises:
        DatasetError: nothing to calibrate on.
    """
    images = []
    for one in data:
        opened = open_dataset(one) if isinstance(one, str) else one
        opened = opened.with_classes(detector.classes, dict(mapping or {}))
        has_splits = any(image.split for image in opened.images)
        images += list(opened.split("val").images if has_splits else opened.images)
    if not any(len(image.boxes) for image in images):
        raise DatasetError(f"no box of {', '.join(detector.classes)} to calibrate on; join names with --map")
    truth, found = [], list[Detections]()
    for image in track(images, "frames", len(images)):
        truth.append(Truth(image.boxes, image.labels, image.ignore, image.width, image.height))
        found.append(detector.predict(read_frame(image.path).pixels))
    tables = match_classes(truth, found, detector.classes, np.array([iou]))
    lines: dict[str, tuple[float, float]] = {}
    thresholds: dict[str, float] = {}
    notes = []
    for table in tables:
        counts = ~table.ignored[0, 0] & (table.scores >= FLOOR)
        line = fit_line(table.scores[counts], table.matched[0, 0][counts])
        best = confidence_curve(table).best()
        if line is None or best is None:
            notes.append(f"{table.name}: too few detections right or wrong to calibrate; its scores stay as they are")
            continue
        lines[table.name] = (round(line[0], 4), round(line[1], 4))
        after = calibrated(np.array([best], np.float32), np.zeros(1, np.int64), (table.name,), lines)
        thresholds[table.name] = round(float(np.clip(after[0], 0.05, 0.95)), 2)
        boxes = int(table.n_truth[0].sum())
        notes.append(f"{table.name}: calibrated on {boxes} boxes; best F1 from a score of {thresholds[table.name]:.2f}")
    return Calibrated(lines, thresholds, tuple(notes))
