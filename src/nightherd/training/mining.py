"""Offline hard-negative mining without the files: which detections are false alarms, of what kind, and which repeat.

Bootstrapping on false alarms as Sung and Poggio (1998) and Felzenszwalb et al. (2010, section 4.3) do it: detections
that lie on no object are collected from training frames and trained on as background. A detection near an object is
no background but a badly placed box, so it is left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from nightherd.evaluation.matching import iou_matrix
from nightherd.evaluation.types import Truth
from nightherd.types import Detections, FloatArray, IntArray

SIDE = 64
"""Pixels of the frame that a cutout shows; more where a box is longer than two thirds of it."""

KINDS = {
    "confused with CLASS": "lies on a box of another class, at the upper IoU or more",
    "part of CLASS": "half of it or more lies inside one labelled box, and it is far smaller",
    "around CLASS": "covers half or more of a labelled box, and is far larger",
    "near miss": "overlaps a labelled box between the two IoU; left out unless asked for",
    "elongated": "what stands out from its surroundings is at least 2.5 times as long as wide",
    "hot spot": "compact, and at least 1 warmer than its surroundings (normalised: about one interquartile range)",
    "cold spot": "compact, and at least 1 colder than its surroundings",
    "patch": "the rest: little contrast",
}
"""Kind of false alarm → the rule that gives it the name; the first that holds. None says what is really there."""

ELONGATED = 2.5
CONTRAST = 1.0
DUPLICATE_LOOKS = 0.8
DUPLICATE_LOOKS_AT_PLACE = 0.5
REACH = 50
_GRID = 16


@dataclass(frozen=True, slots=True)
class SortedDetections:
    """What became of the detections of one frame.

    Attributes:
        alarms: int64 (K,), places of the false alarms among the detections, highest score first.
        relation: one for each alarm: `confused with`, `part of`, `around`, `near miss`, or empty where it is alone.
        other: int64 (K,), label of the box that the relation is to, -1 for none.
        n_right, n_near, n_ignored, n_double: detections on a box of their class; near misses left out; in regions to
            ignore; false alarms that overlap a better one.
    """

    alarms: IntArray
    relation: tuple[str, ...]
    other: IntArray
    n_right: int
    n_near: int
    n_ignored: int
    n_double: int


def sort_detections(
    detections: Detections,
    truth: Truth,
    low: float = 0.1,
    high: float = 0.5,
    keep_near_misses: bool = False,
    same: float = 0.3,
) -> SortedDetections:
    """Finds the false alarms of one frame, class by class.

    Args:
        detections: of one frame; labels in the same numbers as `truth`.
        truth: of the same frame, with every labelled class, also those that the detector does not know.
        low, high: a detection is right at IoU `high` with a box of its class, a false alarm under `low` with every
            box, or at `high` with a box of another class; between them it is a near miss.
        keep_near_misses: takes those too.
        same: IoU from which two false alarms are one; the higher score stays.
    """
    overlaps = iou_matrix(detections.boxes, truth.boxes)
    inside = iou_matrix(detections.boxes, truth.boxes, np.ones(len(truth.boxes), np.bool_))
    covered = iou_matrix(truth.boxes, detections.boxes, np.ones(len(detections), np.bool_)).T
    regions = iou_matrix(detections.boxes, truth.ignore, np.ones(len(truth.ignore), np.bool_))
    own = detections.labels[:, None] == truth.labels[None]
    best_own = np.where(own, overlaps, 0.0).max(axis=1, initial=0.0)
    best_other = np.where(own, 0.0, overlaps).max(axis=1, initial=0.0)
    ignored = regions.max(axis=1, initial=0.0) >= 0.5
    right = ~ignored & (best_own >= high)
    confused = ~ignored & (best_own < low) & (best_other >= high)
    near = ~ignored & ~right & ~confused & (np.maximum(best_own, best_other) >= low)
    candidates = ~ignored & ~right & (keep_near_misses | ~near)
    order = np.flatnonzero(candidates)
    order = order[np.argsort(-detections.scores[order], kind="stable")]
    kept: list[int] = []
    between = iou_matrix(detections.boxes[order], detections.boxes[order])
    for place in range(len(order)):
        if not any(between[place, earlier] >= same for earlier in kept):
            kept.append(place)
    alarms = order[kept].astype(np.int64)
    relation, other = [], np.full(len(alarms), -1, np.int64)
    for k, i in enumerate(alarms):
        name, table = "", None
        if confused[i]:
            name, table = "confused with", np.where(own[i], 0.0, overlaps[i])
        elif near[i]:
            name, table = "near miss", overlaps[i]
        elif inside[i].max(initial=0.0) >= 0.5:
            name, table = "part of", inside[i]
        elif covered[i].max(initial=0.0) >= 0.5:
            name, table = "around", covered[i]
        relation.append(name)
        if table is not None:
            other[k] = truth.labels[int(np.argmax(table))]
    return SortedDetections(
        alarms, tuple(relation), other, int(right.sum()), int(near.sum()), int(ignored.sum()), len(order) - len(kept)
    )


def cutout(image: FloatArray, box: FloatArray, side: int = SIDE) -> tuple[FloatArray, float]:
    """The surroundings of a box.

    Args:
        image: float32 (H, W), normalised.
        box: (4,), x1 y1 x2 y2 in its pixels.
        side: of the cutout.

    Returns:
        float32 (side, side), the box in the middle, 0 beyond the frame; and how many pixels of the cutout one of the
        frame takes: 1, or less where the box is longer than two thirds of `side`.
    """
    x1, y1, x2, y2 = (float(value) for value in box)
    window = max(float(side), 1.5 * max(x2 - x1, y2 - y1))
    half = int(np.ceil(window / 2))
    column, row = round((x1 + x2) / 2), round((y1 + y2) / 2)
    out = np.zeros((2 * half, 2 * half), np.float32)
    height, width = image.shape
    left, right = max(column - half, 0), min(column + half, width)
    top, bottom = max(row - half, 0), min(row + half, height)
    if left < right and top < bottom:
        out[top - row + half : bottom - row + half, left - column + half : right - column + half] = image[
            top:bottom, left:right
        ]
    if out.shape == (side, side):
        return out, 1.0
    small = Image.fromarray(out).resize((side, side), Image.Resampling.BOX)
    return np.asarray(small, np.float32), side / out.shape[0]


def descriptor(view: FloatArray) -> FloatArray:
    """What a cutout looks like: a coarse copy with mean 0 and length 1; all 0 for one without contrast.

    Args:
        view: float32 (side, side), from `cutout`.

    Returns:
        float32 (256,); the product of two is the correlation of what they show.
    """
    small = np.asarray(Image.fromarray(view).resize((_GRID, _GRID), Image.Resampling.BOX), np.float32).ravel()
    small = small - small.mean()
    length = float(np.linalg.norm(small))
    return small / np.float32(length) if length > 1e-6 else np.zeros_like(small)


def looks(image: FloatArray, box: FloatArray) -> str:
    """The kind of what is in a box by its looks alone: `elongated`, `hot spot`, `cold spot` or `patch`; see `KINDS`.

    Contrast is what the most different tenth of the box reaches over the median of a ring around it; the length and
    width are the standard deviations of the pixels beyond half of that contrast that hang together in and around the
    box, along and across their main axis.

    Args:
        image: float32 (H, W), normalised.
        box: (4,), x1 y1 x2 y2 in its pixels.
    """
    height, width = image.shape
    x1, y1, x2, y2 = (float(value) for value in box)
    left, top = int(np.clip(np.floor(x1), 0, width - 1)), int(np.clip(np.floor(y1), 0, height - 1))
    right, bottom = int(np.clip(np.ceil(x2), left + 1, width)), int(np.clip(np.ceil(y2), top + 1, height))
    pad = max(4, round(max(right - left, bottom - top) / 2))
    a, b = max(top - pad, 0), max(left - pad, 0)
    around = image[a : bottom + pad, b : right + pad]
    core = np.zeros(around.shape, np.bool_)
    core[top - a : bottom - a, left - b : right - b] = True
    ring = around[~core] if not core.all() else around.ravel()
    background = float(np.median(ring))
    low, high = np.quantile(around[core], (0.1, 0.9)) - background
    contrast = float(high if abs(high) >= abs(low) else low)
    if abs(contrast) < 1e-6:
        return "patch"
    stands_out = (around - background) * np.sign(contrast) > 0.5 * abs(contrast)
    parts, _ = ndimage.label(stands_out, np.ones((3, 3)))
    inside = np.bincount(parts[core], minlength=1)
    inside[0] = 0
    if inside.any():
        rows, columns = np.nonzero(parts == int(np.argmax(inside)))
        spread = np.cov(np.stack([rows, columns]), bias=True) + np.eye(2) / 12
        shortest, longest = np.sqrt(np.linalg.eigvalsh(spread))
        if longest >= ELONGATED * shortest:
            return "elongated"
    if abs(contrast) < CONTRAST:
        return "patch"
    return "hot spot" if contrast > 0 else "cold spot"


def first_sightings(
    descriptors: FloatArray,
    scores: FloatArray,
    frame: IntArray,
    flight: IntArray,
    ground: npt.NDArray[np.float64] | None = None,
    uncertainty: npt.NDArray[np.float64] | None = None,
    reach: int = REACH,
) -> IntArray:
    """Which false alarms show the same thing as a better one in a neighbouring frame.

    In order of score, each that is left takes away those of other frames of the same flight that look like it
    (correlation of 0.8) no more than `reach` frames away. Where both have a place on the ground, how far apart they
    are decides first: beyond twice their uncertainty they are two things; within it a correlation of 0.5 is enough,
    and the frames may be any distance apart.

    Args:
        descriptors: float32 (N, 256), from `descriptor`.
        scores: float32 (N,).
        frame: int64 (N,), place of the frame in its flight.
        flight: int64 (N,), a number for each flight.
        ground: float64 (N, 2), metres east and north of one point; NaN where unknown.
        uncertainty: float64 (N,), metres, one sigma.
        reach: frames.

    Returns:
        int64 (N,), the false alarm that stands for each; its own place for those that stay.
    """
    n = len(scores)
    places = np.full((n, 2), np.nan) if ground is None else ground
    sigma = np.full(n, np.nan) if uncertainty is None else uncertainty
    is_placed = np.isfinite(places).all(axis=1) & np.isfinite(sigma)
    stands_for = np.full(n, -1, np.int64)
    members = {number: np.flatnonzero(flight == number) for number in np.unique(flight)}
    for i in np.argsort(-scores, kind="stable"):
        if stands_for[i] >= 0:
            continue
        stands_for[i] = i
        rivals = members[flight[i]]
        is_near = np.abs(frame[rivals] - frame[i]) <= reach
        rivals = rivals[(stands_for[rivals] < 0) & (frame[rivals] != frame[i]) & (is_near | is_placed[i])]
        alike = descriptors[rivals] @ descriptors[i]
        is_double = (alike >= DUPLICATE_LOOKS) & (np.abs(frame[rivals] - frame[i]) <= reach)
        if is_placed[i]:
            both = is_placed[rivals]
            apart = np.linalg.norm(places[rivals] - places[i], axis=1)
            with np.errstate(invalid="ignore"):
                is_here = apart <= 2 * np.hypot(sigma[rivals], sigma[i])
            is_double = np.where(both, is_here & (alike >= DUPLICATE_LOOKS_AT_PLACE), is_double)
        stands_for[rivals[is_double]] = i
    return stands_for


def kind_of(relation: str, other: str | None, by_looks: str) -> str:
    """The kind of a false alarm: its relation to a labelled box where it has one, else its looks."""
    if not relation:
        return by_looks
    return relation if relation == "near miss" or other is None else f"{relation} {other}"


def neighbourhood(names: Sequence[str]) -> tuple[IntArray, IntArray]:
    """Which frames belong together, and their order: those of one folder, by their names with numbers as numbers.

    Args:
        names: of the frames, `/` between parts; a flight may stand in front.

    Returns:
        int64 (N,), place in its series, and int64 (N,), a number for each series.
    """
    folders = [name.rpartition("/")[0] for name in names]
    known = {folder: number for number, folder in enumerate(dict.fromkeys(folders))}
    series = np.array([known[folder] for folder in folders], np.int64)
    place = np.zeros(len(names), np.int64)
    for number in range(len(known)):
        members = np.flatnonzero(series == number)
        ranked = sorted(members.tolist(), key=lambda k: _natural(names[k]))
        place[ranked] = np.arange(len(ranked))
    return place, series


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts frame 9 before frame 10."""
    parts = re.split(r"([0-9]{1,18})", name)
    return [(int(part), part) if k % 2 else (-1, part) for k, part in enumerate(parts)]
