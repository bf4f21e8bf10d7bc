"""Samplers: which of an image's regions enter the loss.

A sampler takes labels (N,) (0 background, above 0 an object, below 0 to be left out), regions (N, 4) xyxy, and, where
it asks for them, the loss of each region and its largest IoU with an object. It gives two masks (N,): the positive and
the negative regions that it chose. Random choices draw from torch's global generator.
"""

from __future__ import annotations

from typing import ClassVar, Protocol

import torch
from torch import Tensor
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler
from torchvision.ops import nms

Masks = tuple[Tensor, Tensor]


class Sampler(Protocol):
    """What both stages ask of a sampler."""

    needs_losses: bool
    needs_overlaps: bool
    keeps_share: ClassVar[bool]

    def __call__(self, labels: Tensor, regions: Tensor, losses: Tensor | None, overlaps: Tensor | None) -> Masks:
        """See the module."""
        ...


class RandomSampler:
    """torchvision's sampler: positives at random up to their share, negatives at random for the rest.

    Args:
        samples: regions an image.
        positive_share: at most this share of them is positive.
    """

    needs_losses = False
    needs_overlaps = False
    keeps_share: ClassVar[bool] = True

    def __init__(self, samples: int, positive_share: float) -> None:
        self._balanced = BalancedPositiveNegativeSampler(samples, positive_share)

    def __call__(
        self, labels: Tensor, regions: Tensor, losses: Tensor | None = None, overlaps: Tensor | None = None
    ) -> Masks:
        """See the module."""
        positive, negative = self._balanced([labels])
        return positive[0].bool(), negative[0].bool()


class OhemSampler:
    """Online hard example mining (Shrivastava et al. 2016): the regions of the highest loss, whatever their label.

    All regions are ranked by their loss, those that overlap a harder one are dropped, and the first `samples` are
    kept. There is no share of positives: hard ones rise by themselves.

    Args:
        samples: regions an image (the paper's B / N).
        nms_iou: a region that overlaps a harder one by more is dropped, since both would count the same loss twice.
    """

    needs_losses = True
    needs_overlaps = False
    keeps_share: ClassVar[bool] = False

    def __init__(self, samples: int, nms_iou: float = 0.7) -> None:
        self._samples = samples
        self._nms_iou = nms_iou

    def __call__(
        self, labels: Tensor, regions: Tensor, losses: Tensor | None = None, overlaps: Tensor | None = None
    ) -> Masks:
        """See the module."""
        assert losses is not None
        usable = torch.where(labels >= 0)[0]
        hardest = usable[nms(regions[usable].float(), losses[usable].float(), self._nms_iou)[: self._samples]]
        chosen = torch.zeros_like(labels, dtype=torch.bool)
        chosen[hardest] = True
        return chosen & (labels > 0), chosen & (labels == 0)


class HardNegativeSampler:
    """Positives as the random sampler keeps them, and of the negatives those of the highest loss.

    Args:
        samples: regions an image.
        positive_share: at most this share of them is positive; all positives are kept up to it.
        leave_out: negatives whose largest IoU with an object is in [low, high) are not chosen; None leaves out none,
            since near misses teach where an object ends.
    """

    needs_losses = True
    keeps_share: ClassVar[bool] = True

    def __init__(self, samples: int, positive_share: float, leave_out: tuple[float, float] | None = None) -> None:
        self._samples = samples
        self._positive_share = positive_share
        self._leave_out = leave_out
        self.needs_overlaps = leave_out is not None

    def __call__(
        self, labels: Tensor, regions: Tensor, losses: Tensor | None = None, overlaps: Tensor | None = None
    ) -> Masks:
        """See the module."""
        assert losses is not None
        positive = torch.where(labels > 0)[0]
        limit = int(self._samples * self._positive_share)
        positive = positive[torch.randperm(len(positive), device=positive.device)[:limit]]
        allowed = labels == 0
        if self._leave_out is not None:
            assert overlaps is not None
            low, high = self._leave_out
            allowed = allowed & ~((overlaps >= low) & (overlaps < high))
        negative = torch.where(allowed)[0]
        room = min(self._samples - len(positive), len(negative))
        negative = negative[losses[negative].topk(room).indices]
        masks = torch.zeros(2, len(labels), dtype=torch.bool, device=labels.device)
        masks[0, positive] = True
        masks[1, negative] = True
        return masks[0], masks[1]


SAMPLERS: dict[str, type[RandomSampler] | type[OhemSampler] | type[HardNegativeSampler]] = {
    "random": RandomSampler,
    "ohem": OhemSampler,
    "hard-negative": HardNegativeSampler,
}
"""Samplers, by name."""
