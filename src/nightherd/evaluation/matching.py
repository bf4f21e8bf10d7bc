"""Which detection stands for which box of truth: COCO's greedy matching, and the table of its outcome over all images.

Everything after this (curves, counts, intervals) reads the table and never matches again.
Follows pycocotools' `evaluateImg` to the tie: https://github.com/cocodataset/cocoapi.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nightherd.evaluation.coco import IOU_THRESHOLDS, NO_LIMIT, xywh
from nightherd.evaluation.types import SizeBin, Truth, check_inputs, labels_among
from nightherd.types import Detections, FloatArray, IntArray

BoolArray = npt.NDArray[np.bool_]
Overlaps = npt.NDArray[np.float64]

EVERY_SIZE = SizeBin("all", 0.0, None)


@dataclass(frozen=True, slots=True)
class ClassMatches:
    """The detections of one class over all images, highest score first, and what became of each.

    S is the number of size bins, T of IoU thresholds, D of detections, I of images.

    Attributes:
        name: the class.
        scores: float32 (D,).
        image: int64 (D,), index of the image.
        place: int64 (D,), index of the detection in its image's `Detections`.
        rank: int64 (D,), 0 for the highest score of this class in its image.
        matched: bool (S, T, D), whether it stands for a box of truth that counts.
        ignored: bool (S, T, D), whether it counts neither way.
        n_truth: int64 (S, I), boxes of truth that count in each image.
    """

    name: str
    scores: FloatArray
    image: IntArray
    place: IntArray
    rank: IntArray
    matched: BoolArray
    ignored: BoolArray
    n_truth: IntArray


def iou_matrix(boxes: FloatArray, others: FloatArray, regions: BoolArray | None = None) -> Overlaps:
    """Intersection over union of every box with every other.

    Args:
        boxes, others: (N, 4) and (M, 4), x1 y1 x2 y2 in pixels.
        regions: bool (M,), others of which only the share of `boxes` inside counts, as COCO does for crowds.

    Returns:
        float64 (N, M), 0 where both are empty.
    """
    a, b = xywh(boxes)[:, None], xywh(others)[None]
    # COCO's order of operations, so that an overlap that meets a threshold exactly does so here too.
    sides = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    inside = np.where((sides > 0).all(axis=-1), sides[..., 0] * sides[..., 1], 0.0)
    area_a, area_b = a[..., 2] * a[..., 3], b[..., 2] * b[..., 3]
    union = area_a + area_b - inside
    if regions is not None:
        union = np.where(regions[None], area_a, union)
    result: Overlaps = np.divide(inside, union, out=np.zeros_like(inside), where=union > 0)
    return result


def overlap_matrix(boxes: FloatArray, image: Truth, others: FloatArray, regions: BoolArray) -> Overlaps:
    """How well every box fits every other, as the truth of the image is meant.

    For boxes the intersection over union. For points 1 - distance / (2 radius) of the centre from the point, so that
    0.5 is reached exactly within the radius, and the nearer of two points fits better.

    Args:
        boxes: (N, 4), x1 y1 x2 y2 in pixels.
        image: the truth that `others` come from.
        others: (M, 4), boxes, points or regions to ignore.
        regions: bool (M,), which of them are regions.

    Returns:
        float64 (N, M), 0 to 1.
    """
    overlaps = iou_matrix(boxes, others, regions)
    if image.radius is None:
        return overlaps
    centre, point = ((xy[:, :2].astype(np.float64) + xy[:, 2:]) / 2 for xy in (boxes, others))
    distance = np.hypot(*np.moveaxis(centre[:, None] - point[None], -1, 0))
    near: Overlaps = np.where(regions[None], overlaps, np.maximum(1 - distance / (2 * image.radius), 0.0))
    return near


def match_one(
    overlaps: Overlaps, regions: BoolArray, truth_ignored: BoolArray, thresholds: npt.NDArray[np.float64]
) -> IntArray:
    """Greedy matching in one image of one class: each detection in turn takes the best box that is still free.

    A box that counts is preferred over one to ignore; of equal overlaps the later box wins; a region to ignore may be
    taken any number of times.

    Args:
        overlaps: float64 (D, G) of detections, highest score first, with boxes of truth.
        regions: bool (G,), regions to ignore.
        truth_ignored: bool (S, G), boxes that do not count, for each size bin; regions among them.
        thresholds: float64 (T,), the IoU that a match needs.

    Returns:
        int64 (S, T, D), index of the box that each detection takes, -1 for none.
    """
    n_sizes, n_boxes = truth_ignored.shape
    match = np.full((n_sizes, len(thresholds), len(overlaps)), -1, np.int64)
    if not n_boxes:
        return match
    needed = np.minimum(thresholds, 1 - 1e-10)
    free = np.ones((n_sizes, len(thresholds), n_boxes), bool)
    for detection in np.flatnonzero(overlaps.max(axis=1) >= needed.min()):
        overlap = overlaps[detection]
        fits = free & (overlap >= needed[:, None])
        counting = fits & ~truth_ignored[:, None]
        fits = np.where(counting.any(axis=-1, keepdims=True), counting, fits)
        best = n_boxes - 1 - np.argmax(np.where(fits, overlap, -1.0)[..., ::-1], axis=-1)
        size, threshold = np.nonzero(fits.any(axis=-1))
        taken = best[size, threshold]
        match[size, threshold, detection] = taken
        free[size, threshold, taken] = regions[taken]
    return match


def match_classes(
    truth: Sequence[Truth],
    detections: Sequence[Detections],
    classes: Sequence[str],
    thresholds: npt.NDArray[np.float64] = IOU_THRESHOLDS,
    sizes: Sequence[SizeBin] = (EVERY_SIZE,),
    max_detections: int = 500,
) -> tuple[ClassMatches, ...]:
    """Matches every image, class by class.

    Args:
        truth: one per image; labels index `classes`.
        detections: one per image, same order; matched to `classes` by name, other classes left out.
        classes: names of the classes.
        thresholds: float64 (T,), IoU.
        sizes: bins of box area; a box outside a bin does not count in it, nor does an unmatched detection outside.
        max_detections: highest scores kept per image and class.

    Returns:
        One table per class, in the order of `classes`.

    Raises:
        ResultsError: a score or a box is not finite.
        ValueError: lengths or labels do not agree.
    """
    check_inputs(truth, detections, classes)
    labels = [labels_among(one, classes) for one in detections]
    return tuple(
        _match_class(name, [np.flatnonzero(one == label) for one in labels],
                     [image.boxes[image.labels == label] for image in truth],
                     truth, detections, thresholds, sizes, max_detections)
        for label, name in enumerate(classes)
    )  # fmt: skip


def _match_class(
    name: str,
    places: Sequence[npt.NDArray[np.intp]],
    boxes: Sequence[FloatArray],
    truth: Sequence[Truth],
    detections: Sequence[Detections],
    thresholds: npt.NDArray[np.float64],
    sizes: Sequence[SizeBin],
    max_detections: int,
) -> ClassMatches:
    low = np.array([one.low for one in sizes])[:, None]
    high = np.array([one.high or NO_LIMIT for one in sizes])[:, None]
    shape = (len(sizes), len(thresholds))
    n_truth = np.zeros((len(sizes), len(truth)), np.int64)
    scores, numbers, order_in_image, ranks = [], [], [], []
    matched, ignored = [np.zeros((*shape, 0), bool)], [np.zeros((*shape, 0), bool)]
    for number, (image, one) in enumerate(zip(truth, detections, strict=True)):
        place = places[number]
        place = place[np.argsort(-one.scores[place], kind="stable")][:max_detections]
        everything = np.concatenate([boxes[number], image.ignore])
        regions = np.arange(len(everything)) >= len(boxes[number])
        areas = _areas(everything)
        truth_ignored = regions | (areas < low) | (areas > high)
        n_truth[:, number] = (~truth_ignored).sum(axis=1)
        if not len(place):
            continue
        overlaps = overlap_matrix(one.boxes[place], image, everything, regions)
        match = match_one(overlaps, regions, truth_ignored, thresholds)
        hit = match >= 0
        lost = np.zeros_like(hit)
        if len(everything):
            lost = hit & truth_ignored[np.arange(len(sizes))[:, None, None], match]
        own_areas = _areas(one.boxes[place])
        outside = (own_areas < low) | (own_areas > high)
        matched.append(hit & ~lost)
        ignored.append(lost | (~hit & outside[:, None]))
        scores.append(one.scores[place])
        numbers.append(np.full(len(place), number))
        order_in_image.append(place)
        ranks.append(np.arange(len(place)))
    all_scores = np.concatenate([np.zeros(0, np.float32), *scores])
    order = np.argsort(-all_scores, kind="stable")
    image_of, place_of, rank_of = (
        np.concatenate([np.zeros(0, np.int64), *one])[order] for one in (numbers, order_in_image, ranks)
    )
    return ClassMatches(
        name, all_scores[order], image_of, place_of, rank_of,
        np.concatenate(matched, axis=-1)[..., order], np.concatenate(ignored, axis=-1)[..., order], n_truth,
    )  # fmt: skip


def _areas(boxes: FloatArray) -> npt.NDArray[np.float64]:
    exact = xywh(boxes)
    areas: npt.NDArray[np.float64] = exact[:, 2] * exact[:, 3]
    return areas
