"""The one number that gradients are taken of, and the detector's maps that it depends on.

The number is the log-odds of a class in the region head, log p / (1 - p), for a given region: unlike the score itself
it has a gradient where the detector is sure. Any box can be asked about, so a miss is explained like a detection.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import box_iou, clip_boxes_to_image

from nightherd.detector.two_stage import TwoStageDetector
from nightherd.explanation.types import Target
from nightherd.types import FloatArray

SAME_PLACE = 0.5
"""Intersection over union from which a proposal, once refined, speaks for a box; else the box itself is the region."""


MARGIN = 3
"""Cells of the coarsest map between a region and the edge of its window: a cell each for pooling between cells, the
3 × 3 convolution and the smoothing of gradients."""


def use_threads(threads: int) -> None:
    """Keeps torch to so many cores, in the whole process."""
    torch.set_num_threads(threads)


def as_input(image: FloatArray) -> Tensor:
    """A normalised image (H, W) as the detector's input (1, 1, H, W)."""
    return torch.from_numpy(image.copy())[None, None]


class Activations:
    """One forward pass, and from it the class score of any region with a graph back to the backbone's maps.

    A region is pooled from a few cells, and between those and the backbone's maps lie convolutions of 1 × 1 and 3 × 3
    and nearest upsampling only. So the graph is laid through a window around the region, with the same numbers as
    through the whole frame at a fraction of the arithmetic.

    Args:
        detector: in evaluation mode; nothing of it is changed.
        image: (H, W), normalised, sides multiples of the stride.

    Attributes:
        backbone: the backbone's maps (1, C, H', W'), finest first.
        pyramid: the pyramid's maps that follow from them, finest first.
        shape: (height, width) of the image.
    """

    def __init__(self, detector: TwoStageDetector, image: FloatArray) -> None:
        self.detector = detector
        self.shape = (int(image.shape[0]), int(image.shape[1]))
        with torch.no_grad():
            self.backbone: list[Tensor] = [level.float() for level in detector.backbone(as_input(image))]
            self.pyramid: list[Tensor] = list(detector.pyramid(self.backbone))

    def regions(self, targets: Sequence[Target]) -> Tensor:
        """The region (N, 4) that stands for each target."""
        with torch.no_grad():
            return regions_of(self.detector, self.pyramid, self.shape, targets)

    def around(self, region: Tensor) -> tuple[int, int, int, int]:
        """x1, y1, x2, y2 of the window of a region (4,): whole cells of the coarsest map, `MARGIN` on each side."""
        step = max(self.detector.backbone.strides)
        height, width = self.shape
        x1, y1, x2, y2 = region.tolist()
        left, top = (max(0, (int(low // step) - MARGIN) * step) for low in (x1, y1))
        right, bottom = (
            min(side, (int(-(-high // step)) + MARGIN) * step) for high, side in ((x2, width), (y2, height))
        )
        return left, top, right, bottom

    def in_window(self, region: Tensor, label: int, window: tuple[int, int, int, int]) -> tuple[Tensor, list[Tensor]]:
        """The log-odds () of a class at a region, and the parts of the backbone's maps in the window, its leaves."""
        left, top, right, bottom = window
        leaves = [
            level[..., top // stride : bottom // stride, left // stride : right // stride].clone().requires_grad_()
            for level, stride in zip(self.backbone, self.detector.backbone.strides, strict=True)
        ]
        pyramid = list(self.detector.pyramid(leaves))
        place = (region - torch.tensor([left, top, left, top]))[None]
        score = log_odds(self.detector, pyramid, (bottom - top, right - left), place, torch.tensor([label]))
        return score[0], leaves


def labels_of(targets: Sequence[Target]) -> Tensor:
    """(N,) int64 labels from 0."""
    return torch.tensor([target.label for target in targets], dtype=torch.int64)


def boxes_of(targets: Sequence[Target]) -> Tensor:
    """(N, 4) float32 xyxy."""
    return torch.tensor([target.box for target in targets], dtype=torch.float32).reshape(-1, 4)


def log_odds(
    detector: TwoStageDetector, pyramid: Sequence[Tensor], shape: tuple[int, int], regions: Tensor, labels: Tensor
) -> Tensor:
    """The log-odds of a class at each region: z_c - log Σ exp z_k over the other classes and background.

    Args:
        detector: its second stage is used.
        pyramid: maps (1, C, H', W'), finest first.
        shape: (height, width) of the image.
        regions: (N, 4) xyxy that features are pooled from.
        labels: (N,) classes from 0.

    Returns:
        (N,), the logarithm of p / (1 - p) for the score p that the detector gives.
    """
    logits, _ = _head(detector, pyramid, shape, regions)
    own = functional.one_hot(labels + 1, logits.shape[1]).to(torch.bool)
    others = torch.logsumexp(logits.masked_fill(own, -torch.inf), dim=1)
    return logits[own] - others


def regions_of(
    detector: TwoStageDetector, pyramid: Sequence[Tensor], shape: tuple[int, int], targets: Sequence[Target]
) -> Tensor:
    """The region (N, 4) that stands for each target: the proposal that the detector refines to the most similar box.

    For a detection that is the proposal it came from. Where no proposal comes near, the target's own box.
    """
    proposals, refined = refine(detector, pyramid, shape)
    boxes, labels = boxes_of(targets), labels_of(targets)
    if not len(proposals):
        return boxes
    regions = []
    for box, label in zip(boxes, labels, strict=True):
        overlap, best = box_iou(box[None], refined[:, int(label)])[0].max(dim=0)
        regions.append(proposals[best] if overlap >= SAME_PLACE else box)
    return torch.stack(regions) if regions else boxes


def refine(detector: TwoStageDetector, pyramid: Sequence[Tensor], shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The proposals (M, 4) of an image, and the box (M, K, 4) that the head makes of each for every class."""
    listed = _named(pyramid)
    image = torch.zeros((1, 1, *shape))
    (proposals,), _ = detector.proposals(detector._image_list(image), listed, None)
    _, deltas = _head(detector, pyramid, shape, proposals)
    boxes = detector.head.box_coder.decode(deltas, [proposals])[:, 1:]
    return proposals, clip_boxes_to_image(boxes, shape)


@torch.no_grad()
def scores_at(
    detector: TwoStageDetector, image: FloatArray, targets: Sequence[Target]
) -> tuple[FloatArray, FloatArray]:
    """What the detector thinks of any place, found or not.

    Args:
        detector: in evaluation mode.
        image: (H, W), normalised, sides multiples of the stride.
        targets: N of them.

    Returns:
        (N,) the score of each target's class at its region, and (N,) the overlap of its box with the best proposal
        after refinement for that class: under 0.5 the first stage has not proposed it.
    """
    seen = Activations(detector, image)
    logits = log_odds(detector, seen.pyramid, seen.shape, seen.regions(targets), labels_of(targets))
    scores = logits.sigmoid().numpy().astype(np.float32)
    _, refined = refine(detector, seen.pyramid, seen.shape)
    overlaps = [
        float(box_iou(box[None], refined[:, target.label]).max()) if len(refined) else 0.0
        for box, target in zip(boxes_of(targets), targets, strict=True)
    ]
    return scores, np.array(overlaps, np.float32)


def _head(
    detector: TwoStageDetector, pyramid: Sequence[Tensor], shape: tuple[int, int], regions: Tensor
) -> tuple[Tensor, Tensor]:
    pooled = detector.head.box_roi_pool(_named(pyramid), [regions], [shape])
    predicted: tuple[Tensor, Tensor] = detector.head.box_predictor(detector.head.box_head(pooled))
    return predicted


def _named(pyramid: Sequence[Tensor]) -> OrderedDict[str, Tensor]:
    return OrderedDict((str(level), one) for level, one in enumerate(pyramid))


def to_image(heat: Tensor, shape: tuple[int, int]) -> Tensor:
    """Maps (N, H', W') of any level at the size of the image, (N, H, W), each pixel sharing its cell's sum.

    Bilinear, then divided by the pixels a cell covers, so that the sum over the map stays what it was.
    """
    cells = heat.shape[-2] * heat.shape[-1]
    large = functional.interpolate(heat[None], size=shape, mode="bilinear", align_corners=False)[0]
    return large * (cells / (shape[0] * shape[1]))
