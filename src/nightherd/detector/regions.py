"""What is truth, background or neither for a region: the rule that both stages use to leave out regions to ignore."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import box_iou

from nightherd.detector.assignment import BACKGROUND, NEITHER


def covered_share(boxes: Tensor, regions: Tensor) -> Tensor:
    """The largest share of each box that lies in one of the regions.

    Args:
        boxes: (N, 4) xyxy.
        regions: (M, 4) xyxy.

    Returns:
        (N,), 0 to 1: intersection over the area of the box, not of the union.
    """
    if len(regions) == 0 or len(boxes) == 0:
        return boxes.new_zeros(len(boxes))
    top_left = torch.maximum(boxes[:, None, :2], regions[None, :, :2])
    bottom_right = torch.minimum(boxes[:, None, 2:], regions[None, :, 2:])
    sides = (bottom_right - top_left).clamp(min=0)
    area = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=1)
    return ((sides[..., 0] * sides[..., 1]) / area.clamp(min=1e-6)[:, None]).max(dim=1).values


def without_ignored(matched: Tensor, boxes: Tensor, ignore: Tensor) -> Tensor:
    """An assignment after background that lies by more than half in a region to ignore has become neither.

    Args:
        matched: (N,) of any label assignment.
        boxes: (N, 4) xyxy, the regions that were assigned.
        ignore: (M, 4) xyxy, the image's regions to ignore.
    """
    if len(ignore) == 0:
        return matched
    hidden = torch.logical_and(covered_share(boxes, ignore) > 0.5, matched == BACKGROUND)
    return matched.masked_fill(hidden, NEITHER)


def largest_overlap(boxes: Tensor, truth: Tensor) -> Tensor:
    """(N,) the largest IoU of each box (N, 4) with the truth (M, 4); 0 where there is none."""
    if len(truth) == 0 or len(boxes) == 0:
        return boxes.new_zeros(len(boxes))
    best: Tensor = box_iou(truth, boxes).max(dim=0).values
    return best
