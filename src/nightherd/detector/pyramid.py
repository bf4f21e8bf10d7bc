"""Feature pyramids: the top-down pathway that gives fine maps the meaning of coarse ones (Lin et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional


class ThinPyramid(nn.Module):
    """A feature pyramid narrow enough to reach stride 4 on a laptop.

    Each map of the backbone goes through a 1 × 1 convolution, is added to the upsampled coarser one, and is smoothed
    by a 3 × 3 convolution; batch norm after each. Nearest upsampling, as in Lin et al. 2017.

    Args:
        in_channels: channels of the backbone's maps, finest first.
        channels: width of every map of the pyramid.
    """

    def __init__(self, in_channels: Sequence[int], channels: int = 64) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, channels, 1, bias=False), nn.BatchNorm2d(channels)) for c in in_channels
        )
        self.smooth = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU())
            for _ in in_channels
        )
        self.channels = channels
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps of the backbone, finest first → as many maps of `channels` channels, the same strides, finest first."""
        merged: Tensor | None = None
        out: list[Tensor] = []
        for level in range(len(maps) - 1, -1, -1):
            lateral = self.lateral[level](maps[level])
            if merged is not None:
                lateral = lateral + functional.interpolate(merged, scale_factor=2.0, mode="nearest")
            merged = lateral
            out.insert(0, self.smooth[level](merged))
        return out
