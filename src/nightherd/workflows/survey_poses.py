"""Where the frames of a survey were taken: from the frames, files beside them, a table, and the pictures themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from nightherd.errors import FrameError, NightherdError, PoseError
from nightherd.frames.header import read_header
from nightherd.frames.pose import local_time, read_pose
from nightherd.frames.positions import Positions, complete_pose, positions_beside, read_positions
from nightherd.frames.readers import read_frame
from nightherd.survey.georeference import lonlat_to_ground, place
from nightherd.survey.heading import HeadingCheck, are_comparable, check_heading, measured_yaw, turn
from nightherd.types import Pose

if TYPE_CHECKING:
    from nightherd.frames.flight import Flight

HEADING_PAIRS, HEADING_TRIALS = 12, 36
"""Pairs of frames whose heading is measured, and pairs that are tried for it."""


@dataclass(frozen=True, slots=True)
class PoseSource:
    """What completes the poses that frames tell.

    Attributes:
        positions: position files, the first that knows a frame going first.
        height: metres above ground, for frames without.
    """

    positions: tuple[Positions, ...] = ()
    height: float | None = None

    def complete(self, pose: Pose | None, path: Path) -> Pose | None:
        """The pose of a frame with what it lacks filled in as far as it is known."""
        pose = complete_pose(pose, path, self.positions)
        return replace(pose, height=self.height) if pose is not None and pose.height is None else pose


def pose_source(source: Flight, positions: Path | None = None, height: float | None = None) -> PoseSource:
    """The position files of a flight: the one that is given, then the MRK and SRT files beside the frames.

    Raises:
        PoseError: the given file cannot be read or holds no position.
    """
    given = () if positions is None else (read_positions(positions),)
    return PoseSource((*given, *positions_beside(source.sidecars)), height)


def frame_clock(path: Path) -> datetime | None:
    """When a frame was taken by the camera's own clock, without a zone; None where the file does not say."""
    try:
        return local_time(read_header(path))
    except FrameError:
        return None


def require_positions(source: Flight, poses: PoseSource) -> None:
    """Makes sure that at least one frame has a position before hours are spent.

    Raises:
        PoseError: none has.
    """
    for path in source.frames:
        try:
            pose = poses.complete(read_pose(path), path)
        except NightherdError:
            continue
        if pose is not None and pose.has_position:
            return
    only = len(source.frames) == 1
    raise no_positions(
        source,
        "its only frame has no GPS position" if only else f"none of its {len(source.frames)} frames has a GPS position",
    )


def no_positions(source: Flight, what: str) -> PoseError:
    """The error of a flight that cannot be put on a map, with its remedies."""
    return PoseError(
        f"{what}; give a table of positions with --track, or use 'nightherd detect', which needs none", source.folder
    )


def flight_heading(frames: Sequence[Path], poses: PoseSource) -> HeadingCheck | None:
    """Compares the recorded heading with the pictures, on a few pairs of neighbours spread over the flight.

    Args:
        frames: of the flight, in order.
        poses: completes what they say of their poses.

    Returns:
        The check, or None where too few pairs could be registered.
    """
    starts = range(len(frames) - 1)
    offsets: list[float] = []
    for i in starts[:: max(1, len(starts) // HEADING_TRIALS)]:
        try:
            first, second = read_frame(frames[i]), read_frame(frames[i + 1])
            places = [
                place(poses.complete(frame.pose, path), frame.width, frame.height)
                for frame, path in ((first, frames[i]), (second, frames[i + 1]))
            ]
        except (NightherdError, OSError):
            continue
        if not are_comparable(*places):
            continue
        east, north = lonlat_to_ground(places[0].lon, places[0].lat, [places[1].lon], [places[1].lat])[0]
        view = places[0].view
        yaw = measured_yaw(first.pixels, second.pixels, (east, north), view.ground_sample_distance)
        if yaw is not None:
            offsets.append(turn(yaw - view.yaw))
        if len(offsets) == HEADING_PAIRS:
            break
    return check_heading(offsets)
