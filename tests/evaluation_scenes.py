"""Truth and detections with every edge in them, for the tests of evaluation."""

from __future__ import annotations

import numpy as np

from nightherd.evaluation.types import Truth
from nightherd.types import Detections

CLASSES = ("animal", "person", "vehicle")


def boxes_of(generator: np.random.Generator, n: int, side: float = 640) -> np.ndarray:
    """Boxes on a coarse grid, so that equal overlaps and exact thresholds occur; some reach out of the image."""
    corner = generator.integers(-2, int(side / 10), (n, 2)) * 10
    size = generator.choice([4, 8, 10, 16, 20, 32, 40, 96, 120], (n, 2))
    return np.concatenate([corner, corner + size], axis=1).astype(np.float32)


def scene(
    seed: int, n_images: int = 6, n_truth: int = 12, n_ignore: int = 2, jitter: int = 4, n_false: int = 8
) -> tuple[list[Truth], list[Detections]]:
    """Truth and detections near it: some missed, some twice, some of the wrong class, scores with many ties."""
    generator = np.random.default_rng(seed)
    truth, found = [], []
    for _ in range(n_images):
        boxes = boxes_of(generator, int(generator.integers(0, n_truth + 1)))
        labels = generator.integers(0, len(CLASSES), len(boxes))
        ignore = boxes_of(generator, int(generator.integers(0, n_ignore + 1)))
        truth.append(Truth(boxes, labels, ignore, 640, 512))
        again = generator.integers(0, len(boxes), len(boxes) * 2) if len(boxes) else np.zeros(0, np.int64)
        near = boxes[again] + generator.integers(-jitter, jitter + 1, (len(again), 4)).astype(np.float32)
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
        guesses = np.concatenate([near, boxes_of(generator, n_false)]).astype(np.float32)
        wrong = generator.random(len(guesses)) < 0.2
        names = np.concatenate([labels[again], generator.integers(0, len(CLASSES), n_false)])
        names = np.where(wrong, generator.integers(0, len(CLASSES), len(guesses)), names)
        scores = (generator.integers(0, 20, len(guesses)) / 20).astype(np.float32)
        order = np.argsort(-scores, kind="stable")
        found.append(Detections(guesses[order], scores[order], names[order].astype(np.int64), CLASSES))
    return truth, found
