"""Where the detections that are evaluated come from: a model run over the images, or a file of COCO results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nightherd import __version__
from nightherd.datasets.mending import read_json
from nightherd.datasets.results import CATEGORY_KEYS, read_results
from nightherd.datasets.types import Dataset, ImageId, LabelledImage
from nightherd.errors import DatasetError, FrameError, ModelError, NightherdError, ResultsError
from nightherd.inference.progress import Progress
from nightherd.types import Detections
from nightherd.workflows.detector import Detector
from nightherd.workflows.telling import Note, Track

LOWEST_SCORE = 0.0
"""Detections down to this score are kept: average precision needs the whole ranking."""

PROGRESS = "progress.jsonl"
"""The record that an interrupted run goes on from."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where detections come from: a detector, or a file of results.

    Attributes:
        name: for reports and folders.
        digest: SHA-256 of the file.
        classes: names of what it finds.
        detector: runs over frames; None for results.
        results: the file; None for a detector.
        thresholds: the model's own confidence for each class, where it has one.
    """

    name: str
    digest: str
    classes: tuple[str, ...]
    detector: Detector | None = None
    results: Path | None = None
    thresholds: Mapping[str, float] | None = None


def open_source(
    model: str | Path | Detector, dataset: Dataset, mapping: Mapping[str, str], threads: int | None = None
) -> Source:
    """Where the detections come from, with the names of what it finds.

    Raises:
        ModelError: neither a model nor results.
        ResultsError: the results are none.
    """
    if not isinstance(model, str | Path):
        return Source(model.name, model.digest, tuple(model.classes), detector=model)
    path = Path(model)
    if path.suffix.lower() == ".json":
        if not path.is_file():
            raise ResultsError("no such results file", path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return Source(path.stem, digest, _names_in_results(path, dataset, mapping), results=path)
    from nightherd.inference.predictor import Predictor
    from nightherd.models import resolve_model

    try:
        predictor = Predictor(resolve_model(model), threshold=LOWEST_SCORE, threads=threads)
    except ModelError as error:
        if path.exists():
            raise
        raise ModelError(f"{error.message}; COCO results end in .json", error.path) from error
    own = {name: predictor.info.threshold_of(name) for name in predictor.classes}
    return Source(predictor.name, predictor.digest, predictor.classes, detector=predictor, thresholds=own)


def _names_in_results(path: Path, dataset: Dataset, mapping: Mapping[str, str]) -> tuple[str, ...]:
    """The data set's classes, and any other class that a row of the results gives by name.

    Only the names in the rows where every row has one and none means a class of the data set.
    """
    try:
        rows = read_json(path)
    except DatasetError as error:
        raise ResultsError(error.message, path) from error
    if isinstance(rows, dict):
        rows = next((rows[key] for key in ("annotations", "results", "detections") if key in rows), [])
    named: dict[str, None] = {}
    nameless = not rows
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ResultsError("not COCO results: a list of {image_id, category_id, bbox, score}", path)
    for row in rows:
        name = next((row[key] for key in CATEGORY_KEYS if isinstance(row.get(key), str)), None)
        nameless |= name is None
        if name is not None:
            named[name] = None
    labelled = {mapping.get(name, name) for name in dataset.classes}
    if not nameless and not any(mapping.get(name, name) in labelled for name in named):
        return tuple(named)
    return tuple(dict.fromkeys((*dataset.classes, *named)))


def detections_of(
    source: Source, data: Dataset, folder: Path, force: bool, track: Track, note: Note
) -> tuple[dict[ImageId, Detections], dict[str, str]]:
    """The detections of every image that could be read, and why the others could not, by file name.

    Args:
        source: a detector goes on from the record in `folder`, unless `force`; images that failed are tried again.
        data: whose images.
        folder: where the record is kept while a detector runs.
        track, note: as for `evaluate`.

    Raises:
        ResultsError: the results do not fit the data set, or the record is of another run.
    """
    if source.results is not None:
        more = [name for name in source.classes if name not in data.classes]
        ids = data.category_ids or tuple(range(1, len(data.classes) + 1))
        named = replace(data, classes=(*data.classes, *more), category_ids=(*ids, *range(-1, -1 - len(more), -1)))
        return read_results(source.results, named), {}
    assert source.detector is not None
    fingerprint = {
        "command": "evaluate",
        "model": source.digest,
        "images": _images_digest(data),
        "version": __version__,
    }
    found: dict[ImageId, Detections] = {}
    failures: dict[str, str] = {}
    with Progress(folder / PROGRESS, fingerprint, force=force) as progress:
        todo = [image for image in data.images if not isinstance(progress.done.get(str(image.id)), Detections)]
        if len(todo) < len(data):
            note(f"going on: {len(data) - len(todo)} of {len(data)} images were done before")
        for image in track(todo, "detecting", len(todo)):
            try:
                progress.add(str(image.id), _look_at(image, source.detector))
            except NightherdError as error:
                progress.fail(str(image.id), str(error))
                note(f"skipped: {error}")
        for image in data.images:
            result = progress.done[str(image.id)]
            if isinstance(result, Detections):
                found[image.id] = result
            else:
                failures[image.file_name] = result
    return found, failures


def _look_at(image: LabelledImage, detector: Detector) -> Detections:
    """Detections in pixels of the labels, which a radiometric file may hold at another size than its picture."""
    from nightherd.frames.readers import read_frame

    frame = read_frame(image.path)
    found = detector.predict(frame.pixels)
    if (frame.width, frame.height) == (image.width, image.height):
        return found
    across, down = image.width / frame.width, image.height / frame.height
    if abs(across / down - 1) > 0.02:
        raise FrameError(
            f"is {frame.width} x {frame.height}, its labels are for {image.width} x {image.height}: another picture",
            image.path,
        )
    return Detections(found.boxes * np.array([across, down] * 2, np.float32), found.scores, found.labels, found.classes)


def _images_digest(data: Dataset) -> str:
    rows = [[image.id, image.file_name, image.width, image.height] for image in data.images]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def dataset_digest(data: Dataset) -> str:
    """A SHA-256 that changes with any name, class, box, label or hard negative, wherever the data set lies."""
    digest = hashlib.sha256(json.dumps([list(data.classes), _images_digest(data)]).encode())
    for image in data.images:
        for array in (image.boxes.astype("<f4"), image.labels.astype("<i8"), image.ignore.astype("<f4")):
            digest.update(np.int64(len(array)).astype("<i8").tobytes())
            digest.update(array.tobytes())
        if len(image.focus):
            digest.update(b"focus" + image.focus.astype("<f4").tobytes())
    return digest.hexdigest()
