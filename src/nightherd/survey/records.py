"""What a survey knows of each frame once it was read, searched and placed on the ground.

Joins `Frame` and `Detections` with the map; the store and the report read these records and nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np

from nightherd.errors import PoseError
from nightherd.survey.camera import Array
from nightherd.survey.georeference import GroundBoxes, Placement, PoseSigma, footprint_lonlat, georeference, place
from nightherd.types import Detections, Pose

Status = str
SURVEYED, UNPLACED, FAILED = "surveyed", "no position", "failed"


@dataclass(frozen=True, slots=True)
class SurveyedFrame:
    """One frame of a survey.

    Attributes:
        name: of the file, relative to the flight's folder, `/` between parts.
        status: `surveyed`, `no position` (searched but not on the map) or `failed` (not searched).
        reason: why it failed or has no position; empty where it was surveyed.
        columns, rows: pixels; 0 where it failed.
        clock: when it was taken by the camera's own clock, without a zone.
        pose: as read from the file.
        placement: the camera over the ground, None where there is no position.
        detections: boxes in pixels of the frame, highest score first.
        on_ground: the same boxes on the ground; NaN where they have no position.
        footprint: float64 (M, 2) longitude and latitude of the outline on the ground, or None.
        unit, camera: as in `Frame`.
        notes: what the reader and the georeference assumed, and what was left out.
        too_long: how many detections were left out because nothing of their class is that long.
    """

    name: str
    status: Status
    reason: str = ""
    columns: int = 0
    rows: int = 0
    clock: datetime | None = None
    pose: Pose | None = None
    placement: Placement | None = None
    detections: Detections = field(default_factory=Detections)
    on_ground: GroundBoxes = field(default_factory=GroundBoxes)
    footprint: Array | None = None
    unit: str = ""
    camera: str | None = None
    notes: tuple[str, ...] = ()
    too_long: int = 0


def failed_frame(name: str, reason: str, pose: Pose | None = None) -> SurveyedFrame:
    """The record of a frame that could not be searched."""
    return SurveyedFrame(name, FAILED, reason, pose=pose)


def surveyed_frame(
    name: str,
    columns: int,
    rows: int,
    pose: Pose | None,
    detections: Detections,
    *,
    unit: str = "",
    camera: str | None = None,
    notes: Sequence[str] = (),
    clock: datetime | None = None,
    sigma: PoseSigma | None = None,
    yaw_offset: float = 0.0,
    longest: Mapping[str, float] | None = None,
) -> SurveyedFrame:
    """Places what was found in a frame on the ground, as far as its pose allows.

    Args:
        name: of the file, relative to the flight's folder.
        columns, rows: size of the frame in pixels.
        pose: as read from the file.
        detections: found in the frame.
        unit, camera, notes: as in `Frame`.
        clock: when it was taken by the camera's own clock, without a zone.
        sigma: one sigma of the pose; None takes the defaults.
        yaw_offset: degrees clockwise to add to the recorded yaw, where it is known to be off.
        longest: class → metres on the ground, from corner to corner of the box, above which a detection is left out,
            and said in the notes.

    Returns:
        The record, with status `no position` where the pose does not suffice.
    """
    placement, outline, status, reason = None, None, SURVEYED, ""
    try:
        placement = place(pose, columns, rows)
        if yaw_offset and placement.is_yaw_known:
            placement = replace(placement, view=replace(placement.view, yaw=placement.view.yaw + yaw_offset))
        on_ground = georeference(placement, detections.boxes, sigma)
        outline = footprint_lonlat(placement)
    except PoseError as error:
        nowhere = np.full(len(detections), np.nan)
        on_ground = GroundBoxes(nowhere, nowhere, nowhere, nowhere, nowhere)
        status, reason = UNPLACED, error.message
    detections, on_ground, left_out = _of_plausible_length(detections, on_ground, longest or {})
    return SurveyedFrame(
        name=name,
        status=status,
        reason=reason,
        columns=columns,
        rows=rows,
        clock=clock,
        pose=pose,
        placement=placement,
        detections=detections,
        on_ground=on_ground,
        footprint=outline,
        unit=unit,
        camera=camera,
        notes=(*notes, *(placement.assumptions if placement else ()), *left_out),
        too_long=len(left_out),
    )


def _of_plausible_length(
    detections: Detections, on_ground: GroundBoxes, longest: Mapping[str, float]
) -> tuple[Detections, GroundBoxes, list[str]]:
    """The detections whose boxes are not longer on the ground than their class can be, and a line about each other one.

    From corner to corner, since a long body has about the same diagonal whichever way it lies, and its box has not the
    same sides.
    """
    limit = np.array([longest.get(name, np.inf) for name in detections.classes] or [np.inf])[detections.labels]
    across = np.hypot(on_ground.length, on_ground.width)
    is_too_long = np.nan_to_num(across, nan=0.0) > limit
    if not is_too_long.any():
        return detections, on_ground, []
    said = [
        f"left out: a detection of {detections.classes[int(detections.labels[i])]} (score {detections.scores[i]:.2f}) "
        f"{across[i]:.1f} m from corner to corner, above {limit[i]:g} m"
        for i in np.flatnonzero(is_too_long)
    ]
    keep = ~is_too_long
    parts = (on_ground.lon, on_ground.lat, on_ground.uncertainty, on_ground.length, on_ground.width)
    return detections.select(keep), GroundBoxes(*(part[keep] for part in parts)), said


def count_by_label(frames: Iterable[SurveyedFrame]) -> dict[str, int]:
    """Detections of each class over all frames, the most frequent first."""
    counts = Counter(label for frame in frames for _, _, label in frame.detections)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def count_unplaced(frames: Iterable[SurveyedFrame]) -> int:
    """Detections without a position on the ground."""
    return sum(int(np.isnan(frame.on_ground.lon).sum()) for frame in frames)
