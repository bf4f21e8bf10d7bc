"""Truth and detections with every edge in them, for the tests of evaluation."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nightherd.evaluation.types import COCO_SIZES, SizeBin, Truth
from nightherd.report import evaluation_figures
from nightherd.types import Detections

CLASSES = ("animal", "person", "vehicle")


def boxes_of(generator: np.random.Generator, n: int, side: float = 640) -> np.ndarray:
    """Boxes on a coarse grid, so that equal overlaps and exact thresholds occur; some reach out of the image."""
    corner = generator.integers(-2, int(side / 10), (n, 2)) * 10
    size = generator.choice([4, 8, 10, 16, 20, 32, 40, 96, 120], (n, 2))
    return np.concatenate([corner, corner + size], axis=1).astype(np.float32)


def with_neighbours(generator: np.random.Generator, boxes: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, ...]:
    """The boxes and, for a third of them, the same box moved a little: one detection overlaps both alike."""
    again = generator.random(len(boxes)) < 0.3
    moved = boxes[again] + np.array([4, 0, 4, 0], np.float32)
    return np.concatenate([boxes, moved]), np.concatenate([labels, labels[again]])


def within(generator: np.random.Generator, regions: np.ndarray) -> np.ndarray:
    """Three boxes in each region, some reaching out of it."""
    thrice = np.repeat(regions, 3, axis=0)
    side = thrice[:, 2:] - thrice[:, :2]
    corner = thrice[:, :2] + (side * generator.random((len(thrice), 2)) * 0.6).round()
    return np.concatenate([corner, corner + np.maximum((side * 0.5).round(), 1)], axis=1).astype(np.float32)


def scene(
    seed: int, n_images: int = 6, n_truth: int = 12, n_ignore: int = 2, jitter: int = 4, n_false: int = 8
) -> tuple[list[Truth], list[Detections]]:
    """Truth and detections near it: some missed, some twice, some of the wrong class, scores with many ties."""
    generator = np.random.default_rng(seed)
    truth, found = [], []
    for _ in range(n_images):
        boxes = boxes_of(generator, int(generator.integers(0, n_truth + 1)))
        labels = generator.integers(0, len(CLASSES), len(boxes))
        boxes, labels = with_neighbours(generator, boxes, labels)
        ignore = boxes_of(generator, int(generator.integers(0, n_ignore + 1)))
        if n_ignore and len(boxes):  # a box that counts inside a region that does not
            around = boxes[:1] + np.array([-4, -4, 4, 4], np.float32)
            ignore = np.concatenate([ignore, around])
        truth.append(Truth(boxes, labels, ignore, 640, 512))
        again = generator.integers(0, len(boxes), len(boxes) * 2) if len(boxes) else np.zeros(0, np.int64)
        near = boxes[again] + generator.integers(-jitter, jitter + 1, (len(again), 4)).astype(np.float32)
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
        lost = np.concatenate([boxes_of(generator, n_false), within(generator, ignore)])
        guesses = np.concatenate([near, lost]).astype(np.float32)
        wrong = generator.random(len(guesses)) < 0.2
        names = np.concatenate([labels[again], generator.integers(0, len(CLASSES), len(lost))])
        names = np.where(wrong, generator.integers(0, len(CLASSES), len(guesses)), names)
        scores = (generator.integers(0, 20, len(guesses)) / 20).astype(np.float32)
        order = np.argsort(-scores, kind="stable")
        found.append(Detections(guesses[order], scores[order], names[order].astype(np.int64), CLASSES))
    return truth, found


def without_ties(found: list[Detections]) -> list[Detections]:
    """The same with no two equal scores: repeated images rank equal scores of one image in an order of their own."""
    generator = np.random.default_rng(0)
    changed = []
    for one in found:
        scores = np.sort(generator.permutation(10**6)[: len(one)].astype(np.float32) / np.float32(10**6))[::-1].copy()
        changed.append(Detections(one.boxes, scores, one.labels, one.classes))
    return changed


def by_pycocotools(
    truth: Sequence[Truth],
    found: Sequence[Detections],
    classes: Sequence[str] = CLASSES,
    max_detections: int = 500,
    sizes: Sequence[SizeBin] = COCO_SIZES,
) -> dict[str, float]:
    """The same figures from the reference; -1 where it has none."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    annotations: list[dict[str, object]] = []
    for number, image in enumerate(truth, start=1):
        rows = [(box, int(label), 0) for box, label in zip(image.boxes, image.labels, strict=True)]
        rows += [(box, label, 1) for box in image.ignore for label in range(len(classes))]
        for box, label, crowd in rows:
            x1, y1, x2, y2 = (float(v) for v in box)
            annotations.append(
                {"id": len(annotations) + 1, "image_id": number, "category_id": label + 1, "iscrowd": crowd,
                 "bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1)}
            )  # fmt: skip
    results = []
    for number, one in enumerate(found, start=1):
        for box, score, name in one:
            x1, y1, x2, y2 = (float(v) for v in box)
            if name in classes:
                results.append({"image_id": number, "category_id": list(classes).index(name) + 1, "score": score,
                                "bbox": [x1, y1, x2 - x1, y2 - y1]})  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        gt = COCO()
        gt.dataset = {
            "images": [{"id": n} for n in range(1, len(truth) + 1)],
            "categories": [{"id": n + 1, "name": name} for n, name in enumerate(classes)],
            "annotations": annotations,
        }
        gt.createIndex()
        if results:
            dt = gt.loadRes(results)
        else:
            dt = COCO()
            dt.dataset = {**gt.dataset, "annotations": []}
            dt.createIndex()
        evaluation = COCOeval(gt, dt, "bbox")
        evaluation.params.maxDets = [100, max_detections]
        evaluation.params.areaRng = [[0, 1e10], *([s.low, s.high or 1e10] for s in sizes)]
        evaluation.params.areaRngLbl = ["all", *(s.name for s in sizes)]
        evaluation.evaluate()
        evaluation.accumulate()
    precision, recall = evaluation.eval["precision"], evaluation.eval["recall"]

    def mean(values: np.ndarray) -> float:
        values = values[values > -1]
        return float(values.mean()) if values.size else -1.0

    figures = {
        "ap": mean(precision[..., 0, -1]),
        "ap50": mean(precision[0, :, :, 0, -1]),
        "ap75": mean(precision[5, :, :, 0, -1]),
        "ar100": mean(recall[:, :, 0, 0]),
        f"ar{max_detections}": mean(recall[:, :, 0, 1]),
    }
    for place, one in enumerate(sizes):
        figures[f"ap_{one.name}"] = mean(precision[..., 1 + place, -1])
    for label, name in enumerate(classes):
        figures[f"per_class.{name}.ap"] = mean(precision[:, :, label, 0, -1])
        figures[f"per_class.{name}.ap50"] = mean(precision[0, :, label, 0, -1])
        figures[f"per_class.{name}.ap75"] = mean(precision[5, :, label, 0, -1])
    return figures


@pytest.fixture
def quick_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures of an evaluation as one dot, for tests that do not look at them: drawing takes most of the time."""
    buffer = io.BytesIO()
    Image.new("L", (1, 1)).save(buffer, format="PNG")
    for name in ("curves", "confidence", "confusion", "error_types", "calibration", "slices"):
        monkeypatch.setattr(evaluation_figures, f"{name}_picture", lambda *_: buffer.getvalue())


SIDE = 12
"""Of the warm squares in `make_dataset`, pixels."""


def make_dataset(folder: Path, n: int = 6, split: str | None = None, size: int = 64, flights: bool = False) -> Path:
    """Frames with two warm squares each, a `Rotwild` (id 3) and a `Auto` (id 7), and a region where nothing counts."""
    (folder / "images").mkdir(parents=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number in range(n):
        pixels = np.full((size, size), 60, np.uint8)
        corners = [(5 + number, 8), (40, 30 + number)]
        for place, (x, y) in enumerate(corners):
            pixels[y : y + SIDE, x : x + SIDE] = 200 + 50 * place
            annotations.append(
                {"id": len(annotations) + 1, "image_id": 100 + number, "category_id": (3, 7)[place],
                 "bbox": [x, y, SIDE, SIDE], "area": SIDE * SIDE, "iscrowd": 0}
            )  # fmt: skip
        name = f"{number:02}.png"
        Image.fromarray(pixels).save(folder / "images" / name)
        image = {"id": 100 + number, "file_name": name, "width": size, "height": size}
        images.append(image | ({"flight": f"flight {number // 2}"} if flights else {}))
    categories = [{"id": 3, "name": "Rotwild"}, {"id": 7, "name": "Auto"}]
    name = f"{split}.json" if split else "annotations.json"
    where = folder / ("annotations" if split else ".") / name
    where.parent.mkdir(exist_ok=True)
    where.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return folder
