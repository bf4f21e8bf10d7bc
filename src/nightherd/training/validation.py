"""Validation of a torch detector on whole frames: the same pixels and metrics as the evaluation of a model file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from accelerate import Accelerator

from nightherd.datasets.types import LabelledImage
from nightherd.detector.two_stage import TwoStageDetector
from nightherd.evaluation.coco import CocoMetrics, coco_metrics
from nightherd.evaluation.types import Truth
from nightherd.frames.normalise import normalise
from nightherd.training.augmentation import Sample
from nightherd.training.images import FrameCache, to_batch
from nightherd.training.processes import gather_detections, own_share
from nightherd.types import Detections


@torch.no_grad()
def detect(
    model: TwoStageDetector, pixels: np.ndarray[tuple[int, int], np.dtype[np.float32]], bf16: bool
) -> Detections:
    """What the model finds in a frame (H, W) of any unit; the model is in evaluation mode afterwards."""
    model.eval()
    device = next(model.parameters()).device
    empty = np.zeros((0, 4), np.float32)
    images, _ = to_batch([Sample(normalise(pixels), empty, np.zeros(0, np.int64), empty)])
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        found = model(images.to(device))[0]
    boxes = found["boxes"].float().cpu().numpy().astype(np.float32)
    height, width = pixels.shape
    boxes = np.clip(boxes, 0, np.array([width, height, width, height], np.float32))
    keep = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    scores = found["scores"].float().cpu().numpy().astype(np.float32)
    labels = found["labels"].cpu().numpy().astype(np.int64)
    return Detections(boxes[keep], scores[keep], labels[keep], model.classes)


def validate(
    model: TwoStageDetector,
    images: Sequence[LabelledImage],
    cache: FrameCache,
    bf16: bool,
    accelerator: Accelerator | None = None,
) -> CocoMetrics:
    """COCO metrics of a model on labelled images whose labels index the model's classes.

    Where a run has several processes, each detects on its share, and all of them get the same metrics.
    """
    truth = [Truth(i.boxes, i.labels, i.ignore, i.width, i.height) for i in images]
    own = range(len(images)) if accelerator is None else own_share(accelerator, len(images))
    found = [detect(model, cache.pixels(images[i]), bf16) for i in own]
    if accelerator is not None:
        found = gather_detections(accelerator, found, len(images), model.classes)
    return coco_metrics(truth, found, model.classes)


def spread_over(images: Sequence[LabelledImage], most: int) -> list[LabelledImage]:
    """At most `most` images, evenly spread."""
    if len(images) <= most:
        return list(images)
    return [images[int(i)] for i in np.linspace(0, len(images) - 1, most).round()]
