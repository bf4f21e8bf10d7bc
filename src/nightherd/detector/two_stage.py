"""The two-stage detector: backbone, pyramid, proposals, head, put together and nothing more."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypedDict

import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList

from nightherd.detector.backbone import Backbone
from nightherd.detector.head import RegionHead
from nightherd.detector.proposals import ProposalNetwork
from nightherd.detector.pyramid import AnyPyramid
from nightherd.detector.sparse import SparseFinest


class Target(TypedDict):
    """The truth of one image: boxes (N, 4) xyxy pixels, labels (N,) from 1 (0 is background), ignore (M, 4)."""

    boxes: Tensor
    labels: Tensor
    ignore: Tensor


class TwoStageDetector(nn.Module):
    """Faster R-CNN with a feature pyramid on one-channel images that are normalised already.

    Args:
        backbone, pyramid, proposals, head: the parts; they must agree on channels and levels.
        classes: names, in the order of the labels.
        sparse: how the finest level is computed in part at inference; None computes all of it. Training computes all.

    Attributes:
        strides: of the pyramid's maps, finest first.
    """

    def __init__(
        self,
        backbone: Backbone,
        pyramid: AnyPyramid,
        proposals: ProposalNetwork,
        head: RegionHead,
        classes: tuple[str, ...],
        sparse: SparseFinest | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.pyramid = pyramid
        self.proposals = proposals
        self.head = head
        self.classes = classes
        self.sparse = sparse
        self.strides = pyramid.strides(backbone.strides)

    def maps(self, images: Tensor) -> OrderedDict[str, Tensor]:
        """The pyramid's maps of images (B, 1, H, W), by level, finest first, float32."""
        maps = self.pyramid(self.backbone(images))
        return OrderedDict((str(i), level.float()) for i, level in enumerate(maps))

    def _image_list(self, images: Tensor) -> ImageList:
        size = (int(images.shape[-2]), int(images.shape[-1]))
        return ImageList(images, [size] * images.shape[0])

    def losses(self, images: Tensor, targets: list[Target]) -> dict[str, Tensor]:
        """The four losses of a batch; region sampling draws from torch's global generator.

        Under autocast the layers of both stages run in its type as well; boxes and losses stay float32.

        Args:
            images: (B, 1, H, W), normalised.
            targets: the truth of each image.
        """
        maps = self.maps(images)
        objectness, deltas = self.proposals.head(list(maps.values()))
        predicted = ([level.float() for level in objectness], [level.float() for level in deltas])
        with torch.autocast(images.device.type, enabled=False):
            boxes, first = self.proposals(self._image_list(images), maps, targets, predicted)
        sizes = [(int(images.shape[-2]), int(images.shape[-1]))] * images.shape[0]
        _, second = self.head(maps, boxes, sizes, targets)
        return {**first, **second}

    def forward(self, images: Tensor) -> list[dict[str, Tensor]]:
        """Detections of each image: boxes (N, 4) xyxy, scores (N,) descending, labels (N,) from 0."""
        predicted = None
        if self.sparse is None:
            maps = self.maps(images)
        else:
            levels = self.sparse(self.pyramid, self.proposals.head, self.backbone(images))
            maps = OrderedDict((str(i), level) for i, level in enumerate(levels.maps))
            predicted = (levels.objectness, levels.deltas)
        with torch.autocast(images.device.type, enabled=False):
            boxes, _ = self.proposals(self._image_list(images), maps, None, predicted)
            sizes = [(int(images.shape[-2]), int(images.shape[-1]))] * images.shape[0]
            results, _ = self.head(maps, boxes, sizes, None)
        return [{"boxes": r["boxes"], "scores": r["scores"], "labels": r["labels"] - 1} for r in results]
