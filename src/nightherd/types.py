"""The types that flow through Nightherd, one per stage, from left to right: Frame, Detections, Animal, Estimate.

All are immutable records of arrays and plain values; none of them touches a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

Unit = Literal["celsius", "counts", "display"]
UNITS: tuple[Unit, ...] = ("celsius", "counts", "display")

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pose:
    """Where the camera was when it took a frame, and how it saw.

    Angles follow DJI's gimbal convention. Whatever the file does not tell is None.

    Attributes:
        lon, lat: degrees, WGS 84.
        height: metres above the ground at take-off.
        altitude: metres above sea level or ellipsoid, as the file says it.
        yaw: degrees clockwise from true north that the top of the image points to.
        pitch: degrees, 0 at the horizon, -90 straight down.
        roll: degrees, clockwise positive seen from behind the camera.
        focal_length: millimetres, not 35 mm equivalent.
        pixel_pitch: micrometres between pixel centres of *this* frame (halved where the file is upsampled by 2).
        time: when the frame was taken, timezone-aware, UTC.
    """

    lon: float | None = None
    lat: float | None = None
    height: float | None = None
    altitude: float | None = None
    yaw: float | None = None
    pitch: float | None = None
    roll: float | None = None
    focal_length: float | None = None
    pixel_pitch: float | None = None
    time: datetime | None = None

    @property
    def has_position(self) -> bool:
        """Whether longitude and latitude are known."""
        return self.lon is not None and self.lat is not None

    @property
    def ground_sample_distance(self) -> float | None:
        """Metres on the ground a pixel covers below the camera: height · pitch / focal length; None where unknown."""
        if self.height is None or not self.focal_length or not self.pixel_pitch:
            return None
        return self.height * self.pixel_pitch * 1e-3 / self.focal_length


@dataclass(frozen=True, slots=True)
class Frame:
    """One thermal image in its own unit.

    Attributes:
        pixels: float32 (H, W), warm is high; NaN where the sensor gave nothing.
        unit: `celsius`, `counts` (linear in radiance or temperature, scale unknown) or `display` (0 to 255, after AGC).
        pose: where the camera was, or None where the file says nothing at all.
        path: the file it was read from.
        camera: make and model as the file says them, e.g. `DJI M2EA`.
        reader: name of the reader in the registry that read it.
        notes: what a person should know: the palette recognised, the polarity turned, what was assumed.
    """

    pixels: FloatArray
    unit: Unit
    pose: Pose | None = None
    path: Path | None = None
    camera: str | None = None
    reader: str = ""
    notes: tuple[str, ...] = ()

    @property
    def height(self) -> int:
        """Rows of the image."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns of the image."""
        return int(self.pixels.shape[1])


def _boxes() -> FloatArray:
    return np.zeros((0, 4), np.float32)


@dataclass(frozen=True, slots=True)
class Detections:
    """What a detector found in one frame.

    Attributes:
        boxes: float32 (N, 4), x1 y1 x2 y2 in pixels of the frame, origin at the outer corner of the top left pixel.
        scores: float32 (N,), 0 to 1, highest first.
        labels: int64 (N,), index into `classes`.
        classes: names of the classes.
    """

    boxes: FloatArray = field(default_factory=_boxes)
    scores: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))
    labels: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.scores)
        if self.boxes.shape != (n, 4) or self.labels.shape != (n,) or self.scores.shape != (n,):
            raise ValueError(
                f"boxes {self.boxes.shape}, scores {self.scores.shape} and labels {self.labels.shape} do not agree"
            )

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[tuple[FloatArray, float, str]]:
        """Yields (box, score, class name) of each detection."""
        for box, score, label in zip(self.boxes, self.scores, self.labels, strict=True):
            yield box, float(score), self.classes[int(label)]

    def select(self, keep: npt.NDArray[np.bool_] | IntArray) -> Detections:
        """The detections that a boolean mask (N,) or an index array picks, in its order."""
        return Detections(self.boxes[keep], self.scores[keep], self.labels[keep], self.classes)

    def above(self, threshold: float) -> Detections:
        """The detections with a score of at least `threshold`."""
        return self.select(self.scores >= threshold)


@dataclass(frozen=True, slots=True)
class Observation:
    """One detection of an individual in one frame: the frame's name, box xyxy in its pixels, and score."""

    frame: str
    box: tuple[float, float, float, float]
    score: float


@dataclass(frozen=True, slots=True)
class Animal:
    """One individual: where it stood (degrees, WGS 84), how sure that is (m, one sigma), what it is and who saw it."""

    lon: float
    lat: float
    uncertainty: float
    label: str
    observations: tuple[Observation, ...]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A count, density or abundance with its interval, the estimator's name and every correction applied."""

    name: str
    value: float
    interval: tuple[float, float] | None = None
    corrections: tuple[str, ...] = ()
