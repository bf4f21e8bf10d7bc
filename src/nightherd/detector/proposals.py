"""The first stage: torchvision's region proposal network with a label assignment and a sampler of one's choice."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead, concat_box_prediction_layers

from nightherd.detector.assignment import NEITHER, Assignment
from nightherd.detector.regions import largest_overlap, without_ignored
from nightherd.detector.samplers import Sampler

_UNUSED = (1.0, 0.0, 0, 0.0)
"""Thresholds of torchvision's own matcher and sampler, which are not used here."""


class ProposalNetwork(RegionProposalNetwork):  # type: ignore[misc]
    """Faster R-CNN's first stage (Ren et al. 2015) with regions to ignore.

    Layers, decoding and the choice of proposals are torchvision's. Anchors that lie by more than half in a region to
    ignore, and stand for no object, are neither positive nor negative.

    Args:
        channels: width of the pyramid's maps.
        anchors: the anchor generator.
        assignment: which object each anchor stands for.
        sampler: which anchors enter the loss; where it ranks by loss, by that of their objectness.
        keep_before_nms, keep_after_nms: proposals kept per level and per image, as (training, inference).
        nms_iou: of two proposals of one level that overlap by more, the better is kept.
    """

    def __init__(
        self,
        channels: int,
        anchors: AnchorGenerator,
        assignment: Assignment,
        sampler: Sampler,
        keep_before_nms: tuple[int, int] = (2000, 1000),
        keep_after_nms: tuple[int, int] = (2000, 1000),
        nms_iou: float = 0.7,
    ) -> None:
        super().__init__(
            anchors,
            RPNHead(channels, anchors.num_anchors_per_location()[0]),
            *_UNUSED,
            {"training": keep_before_nms[0], "testing": keep_before_nms[1]},
            {"training": keep_after_nms[0], "testing": keep_after_nms[1]},
            nms_iou,
        )
        self.assignment = assignment
        self.sampler = sampler
        self.score_thresh = torch.finfo(torch.float32).tiny

    def forward(
        self,
        images: ImageList,
        features: dict[str, Tensor],
        targets: list[dict[str, Tensor]] | None = None,
        predicted: tuple[list[Tensor], list[Tensor]] | None = None,
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Proposals (N, 4) xyxy of each image, best first, and in training the two losses.

        Args:
            images: the batch and its size.
            features: the pyramid's maps (B, C, H, W), finest first.
            targets: the truth of each image, in training.
            predicted: objectness and deltas of each map where they are there already; anchors of minus infinity are
                left out.
        """
        maps = list(features.values())
        objectness, deltas = self.head(maps) if predicted is None else predicted
        anchors: list[Tensor] = self.anchor_generator(images, maps)
        counts = [level[0].numel() for level in objectness]
        objectness, deltas = concat_box_prediction_layers(objectness, deltas)
        boxes = self.box_coder.decode(deltas.detach(), anchors).view(len(anchors), -1, 4)
        proposals: list[Tensor]
        proposals, _ = self.filter_proposals(boxes, objectness, images.image_sizes, counts)
        if not self.training:
            return proposals, {}
        assert targets is not None
        levels = torch.repeat_interleave(
            torch.arange(len(counts), device=objectness.device), torch.tensor(counts, device=objectness.device)
        )
        matched = [self.assign(one, levels, target) for one, target in zip(anchors, targets, strict=True)]
        return proposals, self.losses(objectness.flatten(), deltas, anchors, matched, targets)

    def assign(self, anchors: Tensor, levels: Tensor, target: dict[str, Tensor]) -> Tensor:
        """(N,) the index of the object that each anchor stands for, -1 for background, -2 for neither."""
        matched = self.assignment(anchors, target["boxes"], levels)
        return without_ignored(matched, anchors, target["ignore"])

    def losses(
        self,
        objectness: Tensor,
        deltas: Tensor,
        anchors: list[Tensor],
        matched: list[Tensor],
        targets: list[dict[str, Tensor]],
    ) -> dict[str, Tensor]:
        """Cross-entropy of objectness and smooth L1 of boxes over the sampled anchors, as torchvision weighs them.

        Args:
            objectness, deltas: (B · N,) logits and (B · N, 4) of all images, one after the other.
            anchors: (N, 4) of each image, x1, y1, x2, y2 in pixels.
            matched: (N,) of each image, as `assign` gives it.
            targets: of each image, `boxes` (M, 4) as the anchors are.

        Returns:
            `loss_objectness` and `loss_rpn_box_reg`, scalars.
        """
        positive, negative, labels, goals = [], [], [], []
        of_each = torch.split(objectness.detach(), [len(one) for one in anchors])
        for one, match, target, logits in zip(anchors, matched, targets, of_each, strict=True):
            label = (match >= 0).to(torch.float32)
            label[match == NEITHER] = -1.0
            ranks = overlaps = None
            if self.sampler.needs_losses:
                ranks = functional.binary_cross_entropy_with_logits(logits, label.clamp(min=0), reduction="none")
            if self.sampler.needs_overlaps:
                overlaps = largest_overlap(one, target["boxes"])
            chosen = self.sampler(label, one, ranks, overlaps)
            positive.append(chosen[0])
            negative.append(chosen[1])
            labels.append(label)
            goals.append(target["boxes"][match.clamp(min=0)] if len(target["boxes"]) else torch.zeros_like(one))
        encoded = torch.cat(self.box_coder.encode(goals, anchors))
        where_positive = torch.where(torch.cat(positive))[0]
        where = torch.cat([where_positive, torch.where(torch.cat(negative))[0]])
        n = max(1, len(where))
        box_loss = functional.smooth_l1_loss(
            deltas[where_positive], encoded[where_positive], beta=1 / 9, reduction="sum"
        )
        cross_entropy = functional.binary_cross_entropy_with_logits(
            objectness[where], torch.cat(labels)[where], reduction="sum"
        )
        return {"loss_objectness": cross_entropy / n, "loss_rpn_box_reg": box_loss / n}
