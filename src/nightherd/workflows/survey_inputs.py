"""What a survey starts from: the flight, the detector, the truth of a simulated flight, and frames read ahead."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from nightherd import __version__
from nightherd.errors import FrameError, NightherdError, PoseError
from nightherd.survey.georeference import PoseSigma, lonlat_to_ground, place
from nightherd.survey.heading import HeadingCheck, are_comparable, check_heading, measured_yaw, turn
from nightherd.types import Detections, FloatArray, Frame, Pose

if TYPE_CHECKING:
    from nightherd.frames.flight import Flight

EXAMPLE = "example"

HEADING_PAIRS, HEADING_TRIALS = 12, 36
"""Pairs of frames whose heading is measured, and pairs that are tried for it."""

MAX_TRUTH = 10_000_000
"""Bytes of a truth.json that is read."""

READ_AHEAD = 4
"""Frames read before they are needed; bounds the memory of a run whatever its length."""


class Detector(Protocol):
    """What a survey needs of a predictor; `nightherd.inference.predictor.Predictor` is one."""

    @property
    def name(self) -> str:
        """The model's name."""

    @property
    def digest(self) -> str:
        """What tells its file from any other."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of its classes."""

    @property
    def thresholds(self) -> dict[str, float]:
        """Class → score from which a detection counts."""

    def predict(self, pixels: FloatArray) -> Detections:
        """The detections in one frame."""


def read_source(flight: str | Path, camera: str | None = None) -> Flight:
    """The flight that a folder, or the name of the bundled one, means."""
    from nightherd.frames.flight import read_flight

    if str(flight) == EXAMPLE:
        from nightherd.datasets.bundled import example_flight

        return read_flight(example_flight())
    return read_flight(Path(flight), camera=camera) if camera else read_flight(Path(flight))


def load_detector(model: str | Path | None = None, threshold: float | None = None) -> Detector:
    """The predictor for a bundled model's name or a model file; None takes the default."""
    from nightherd.inference.predictor import Predictor
    from nightherd.models import DEFAULT_MODEL

    return Predictor(DEFAULT_MODEL if model is None else model, threshold=threshold)


def frame_name(source: Flight, path: Path) -> str:
    """Name of a frame relative to the flight's folder, `/` between parts."""
    return path.relative_to(source.folder).as_posix() if path.is_relative_to(source.folder) else path.name


def frame_clock(path: Path) -> datetime | None:
    """When a frame was taken by the camera's own clock, without a zone; None where the file does not say."""
    from nightherd.frames.header import read_header
    from nightherd.frames.pose import local_time

    try:
        return local_time(read_header(path))
    except FrameError:
        return None


def run_fingerprint(source: Flight, detector: Detector, sigma: PoseSigma, height: float | None) -> dict[str, Any]:
    """All that the results depend on: names, sizes and dates of the frames, the model, the settings, the version."""
    listing = hashlib.sha256()
    for path in source.frames:
        status = path.stat()
        listing.update(f"{frame_name(source, path)}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return {
        "command": "survey",
        "flight": listing.hexdigest(),
        "model": detector.digest,
        "threshold": dict(detector.thresholds),
        "height": height,
        "sigma": [sigma.position, sigma.height, sigma.yaw, sigma.pitch, sigma.roll],
        "version": __version__,
    }


def require_positions(source: Flight) -> None:
    """Makes sure that at least one frame has a position before hours are spent.

    Raises:
        PoseError: none has.
    """
    from nightherd.frames.pose import read_pose

    for path in source.frames:
        try:
            pose = read_pose(path)
        except NightherdError:
            continue
        if pose is not None and pose.has_position:
            return
    raise PoseError(
        f"none of its {len(source.frames)} frames has a GPS position, so nothing can be placed on a map; "
        "use 'nightherd detect', which needs none",
        source.folder,
    )


def with_height(pose: Pose | None, height: float | None) -> Pose | None:
    """The pose, with the given height above ground where it has none."""
    return replace(pose, height=height) if pose is not None and pose.height is None else pose


def flight_heading(frames: Sequence[Path], height: float | None = None) -> HeadingCheck | None:
    """Compares the recorded heading with the pictures, on a few pairs of neighbours spread over the flight.

    Args:
        frames: of the flight, in order.
        height: metres above ground, for frames that do not say it.

    Returns:
        The check, or None where too few pairs could be registered.
    """
    from nightherd.frames.readers import read_frame

    starts = range(len(frames) - 1)
    offsets: list[float] = []
    for i in starts[:: max(1, len(starts) // HEADING_TRIALS)]:
        try:
            first, second = read_frame(frames[i]), read_frame(frames[i + 1])
            places = [place(with_height(f.pose, height), f.width, f.height) for f in (first, second)]
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


def read_ahead(paths: Sequence[Path]) -> Iterator[tuple[Path, Future[Frame]]]:
    """Yields each path with its frame, which a second thread reads before it is asked for."""
    from nightherd.frames.readers import read_frame

    def read(path: Path) -> Frame:
        try:
            return read_frame(path)
        except OSError as error:
            raise FrameError(f"cannot be read: {error.strerror or error}", path) from error

    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="nightherd-read")
    try:
        pending: deque[tuple[Path, Future[Frame]]] = deque()
        for path in paths:
            pending.append((path, executor.submit(read, path)))
            if len(pending) > READ_AHEAD:
                yield pending.popleft()
        while pending:
            yield pending.popleft()
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True, slots=True)
class FlightTruth:
    """What was truly there in a simulated flight: label → individuals in the strip, and those that can be seen."""

    individuals: Mapping[str, int]
    visible: Mapping[str, int]


def flight_truth(folder: Path) -> FlightTruth | None:
    """The truth of a simulated flight from the truth.json beside its frames; None for a real one."""
    path = folder / "truth.json"
    if not path.is_file() or path.stat().st_size > MAX_TRUTH:
        return None
    value = read_summary(path)
    individuals, visible = _counts(value.get("individuals")), _counts(value.get("visible"))
    return FlightTruth(individuals, visible) if individuals else None


def _counts(value: object) -> dict[str, int]:
    """The whole numbers from 0 on of a mapping; whatever else it holds is left out."""
    if not isinstance(value, dict):
        return {}
    return {str(label): n for label, n in value.items() if isinstance(n, int) and not isinstance(n, bool) and n >= 0}


def read_summary(path: Path) -> dict[str, Any]:
    """The content of a `summary.json`; empty where it is damaged."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
