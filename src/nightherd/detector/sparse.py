"""The finest level only where coarser levels say that there may be something: an approximation for inference.

A pyramid with a stride-2 level spends most of its arithmetic there, on ground without animals. After the idea of
QueryDet (Yang et al. 2022), the first stage looks at the coarser maps first; the finest map and the first stage on it
are then computed in blocks around what it found. Training stays dense, and so does an exported graph.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection.rpn import RPNHead

from nightherd.detector.pyramid import AnyPyramid

HALO = 2
"""Places that a block needs beyond its edge: one for the pyramid's 3 × 3 convolution, one for the first stage's."""


class SparseLevels(NamedTuple):
    """What the first stage needs, the finest level computed in blocks.

    Attributes:
        maps: (B, C, H, W) of each level, finest first, float32; the finest is the next coarser one, repeated, outside
            the blocks.
        objectness: (B, A, H, W) of each level, logits; minus infinity outside the blocks.
        deltas: (B, 4 · A, H, W) of each level; 0 outside the blocks.
        computed: bool (B, rows, columns), which blocks were.
    """

    maps: list[Tensor]
    objectness: list[Tensor]
    deltas: list[Tensor]
    computed: Tensor


class SparseFinest(nn.Module):
    """Computes the finest level where the first stage on the coarser ones is not sure that there is nothing.

    Args:
        threshold: objectness (0 to 1) of any anchor from which a place of a coarser map counts; 0 computes everything.
        block: side of a block in places of the finest map, even.
        margin: places of the second finest map by which what counts is widened before it chooses blocks.
    """

    def __init__(self, threshold: float = 0.2, block: int = 16, margin: int = 1) -> None:
        super().__init__()
        if block % 2 or block < 2:
            raise ValueError(f"a block of {block} places: its side must be even")
        self.threshold = threshold
        self.block = block
        self.margin = margin

    def forward(self, pyramid: AnyPyramid, head: RPNHead, maps: Sequence[Tensor]) -> SparseLevels:
        """The backbone's maps, finest first, to all levels.

        Args:
            pyramid: of at least two levels.
            head: the first stage's layers, as torchvision's `RPNHead` names them.
            maps: of the backbone, finest first.
        """
        coarser, merged = pyramid.coarser(maps)
        coarser = [level.float() for level in coarser]
        with torch.autocast(maps[0].device.type, enabled=False):
            objectness, deltas = head(coarser)
        chosen = self.blocks(objectness)
        finest, score, delta = self._finest(pyramid, head, maps[0], merged, coarser[0], chosen)
        return SparseLevels([finest, *coarser], [score, *objectness], [delta, *deltas], chosen)

    def blocks(self, objectness: Sequence[Tensor]) -> Tensor:
        """Which blocks (B, rows, columns) of the finest map to compute, from the logits of the coarser levels.

        Args:
            objectness: (B, A, H, W) of each coarser level, finest first.
        """
        least = math.log(self.threshold / (1 - self.threshold)) if self.threshold > 0 else -math.inf
        size = objectness[0].shape[-2:]
        active = torch.zeros_like(objectness[0][:, :1])
        for level in objectness:
            there = (level.amax(dim=1, keepdim=True) >= least).to(active.dtype)
            active = torch.maximum(active, functional.interpolate(there, size=size, mode="nearest"))
        if self.margin:
            active = functional.max_pool2d(active, 2 * self.margin + 1, 1, self.margin)
        half = self.block // 2
        padded = functional.pad(active, (0, -size[1] % half, 0, -size[0] % half))
        return functional.max_pool2d(padded, half)[:, 0] > 0

    def _finest(
        self, pyramid: AnyPyramid, head: RPNHead, own: Tensor, merged: Tensor, below: Tensor, chosen: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The finest map, its objectness and its deltas, from the backbone's map and the second finest sum."""
        n, (height, width) = own.shape[0], own.shape[-2:]
        anchors: int = head.cls_logits.out_channels
        finest = functional.interpolate(below, size=(height, width), mode="nearest")
        score = below.new_full((n, anchors, height, width), -math.inf)
        delta = below.new_zeros((n, 4 * anchors, height, width))
        image, row, column = torch.where(chosen)
        if len(image) == 0:
            return finest, score, delta
        place = (image, row, column)
        valid = _gather(torch.ones_like(own[:, :1]), place, self.block, HALO)
        up = functional.interpolate(_gather(merged, place, self.block // 2, HALO // 2), scale_factor=2.0)
        sums = (pyramid.lateral[0](_gather(own, place, self.block, HALO)) + up) * valid
        smooth = (_without_padding(pyramid.smooth[0], sums) * valid[:, :, 1:-1, 1:-1]).float()
        with torch.autocast(own.device.type, enabled=False):
            hidden = _without_padding(head.conv, smooth)
            parts = (smooth[:, :, 1:-1, 1:-1], head.cls_logits(hidden), head.bbox_pred(hidden))
        for k, (i, y, x) in enumerate(zip(image.tolist(), row.tolist(), column.tolist(), strict=True)):
            rows, columns = slice(y * self.block, (y + 1) * self.block), slice(x * self.block, (x + 1) * self.block)
            for whole, part in zip((finest, score, delta), parts, strict=True):
                target = whole[i, :, rows, columns]
                target.copy_(part[k, :, : target.shape[1], : target.shape[2]])
        return finest, score, delta


def _without_padding(layers: nn.Module, maps: Tensor) -> Tensor:
    """Layers that follow one another, on maps (N, C, H, W) with a halo of their own in place of padding."""
    for layer in layers.modules():
        if isinstance(layer, nn.Conv2d):
            weights = (layer.weight, layer.bias, layer.stride, 0, layer.dilation, layer.groups)
            maps = functional.conv2d(maps, *weights)
        elif not list(layer.children()):
            maps = layer(maps)
    return maps


def _gather(level: Tensor, place: tuple[Tensor, Tensor, Tensor], block: int, halo: int) -> Tensor:
    """Blocks (N, C, block + 2 · halo, …) of a map (B, C, H, W), zero beyond it; `place` is (image, row, column)."""
    image, row, column = place
    height, width = level.shape[-2:]
    padded = functional.pad(level, (halo, halo - width % -block, halo, halo - height % -block))
    windows = padded.unfold(2, block + 2 * halo, block).unfold(3, block + 2 * halo, block)
    return windows[image, :, row, column].contiguous(memory_format=torch.channels_last)
