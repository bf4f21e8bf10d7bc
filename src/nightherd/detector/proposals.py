"""The first stage: torchvision's region proposal network, told to leave regions to ignore alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead

from nightherd.detector.regions import covered_share


def build_anchors(sizes: Sequence[Sequence[float]], ratios: Sequence[float]) -> AnchorGenerator:
    """torchvision's anchors: sides (√area, pixels) of each pyramid level, finest first, and height / width ratios."""
    return AnchorGenerator(tuple(tuple(level) for level in sizes), (tuple(ratios),) * len(sizes))


class ProposalNetwork(RegionProposalNetwork):  # type: ignore[misc]
    """Faster R-CNN's first stage (Ren et al. 2015) with regions to ignore.

    Anchors that lie by more than half in a region to ignore, and match no object, are neither positive nor negative.

    Args:
        channels: width of the pyramid's maps.
        anchors: the anchor generator.
        positive_iou, negative_iou: an anchor above the first is an object, under the second background; each object's
            best anchors count as well.
        samples: anchors per image that enter the loss, at most half of them positive.
        keep_before_nms, keep_after_nms: proposals kept per level and per image, as (training, inference).
    """

    def __init__(
        self,
        channels: int,
        anchors: AnchorGenerator,
        positive_iou: float = 0.7,
        negative_iou: float = 0.3,
        samples: int = 256,
        keep_before_nms: tuple[int, int] = (1000, 500),
        keep_after_nms: tuple[int, int] = (1000, 300),
        nms_iou: float = 0.7,
    ) -> None:
        super().__init__(
            anchors,
            RPNHead(channels, anchors.num_anchors_per_location()[0]),
            positive_iou,
            negative_iou,
            samples,
            0.5,
            {"training": keep_before_nms[0], "testing": keep_before_nms[1]},
            {"training": keep_after_nms[0], "testing": keep_after_nms[1]},
            nms_iou,
        )

    def assign_targets_to_anchors(
        self, anchors: list[Tensor], targets: list[dict[str, Tensor]]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """As torchvision's, then drops background anchors inside each target's `ignore` (M, 4) from the loss."""
        labels, matched = super().assign_targets_to_anchors(anchors, targets)
        for label, boxes, target in zip(labels, anchors, targets, strict=True):
            if len(target["ignore"]):
                inside = covered_share(boxes, target["ignore"]) > 0.5
                label[torch.logical_and(inside, label == 0)] = -1
        return labels, matched
