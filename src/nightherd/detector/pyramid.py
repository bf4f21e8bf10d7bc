"""Feature pyramids: the top-down pathway that gives fine maps the meaning of coarse ones (Lin et al. 2017).

Every pyramid takes the backbone's maps, each of half the resolution of the one before, and gives maps of one width.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool

Finest = Literal["full", "separable"]


def _top_down(lateral: nn.ModuleList, maps: Sequence[Tensor]) -> list[Tensor]:
    """Each map through its 1 × 1 convolution, plus the coarser sum upsampled (nearest); finest first."""
    merged: list[Tensor] = []
    for level in range(len(maps) - 1, -1, -1):
        own = lateral[level](maps[level])
        if merged:
            own = own + functional.interpolate(merged[0], scale_factor=2.0, mode="nearest")
        merged.insert(0, own)
    return merged


def _smoothing(channels: int, is_separable: bool) -> nn.Sequential:
    """A 3 × 3 convolution, batch norm and ReLU; separable, it is a depthwise one and a 1 × 1 one."""
    if not is_separable:
        layers: list[nn.Module] = [nn.Conv2d(channels, channels, 3, padding=1, bias=False)]
    else:
        layers = [
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False),
        ]
    return nn.Sequential(*layers, nn.BatchNorm2d(channels), nn.ReLU())


class ThinPyramid(nn.Module):
    """A feature pyramid narrow enough to reach stride 4 on a laptop.

    Each map of the backbone goes through a 1 × 1 convolution, is added to the upsampled coarser one, and is smoothed
    by a 3 × 3 convolution; batch norm after each. Nearest upsampling, as in Lin et al. 2017.

    Args:
        in_channels: channels of the backbone's maps, finest first.
        channels: width of every map of the pyramid.
        finest: how the finest map is smoothed: by a `full` 3 × 3 convolution as the others, or by a `separable` one
            (depthwise 3 × 3, then 1 × 1), at an eighth of the arithmetic.
    """

    def __init__(self, in_channels: Sequence[int], channels: int = 64, finest: Finest = "full") -> None:
        super().__init__()
        self.lateral = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, channels, 1, bias=False), nn.BatchNorm2d(channels)) for c in in_channels
        )
        self.smooth = nn.ModuleList(
            _smoothing(channels, is_separable=finest == "separable" and place == 0) for place in range(len(in_channels))
        )
        self.channels = channels
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)

    def strides(self, strides: Sequence[int]) -> tuple[int, ...]:
        """Strides of the pyramid's maps over a backbone with these: the same."""
        return tuple(strides)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps of the backbone (B, C, H, W), finest first → as many of `channels` channels, of the same strides."""
        merged = _top_down(self.lateral, maps)
        return [smooth(level) for smooth, level in zip(self.smooth, merged, strict=True)]

    def coarser(self, maps: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        """All that `forward` gives but the finest map, and the sum that the finest map is made of once upsampled."""
        merged = _top_down(self.lateral[1:], maps[1:])
        return [smooth(level) for smooth, level in zip(self.smooth[1:], merged, strict=True)], merged[0]


class Lyu2024Pyramid(nn.Module):
    """The pyramid of Lyu et al. 2024, with batch norm nowhere and a bias everywhere, as FPN has it.

    Over Conv1 to Layer4: C5 = conv1×1(Layer4), M4 = up(C5) + E4, M3 = up(M4) + E3, M2 = up(M3) + E2, M1 = up(M2) + E1
    with E = conv1×1(stage); P1 … P4 = conv3×3(M1 … M4), P5 is P4 subsampled by 2 (max-pooling, kernel 1). The paper
    says that M4 is downsampled on its way to M3; the shapes agree only if it is upsampled.

    Args:
        in_channels: channels of the backbone's maps, finest first, at least two; fewer stages give fewer maps.
        channels: width of every map of the pyramid.
    """

    def __init__(self, in_channels: Sequence[int], channels: int = 256) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(c, channels, 1) for c in in_channels)
        self.smooth = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in in_channels[:-1])
        self.channels = channels
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def strides(self, strides: Sequence[int]) -> tuple[int, ...]:
        """Strides of the pyramid's maps over a backbone with these: the same."""
        return tuple(strides)

    def merged(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """M1 … M4 and C5, finest first: the sums before the 3 × 3 convolutions."""
        return _top_down(self.lateral, maps)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps of the backbone (B, C, H, W), finest first → P1 … P5, the same strides, finest first."""
        out = [smooth(level) for smooth, level in zip(self.smooth, self.merged(maps)[:-1], strict=True)]
        return [*out, functional.max_pool2d(out[-1], 1, 2)]

    def coarser(self, maps: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        """All that `forward` gives but the finest map, and the sum that the finest map is made of once upsampled.

        Needs three stages: of two, the coarser map is the finer one subsampled.
        """
        merged = _top_down(self.lateral[1:], maps[1:])
        out = [smooth(level) for smooth, level in zip(self.smooth[1:], merged[:-1], strict=True)]
        return [*out, functional.max_pool2d(out[-1], 1, 2)], merged[0]


class FpnPyramid(FeaturePyramidNetwork):  # type: ignore[misc]
    """torchvision's feature pyramid, with one more map: the coarsest subsampled by 2.

    Args:
        in_channels: channels of the backbone's maps, finest first.
        channels: width of every map of the pyramid.
    """

    def __init__(self, in_channels: Sequence[int], channels: int = 256) -> None:
        super().__init__(list(in_channels), channels, LastLevelMaxPool())
        self.channels = channels

    def strides(self, strides: Sequence[int]) -> tuple[int, ...]:
        """Strides of the pyramid's maps over a backbone with these: the same, and twice the last."""
        return (*strides, 2 * strides[-1])

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps of the backbone (B, C, H, W), finest first → one map more, finest first."""
        return list(super().forward(OrderedDict((str(i), level) for i, level in enumerate(maps))).values())

    @property
    def lateral(self) -> nn.ModuleList:
        """The 1 × 1 convolutions, finest first."""
        layers: nn.ModuleList = self.inner_blocks
        return layers

    @property
    def smooth(self) -> nn.ModuleList:
        """The 3 × 3 convolutions, finest first."""
        layers: nn.ModuleList = self.layer_blocks
        return layers

    def coarser(self, maps: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        """All that `forward` gives but the finest map, and the sum that the finest map is made of once upsampled."""
        merged = _top_down(self.lateral[1:], maps[1:])
        out = [smooth(level) for smooth, level in zip(self.smooth[1:], merged, strict=True)]
        return [*out, functional.max_pool2d(out[-1], 1, 2)], merged[0]


AnyPyramid = ThinPyramid | Lyu2024Pyramid | FpnPyramid

PYRAMIDS: dict[str, type[AnyPyramid]] = {"thin": ThinPyramid, "lyu2024": Lyu2024Pyramid, "fpn": FpnPyramid}
"""Pyramids, by name."""
