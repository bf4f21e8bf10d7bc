"""Small training runs: warm bodies on a cool ground, a detector of a few channels, and a run over them.

As a program, which torchrun starts in several processes: `python training_toys.py RUN SETTINGS` (JSON).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nightherd.datasets.types import Dataset, LabelledImage
from nightherd.detector.presets import build_detector, preset
from nightherd.training.images import ReadFrame
from nightherd.training.loop import Progress, TrainingResult, train
from nightherd.training.settings import training_settings
from nightherd.types import Frame

CLASSES = ("animal",)
NO_BOXES = np.zeros((0, 4), np.float32)


def scene(number: int) -> tuple[np.ndarray, np.ndarray]:
    """A frame of 96 × 96 with two warm bodies, and their boxes."""
    generator = np.random.default_rng(number)
    pixels = generator.normal(20, 1, (96, 96)).astype(np.float32)
    boxes = []
    for left, top in ((8, 12), (56, 60)):
        x, y = left + generator.integers(0, 16), top + generator.integers(0, 16)
        pixels[y : y + 10, x : x + 18] += 12
        boxes.append([x, y, x + 18, y + 10])
    return pixels, np.array(boxes, np.float32)


def dataset(n: int, split: str | None = None) -> Dataset:
    images = tuple(
        LabelledImage(i, f"{i}.tif", Path(f"{i}.tif"), 96, 96, scene(i)[1], np.zeros(2, np.int64), split=split)
        for i in range(n)
    )
    return Dataset("scenes", CLASSES, images)


def read(path: Path) -> Frame:
    return Frame(scene(int(path.stem))[0], "celsius")


TINY: dict[str, Any] = {
    "detector": {
        "backbone": {"pretrained": "none"},
        "pyramid": {"channels": 16},
        "proposals": {"samples": 64, "keep_before_nms": [60, 60], "keep_after_nms": [60, 60]},
        "head": {"width": 32, "samples": 32},
    },
    "images": 16,
    "batch": 2,
    "validate_every": 8,
    "warmup_steps": 2,
    "freeze": [],
    "augmentation": {"crop": 64},
}


def run(
    folder: Path,
    data: Dataset | None = None,
    validation: Dataset | None = None,
    report: Callable[[Progress], None] = lambda _: None,
    read: ReadFrame = read,
    **changes: object,
) -> TrainingResult:
    chosen = training_settings({**TINY, **changes})
    torch.manual_seed(chosen.seed)
    model = build_detector(preset(chosen.preset, chosen.detector), CLASSES)
    facts = {"settings": json.loads(chosen.model_dump_json())}
    return train(model, [dataset(6) if data is None else data], [1.0], validation, chosen, folder, read, facts, report)


if __name__ == "__main__":
    given = json.loads(sys.argv[2])
    run(Path(sys.argv[1]), validation=dataset(3) if given.pop("validate", False) else None, **given)
