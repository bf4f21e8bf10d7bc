"""What a detector costs: multiply-accumulates of its convolutions, counted without computing anything."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from nightherd.detector.assembly import build_detector
from nightherd.detector.settings import DetectorSettings


@dataclass(frozen=True, slots=True)
class ConvolutionCost:
    """One use of a convolution.

    Attributes:
        part: `backbone`, `pyramid` or `proposals`.
        name: of the layer.
        kernel: its side.
        macs: multiply-accumulates.
        stride: pixels of the frame between two places of its output.
    """

    part: str
    name: str
    kernel: int
    macs: int
    stride: int


def convolution_costs(settings: DetectorSettings, height: int = 512, width: int = 640) -> list[ConvolutionCost]:
    """Every convolution that one frame passes through, layers that serve several maps once for each.

    MACs = output places · output channels · input channels / groups · kernel², bias and norms left out. The second
    stage, whose cost grows with the number of proposals, is not counted.

    Args:
        settings: of any detector; its weights are not made.
        height, width: of the frame, multiples of the coarsest stride.
    """
    plain = settings.model_copy(update={"backbone": settings.backbone.model_copy(update={"pretrained": "none"})})
    with torch.device("meta"):
        detector = build_detector(plain, ("any",)).eval()
        frame = torch.zeros(1, 1, height, width)
    costs: list[ConvolutionCost] = []

    def note(name: str, module: nn.Conv2d, _: tuple[Tensor, ...], out: Tensor) -> None:
        kernel = module.kernel_size[0] * module.kernel_size[1]
        macs = out.numel() * (module.in_channels // module.groups) * kernel
        stride = height // out.shape[-2]
        costs.append(ConvolutionCost(name.partition(".")[0], name, module.kernel_size[0], macs, stride))

    for name, module in detector.named_modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(partial(note, name))
    with torch.no_grad():
        detector.proposals.head(list(detector.maps(frame).values()))
    return costs


def gigamacs(settings: DetectorSettings, height: int = 512, width: int = 640) -> dict[str, float]:
    """Billions of multiply-accumulates of each part's convolutions on one frame, as `convolution_costs` counts them."""
    total: dict[str, float] = {}
    for cost in convolution_costs(settings, height, width):
        total[cost.part] = total.get(cost.part, 0.0) + cost.macs / 1e9
    return total


def gigamacs_by_level(settings: DetectorSettings, height: int = 512, width: int = 640) -> dict[int, float]:
    """Billions of multiply-accumulates of pyramid and first stage at each of the pyramid's strides, finest first.

    Each level's lateral and smoothing convolutions and the first stage's on its map; the backbone is not among them.
    """
    total: dict[int, float] = {}
    for cost in convolution_costs(settings, height, width):
        if cost.part != "backbone":
            total[cost.stride] = total.get(cost.stride, 0.0) + cost.macs / 1e9
    return dict(sorted(total.items()))


def finest_share(settings: DetectorSettings, height: int = 512, width: int = 640) -> float:
    """The share that the finest level of the pyramid has of all that `gigamacs` counts."""
    levels = gigamacs_by_level(settings, height, width)
    return next(iter(levels.values())) / sum(gigamacs(settings, height, width).values())
