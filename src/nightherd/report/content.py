"""What a survey report says, as plain values: filled by the workflow, drawn by the figures, laid out by the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Mark:
    """One detection on the map: degrees (WGS 84), class, score."""

    lon: float
    lat: float
    label: str
    score: float


@dataclass(frozen=True, slots=True)
class FrameRow:
    """One frame in the strip and the table.

    `status` is `surveyed`, `no position` or `failed`; `clock` is the camera's own time, without a zone.
    """

    name: str
    status: str
    reason: str = ""
    detections: int = 0
    time: datetime | None = None
    clock: datetime | None = None
    lon: float | None = None
    lat: float | None = None
    height: float | None = None
    ground_sample_distance: float | None = None


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class in the table: detections, frames with any, lowest score counted, median longer side in metres."""

    label: str
    detections: int
    frames: int
    threshold: float | None
    best_score: float | None = None
    median_length: float | None = None
    median_uncertainty: float | None = None


@dataclass(frozen=True, slots=True)
class Outline:
    """A box drawn over a picture: x, y, width, height in pixels of the picture, class and score."""

    x: float
    y: float
    width: float
    height: float
    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Picture:
    """An image inside the page.

    Attributes:
        uri: `data:` URI.
        width, height: pixels.
        outlines: boxes over it.
        bar_px, bar_m: length of the scale bar in pixels of the picture and in metres; None where the scale is unknown.
    """

    uri: str
    width: int
    height: int
    outlines: tuple[Outline, ...] = ()
    bar_px: float | None = None
    bar_m: float | None = None


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """One detection in the contact sheet."""

    picture: Picture
    label: str
    score: float
    frame: str
    lon: float | None = None
    lat: float | None = None
    uncertainty: float | None = None
    length: float | None = None


@dataclass(frozen=True, slots=True)
class ShownFrame:
    """One whole frame with its boxes."""

    picture: Picture
    name: str
    detections: int


@dataclass(frozen=True, slots=True)
class SurveyContent:
    """Everything a survey report says.

    Attributes:
        flight: name of the flight.
        summary: the flight folder in one line.
        frames: one row each, in order.
        classes: one row each, in the model's order.
        footprints: rings (M, 2) of longitude and latitude.
        marks: detections with a position.
        unplaced: detections without one.
        left_out: files of the folder that are not frames of the flight, and why.
        area: square metres covered, ground seen twice counted once; None where nothing has a position.
        times_seen: how often the covered ground was seen on average.
        thumbnails: grouped by class, highest score first.
        shown: a few whole frames.
        warnings: what a reader must know before using the numbers, one sentence each.
        truth: true individuals of a simulated flight by label, else None.
        truth_visible: those of them that at least one frame shows.
        model, model_summary, model_limits: from the model and its card.
        settings: name and value of each, in order.
        versions: package and version.
        command: the command line that made the report.
        made: when, UTC.
    """

    flight: str
    summary: str
    frames: Sequence[FrameRow]
    classes: Sequence[ClassRow]
    footprints: Sequence[Array]
    marks: Sequence[Mark]
    unplaced: int = 0
    left_out: Sequence[tuple[str, str]] = ()
    area: float | None = None
    times_seen: float | None = None
    thumbnails: Sequence[Thumbnail] = ()
    shown: Sequence[ShownFrame] = ()
    warnings: Sequence[str] = ()
    truth: Mapping[str, int] | None = None
    truth_visible: Mapping[str, int] = field(default_factory=dict)
    model: str = ""
    model_summary: str = ""
    model_limits: Sequence[str] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    made: datetime | None = None

    @property
    def detections(self) -> int:
        """Detections of all classes over all frames."""
        return sum(row.detections for row in self.classes)


PALETTE = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Colours that colour-blind readers tell apart (Okabe and Ito 2008)."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def colours(labels: Sequence[str]) -> dict[str, str]:
    """A colour for each class, by its place."""
    return {label: PALETTE[i % len(PALETTE)] for i, label in enumerate(labels)}
