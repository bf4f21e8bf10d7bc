"""torchvision's Faster R-CNN and its reference loop, on its own reading of frames or on Nightherd's crops.

Part of `detectors.py`, which times and trains them beside the presets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils._pytree import tree_map
from torch.utils.data import DataLoader
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.transforms.functional import convert_image_dtype, pil_to_tensor

from nightherd.datasets.types import Dataset
from nightherd.errors import NightherdError
from nightherd.frames.readers import read_frame
from nightherd.training.augmentation import AugmentationSettings
from nightherd.training.images import FrameCache, sample_at, schedule
from nightherd.types import FloatArray

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""What torchvision's detectors take from their input and divide it by."""


def torchvision_detector(depth: int, sides: tuple[int, int], n_classes: int = 4) -> nn.Module:
    """torchvision's Faster R-CNN on a ResNet with its feature pyramid, all layers trained, no weights."""
    norm = nn.BatchNorm2d  # as torchvision's own builders take it where no weights are loaded; the default is frozen
    backbone = resnet_fpn_backbone(backbone_name=f"resnet{depth}", weights=None, norm_layer=norm, trainable_layers=5)
    detector: nn.Module = FasterRCNN(backbone, num_classes=n_classes + 1, min_size=sides[0], max_size=sides[1])
    return detector


class _ReferenceFrames(torch.utils.data.Dataset[tuple[Tensor, dict[str, Tensor]]]):
    """Frames as torchvision's detection reference reads them: from the file each time, three channels, flips."""

    def __init__(self, data: Dataset, n: int) -> None:
        self.images = [data.images[i % len(data)] for i in range(n)]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        image = self.images[index]
        with Image.open(image.path) as file:
            pixels = convert_image_dtype(pil_to_tensor(file.convert("RGB")), torch.float32)
        boxes = torch.from_numpy(image.boxes.copy())
        if torch.rand(1) < 0.5:
            pixels = pixels.flip(-1)
            boxes = torch.stack([image.width - boxes[:, 2], boxes[:, 1], image.width - boxes[:, 0], boxes[:, 3]], 1)
        return pixels, {"boxes": boxes, "labels": torch.from_numpy(image.labels.copy()) + 1}


class SameCrops(torch.utils.data.Dataset[tuple[Tensor, dict[str, Tensor]]]):
    """The very crops that Nightherd's loop would see with these settings, as torchvision's detectors take them.

    torchvision knows no regions to ignore; what lies in them is background.
    """

    def __init__(self, data: Dataset, images: int, settings: AugmentationSettings, seed: int) -> None:
        self.order = schedule([data], [1.0], images, seed)
        self.cache = FrameCache(read_frame, 2**30)
        self.settings, self.seed = settings, seed

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, place: int) -> tuple[Tensor, dict[str, Tensor]]:
        sample = sample_at(self.order[place], place, self.cache, self.settings, self.seed)
        boxes, labels = torch.from_numpy(sample.boxes.copy()), torch.from_numpy(sample.labels.copy())
        return to_reference(sample.pixels), {"boxes": boxes, "labels": labels + 1}


def to_reference(pixels: FloatArray) -> Tensor:
    """Nightherd's normalised grey values (H, W) as (3, H, W): what the first layer then sees is these values."""
    mean, deviation = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_DEVIATION)
    grey = torch.from_numpy(np.ascontiguousarray(pixels)).float()
    return grey * deviation[:, None, None] + mean[:, None, None]


def collate(batch: list[tuple[Tensor, dict[str, Tensor]]]) -> tuple[Any, ...]:
    return tuple(zip(*batch, strict=True))


def reference_steps(
    model: nn.Module,
    data: Dataset,
    images: int,
    batch: int,
    rate: float,
    workers: int,
) -> Iterator[dict[str, float]]:
    """torchvision's reference loop for detection: float32, SGD with momentum 0.9 and weight decay 1e-4, its transform.

    Yields the losses after each step.
    """
    frames = _ReferenceFrames(data, images)
    loader = DataLoader(frames, batch, shuffle=True, num_workers=workers, collate_fn=collate, drop_last=True)
    return sgd_steps(model, loader, rate)


def sgd_steps(
    model: nn.Module,
    loader: DataLoader[Any],
    rate: float,
    device: torch.device | None = None,
    warmup: int = 0,
    drops: Sequence[int] = (),
) -> Iterator[dict[str, float]]:
    """torchvision's reference loop over batches of (images, targets).

    Args:
        model: trained in place.
        loader: of the batches.
        rate: of learning.
        device: of the model.
        warmup: steps over which the rate rises from a thousandth; the reference takes an epoch, up to 1,000.
        drops: steps after which the rate is a tenth of what it was; in the reference those of 16 and 22 epochs of 26.

    Yields:
        The losses after each step.

    Raises:
        NightherdError: the loss is no number any more.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=rate, momentum=0.9, weight_decay=1e-4)

    def share(step: int) -> float:
        risen = 1.0 if step >= warmup else 1e-3 + (1 - 1e-3) * step / warmup
        return risen * 0.1 ** sum(step >= drop for drop in drops)

    schedule_of_rate = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
    model.train()
    for pixels, targets in loader:
        there = [{name: value.to(device) for name, value in target.items()} for target in targets]
        losses = model([each.to(device) for each in pixels], there)
        loss = torch.stack(list(losses.values())).sum()
        if not torch.isfinite(loss):
            raise NightherdError("torchvision's loop has diverged: the loss is no number any more")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule_of_rate.step()
        yield {name: float(value.detach()) for name, value in losses.items()}


def layers_in_bf16(model: Any) -> None:
    """Lets a detector compute its layers in bf16 and all else, boxes and losses above all, in float32.

    Under an autocast around the whole of it, as the reference's `--amp` has it, anchors and targets take the type of
    the features, and in bf16 a coordinate over 256 is a multiple of 2.
    """
    for layers in (model.backbone, model.rpn.head, model.roi_heads.box_head, model.roi_heads.box_predictor):
        layers.forward = partial(_in_bf16, layers.forward)


def _in_bf16(forward: Callable[..., Any], given: Any) -> Any:
    tensors = list(given) if isinstance(given, list | tuple) else [given]
    with torch.autocast(tensors[0].device.type, torch.bfloat16):
        found = forward(given)
    return tree_map(lambda value: value.float() if isinstance(value, Tensor) else value, found)
