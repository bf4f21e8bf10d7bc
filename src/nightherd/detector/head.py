"""The second stage: pooled regions to class scores and boxes, on torchvision's RoI pieces, with regions to ignore."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.roi_heads import RoIHeads, fastrcnn_loss
from torchvision.ops import MultiScaleRoIAlign

from nightherd.detector.assignment import NEITHER, Assignment
from nightherd.detector.criterion import FpnCriterion
from nightherd.detector.regions import largest_overlap, without_ignored
from nightherd.detector.samplers import Sampler

_UNUSED = (1.0, 0.0, 0, 0.0)
"""Thresholds of torchvision's own matcher and sampler, which are not used here."""


class RegionHead(RoIHeads):  # type: ignore[misc]
    """Faster R-CNN's second stage: pool, two fully connected layers, one score and one box a class.

    Args:
        channels: width of the pyramid's maps.
        n_classes: classes without background.
        criterion: which map a region is pooled from.
        assignment: which object each proposal stands for.
        sampler: which proposals enter the loss.
        width: width of the two fully connected layers.
        pooled_size: (height, width) of a pooled region.
        sampling_ratio: points an axis that each cell of it averages.
        score_floor: detections under it are dropped before NMS.
        nms_iou, max_detections: per class NMS, and how many detections of a frame are kept.
    """

    def __init__(
        self,
        channels: int,
        n_classes: int,
        criterion: FpnCriterion,
        assignment: Assignment,
        sampler: Sampler,
        width: int = 1024,
        pooled_size: tuple[int, int] = (7, 7),
        sampling_ratio: int = 2,
        score_floor: float = 0.05,
        nms_iou: float = 0.5,
        max_detections: int = 100,
    ) -> None:
        pool = MultiScaleRoIAlign([str(i) for i in range(len(criterion.strides))], pooled_size, sampling_ratio)
        pool.scales = [1 / stride for stride in criterion.strides]
        pool.map_levels = criterion
        super().__init__(
            pool,
            TwoMLPHead(channels * pooled_size[0] * pooled_size[1], width),
            FastRCNNPredictor(width, n_classes + 1),
            *_UNUSED,
            None,
            score_floor,
            nms_iou,
            max_detections,
        )
        self.assignment = assignment
        self.sampler = sampler
        nn.init.normal_(self.box_predictor.cls_score.weight, std=0.01)
        nn.init.zeros_(self.box_predictor.cls_score.bias)
        nn.init.normal_(self.box_predictor.bbox_pred.weight, std=0.001)
        nn.init.zeros_(self.box_predictor.bbox_pred.bias)

    def forward(
        self,
        features: dict[str, Tensor],
        proposals: list[Tensor],
        image_shapes: list[tuple[int, int]],
        targets: list[dict[str, Tensor]] | None = None,
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        """Detections of each image, or in training the two losses.

        Args:
            features: the pyramid's maps (B, C, H, W), finest first.
            proposals: (N, 4) xyxy of each image.
            image_shapes: (height, width) of each image.
            targets: the truth of each image, in training.
        """
        if not self.training:
            result: tuple[list[dict[str, Tensor]], dict[str, Tensor]]
            result = super().forward(features, proposals, image_shapes)
            return result
        assert targets is not None
        given = [torch.cat([boxes, target["boxes"]]) for boxes, target in zip(proposals, targets, strict=True)]
        matched = [self.assign(boxes, target) for boxes, target in zip(given, targets, strict=True)]
        losses: list[Tensor | None] = [None] * len(given)
        if self.sampler.needs_losses:
            losses = list(self._loss_of_each(features, given, matched, image_shapes, targets))
        regions, kept = [], []
        for boxes, match, loss, target in zip(given, matched, losses, targets, strict=True):
            overlaps = largest_overlap(boxes, target["boxes"]) if self.sampler.needs_overlaps else None
            positive, negative = self.sampler(_labels(match, target), boxes, loss, overlaps)
            chosen = torch.where(positive | negative)[0]
            regions.append(boxes[chosen])
            kept.append(match[chosen])
        logits, deltas = self._predict(features, regions, image_shapes)
        labels = [_labels(match, target) for match, target in zip(kept, targets, strict=True)]
        goals = self.box_coder.encode(_goals(kept, targets), regions)
        if len(logits) == 0:
            nothing = logits.sum() + deltas.sum()
            return [], {"loss_classifier": nothing, "loss_box_reg": nothing}
        class_loss, box_loss = fastrcnn_loss(logits, deltas, labels, goals)
        return [], {"loss_classifier": class_loss, "loss_box_reg": box_loss}

    def assign(self, boxes: Tensor, target: dict[str, Tensor]) -> Tensor:
        """(N,) the index of the object that each region stands for, -1 for background, -2 for neither."""
        levels = self.box_roi_pool.map_levels([boxes])
        return without_ignored(self.assignment(boxes, target["boxes"], levels), boxes, target["ignore"])

    def _predict(
        self, features: dict[str, Tensor], regions: list[Tensor], image_shapes: list[tuple[int, int]]
    ) -> tuple[Tensor, Tensor]:
        pooled = self.box_roi_pool(features, regions, image_shapes)
        logits, deltas = self.box_predictor(self.box_head(pooled))
        return logits.float(), deltas.float()

    @torch.no_grad()
    def _loss_of_each(
        self,
        features: dict[str, Tensor],
        regions: list[Tensor],
        matched: list[Tensor],
        image_shapes: list[tuple[int, int]],
        targets: list[dict[str, Tensor]],
    ) -> tuple[Tensor, ...]:
        """What each region would add to the sum of both losses, (N,) for each image; 0 for those that are neither."""
        logits, deltas = self._predict(features, regions, image_shapes)
        label = torch.cat([_labels(match, target) for match, target in zip(matched, targets, strict=True)])
        loss = functional.cross_entropy(logits, label.clamp(min=0), reduction="none").masked_fill(label < 0, 0.0)
        where = torch.where(label > 0)[0]
        goals = torch.cat(self.box_coder.encode(_goals(matched, targets), regions))
        predicted = deltas.reshape(len(label), -1, 4)[where, label[where]]
        loss[where] += functional.smooth_l1_loss(predicted, goals[where], beta=1 / 9, reduction="none").sum(dim=1)
        return torch.split(loss, [len(boxes) for boxes in regions])


def _labels(matched: Tensor, target: dict[str, Tensor]) -> Tensor:
    """(N,) labels of regions: from 1 for objects, 0 for background, -1 for neither."""
    label = torch.zeros_like(matched)
    if len(target["labels"]):
        label = torch.where(matched >= 0, target["labels"][matched.clamp(min=0)], label)
    return label.masked_fill(matched == NEITHER, -1)


def _goals(matched: list[Tensor], targets: list[dict[str, Tensor]]) -> list[Tensor]:
    """The box (N, 4) that each region should become; of no meaning where it stands for no object."""
    return [
        target["boxes"][match.clamp(min=0)] if len(target["boxes"]) else target["boxes"].new_zeros(len(match), 4)
        for match, target in zip(matched, targets, strict=True)
    ]


HEADS: dict[str, Callable[..., Any]] = {"two-mlp": RegionHead}
"""Second stages, by name."""
