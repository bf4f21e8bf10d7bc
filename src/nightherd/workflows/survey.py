"""What `nightherd survey` does: a flight folder in; survey.gpkg, report.html and summary.json out, resumable.

Every frame is read; it is searched unless an interrupted run has done so (`progress.jsonl` remembers), and what was
found is placed on flat ground. `summary.json` is written last and holds the run's fingerprint: where it fits, the
work is done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightherd import __version__
from nightherd.errors import FrameError, ModelError, ResultsError
from nightherd.files import legible, write_json, write_text
from nightherd.frames.readers import Polarity, read_frame
from nightherd.inference.progress import Progress
from nightherd.survey.georeference import PoseSigma
from nightherd.survey.heading import HeadingCheck
from nightherd.survey.records import (
    FAILED,
    SurveyedFrame,
    count_by_label,
    count_unplaced,
    failed_frame,
    surveyed_frame,
)
from nightherd.types import Detections, FloatArray
from nightherd.workflows.detector import Detector
from nightherd.workflows.record import record_survey
from nightherd.workflows.survey_inputs import (
    EXAMPLE,
    ReadFrame,
    flight_truth,
    frame_name,
    load_detector,
    read_ahead,
    read_source,
    read_summary,
    run_fingerprint,
)
from nightherd.workflows.survey_poses import (
    PoseSource,
    flight_heading,
    frame_clock,
    no_positions,
    pose_source,
    require_positions,
)
from nightherd.workflows.telling import Track, untracked

if TYPE_CHECKING:
    from nightherd.frames.flight import Flight

RESULTS_FOLDER = "nightherd-results"
STORE, REPORT, SUMMARY, PROGRESS = "survey.gpkg", "report.html", "summary.json", "progress.jsonl"

INDIVIDUALS_NOTE = (
    "'detections' counts every box in every frame; overlapping frames show the same animal several times. "
    "Individuals are not yet told apart, so 'animals' and 'estimates' are empty."
)

LONGEST = {"animal": 5.3}
"""Metres from corner to corner: no animal that the bundled models learned has a longer box, its margin and horse and
cattle included (red deer 4.2, wild boar 3.3, roe deer 2.4; the most in 200 simulated frames)."""

MAX_LEFT_OUT = 1000
"""Most files that `summary.json` names as left out."""


@dataclass(frozen=True, slots=True)
class SurveyResult:
    """What a survey came to.

    Attributes:
        folder: where the results lie.
        summary: the content of `summary.json`.
        was_finished: whether an earlier run had done all of it, so that nothing was written.
    """

    folder: Path
    summary: Mapping[str, Any]
    was_finished: bool = False

    @property
    def report(self) -> Path:
        """The page for people."""
        return self.folder / REPORT

    @property
    def store(self) -> Path:
        """The layers for a map."""
        return self.folder / STORE


@dataclass(slots=True)
class Stopwatch:
    """Seconds spent in each stage of a run."""

    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, stage: str, started: float) -> None:
        """Adds the time since `started` (of `time.perf_counter`) to a stage."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - started


def run_survey(
    flight: str | Path,
    *,
    model: str | Path | None = None,
    out: Path | None = None,
    threshold: float | None = None,
    camera: str | None = None,
    positions: Path | None = None,
    height: float | None = None,
    polarity: Polarity = "auto",
    longest: Mapping[str, float] | None = None,
    scale: float = 1.0,
    force: bool = False,
    track: Track = untracked,
    note: Callable[[str], None] = lambda _: None,
    command: str = "",
    detector: Detector | None = None,
    sigma: PoseSigma | None = None,
) -> SurveyResult:
    """Surveys one flight.

    Args:
        flight: the folder of frames, or `example` for the bundled flight.
        model: name of a bundled model or path of a model file; None takes the default.
        out: folder of the results; None takes ./nightherd-results/<name of the flight>.
        threshold: score from which a detection counts, for every class; None takes the model's own.
        camera: which thermal camera, where the folder holds frames of several.
        positions: table, MRK or SRT file with positions, for frames that do not say theirs.
        height: metres above ground, for frames that do not say it.
        polarity: what is warm in 8-bit pictures; `auto` believes the file, else white-hot.
        longest: class → metres on the ground from corner to corner of a box; detections of the class that are longer
            are left out, counted and said. None takes `LONGEST`.
        scale: each frame is resampled by this factor before it is searched, see `Predictor.predict`; boxes are in
            pixels of the frame as it is.
        force: begin anew and overwrite what the folder of results holds.
        track: shows progress, called as track(items, description, total).
        note: told one line about the flight, and one of each frame that fails.
        command: the command line, for the report.
        detector: takes the place of `model` and `threshold`.
        sigma: one sigma of the poses; None takes the defaults.

    Returns:
        The summary and where the results lie.

    Raises:
        FrameError: no flight there, or none of its frames can be read.
        PoseError: no frame has a GPS position.
        ModelError: the model is missing or refused.
        ResultsError: other work is in the way, or the results cannot be written.
    """
    watch, started = Stopwatch(), time.perf_counter()
    source = read_source(flight, camera)
    note(source.summary)
    if flight == EXAMPLE and Path(EXAMPLE).is_dir():
        note(f"this is the bundled flight; for your folder of that name write {Path(EXAMPLE).resolve()}")
    folder = Path(out) if out is not None else Path(RESULTS_FOLDER) / source.name
    detector = detector or load_detector(model, threshold)
    sigma = sigma or PoseSigma()
    poses = pose_source(source, positions, height)
    longest = LONGEST if longest is None else longest
    fingerprint = run_fingerprint(source, detector, poses, sigma, polarity, longest, scale)
    read = partial(read_frame, polarity=polarity)
    search = partial(detector.predict, scale=scale)
    finished = _finished(folder, fingerprint, force)
    if finished is not None:
        return SurveyResult(folder, finished, was_finished=True)
    require_positions(source, poses)
    watch.add("start", started)
    with Progress(folder / PROGRESS, fingerprint, force=force) as progress:
        if force:
            (folder / SUMMARY).unlink(missing_ok=True)
        started_heading = time.perf_counter()
        heading = flight_heading(source.frames, poses)
        watch.add("heading", started_heading)
        sigma, yaw_offset = apply_heading(sigma, heading)
        ground = partial(surveyed_frame, sigma=sigma, yaw_offset=yaw_offset, longest=longest)
        frames = list(_survey_frames(source, search, progress, poses, ground, read, track, note, watch))
    _require_success(source, frames)
    return _write(
        source, folder, frames, detector, sigma, heading, fingerprint, command, read, track, watch, started, note
    )


def apply_heading(sigma: PoseSigma, heading: HeadingCheck | None) -> tuple[PoseSigma, float]:
    """One sigma of the poses and the degrees to add to the recorded yaw, in the light of what the pictures say."""
    if heading is None or heading.agrees:
        return sigma, 0.0
    if heading.corrects:
        return sigma, heading.offset
    return replace(sigma, yaw=max(sigma.yaw, heading.sigma)), 0.0


def _finished(folder: Path, fingerprint: Mapping[str, Any], force: bool) -> dict[str, Any] | None:
    """The summary of a finished run with the same fingerprint, or None where there is work to do.

    Raises:
        ResultsError: the folder is a file, or holds the results of something else and `force` is not set.
    """
    if folder.exists() and not folder.is_dir():
        raise ResultsError("is a file; --out names the folder of the results", folder)
    if force:
        return None
    there = [name for name in (STORE, REPORT, SUMMARY) if (folder / name).exists()]
    if SUMMARY in there:
        summary = read_summary(folder / SUMMARY)
        if summary.get("fingerprint") != fingerprint:
            raise ResultsError("holds another survey; choose another --out, or --force to overwrite it", folder)
        return summary if len(there) == 3 else None
    if there and not (folder / PROGRESS).exists():
        raise ResultsError(
            f"holds a {there[0]} that this run did not make; choose another --out, or --force to overwrite it", folder
        )
    return None


def _survey_frames(
    source: Flight,
    search: Callable[[FloatArray], Detections],
    progress: Progress,
    poses: PoseSource,
    ground: Callable[..., SurveyedFrame],
    read: ReadFrame,
    track: Track,
    note: Callable[[str], None],
    watch: Stopwatch,
) -> Iterator[SurveyedFrame]:
    """Reads, searches and places every frame; a frame that fails is recorded and passed over."""
    ahead = read_ahead(source.frames, read)
    for path, pending in track(ahead, "searching frames", len(source.frames)):
        name = frame_name(source, path)
        try:
            started = time.perf_counter()
            frame = pending.result()
            watch.add("read", started)
            found = progress.done.get(name)
            if not isinstance(found, Detections):
                started = time.perf_counter()
                found = search(frame.pixels)
                watch.add("detect", started)
                progress.add(name, found)
        except (FrameError, ModelError) as error:
            if not source.folder.is_dir():
                raise FrameError(
                    "the folder is gone; put it back and run the same command again", source.folder
                ) from error
            if progress.done.get(name) != error.message:
                progress.fail(name, error.message)
            note(f"skipped {error}")
            yield failed_frame(name, error.message)
            continue
        started = time.perf_counter()
        record = ground(
            name,
            frame.width,
            frame.height,
            poses.complete(frame.pose, path),
            found,
            unit=frame.unit,
            camera=frame.camera,
            notes=frame.notes,
            clock=frame_clock(path),
        )
        watch.add("georeference", started)
        yield record


def _require_success(source: Flight, frames: Sequence[SurveyedFrame]) -> None:
    failed = [frame for frame in frames if frame.status == FAILED]
    if len(failed) == len(frames):
        raise FrameError(
            f"its only frame could not be searched; {failed[0].name}: {failed[0].reason}"
            if len(frames) == 1
            else f"none of its {len(frames)} frames could be searched; the first, {failed[0].name}: {failed[0].reason}",
            source.folder,
        )
    if not any(frame.pose and frame.pose.has_position for frame in frames):
        raise no_positions(source, "no frame that could be searched has a GPS position")


def _write(
    source: Flight,
    folder: Path,
    frames: Sequence[SurveyedFrame],
    detector: Detector,
    sigma: PoseSigma,
    heading: HeadingCheck | None,
    fingerprint: Mapping[str, Any],
    command: str,
    read: ReadFrame,
    track: Track,
    watch: Stopwatch,
    began: float,
    note: Callable[[str], None],
) -> SurveyResult:
    """Writes the store, the report and, last, the summary that marks the work as done."""
    started = time.perf_counter()
    from nightherd.report.page import render_survey
    from nightherd.survey.store import write_survey
    from nightherd.workflows.survey_report import report_content

    watch.add("start", started)
    started = time.perf_counter()
    write_survey(folder / STORE, frames)
    watch.add("store", started)
    started = time.perf_counter()
    truth = flight_truth(source.folder)
    scale = fingerprint["scale"]
    made = datetime.now(UTC)
    content = report_content(source, frames, detector, sigma, heading, truth, command, made, read, track, scale)
    write_text(folder / REPORT, render_survey(content))
    watch.add("report", started)
    by_label = count_by_label(frames)
    watch.add("total", began)
    summary: dict[str, Any] = {
        "flight": source.name,
        "frames": len(frames),
        "frames_failed": sum(frame.status == FAILED for frame in frames),
        "failures": {frame.name: frame.reason for frame in frames if frame.status == FAILED},
        "files_left_out": {legible(path.name): reason for path, reason in source.skipped[:MAX_LEFT_OUT]},
        "detections": sum(by_label.values()),
        "detections_by_label": by_label,
        "detections_without_position": count_unplaced(frames),
        "detections_left_out_as_too_long": sum(frame.too_long for frame in frames),
        "area_m2": None if content.area is None else round(content.area, 1),
        "animals": {},
        "estimates": [],
        "note": INDIVIDUALS_NOTE,
        **({"truth": dict(truth.individuals), "truth_visible": dict(truth.visible)} if truth else {}),
        "heading": heading and {**asdict(heading), "agrees": heading.agrees, "corrected": heading.corrects},
        "warnings": list(content.warnings),
        "model": detector.name,
        "thresholds": dict(detector.thresholds),
        "scale": scale,
        "seconds": {stage: round(seconds, 3) for stage, seconds in watch.seconds.items()},
        "command": command,
        "version": __version__,
        "fingerprint": dict(fingerprint),
    }
    record_survey(folder, summary, content.settings, source.frames, note)
    write_json(folder / SUMMARY, summary)
    return SurveyResult(folder, summary)
