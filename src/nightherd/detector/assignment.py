"""Label assignment: which object each anchor or proposal stands for in training, and which stand for background.

An assignment maps regions (N, 4) and truth (M, 4), both xyxy, and the level of each region (N,) to (N,) int64: the
index of an object, BACKGROUND, or NEITHER for regions that are left out of the loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor
from torchvision.models.detection._utils import Matcher
from torchvision.ops import box_iou

BACKGROUND, NEITHER = -1, -2


class Assignment(Protocol):
    """What both stages ask of a label assignment."""

    def __call__(self, regions: Tensor, truth: Tensor, levels: Tensor) -> Tensor:
        """See the module."""
        ...


class MaxIou:
    """Ren et al. 2015, on torchvision's matcher: a region stands for the object it overlaps most, if it does enough.

    Args:
        positive_iou: from this IoU on it stands for the object.
        negative_iou: below this it is background; between the two it is neither.
        low_quality: each object's best regions stand for it however low their IoU.
    """

    def __init__(self, positive_iou: float, negative_iou: float, low_quality: bool = False) -> None:
        self._matcher = Matcher(positive_iou, negative_iou, allow_low_quality_matches=low_quality)

    def __call__(self, regions: Tensor, truth: Tensor, levels: Tensor) -> Tensor:
        """See the module."""
        if len(truth) == 0 or len(regions) == 0:
            return torch.full((len(regions),), BACKGROUND, dtype=torch.int64, device=regions.device)
        matched: Tensor = self._matcher(box_iou(truth, regions))
        return matched


def field_score(truth: Tensor, fields: Tensor) -> Tensor:
    """1 / (1 + KL(field ‖ truth)) of boxes taken as Gaussians with σ of half their sides (Xu et al. 2022, RFLA).

    Args:
        truth: (M, 4) xyxy.
        fields: (N, 4) xyxy.

    Returns:
        (M, N), 1 where the two are the same, towards 0 with distance and difference of size.
    """
    least = 1e-6
    own, other = (truth[:, 2:] - truth[:, :2]).clamp(min=least), (fields[:, 2:] - fields[:, :2]).clamp(min=least)
    shift = (truth[:, None, :2] + truth[:, None, 2:] - fields[None, :, :2] - fields[None, :, 2:]) / 2
    ratio = (other[None] / own[:, None]) ** 2
    divergence = (ratio + 4 * (shift / own[:, None]) ** 2 - ratio.log() - 1).sum(dim=-1) / 2
    return 1 / (1 + divergence)


class Rfla:
    """Hierarchical assignment by Gaussian receptive fields (Xu et al. 2022, RFLA), for objects too small for IoU.

    Every object takes its `best` anchors by `field_score`, ties included; then, with fields shrunk by `decay`, its
    `supplement` best ones where those are still free. An anchor wanted by several objects goes to the one it scores
    higher with. Whatever scores `neither_above` or more without being chosen is neither object nor background, as
    in the authors' code.

    Args:
        fields: side in pixels of the effective receptive field on each level; None takes the anchors themselves
            for the fields, as the authors' code does once its anchors have those sides.
        best, supplement, decay, neither_above: see above.
    """

    def __init__(
        self,
        fields: Sequence[float] | None = None,
        best: int = 3,
        supplement: int = 1,
        decay: float = 0.9,
        neither_above: float = 0.8,
    ) -> None:
        self._fields = None if fields is None else tuple(fields)
        self._best = best
        self._supplement = supplement
        self._decay = decay
        self._neither_above = neither_above

    def __call__(self, regions: Tensor, truth: Tensor, levels: Tensor) -> Tensor:
        """See the module."""
        if len(truth) == 0 or len(regions) == 0:
            return torch.full((len(regions),), BACKGROUND, dtype=torch.int64, device=regions.device)
        centres = (regions[:, :2] + regions[:, 2:]) / 2
        if self._fields is None:
            half = (regions[:, 2:] - regions[:, :2]) / 2
        else:
            half = regions.new_tensor(self._fields)[levels][:, None].expand(-1, 2) / 2
        first = self._ranked(truth, torch.cat([centres - half, centres + half], dim=1), self._best)
        if self._supplement == 0:
            return first
        half = half * self._decay
        second = self._ranked(truth, torch.cat([centres - half, centres + half], dim=1), self._supplement)
        return torch.where(first >= 0, first, second)

    def _ranked(self, truth: Tensor, fields: Tensor, best: int) -> Tensor:
        score = field_score(truth, fields)
        least = score.topk(min(best, len(fields)), dim=1).values[:, -1:]
        highest, owner = score.masked_fill(score < least, -1.0).max(dim=0)
        close = score.max(dim=0).values >= self._neither_above
        left = torch.where(close, NEITHER, BACKGROUND)
        return torch.where(highest >= 0, owner, left)


ASSIGNMENTS: dict[str, Callable[..., Assignment]] = {"max-iou": MaxIou, "rfla": Rfla}
"""Label assignments, by name."""
