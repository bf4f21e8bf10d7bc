"""The detector's inference as one plain graph for export: the same layers and numbers in tensor operations only.

torchvision's proposal network and head carry training branches, Python integers and lists of images, which no exporter
takes with dynamic sizes. This states what they compute for one image; a test holds the two equal.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torchvision.models.detection._utils import _topk_min
from torchvision.ops import nms, roi_align

from nightherd.detector.two_stage import TwoStageDetector

BBOX_CLIP = math.log(1000.0 / 16)
"""Largest log-scale a box may grow by, as in torchvision's BoxCoder."""


def decode(deltas: Tensor, boxes: Tensor, weights: tuple[float, float, float, float]) -> Tensor:
    """Boxes from regression: tx = (Gx - Ax) / Aw, tw = ln(Gw / Aw), and so on (Ren et al. 2015).

    Args:
        deltas: (N, 4) in units of `weights`.
        boxes: (N, 4) xyxy that they refer to.
    """
    sizes = boxes[:, 2:] - boxes[:, :2]
    centres = boxes[:, :2] + 0.5 * sizes
    shift = deltas[:, :2] / torch.tensor(weights[:2], dtype=deltas.dtype)
    grow = (deltas[:, 2:] / torch.tensor(weights[2:], dtype=deltas.dtype)).clamp(max=BBOX_CLIP)
    new_centres = centres + shift * sizes
    half = 0.5 * torch.exp(grow) * sizes
    return torch.cat([new_centres - half, new_centres + half], dim=1)


def clip(boxes: Tensor, limits: Tensor) -> Tensor:
    """Boxes (N, 4) cut to an image; `limits` is (width, height, width, height)."""
    return torch.minimum(boxes.clamp(min=0), limits)


class InferenceGraph(nn.Module):
    """One normalised image (1, 1, H, W) → boxes (N, 4), scores (N,), labels (N,) from 0, scores descending.

    Args:
        detector: in evaluation mode; its layers are used as they are.
    """

    def __init__(self, detector: TwoStageDetector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        maps = [level.float() for level in self.detector.pyramid(self.detector.backbone(image))]
        shape = torch._shape_as_tensor(image)
        limits = torch.stack([shape[3], shape[2], shape[3], shape[2]]).to(torch.float32)
        proposals = self._propose(maps, limits, shape)
        return self._classify(maps, proposals, limits)

    def _propose(self, maps: list[Tensor], limits: Tensor, shape: Tensor) -> Tensor:
        stage = self.detector.proposals
        kept, scores, levels = [], [], []
        objectness, deltas = stage.head(maps)
        divides = max(self.detector.backbone.strides)
        for level, stride in enumerate(self.detector.strides):
            score = objectness[level][0].permute(1, 2, 0).reshape(-1)
            n_anchors = objectness[level].shape[1]
            size = torch._shape_as_tensor(objectness[level])
            cells = stage.anchor_generator.cell_anchors[level].to(score)
            delta = deltas[level][0].reshape(n_anchors, 4, -1).permute(2, 0, 1).reshape(-1, 4)
            top, index = score.topk(_topk_min(score, stage._pre_nms_top_n["testing"], 0))
            cell = index % n_anchors
            place = torch.div(index, n_anchors, rounding_mode="floor")
            row = torch.div(place, size[3], rounding_mode="floor")
            column = place - row * size[3]
            corner = torch.stack([column, row, column, row], dim=1).to(score.dtype)
            if stride <= divides:
                corner = corner * float(stride)
            else:
                step = torch.div(shape[2:], size[2:], rounding_mode="floor").to(score.dtype)
                corner = corner * torch.stack([step[1], step[0], step[1], step[0]])
            anchors = cells[cell] + corner
            boxes = clip(decode(delta[index], anchors, (1.0, 1.0, 1.0, 1.0)), limits)
            large = ((boxes[:, 2:] - boxes[:, :2]) >= stage.min_size).all(dim=1)
            chosen = large.nonzero()[:, 0]
            kept.append(boxes[chosen])
            scores.append(top[chosen])
            levels.append(torch.zeros_like(top[chosen]) + float(level))
        boxes, score, group = torch.cat(kept), torch.cat(scores), torch.cat(levels)
        order = nms(boxes + (group * (limits.max() + 1))[:, None], score, stage.nms_thresh)
        return boxes[order[: stage._post_nms_top_n["testing"]]]

    def _pool(self, maps: list[Tensor], boxes: Tensor) -> Tensor:
        pool = self.detector.head.box_roi_pool
        target = pool.map_levels([boxes])
        parts, places = [], []
        for level, stride in enumerate(pool.map_levels.strides):
            chosen = (target == level).nonzero()[:, 0]
            regions = torch.cat([torch.zeros_like(boxes[chosen][:, :1]), boxes[chosen]], dim=1)
            parts.append(roi_align(maps[level], regions, pool.output_size, 1.0 / stride, pool.sampling_ratio))
            places.append(chosen)
        return torch.cat(parts)[torch.cat(places).argsort()]

    def _classify(self, maps: list[Tensor], proposals: Tensor, limits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        head = self.detector.head
        logits, deltas = head.box_predictor(head.box_head(self._pool(maps, proposals)))
        probabilities = logits.softmax(dim=1)
        boxes, scores, labels = [], [], []
        for label in range(len(self.detector.classes)):
            score = probabilities[:, label + 1]
            box = clip(decode(deltas[:, 4 * label + 4 : 4 * label + 8], proposals, head.box_coder.weights), limits)
            large = ((box[:, 2:] - box[:, :2]) >= 1e-2).all(dim=1)
            chosen = torch.logical_and(score > head.score_thresh, large).nonzero()[:, 0]
            boxes.append(box[chosen])
            scores.append(score[chosen])
            labels.append(torch.zeros_like(chosen) + label)
        box, score, group = torch.cat(boxes), torch.cat(scores), torch.cat(labels)
        offset = (group.to(box.dtype) * (limits.max() + 1))[:, None]
        order = nms(box + offset, score, head.nms_thresh)[: head.detections_per_img]
        return box[order], score[order], group[order]
