"""Copy-paste: objects of one frame set on free ground of another, as warm above it as they were above their own.

Dwibedi et al. (2017) and Ghiasi et al. (2021) paste with masks; here there are only boxes, so the body is told from the
ground around it by how far it stands out, and its edge is soft. Its size on the ground is kept: `magnification` is the
ratio of the ground sample distances of the two frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from nightherd.types import FloatArray, IntArray

SMALLEST = 4.0
"""Objects whose shorter side falls under so many pixels are not pasted."""

ORDINARY = 1.5
"""Ground further from the median, in normalised units, is a cold roof or a hot engine: nothing is pasted on it."""


@dataclass(frozen=True, slots=True)
class Donor:
    """A normalised frame (H, W) to cut objects from, its truth, and how much to magnify them."""

    frame: FloatArray
    boxes: FloatArray
    labels: IntArray
    ignore: FloatArray
    magnification: float


@dataclass(frozen=True, slots=True)
class Cutout:
    """An object and its surroundings: contrast (h, w) above the local ground, weight 0 to 1, its box in them."""

    contrast: FloatArray
    weight: FloatArray
    box: FloatArray


def overlaps(window: FloatArray, boxes: FloatArray) -> bool:
    """Whether a window (4,) xyxy has any area in common with one of the boxes (N, 4)."""
    sides = np.minimum(window[2:], boxes[:, 2:]) - np.maximum(window[:2], boxes[:, :2])
    return bool((sides > 0).all(axis=1).any())


def cut_out(donor: Donor, number: int) -> Cutout | None:
    """The object of box `number`; None where it touches the edge or another, is too small, or does not stand out."""
    box = donor.boxes[number].astype(np.float64)
    sides = box[2:] - box[:2]
    if sides.min() * donor.magnification < SMALLEST or sides.max() > min(donor.frame.shape) / 3:
        return None
    margin = max(3.0, 0.3 * float(sides.max()))
    window = np.array([*np.floor(box[:2] - margin), *np.ceil(box[2:] + margin)], np.float32)
    height, width = donor.frame.shape
    others = np.concatenate([np.delete(donor.boxes, number, axis=0), donor.ignore])
    if window.min() < 0 or window[2] > width or window[3] > height or overlaps(window, others):
        return None
    left, top, right, bottom = window.astype(int)
    patch = donor.frame[top:bottom, left:right]
    local = (box - np.array([left, top, left, top])).astype(np.float32)
    away = _distance_from(local, patch.shape)
    ring = patch[away > 0]
    ground = float(np.median(ring))
    spread = 1.4826 * float(np.median(np.abs(ring - ground))) + 0.02
    contrast = patch - np.float32(ground)
    stands_out = np.clip((np.abs(contrast) / spread - 1.5) / 2, 0, 1)
    if stands_out[away == 0].mean() < 0.15:
        return None
    edge = np.clip(1 - away / (0.7 * margin), 0, 1)
    weight = ndimage.gaussian_filter(stands_out * edge, 0.7)
    factor = donor.magnification
    size = (max(1, round(patch.shape[1] * factor)), max(1, round(patch.shape[0] * factor)))
    scale = np.array([size[0] / patch.shape[1], size[1] / patch.shape[0]] * 2)
    return Cutout(_resized(contrast, size), np.clip(_resized(weight, size), 0, 1), (local * scale).astype(np.float32))


def _shows(cutout: Cutout, place: FloatArray) -> bool:
    """Whether the body stands out from ordinary ground: a label on what nobody can see teaches nothing."""
    body = float((np.abs(cutout.contrast) * cutout.weight).sum() / max(float(cutout.weight.sum()), 1e-6))
    ground = float(np.median(place))
    spread = 1.4826 * float(np.median(np.abs(place - ground)))
    return body > max(0.4, 2 * spread) and abs(ground) < ORDINARY


def _distance_from(box: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """(h, w) how far each pixel's centre lies outside the box, 0 inside."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    beside = np.maximum(np.maximum(box[0] - x, x - box[2]), 0)
    above = np.maximum(np.maximum(box[1] - y, y - box[3]), 0)
    away: FloatArray = np.hypot(beside, above).astype(np.float32)
    return away


def _resized(values: FloatArray, size: tuple[int, int]) -> FloatArray:
    picture = Image.fromarray(np.ascontiguousarray(values, np.float32))
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR), np.float32)


def turned(cutout: Cutout, generator: np.random.Generator) -> Cutout:
    """The cutout mirrored and turned by quarters at random; frames that look straight down have no upper side."""
    contrast, weight, (x1, y1, x2, y2) = cutout.contrast, cutout.weight, cutout.box
    if generator.random() < 0.5:
        contrast, weight = contrast[:, ::-1], weight[:, ::-1]
        x1, x2 = contrast.shape[1] - x2, contrast.shape[1] - x1
    for _ in range(int(generator.integers(4))):
        x1, y1, x2, y2 = y1, contrast.shape[1] - x2, y2, contrast.shape[1] - x1
        contrast, weight = np.rot90(contrast), np.rot90(weight)
    return Cutout(contrast, weight, np.array([x1, y1, x2, y2], np.float32))


def paste_objects(
    frame: FloatArray,
    boxes: FloatArray,
    labels: IntArray,
    occupied: FloatArray,
    donor: Donor,
    most: int,
    generator: np.random.Generator,
    may_turn: bool = True,
) -> tuple[FloatArray, FloatArray, IntArray]:
    """The frame with up to `most` objects of another on its free ground, and its truth with them.

    Args:
        frame: (H, W), normalised.
        boxes, labels: the frame's truth, xyxy pixels.
        occupied: (M, 4), where nothing may be pasted besides the boxes.
        donor: where the objects come from.
        most: at least one is tried.
        generator: the only source of chance.
        may_turn: whether objects are mirrored and turned.
    """
    height, width = frame.shape
    result, found, names = frame, list(boxes), list(labels)
    for number in generator.permutation(len(donor.boxes))[: int(generator.integers(1, most + 1))]:
        cutout = cut_out(donor, int(number))
        if cutout is None:
            continue
        if may_turn:
            cutout = turned(cutout, generator)
        h, w = cutout.weight.shape
        if h >= height or w >= width:
            continue
        taken = np.concatenate([np.asarray(found, np.float32).reshape(-1, 4), occupied])
        for _ in range(10):
            left, top = int(generator.integers(width - w + 1)), int(generator.integers(height - h + 1))
            place = result[top : top + h, left : left + w]
            if not overlaps(np.array([left, top, left + w, top + h], np.float32), taken) and _shows(cutout, place):
                break
        else:
            continue
        if result is frame:
            result = frame.copy()
        place = result[top : top + h, left : left + w]
        place += cutout.weight * (np.float32(np.median(place)) + cutout.contrast - place)
        found.append(cutout.box + np.array([left, top, left, top], np.float32))
        names.append(donor.labels[int(number)])
    return result, np.asarray(found, np.float32).reshape(-1, 4), np.asarray(names, np.int64)
