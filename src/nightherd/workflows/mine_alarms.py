"""The false alarms among a data set's detections, each with its looks and, where the frame has a pose, its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nightherd.datasets.types import Dataset, ImageId, LabelledImage
from nightherd.errors import ConfigError, PoseError
from nightherd.evaluation.types import Truth
from nightherd.frames.normalise import normalise
from nightherd.frames.readers import read_frame
from nightherd.training.mining import (
    cutout,
    descriptor,
    first_sightings,
    kind_of,
    looks,
    neighbourhood,
    sort_detections,
)
from nightherd.types import Detections, FloatArray, Frame
from nightherd.workflows.telling import Track


@dataclass(frozen=True, slots=True)
class Alarm:
    """One false alarm.

    Attributes:
        number: of the data set.
        image: the frame.
        box: float32 (4,), x1 y1 x2 y2 in pixels of its labels.
        score, label, kind: how sure the detector was, what it took it for, and what kind of mistake that is.
        view: float16 (64, 64), normalised surroundings; `zoom` pixels of it are one of the labels.
        descriptor: float32 (256,), its looks.
        place, flight: of the frame in its flight, and the flight.
        lon, lat, uncertainty: degrees and metres; NaN where unknown.
    """

    number: int
    image: LabelledImage
    box: FloatArray
    score: float
    label: str
    kind: str
    view: np.ndarray[Any, np.dtype[np.float16]]
    zoom: float
    descriptor: FloatArray
    place: int
    flight: str
    lon: float = float("nan")
    lat: float = float("nan")
    uncertainty: float = float("nan")


def find_alarms(
    dataset: Dataset,
    number: int,
    detections: Mapping[ImageId, Detections],
    mapping: Mapping[str, str],
    is_empty: bool,
    iou: tuple[float, float],
    keep_near_misses: bool,
    track: Track,
) -> tuple[list[Alarm], Counter[str], list[str]]:
    """The false alarms on one data set, what became of the other detections, and notes.

    Args:
        dataset: with its truth.
        number: of the data set.
        detections: of each image, by its id, from the score that counts.
        mapping: new names of classes on either side.
        is_empty: there is nothing to find in it, whatever its classes.
        iou, keep_near_misses: as for `mine`.
        track: shows progress.

    Raises:
        ConfigError: the detector finds nothing that the data set labels.
    """
    names, known, notes = _names(dataset, detections, mapping, is_empty)
    index = {name: k for k, name in enumerate(names)}
    of_box = np.array([index[mapping.get(name, name)] for name in dataset.classes] or [-1], np.int64)
    series = _series(dataset)
    outcome: Counter[str] = Counter()
    alarms: list[Alarm] = []
    images = [image for image in dataset.images if image.id in detections and len(detections[image.id])]
    for image in track(images, "collecting false alarms", len(images)):
        found = detections[image.id]
        of_found = np.array([index[mapping.get(name, name)] for name in found.classes], np.int64)
        labels = of_found[found.labels]
        joined = Detections(found.boxes, found.scores, labels, names).select(np.isin(labels, known))
        boxes_labels = of_box[image.labels] if len(image.labels) else image.labels
        truth = Truth(image.boxes, boxes_labels, image.ignore, image.width, image.height)
        result = sort_detections(joined, truth, *iou, keep_near_misses)
        outcome["right"] += result.n_right
        outcome["near misses"] += 0 if keep_near_misses else result.n_near
        outcome["in regions to ignore"] += result.n_ignored
        outcome["doubles in one frame"] += result.n_double
        if len(result.alarms):
            related = [
                (relation, names[other] if other >= 0 else None)
                for relation, other in zip(result.relation, result.other, strict=True)
            ]
            alarms += _in_frame(number, image, joined.select(result.alarms), related, series[image.id])
    return alarms, outcome, notes


def _names(
    dataset: Dataset, detections: Mapping[ImageId, Detections], mapping: Mapping[str, str], is_empty: bool
) -> tuple[tuple[str, ...], list[int], list[str]]:
    """Every class name of either side, which of them the data set can vouch for, and notes."""
    first = next(iter(detections.values()), Detections())
    found = tuple(dict.fromkeys(mapping.get(name, name) for name in first.classes))
    labelled = tuple(dict.fromkeys(mapping.get(name, name) for name in dataset.classes))
    names = tuple(dict.fromkeys((*found, *labelled)))
    if is_empty:
        return names, list(range(len(names))), [f"{dataset.name}: taken as free of {', '.join(found)}, on your word."]
    common = [name for name in found if name in labelled]
    if found and not common:
        raise ConfigError(
            f"{dataset.name} labels {', '.join(labelled) or 'nothing'}, the model finds {', '.join(found)}; join the "
            f"names, for example --map {labelled[0] if labelled else 'deer'}={found[0]}"
        )
    left_out = [name for name in found if name not in labelled]
    notes = []
    if left_out:
        notes.append(f"{dataset.name} does not label {', '.join(left_out)}: such detections are not mined.")
    return names, [names.index(name) for name in common], notes


def _series(dataset: Dataset) -> dict[ImageId, tuple[int, str]]:
    """The place of each frame in its flight, and the flight: told by the labels, else by the names of the files."""
    flights = [str(image.attributes.get("flight", "")) for image in dataset.images]
    names = [f"{flight}/{image.file_name}" for flight, image in zip(flights, dataset.images, strict=True)]
    place, series = neighbourhood(names)
    return {image.id: (int(place[k]), f"{dataset.name}/{series[k]}") for k, image in enumerate(dataset.images)}


def _in_frame(
    number: int,
    image: LabelledImage,
    detections: Detections,
    related: Sequence[tuple[str, str | None]],
    series: tuple[int, str],
) -> list[Alarm]:
    """The false alarms of one frame, seen in its pixels."""
    frame = read_frame(image.path)
    pixels = normalise(frame.pixels)
    stretch = np.array([frame.width / image.width, frame.height / image.height] * 2, np.float32)
    boxes = detections.boxes * stretch
    lon, lat, uncertainty = _ground(frame, boxes)
    alarms = []
    for k, ((relation, other), (_, score, label)) in enumerate(zip(related, detections, strict=True)):
        view, zoom = cutout(pixels, boxes[k])
        kind = kind_of(relation, other, looks(pixels, boxes[k]))
        alarms.append(
            Alarm(number, image, detections.boxes[k], score, label, kind, view.astype(np.float16),
                  zoom * float(stretch[0]), descriptor(view), *series,
                  float(lon[k]), float(lat[k]), float(uncertainty[k]))
        )  # fmt: skip
    return alarms


def _ground(frame: Frame, boxes: FloatArray) -> tuple[Sequence[float], Sequence[float], Sequence[float]]:
    """Where boxes lie on the ground; NaN where the frame's pose does not tell."""
    from nightherd.survey.georeference import georeference, place

    unknown = [float("nan")] * len(boxes)
    try:
        placement = place(frame.pose, frame.width, frame.height)
    except PoseError:
        return unknown, unknown, unknown
    on_ground = georeference(placement, boxes)
    return on_ground.lon.tolist(), on_ground.lat.tolist(), on_ground.uncertainty.tolist()


def without_repeats(alarms: Sequence[Alarm]) -> tuple[list[Alarm], int]:
    """The false alarms that repeat no better one of a neighbouring frame, highest score first; and how many did."""
    if not alarms:
        return [], 0
    from nightherd.survey.georeference import lonlat_to_ground

    lon, lat = np.array([alarm.lon for alarm in alarms]), np.array([alarm.lat for alarm in alarms])
    ground = np.full((len(alarms), 2), np.nan)
    placed = np.isfinite(lon) & np.isfinite(lat)
    if placed.any():
        ground[placed] = lonlat_to_ground(lon[placed][0], lat[placed][0], lon[placed], lat[placed])
    flights = {flight: number for number, flight in enumerate(dict.fromkeys(alarm.flight for alarm in alarms))}
    stands_for = first_sightings(
        np.stack([alarm.descriptor for alarm in alarms]),
        np.array([alarm.score for alarm in alarms], np.float32),
        np.array([alarm.place for alarm in alarms], np.int64),
        np.array([flights[alarm.flight] for alarm in alarms], np.int64),
        ground,
        np.array([alarm.uncertainty for alarm in alarms]),
    )
    kept = [alarm for k, alarm in enumerate(alarms) if stands_for[k] == k]
    kept.sort(key=lambda alarm: (-alarm.score, alarm.number, alarm.image.file_name, alarm.box.tolist()))
    return kept, len(alarms) - len(kept)
