"""Turns a survey's records into what its report says: tables, marks, thumbnails, warnings and settings."""

from __future__ import annotations

import platform
import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from nightherd import __version__
from nightherd.errors import NightherdError
from nightherd.files import legible
from nightherd.models import model_card
from nightherd.report.content import Box, ClassRow, FrameRow, Mark, ShownFrame, SurveyContent, Thumbnail
from nightherd.report.pictures import thumbnail, whole_frame
from nightherd.survey.georeference import PoseSigma, covered_area, ring_area
from nightherd.survey.heading import HeadingCheck
from nightherd.survey.records import FAILED, SurveyedFrame, count_unplaced
from nightherd.types import Detections

if TYPE_CHECKING:
    from nightherd.frames.flight import Flight
    from nightherd.workflows.detector import Detector
    from nightherd.workflows.survey import SurveyResult
    from nightherd.workflows.survey_inputs import FlightTruth, ReadFrame
    from nightherd.workflows.telling import Track

MAX_THUMBNAILS = 200
MAX_SHOWN = 6

FINISHED = "all of it was done before, nothing was written; --force begins anew"


def report_content(
    source: Flight,
    frames: Sequence[SurveyedFrame],
    detector: Detector,
    sigma: PoseSigma,
    heading: HeadingCheck | None,
    truth: FlightTruth | None,
    command: str,
    made: datetime,
    read: ReadFrame,
    track: Track,
    scale: float = 1.0,
) -> SurveyContent:
    """Everything the report of a survey says; reads the frames that it shows once more.

    Args:
        source: the flight.
        frames: its records, in order.
        detector: what searched them.
        sigma: one sigma of the poses.
        heading: what the pictures say about the recorded heading.
        truth: what was truly there in a simulated flight.
        command: the command line.
        made: when, UTC.
        read: reads a frame as the search read it.
        track: shows progress.
        scale: what the frames were resampled by before they were searched.
    """
    rings = [frame.footprint for frame in frames if frame.footprint is not None]
    area = covered_area(rings) if rings else None
    thumbnails, shown = _pictures(source, frames, detector.classes, read, track)
    card = model_card(detector.name)
    return SurveyContent(
        flight=source.name,
        summary=source.summary,
        frames=[_frame_row(frame) for frame in frames],
        classes=[_class_row(label, frames, detector) for label in detector.classes],
        footprints=rings,
        marks=list(_marks(frames)),
        unplaced=count_unplaced(frames),
        area=area,
        times_seen=sum(map(ring_area, rings)) / area if area else None,
        thumbnails=thumbnails,
        shown=shown,
        warnings=survey_warnings(frames, heading),
        truth=truth.individuals if truth else None,
        truth_visible=truth.visible if truth else {},
        model=detector.name,
        model_summary=card.summary if card else "",
        model_limits=card.limits if card else (),
        left_out=[(legible(path.name), reason) for path, reason in source.skipped],
        settings=_settings(detector, sigma, heading, frames, scale),
        versions=_versions(),
        command=command,
        made=made,
    )


def survey_warnings(frames: Sequence[SurveyedFrame], heading: HeadingCheck | None) -> list[str]:
    """What a reader must know before using the numbers, one sentence each."""
    warnings = []
    if heading is not None and not heading.agrees:
        off = f"The heading that the files record is {abs(heading.offset):.0f}° off"
        if heading.corrects:
            warnings.append(
                f"{off}: neighbouring frames show that the images point {abs(heading.offset):.0f}° further "
                f"{'clockwise' if heading.offset > 0 else 'anticlockwise'} ({heading.pairs} pairs of frames agree "
                f"within {max(1.0, heading.spread):.0f}°). The map uses the corrected heading."
            )
        else:
            warnings.append(
                f"{off} or more in some frames, and not by one angle throughout ({heading.pairs} pairs of frames "
                "compared). Positions away from the point below the drone are unreliable; their stated error allows "
                "for it."
            )
    searched = [frame for frame in frames if frame.status != FAILED]
    unplaced = count_unplaced(frames)
    if not any(frame.placement for frame in searched):
        why = Counter(frame.reason for frame in searched).most_common(1)[0][0]
        warnings.append(f"No frame could be placed on the ground, so there are no positions, sizes or areas: {why}.")
    elif unplaced:
        total = sum(len(frame.detections) for frame in frames)
        warnings.append(f"{unplaced:,} of {total:,} detections have no position on the ground and are not on the map.")
    too_long = sum(frame.too_long for frame in frames)
    if too_long:
        which = "1 detection was" if too_long == 1 else f"{too_long:,} detections were"
        warnings.append(
            f"{which} left out: longer on the ground, from corner to corner, than a box of the class can be "
            "(--longest). "
            "The notes of the frames name them."
        )
    blind = sum(frame.placement is not None and not frame.placement.is_yaw_known for frame in searched)
    if blind:
        warnings.append(
            f"{blind:,} of {len(searched):,} frames do not say which way the image points; what they show is placed "
            "below the camera, and the ground they saw is not counted."
        )
    return warnings


def _frame_row(frame: SurveyedFrame) -> FrameRow:
    pose = frame.pose
    return FrameRow(
        name=frame.name,
        status=frame.status,
        reason=frame.reason,
        detections=len(frame.detections),
        time=pose.time if pose else None,
        clock=frame.clock,
        lon=pose.lon if pose else None,
        lat=pose.lat if pose else None,
        height=pose.height if pose else None,
        ground_sample_distance=frame.placement.view.ground_sample_distance if frame.placement else None,
    )


def _class_row(label: str, frames: Sequence[SurveyedFrame], detector: Detector) -> ClassRow:
    scores: list[float] = []
    lengths: list[float] = []
    errors: list[float] = []
    with_any = 0
    for frame in frames:
        mine = [i for i, (_, _, name) in enumerate(frame.detections) if name == label]
        with_any += bool(mine)
        scores += [float(frame.detections.scores[i]) for i in mine]
        placed = [i for i in mine if np.isfinite(frame.on_ground.lon[i])]
        lengths += [float(frame.on_ground.length[i]) for i in placed]
        errors += [float(frame.on_ground.uncertainty[i]) for i in placed]
    return ClassRow(
        label=label,
        detections=len(scores),
        frames=with_any,
        threshold=detector.thresholds.get(label),
        best_score=max(scores, default=None),
        median_length=statistics.median(lengths) if lengths else None,
        median_uncertainty=statistics.median(errors) if errors else None,
    )


def _marks(frames: Sequence[SurveyedFrame]) -> list[Mark]:
    return [
        Mark(float(frame.on_ground.lon[i]), float(frame.on_ground.lat[i]), label, score)
        for frame in frames
        for i, (_, score, label) in enumerate(frame.detections)
        if np.isfinite(frame.on_ground.lon[i])
    ]


def choose_thumbnails(
    frames: Sequence[SurveyedFrame], classes: Sequence[str], limit: int = MAX_THUMBNAILS
) -> list[tuple[int, int]]:
    """Which detections the contact sheet shows: the best of each class, rare classes in full before frequent ones.

    Args:
        frames: of the survey.
        classes: names, in the order in which the sheet groups them.
        limit: most of all.

    Returns:
        (frame, detection) indices, grouped by class, highest score first.
    """
    by_label: dict[str, list[tuple[float, int, int]]] = defaultdict(list)
    for number, frame in enumerate(frames):
        for i, (_, score, label) in enumerate(frame.detections):
            by_label[label].append((-score, number, i))
    share: dict[str, int] = {}
    left = limit
    for done, label in enumerate(sorted(by_label, key=lambda name: len(by_label[name]))):
        share[label] = min(len(by_label[label]), left // (len(by_label) - done))
        left -= share[label]
    return [(n, i) for label in classes if label in by_label for _, n, i in sorted(by_label[label])[: share[label]]]


def _pictures(
    source: Flight, frames: Sequence[SurveyedFrame], classes: Sequence[str], read: ReadFrame, track: Track
) -> tuple[list[Thumbnail], list[ShownFrame]]:
    """Thumbnails and whole frames; each frame is read once, and one that can no longer be read is left out."""
    chosen = choose_thumbnails(frames, classes)
    fullest = sorted(range(len(frames)), key=lambda n: (-len(frames[n].detections), n))[:MAX_SHOWN]
    fullest = sorted(n for n in fullest if len(frames[n].detections))
    by_frame: dict[int, list[int]] = defaultdict(list)
    for number, i in chosen:
        by_frame[number].append(i)
    made: dict[tuple[int, int], Thumbnail] = {}
    shown: list[ShownFrame] = []
    wanted = sorted({*by_frame, *fullest})
    for number in track(wanted, "drawing pictures", len(wanted)):
        record = frames[number]
        try:
            pixels = read(source.frames[number]).pixels
        except (NightherdError, OSError):
            continue
        for i in by_frame.get(number, ()):
            made[number, i] = _thumbnail(pixels, record, i)
        if number in fullest:
            shown.append(_shown(pixels, record))
    return [made[key] for key in chosen if key in made], shown


def _box(detections: Detections, i: int) -> Box:
    x1, y1, x2, y2 = (float(edge) for edge in detections.boxes[i])
    return x1, y1, x2, y2


def _thumbnail(pixels: Any, record: SurveyedFrame, i: int) -> Thumbnail:
    ground = record.on_ground
    placed = bool(np.isfinite(ground.lon[i]))
    label, score = record.detections.classes[int(record.detections.labels[i])], float(record.detections.scores[i])
    box = _box(record.detections, i)
    length = float(ground.length[i]) if placed else None
    metres_per_pixel = length / max(box[2] - box[0], box[3] - box[1]) if length else None
    return Thumbnail(
        picture=thumbnail(pixels, box, label, score, metres_per_pixel),
        label=label,
        score=score,
        frame=record.name,
        lon=float(ground.lon[i]) if placed else None,
        lat=float(ground.lat[i]) if placed else None,
        uncertainty=float(ground.uncertainty[i]) if placed else None,
        length=length,
    )


def _shown(pixels: Any, record: SurveyedFrame) -> ShownFrame:
    found = [(_box(record.detections, i), label, score) for i, (_, score, label) in enumerate(record.detections)]
    view = record.placement.view if record.placement else None
    is_nadir = view is not None and view.pitch <= -75
    scale = view.ground_sample_distance if view and is_nadir else None
    return ShownFrame(whole_frame(pixels, found, scale), record.name, len(record.detections))


def _heading_setting(heading: HeadingCheck | None) -> str:
    recorded = "of the gimbal as the files record it, else of the aircraft"
    if heading is None:
        return f"{recorded}; not checked: too few neighbouring frames could be registered with each other"
    found = f"{heading.pairs} pairs of neighbouring frames differ from it by {heading.offset:+.1f}° (median)"
    return f"{recorded}; {found}{', corrected by that' if heading.corrects else ''}"


def _settings(
    detector: Detector, sigma: PoseSigma, heading: HeadingCheck | None, frames: Sequence[SurveyedFrame], scale: float
) -> dict[str, str]:
    searched = [frame for frame in frames if frame.status != FAILED]
    cameras = Counter(frame.camera or "unknown" for frame in searched)
    units = Counter(frame.unit for frame in searched)
    notes = Counter(text for frame in searched for text in frame.notes)
    settings = {
        "counted from score": ", ".join(f"{label} {value:.2f}" for label, value in detector.thresholds.items()),
        "model file (SHA-256)": detector.digest,
        "frames resampled by": "1 (searched as they are)" if scale == 1 else f"{scale:g}",
        "camera": ", ".join(f"{name} ({n})" for name, n in cameras.most_common()),
        "pixels in": ", ".join(f"{name} ({n})" for name, n in units.most_common()),
        "stated errors (1 σ)": (
            f"position {sigma.position:g} m, height {sigma.height:g} m, heading {sigma.yaw:g}°, "
            f"pitch {sigma.pitch:g}°, roll {sigma.roll:g}°, animal within its box a quarter of each side"
        ),
        "heading": _heading_setting(heading),
    }
    if notes:
        settings["notes on reading"] = "; ".join(f"{text} ({n})" for text, n in notes.most_common(12))
    return settings


def _versions() -> dict[str, str]:
    packages = ("numpy", "onnxruntime", "pyproj", "geopandas", "pillow")
    return {
        "nightherd": __version__,
        "Python": platform.python_version(),
        **{name: version(name) for name in packages},
        "on": f"{platform.system()} {platform.machine()}",
    }


def summary_lines(result: SurveyResult) -> list[str]:
    """A few lines for the terminal: what was searched, what was found, what failed, and where it lies."""
    summary = result.summary
    frames, failed = int(summary["frames"]), int(summary["frames_failed"])
    by_label: Mapping[str, int] = summary["detections_by_label"]
    found = ", ".join(f"{n:,} {label}" for label, n in by_label.items())
    caution = "(detections, not individuals: overlapping frames show an animal several times)"
    lines = [
        f"{summary['flight']}: {frames - failed:,} of {frames:,} frames searched with {summary['model']}",
        f"detected: {found} {caution}" if found else "detected: nothing",
    ]
    if summary["area_m2"]:
        lines.append(f"ground seen: {summary['area_m2'] / 1e4:,.2f} ha")
    if summary.get("truth"):
        truth = ", ".join(f"{n} {label}" for label, n in summary["truth"].items())
        lines.append(f"simulated flight, truly there: {truth}")
    lines += [f"note: {warning}" for warning in summary["warnings"]]
    if failed:
        lines.append(f"failed: {failed:,} {'frame' if failed == 1 else 'frames'}; the report says which and why")
    if result.was_finished:
        lines.append(FINISHED)
    lines += [f"map layers: {result.store}", f"report: {result.report}"]
    return lines
