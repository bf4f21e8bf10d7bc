"""Cuts a frame that is larger than the network's into overlapping tiles, and joins what the tiles found.

Pure functions of arrays. Tiles overlap by more than an animal is long, so that each animal lies whole in one of them;
what other tiles saw of it is a fragment, and `merge` reports the animal once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nightherd.types import Detections, FloatArray, IntArray

STRETCH = 1.3
"""A network made for frames of some size takes one this much longer or wider as it is."""

OVERLAP = 128
"""Pixels that neighbouring tiles share: more than an animal is long in a frame that a survey can use."""

SAME_OBJECT = 0.5
"""Intersection over union from which two boxes of different tiles are one object."""

EDGE = 4.0
"""A box this near (pixels) to an edge where its tile was cut may be a fragment."""


class Tile(NamedTuple):
    """A rectangle of a frame: pixels x0 ≤ x < x1, y0 ≤ y < y1."""

    x0: int
    y0: int
    x1: int
    y1: int


def plan_tiles(
    width: int,
    height: int,
    tile: tuple[int, int],
    *,
    overlap: int = OVERLAP,
    stride: int = 32,
    stretch: float = STRETCH,
) -> tuple[Tile, ...]:
    """The tiles of a frame, row by row; one tile, the whole, where the frame is not much larger than the network's.

    Each axis is cut into the fewest equal pieces that the stretched network takes; each is a multiple of the stride
    long, so that nothing is padded. An upright frame gets upright tiles.

    Args:
        width, height: of the frame, pixels.
        tile: (width, height) of the frames that the network was trained for.
        overlap: pixels that neighbours share at least.
        stride: lengths of pieces are multiples of it, where the axis is cut at all.
        stretch: how much longer than `tile` a piece may be.

    Returns:
        Tiles that together cover every pixel and none outside the frame.
    """
    if width < 1 or height < 1:
        raise ValueError(f"a frame of {width} × {height} pixels has nothing to cut")
    long, short = max(tile), min(tile)
    across, down = (long, short) if width >= height else (short, long)
    return tuple(
        Tile(x0, y0, x1, y1)
        for y0, y1 in _pieces(height, down, overlap, stride, stretch)
        for x0, x1 in _pieces(width, across, overlap, stride, stretch)
    )


def _pieces(length: int, size: int, overlap: int, stride: int, stretch: float) -> list[tuple[int, int]]:
    """Equal overlapping pieces of one axis: (start, end) of each."""
    longest = int(size * stretch)
    if length <= longest:
        return [(0, length)]
    longest = max(stride, longest // stride * stride)
    overlap = min(overlap, longest // 2)
    count = math.ceil((length - overlap) / (longest - overlap))
    piece = min(longest, math.ceil((length + overlap * (count - 1)) / count / stride) * stride)
    return [(start, start + piece) for start in (round(i * (length - piece) / (count - 1)) for i in range(count))]


def merge(
    found: Sequence[Detections], tiles: Sequence[Tile], width: int, height: int, max_detections: int = 500
) -> Detections:
    """Joins what was found in each tile into the detections of the frame, each object once.

    Within a tile nothing changes: the network has suppressed its own duplicates. Between tiles,

    1. whole boxes (not at an edge where their tile was cut) of one class that overlap with an intersection over union
       of 0.5 are one object; the highest score stays;
    2. a fragment (at such an edge) goes if half of it lies in a whole box of the same class from another tile, or of
       any class with a higher score;
    3. fragments of one class that are left and agree in the area that both tiles see are parts of one object, too long
       for any tile; their hull takes their place, with the highest score.

    Args:
        found: the detections of each tile, boxes in pixels of the tile.
        tiles: the tiles, in the same order.
        width, height: of the frame, pixels; boxes are clipped to it, and those outside it dropped.
        max_detections: the most that are returned, highest scores first.

    Returns:
        Detections with boxes in pixels of the frame, highest score first.
    """
    classes = found[0].classes if found else ()
    boxes = np.concatenate(
        [np.zeros((0, 4), np.float32)]
        + [d.boxes + np.array([t.x0, t.y0, t.x0, t.y0], np.float32) for d, t in zip(found, tiles, strict=True)]
    )
    scores = np.concatenate([np.zeros(0, np.float32)] + [d.scores for d in found])
    labels = np.concatenate([np.zeros(0, np.int64)] + [d.labels for d in found])
    source = np.repeat(np.arange(len(found)), [len(d) for d in found])

    bounds = np.array([0, 0, width, height], np.float32)
    boxes = np.clip(boxes, bounds[[0, 1, 0, 1]], bounds[[2, 3, 2, 3]])
    order = np.argsort(-scores, kind="stable")
    order = order[((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))[order]]
    boxes, scores, labels, source = boxes[order], scores[order], labels[order], source[order]

    if len(tiles) > 1:
        boxes, scores, labels = _join(boxes, scores, labels, source, np.array(tiles, np.float32), bounds)
        order = np.argsort(-scores, kind="stable")
        boxes, scores, labels = boxes[order], scores[order], labels[order]
    return Detections(boxes[:max_detections], scores[:max_detections], labels[:max_detections], classes)


def _join(
    boxes: FloatArray, scores: FloatArray, labels: IntArray, source: IntArray, tiles: FloatArray, bounds: FloatArray
) -> tuple[FloatArray, FloatArray, IntArray]:
    fragment = is_fragment(boxes, tiles[source], bounds)
    whole = np.flatnonzero(~fragment)

    kept: list[int] = []
    gone = np.zeros(len(boxes), bool)
    for place, i in enumerate(whole.tolist()):
        if gone[i]:
            continue
        kept.append(i)
        rest = whole[place + 1 :]
        rest = rest[(source[rest] != source[i]) & (labels[rest] == labels[i])]
        gone[rest[iou(boxes[i], boxes[rest]) >= SAME_OBJECT]] = True

    cut = np.flatnonzero(fragment)
    for i in kept:
        share = _intersection(boxes[i], boxes[cut]) / np.maximum(_area(boxes[cut]), 1e-6)
        explains = (labels[cut] == labels[i]) | (scores[i] > scores[cut])
        gone[cut[(share >= SAME_OBJECT) & explains & (source[cut] != source[i])]] = True

    cut = cut[~gone[cut]]
    group = _same_fragments(boxes[cut], labels[cut], source[cut], tiles)
    hulls, best, names = [boxes[kept]], [scores[kept]], [labels[kept]]
    for member in np.unique(group):
        parts = cut[group == member]
        hulls.append(np.concatenate([boxes[parts, :2].min(axis=0), boxes[parts, 2:].max(axis=0)])[None])
        best.append(scores[parts].max(keepdims=True))
        names.append(labels[parts[:1]])
    return np.concatenate(hulls), np.concatenate(best), np.concatenate(names)


def is_fragment(boxes: FloatArray, tiles: FloatArray, bounds: FloatArray) -> npt.NDArray[np.bool_]:
    """Which boxes (N, 4) lie at an edge of their tile (N, 4) that is not an edge of the frame (4,)."""
    low = (boxes[:, :2] <= tiles[:, :2] + EDGE) & (tiles[:, :2] > bounds[:2])
    high = (boxes[:, 2:] >= tiles[:, 2:] - EDGE) & (tiles[:, 2:] < bounds[2:])
    return np.asarray((low | high).any(axis=1), np.bool_)


def _same_fragments(boxes: FloatArray, labels: IntArray, source: IntArray, tiles: FloatArray) -> IntArray:
    """A group number (N,) for each fragment: equal for those that are parts of one object."""
    group = np.arange(len(boxes))
    for i in range(len(boxes)):
        others = np.arange(i + 1, len(boxes))
        others = others[(source[others] != source[i]) & (labels[others] == labels[i])]
        if not len(others):
            continue
        low = np.maximum(tiles[source[i], :2], tiles[source[others], :2])
        high = np.minimum(tiles[source[i], 2:], tiles[source[others], 2:])
        shared = np.concatenate([low, high], axis=1)
        mine, theirs = _clip(boxes[i], shared), _clip(boxes[others], shared)
        for j in others[iou(mine, theirs) >= SAME_OBJECT]:
            group[group == group[j]] = group[i]
    return group


def _clip(boxes: FloatArray, to: FloatArray) -> FloatArray:
    clipped: FloatArray = np.concatenate(
        [np.maximum(boxes[..., :2], to[..., :2]), np.minimum(boxes[..., 2:], to[..., 2:])], axis=-1
    )
    return clipped


def _area(boxes: FloatArray) -> FloatArray:
    area: FloatArray = np.maximum(boxes[..., 2] - boxes[..., 0], 0) * np.maximum(boxes[..., 3] - boxes[..., 1], 0)
    return area


def _intersection(a: FloatArray, b: FloatArray) -> FloatArray:
    return _area(_clip(a, b))


def iou(a: FloatArray, b: FloatArray) -> FloatArray:
    """Intersection over union of boxes (…, 4) xyxy, broadcast; 0 where both are empty."""
    shared = _intersection(a, b)
    overlap: FloatArray = shared / np.maximum(_area(a) + _area(b) - shared, 1e-6)
    return overlap
