"""Small labelled data sets that the tests make themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from nightherd.datasets.types import Dataset, LabelledImage

SIDE = st.integers(8, 64)


def picture(path: Path, width: int = 64, height: int = 48, seed: int = 0) -> Path:
    """Writes a smooth random grey image."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(20, 230, (6, 8), dtype=np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    small.resize((width, height), Image.Resampling.BICUBIC).save(path)
    return path


def coco_record(**changes: Any) -> dict[str, Any]:
    """A COCO value of two images, three boxes and two classes, with some of its lists replaced."""
    value: dict[str, Any] = {
        "images": [
            {"id": 1, "file_name": "a.png", "width": 64, "height": 48},
            {"id": 2, "file_name": "b.png", "width": 64, "height": 48},
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 3, "bbox": [2, 3, 10, 12]},
            {"id": 2, "image_id": 1, "category_id": 7, "bbox": [20.5, 4.25, 8, 8]},
            {"id": 3, "image_id": 2, "category_id": 3, "bbox": [30, 30, 5, 6]},
        ],
        "categories": [{"id": 3, "name": "deer"}, {"id": 7, "name": "boar"}],
    }
    return value | changes


def coco_folder(folder: Path, value: dict[str, Any] | None = None) -> Path:
    """Writes a COCO set: annotations.json beside a.png and b.png; returns the label file."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(("a.png", "b.png")):
        picture(folder / name, seed=seed)
    path = folder / "annotations.json"
    path.write_text(json.dumps(coco_record() if value is None else value), encoding="utf-8")
    return path


def many(folder: Path, n: int, *, flights: int = 1, seed: int = 0, files: bool = True) -> Dataset:
    """A data set of n images in some flights, with 0 to 40 boxes each."""
    rng = np.random.default_rng(seed)
    images = []
    for k in range(n):
        count = int(rng.choice([0, 1, 2, 3, 5, 9, 20, 40], p=[0.2, 0.2, 0.2, 0.1, 0.1, 0.1, 0.07, 0.03]))
        corner = rng.uniform(0, 30, (count, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(2, 15, (count, 2))], axis=1).astype(np.float32)
        path = folder / "images" / f"{k:04}.png"
        if files:
            picture(path, seed=seed * 10_000 + k)
        images.append(
            LabelledImage(
                id=k,
                file_name=f"{k:04}.png",
                path=path,
                width=64,
                height=48,
                boxes=boxes,
                labels=rng.integers(0, 2, count),
                attributes={"flight": f"flight {k * flights // n}"},
            )
        )
    return Dataset("toy", ("deer", "boar"), tuple(images), (1, 2))


@st.composite
def boxes_within(draw: st.DrawFn, width: int, height: int, whole: bool = False) -> np.ndarray:
    """Float32 (N, 4) boxes inside an image, each at least a pixel large."""
    found = []
    for _ in range(draw(st.integers(0, 6))):
        if whole:
            x1, y1 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
            x2, y2 = draw(st.integers(x1 + 1, width)), draw(st.integers(y1 + 1, height))
        else:
            x1, y1 = draw(st.floats(0, width - 1, width=32)), draw(st.floats(0, height - 1, width=32))
            x2, y2 = draw(st.floats(x1 + 1, width)), draw(st.floats(y1 + 1, height))
        found.append((x1, y1, x2, y2))
    return np.array(found, np.float32).reshape(-1, 4)


@st.composite
def datasets(draw: st.DrawFn, whole: bool = False) -> Dataset:
    """A data set of 1 to 4 images, the images themselves not written."""
    names = draw(st.lists(st.text("abcdéß漢 -_", min_size=1, max_size=8).map(str.strip), min_size=1, max_size=3))
    classes = tuple(dict.fromkeys(name or "x" for name in names))
    images = []
    for k in range(draw(st.integers(1, 4))):
        width, height = draw(SIDE), draw(SIDE)
        boxes = draw(boxes_within(width, height, whole))
        n = len(boxes)
        numbers = np.array([draw(st.integers(0, 99)) for _ in range(n)], np.int64)
        images.append(
            LabelledImage(
                id=draw(st.sampled_from([k + 10, f"image {k}"])),
                file_name=f"{k}.png",
                path=Path(f"{k}.png"),
                width=width,
                height=height,
                boxes=boxes,
                labels=np.array([draw(st.integers(0, len(classes) - 1)) for _ in range(n)], np.int64),
                ignore=draw(boxes_within(width, height, whole)),
                individuals=numbers if n and draw(st.booleans()) else None,
                split=draw(st.sampled_from([None, "train", "val", "test"])),
                attributes=draw(st.dictionaries(st.sampled_from(["flight", "altitude"]), st.integers(0, 9))),
                box_attributes=tuple({"visibility": 0.5} for _ in range(n)) if draw(st.booleans()) else (),
            )
        )
    return Dataset("toy", classes, tuple(images), tuple(range(5, 5 + len(classes))))


def same_boxes(a: LabelledImage, b: LabelledImage, tolerance: float) -> bool:
    """Whether two records hold the same labels, boxes within a tolerance, in the same order."""
    return (
        (a.width, a.height) == (b.width, b.height)
        and a.labels.tolist() == b.labels.tolist()
        and a.boxes.shape == b.boxes.shape
        and bool(np.all(np.abs(a.boxes - b.boxes) <= tolerance))
    )
