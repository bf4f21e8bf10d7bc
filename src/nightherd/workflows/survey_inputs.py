"""What a survey starts from: the flight, the detector, the truth of a simulated flight, and frames read ahead."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightherd import __version__
from nightherd.errors import FrameError
from nightherd.files import legible
from nightherd.survey.georeference import PoseSigma
from nightherd.types import Frame
from nightherd.workflows.detector import Detector

if TYPE_CHECKING:
    from nightherd.frames.flight import Flight
    from nightherd.workflows.survey_poses import PoseSource

EXAMPLE = "example"

MAX_TRUTH = 10_000_000
"""Bytes of a truth.json that is read."""

READ_AHEAD = 4
"""Frames read before they are needed; bounds the memory of a run whatever its length."""


ReadFrame = Callable[[Path], Frame]
"""Reads a frame file; raises FrameError."""


def read_source(flight: str | Path, camera: str | None = None) -> Flight:
    """The flight that a folder, or the name of the bundled one, means."""
    from nightherd.frames.flight import read_flight

    if flight == EXAMPLE:
        from nightherd.datasets.bundled import example_flight

        return read_flight(example_flight(), camera=camera)
    source = read_flight(Path(flight), camera=camera)
    return replace(source, name=legible(source.name))


def load_detector(model: str | Path | None = None, threshold: float | None = None) -> Detector:
    """The predictor for a bundled model's name or a model file; None takes the default."""
    from nightherd.inference.predictor import Predictor
    from nightherd.models import DEFAULT_MODEL

    return Predictor(DEFAULT_MODEL if model is None else model, threshold=threshold)


def frame_name(source: Flight, path: Path) -> str:
    """Name of a frame relative to the flight's folder, `/` between parts."""
    return legible(path.relative_to(source.folder).as_posix() if path.is_relative_to(source.folder) else path.name)


def run_fingerprint(
    source: Flight,
    detector: Detector,
    poses: PoseSource,
    sigma: PoseSigma,
    polarity: str,
    longest: Mapping[str, float],
    scale: float,
) -> dict[str, Any]:
    """All that the results depend on: the frames and what tells their poses, the model, the settings, the version."""
    return {
        "command": "survey",
        "flight": _listing(source.frames),
        "model": detector.digest,
        "threshold": dict(detector.thresholds),
        "positions": _listing([positions.path for positions in poses.positions]),
        "height": poses.height,
        "sigma": [sigma.position, sigma.height, sigma.yaw, sigma.pitch, sigma.roll],
        "polarity": polarity,
        "longest": dict(longest),
        "scale": scale,
        "version": __version__,
    }


def _listing(paths: Sequence[Path]) -> str:
    """A digest of names, sizes and dates."""
    listing = hashlib.sha256()
    for path in paths:
        status = path.stat()
        name = legible(f"{path.parent.name}/{path.name}")
        listing.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return listing.hexdigest()


def read_ahead(paths: Sequence[Path], read_frame: ReadFrame) -> Iterator[tuple[Path, Future[Frame]]]:
    """Yields each path with its frame, which a second thread reads before it is asked for."""

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
