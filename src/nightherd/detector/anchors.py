"""Anchors: the boxes that the first stage starts from, on torchvision's generator, arranged in one of three ways.

Sides are √area in pixels of the image, ratios are height / width; each location of each level has every size at every
ratio, centred on the corner of its cell (torchvision's convention).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torchvision.models.detection.anchor_utils import AnchorGenerator

from nightherd.errors import ConfigError


class ExactAnchorGenerator(AnchorGenerator):  # type: ignore[misc]
    """torchvision's generator without its rounding of corners to whole pixels, so that areas are what they say.

    Rounding turns the 4² anchor of ratio 0.5 into 6 × 2 pixels, an area of 12.
    """

    def generate_anchors(
        self,
        scales: Sequence[float],
        aspect_ratios: Sequence[float],
        dtype: torch.dtype = torch.float32,
        device: torch.device | None = None,
    ) -> Tensor:
        """Anchors (len(scales) · len(ratios), 4) xyxy around the origin, ratio by ratio."""
        sides = torch.as_tensor(scales, dtype=dtype, device=device or torch.device("cpu"))
        roots = torch.as_tensor(aspect_ratios, dtype=dtype, device=sides.device).sqrt()
        widths = (sides[None, :] / roots[:, None]).reshape(-1)
        heights = (sides[None, :] * roots[:, None]).reshape(-1)
        return torch.stack([-widths, -heights, widths, heights], dim=1) / 2


def per_level(
    strides: Sequence[int], sizes: Sequence[Sequence[float]], ratios: Sequence[float], rounded: bool = True
) -> AnchorGenerator:
    """Sizes of its own for each level.

    Args:
        strides: of the pyramid's levels, finest first.
        sizes: one row of sides a level, rows equally long.
        ratios: height / width.
        rounded: corners at whole pixels, as torchvision has it.

    Raises:
        ConfigError: as many rows as levels are needed, all of one length.
    """
    if len(sizes) != len(strides):
        raise ConfigError(f"{len(sizes)} rows of anchor sizes for {len(strides)} pyramid levels")
    if len({len(row) for row in sizes}) != 1:
        raise ConfigError("rows of anchor sizes differ in length; the same layers serve every level")
    generator = AnchorGenerator if rounded else ExactAnchorGenerator
    return generator(tuple(tuple(row) for row in sizes), (tuple(ratios),) * len(sizes))


def every_level(
    strides: Sequence[int], sizes: Sequence[float], ratios: Sequence[float], rounded: bool = True
) -> AnchorGenerator:
    """The same sizes on every level; arguments as in `per_level`."""
    return per_level(strides, [tuple(sizes)] * len(strides), ratios, rounded)


def by_stride(
    strides: Sequence[int], scales: Sequence[float], ratios: Sequence[float], rounded: bool = True
) -> AnchorGenerator:
    """Sides of `scales` times the stride of each level, so that they follow when levels are left out.

    Scale 2 at strides 2 to 32 gives the areas 4² to 64² of Lyu et al. 2024.
    """
    return per_level(strides, [tuple(scale * stride for scale in scales) for stride in strides], ratios, rounded)


ANCHORS: dict[str, Callable[..., AnchorGenerator]] = {
    "per-level": per_level,
    "every-level": every_level,
    "by-stride": by_stride,
}
"""Ways to arrange anchors, by name."""
