"""What a metric takes and how sizes are named: the truth of one image, and bins of object area."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from nightherd.errors import ResultsError
from nightherd.types import Detections, FloatArray, IntArray


def _no_boxes() -> FloatArray:
    return np.zeros((0, 4), np.float32)


@dataclass(frozen=True, slots=True)
class Truth:
    """What is really in one image.

    Attributes:
        boxes: float32 (N, 4), x1 y1 x2 y2 in pixels of the image.
        labels: int64 (N,), index into the class names that the metric is called with.
        ignore: float32 (M, 4), regions to ignore for every class: detections that lie in them count neither way.
        width, height: pixels of the image; 0 where unknown.
        radius: where the truth is points, the pixels that the centre of a detection may lie from one; each box is then
            a point, both of its corners. None where boxes are boxes.
    """

    boxes: FloatArray = field(default_factory=_no_boxes)
    labels: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    ignore: FloatArray = field(default_factory=_no_boxes)
    width: int = 0
    height: int = 0
    radius: float | None = None

    def __post_init__(self) -> None:
        if self.boxes.shape != (len(self.labels), 4) or self.ignore.shape != (len(self.ignore), 4):
            raise ValueError(
                f"boxes {self.boxes.shape}, labels {self.labels.shape} and ignore {self.ignore.shape} do not agree"
            )
        if self.radius is not None and not self.radius > 0:
            raise ValueError(f"a radius of {self.radius} pixels matches nothing")


@dataclass(frozen=True, slots=True)
class SizeBin:
    """Objects with an area of `low` to `high` px², both included as COCO does; `high` None is no limit."""

    name: str
    low: float
    high: float | None = None

    def describe(self) -> str:
        """The bin in words, e.g. `1024 to 9216 px²`."""
        if self.high is None:
            return f"over {self.low:g} px²"
        return f"{self.low:g} to {self.high:g} px²" if self.low else f"up to {self.high:g} px²"


def size_bins(limits: Sequence[float], names: Sequence[str] = ("small", "medium", "large")) -> tuple[SizeBin, ...]:
    """Bins between areas: `size_bins((1024, 9216))` is small up to 1024 px², medium up to 9216, large over that.

    Raises:
        ValueError: the limits do not rise, or there is not one name more than limits.
    """
    edges = [0.0, *limits]
    if len(names) != len(edges) or any(a >= b for a, b in itertools.pairwise(edges)):
        raise ValueError(f"{len(limits)} rising limits need {len(limits) + 1} names; got {list(limits)}, {list(names)}")
    return tuple(SizeBin(name, low, high) for name, low, high in zip(names, edges, [*edges[1:], None], strict=True))


COCO_SIZES = size_bins((32.0**2, 96.0**2))
"""COCO's bins."""

DEER_SURVEY_SIZES = size_bins((187.0, 408.0))
"""The bins of the published deer survey (Lyu et al. 2024, doi 10.1016/j.ecoinf.2023.102383)."""


def labels_among(detections: Detections, classes: Sequence[str]) -> IntArray:
    """The label of each detection as an index into `classes`, matched by name.

    Args:
        detections: of one image, with class names of their own.
        classes: the names that a metric is computed for.

    Returns:
        int64 (N,), -1 for a detection of a class that is not among them.
    """
    if not len(detections):
        return np.zeros(0, np.int64)
    lookup = np.array([classes.index(name) if name in classes else -1 for name in detections.classes] or [-1], np.int64)
    if int(detections.labels.min()) < 0 or int(detections.labels.max()) >= len(detections.classes):
        raise ValueError(f"labels reach {int(detections.labels.max())}, with {len(detections.classes)} class names")
    labels: IntArray = lookup[detections.labels]
    return labels


def check_inputs(truth: Sequence[Truth], detections: Sequence[Detections], classes: Sequence[str]) -> None:
    """Refuses what no metric can be computed from.

    Raises:
        ValueError: lengths do not agree, a class name is there twice, or a label has no class.
        ResultsError: a score or a box is NaN or infinite.
    """
    if len(truth) != len(detections):
        raise ValueError(f"{len(truth)} images of truth, {len(detections)} of detections")
    if len(set(classes)) != len(classes):
        raise ValueError(f"a class is named twice: {list(classes)}")
    for number, (true, found) in enumerate(zip(truth, detections, strict=True)):
        if len(true.labels) and not 0 <= int(true.labels.min()) <= int(true.labels.max()) < len(classes):
            raise ValueError(f"image {number}: truth has a label outside the {len(classes)} classes")
        for what, array in (("truth", true.boxes), ("truth", true.ignore), ("detection", found.boxes)):
            if not np.isfinite(array).all():
                raise ResultsError(f"image {number}: a {what} box has a coordinate that is not a finite number")
        if not np.isfinite(found.scores).all():
            raise ResultsError(f"image {number}: a detection has a score that is not a finite number")
