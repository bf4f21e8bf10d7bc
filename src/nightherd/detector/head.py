"""The second stage: pooled regions to class scores and boxes, on torchvision's RoI pieces, with regions to ignore."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.ops import MultiScaleRoIAlign

from nightherd.detector.regions import covered_share


class RegionHead(RoIHeads):  # type: ignore[misc]
    """Faster R-CNN's second stage: pool 7 × 7, two fully connected layers, one score and one box a class.

    Args:
        channels: width of the pyramid's maps.
        n_levels: maps of the pyramid.
        n_classes: classes without background.
        width: width of the two fully connected layers.
        canonical_scale: √area in pixels of a region that is pooled from `canonical_level` (Lin et al. 2017, eq. 1).
        canonical_level: log2 of the stride of that level.
        positive_iou: a proposal at or above it is an object, under it background.
        samples, positive_share: proposals per image that enter the loss, and at most how many of them are positive.
        score_floor: detections under it are dropped before NMS.
        nms_iou, max_detections: per class NMS, and how many detections of a frame are kept.
    """

    def __init__(
        self,
        channels: int,
        n_levels: int,
        n_classes: int,
        width: int = 256,
        canonical_scale: int = 112,
        canonical_level: int = 4,
        positive_iou: float = 0.5,
        samples: int = 128,
        positive_share: float = 0.25,
        score_floor: float = 0.02,
        nms_iou: float = 0.5,
        max_detections: int = 500,
    ) -> None:
        pool = MultiScaleRoIAlign(
            [str(i) for i in range(n_levels)],
            output_size=7,
            sampling_ratio=2,
            canonical_scale=canonical_scale,
            canonical_level=canonical_level,
        )
        super().__init__(
            pool,
            TwoMLPHead(channels * 49, width),
            FastRCNNPredictor(width, n_classes + 1),
            positive_iou,
            positive_iou,
            samples,
            positive_share,
            None,
            score_floor,
            nms_iou,
            max_detections,
        )
        nn.init.normal_(self.box_predictor.cls_score.weight, std=0.01)
        nn.init.zeros_(self.box_predictor.cls_score.bias)
        nn.init.normal_(self.box_predictor.bbox_pred.weight, std=0.001)
        nn.init.zeros_(self.box_predictor.bbox_pred.bias)

    def select_training_samples(
        self, proposals: list[Tensor], targets: list[dict[str, Tensor]] | None
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
        """As torchvision's, after dropping proposals inside each target's `ignore` (M, 4) that match no object."""
        assert targets is not None
        kept = []
        for boxes, target in zip(proposals, targets, strict=True):
            if len(target["ignore"]) == 0:
                kept.append(boxes)
                continue
            inside = covered_share(boxes, target["ignore"]) > 0.5
            if len(target["boxes"]):
                best = self.box_similarity(target["boxes"], boxes).max(dim=0).values
                inside = torch.logical_and(inside, best < self.proposal_matcher.high_threshold)
            kept.append(boxes[~inside])
        selected: tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]
        selected = super().select_training_samples(kept, targets)
        return selected
