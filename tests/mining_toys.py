"""A toy to mine: warm blobs of which every other is labelled, and detectors that see what they are told."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nightherd.types import Detections, FloatArray

WIDTH, HEIGHT = 160, 128
DEER = ((30, 30), (100, 90))
"""Middles of the labelled blobs, the same in every frame."""
STONES = ((120, 30), (40, 100))
"""Middles of the blobs that are no animal."""
SIDE = 10


def frame(seed: int, stones: bool = True, deer: bool = True) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Grey noise with round blobs for deer and square ones for stones."""
    rng = np.random.default_rng(seed)
    pixels = rng.normal(100, 4, (HEIGHT, WIDTH))
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    for x, y in DEER if deer else ():
        pixels[np.hypot(columns - x, rows - y) < SIDE / 2] += 90
    for x, y in STONES if stones else ():
        pixels[(np.abs(columns - x) < SIDE / 2) & (np.abs(rows - y) < SIDE / 2)] += 110
    return pixels.clip(0, 255).astype(np.uint8)


def mining_set(folder: Path, n: int = 4, splits: tuple[str, ...] = ("train", "val")) -> Path:
    """A COCO set of n frames a split, two deer and two stones in each; returns its folder."""
    images, annotations = [], []
    for k in range(n * len(splits)):
        split = splits[k // n]
        name = f"{split}/frame_{k:03d}.png"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(frame(k)).save(folder / name)
        images.append({"id": k + 1, "file_name": name, "width": WIDTH, "height": HEIGHT, "split": split})
        for x, y in DEER:
            box = [x - SIDE / 2, y - SIDE / 2, SIDE, SIDE]
            annotations.append({"id": len(annotations) + 1, "image_id": k + 1, "category_id": 1, "bbox": box})
    value = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "deer"}]}
    (folder / "annotations.json").write_text(json.dumps(value), encoding="utf-8")
    return folder


def box_at(x: float, y: float, side: float = SIDE) -> list[float]:
    """x1 y1 x2 y2 around a middle."""
    return [x - side / 2, y - side / 2, x + side / 2, y + side / 2]


@dataclass
class Told:
    """A detector that finds deer at 0.9, and stones at scores it is told, whatever it is shown."""

    name: str = "told"
    stones: float = 0.8
    deer: float = 0.9
    classes: tuple[str, ...] = ("deer",)
    seen: list[int] = field(default_factory=list)

    @property
    def digest(self) -> str:
        return f"{self.name}-{self.stones}-{self.deer}".ljust(16, ".")

    @property
    def thresholds(self) -> dict[str, float]:
        return dict.fromkeys(self.classes, 0.5)

    def predict(self, pixels: FloatArray, *, scale: float = 1.0) -> Detections:
        self.seen.append(pixels.size)
        scored = [(box_at(*middle), self.deer) for middle in DEER]
        scored += [(box_at(*middle), self.stones - 0.01 * k) for k, middle in enumerate(STONES) if self.stones > 0]
        scored.sort(key=lambda one: -one[1])
        return Detections(
            np.array([box for box, _ in scored], np.float32),
            np.array([score for _, score in scored], np.float32),
            np.zeros(len(scored), np.int64),
            self.classes,
        )
