"""Detections in and out as COCO results: a JSON list of `{image_id, category_id, bbox, score}`, bbox x y width height.

Two fields more are written where they are known, and read where they are there: `file_name`, which finds the image
where the ids are not the data set's own, and `category`, the name of the class, which stands above `category_id`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from nightherd.datasets.mending import read_json, shown
from nightherd.datasets.types import Dataset, ImageId, LabelledImage
from nightherd.errors import DatasetError, ResultsError
from nightherd.files import write_text
from nightherd.types import Detections

CATEGORY_KEYS = ("category", "category_name", "class")


def result_rows(
    image_id: ImageId, detections: Detections, category_ids: Sequence[int] = (), file_name: str | None = None
) -> list[dict[str, Any]]:
    """The detections of one image as rows of COCO results.

    Args:
        image_id: the data set's own.
        detections: boxes in pixels of the image.
        category_ids: the data set's id of each class; else 1, 2, …
        file_name: written beside the id where given.
    """
    rows = []
    for box, score, label in zip(detections.boxes, detections.scores, detections.labels, strict=True):
        x1, y1, x2, y2 = (float(v) for v in box)
        number = int(label)
        row: dict[str, Any] = {"image_id": image_id}
        if file_name is not None:
            row["file_name"] = file_name
        row["category_id"] = category_ids[number] if category_ids else number + 1
        row["category"] = detections.classes[number]
        row["bbox"] = [round(v, 3) for v in (x1, y1, x2 - x1, y2 - y1)]
        row["score"] = round(float(score), 6)
        rows.append(row)
    return rows


def write_results(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes rows of COCO results, one a line, whole or not at all."""
    lines = (json.dumps(dict(row), ensure_ascii=False, allow_nan=False) for row in rows)
    body = ",\n".join(lines)
    write_text(Path(path), f"[\n{body}\n]\n" if body else "[]\n")


def read_results(path: Path, dataset: Dataset, mapping: Mapping[str, str] | None = None) -> dict[ImageId, Detections]:
    """Reads COCO results for a data set.

    Args:
        path: a JSON list of rows, or a record with such a list under `annotations`, `results` or `detections`.
        dataset: whose images and classes they are for.
        mapping: new names of classes that rows give by name, as `parse_mapping` returns.

    Returns:
        Detections for every image of the data set (none where there are no rows), highest score first, labelled by
        the data set's classes.

    Raises:
        ResultsError: not results, for other images or classes, a score or box that is none, or boxes that are
            x1 y1 x2 y2 by all appearances.
    """
    path = Path(path)
    try:
        rows = read_json(path)
    except DatasetError as error:
        raise ResultsError(error.message, path) from None
    if isinstance(rows, dict):
        rows = next((rows[k] for k in ("annotations", "results", "detections") if isinstance(rows.get(k), list)), None)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ResultsError("not COCO results: a list of {image_id, category_id, bbox, score}", path)
    find_image = _ImageIndex(dataset, path)
    find_label = _LabelIndex(dataset, mapping or {}, path)
    boxes: dict[ImageId, list[list[float]]] = {image.id: [] for image in dataset.images}
    scores: dict[ImageId, list[float]] = {image.id: [] for image in dataset.images}
    labels: dict[ImageId, list[int]] = {image.id: [] for image in dataset.images}
    places: list[tuple[float, float]] = []
    raw: list[list[float]] = []
    for place, row in enumerate(rows):
        where = f"row {place + 1}"
        image = find_image(row, where)
        box = _box(row.get("bbox"), where, path)
        score = _score(row.get("score"), where, path)
        label = find_label(row, where)
        raw.append(box)
        places.append((image.width, image.height))
        boxes[image.id].append([box[0], box[1], box[0] + box[2], box[1] + box[3]])
        scores[image.id].append(score)
        labels[image.id].append(label)
    _refuse_corners(raw, places, path)
    for place, box in enumerate(raw):
        if box[2] < 0 or box[3] < 0:
            raise ResultsError(f"row {place + 1} has the bbox {shown(box)}, with a negative width or height", path)
    found = {}
    for number in boxes:
        order = np.argsort(-np.array(scores[number], np.float64), kind="stable")
        found[number] = Detections(
            np.array(boxes[number], np.float32).reshape(-1, 4)[order],
            np.array(scores[number], np.float32)[order],
            np.array(labels[number], np.int64)[order],
            dataset.classes,
        )
    return found


class _ImageIndex:
    """Finds the image of a row: by `file_name` where the row gives one that the data set knows, else by id."""

    def __init__(self, dataset: Dataset, path: Path) -> None:
        self.dataset, self.path = dataset, path
        self.by_id: dict[str, LabelledImage] = {str(image.id): image for image in dataset.images}
        self.by_name: dict[str, LabelledImage | None] = {}
        for image in dataset.images:
            for name in {image.file_name, PurePosixPath(image.file_name).name}:
                self.by_name[name] = image if name not in self.by_name else None
            self.by_name[image.file_name] = image

    def __call__(self, row: Mapping[str, Any], where: str) -> LabelledImage:
        name = row.get("file_name")
        if isinstance(name, str):
            parts = PurePosixPath(name.replace("\\", "/"))
            image = self.by_name.get(str(parts)) or self.by_name.get(parts.name)
            if image is not None:
                return image
        number = row.get("image_id")
        if isinstance(number, float) and number.is_integer():
            number = int(number)
        is_id = isinstance(number, int | str) and not isinstance(number, bool)
        image = self.by_id.get(str(number)) if is_id else None
        if image is None or (isinstance(name, str) and name):
            given = shown(name) if isinstance(name, str) and name else f"image_id {shown(number)}"
            raise ResultsError(
                f"{where} is for {given}, which is not among the {len(self.dataset)} images of {self.dataset.name}; "
                "give the data set and split that the results were made on",
                self.path,
            )
        return image


class _LabelIndex:
    """Finds the label of a row: by the name of its class where it gives one, else by category id."""

    def __init__(self, dataset: Dataset, mapping: Mapping[str, str], path: Path) -> None:
        self.dataset, self.mapping, self.path = dataset, mapping, path
        ids = dataset.category_ids or tuple(range(1, len(dataset.classes) + 1))
        self.by_id = {number: label for label, number in enumerate(ids)}
        self.by_name = {name: label for label, name in enumerate(dataset.classes)}

    def __call__(self, row: Mapping[str, Any], where: str) -> int:
        name = next((row[key] for key in CATEGORY_KEYS if isinstance(row.get(key), str)), None)
        number = row.get("category_id")
        if name is not None:
            label = self.by_name.get(self.mapping.get(name, name))
            given = f"the class {shown(name)}"
        else:
            is_number = isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number)
            label = self.by_id.get(int(number)) if is_number and number == int(number) else None  # type: ignore[arg-type]
            given = f"category_id {shown(number)}"
        if label is None:
            known = ", ".join(f"{n} {self.dataset.classes[i]}" for n, i in self.by_id.items())
            raise ResultsError(
                f"{where} has {given}, which {self.dataset.name} does not have (it has {known or 'none'}); "
                "name the matching class with --map",
                self.path,
            )
        return label


def _box(value: object, where: str, path: Path) -> list[float]:
    if isinstance(value, list) and len(value) == 4 and all(_is_number(v) for v in value):
        return [float(v) for v in value]
    raise ResultsError(f"{where} has the bbox {shown(value)}; it must be four numbers: x, y, width, height", path)


def _score(value: object, where: str, path: Path) -> float:
    if _is_number(value) and 0 <= float(value) <= 1:  # type: ignore[arg-type]
        return float(value)  # type: ignore[arg-type]
    raise ResultsError(f"{where} has the score {shown(value)}; it must be a number from 0 to 1", path)


def _is_number(value: object) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and -1e9 < value < 1e9  # NaN and infinities fail this, and so do whole numbers too large for a float
    )


def _refuse_corners(raw: list[list[float]], sizes: list[tuple[float, float]], path: Path) -> None:
    """Refuses rows that fit their images as x1 y1 x2 y2 and, read as x y width height, stick far out of them."""
    if not raw:
        return
    box = np.array(raw, np.float64)
    size = np.array(sizes, np.float64)
    fits = (box[:, 2:] > box[:, :2]).all(axis=1) & (box[:, 2:] <= size * 1.02 + 1).all(axis=1)
    sticks_out = ((box[:, :2] + box[:, 2:]) > size * 1.1 + 2).any(axis=1)
    if fits.all() and sticks_out.mean() > 0.2:
        raise ResultsError(
            f"the boxes look like x1, y1, x2, y2: read as x, y, width, height, {int(sticks_out.sum())} of {len(raw)} "
            "stick far out of their images; COCO results hold x, y, width, height",
            path,
        )
