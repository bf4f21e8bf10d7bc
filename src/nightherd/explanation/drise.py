"""D-RISE: what a black box stops finding when parts of the image are hidden (Petsiuk et al. 2021).

https://arxiv.org/abs/2006.03204. It needs nothing but detections, so it explains an ONNX file without torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from nightherd.explanation.types import Network, Target
from nightherd.inference.tiles import iou
from nightherd.types import Detections, FloatArray

MASKS = 1000
GRID = 16
SHOWN = 0.5


def drise(
    network: Network,
    image: FloatArray,
    targets: Sequence[Target],
    masks: int = MASKS,
    seed: int = 0,
    grid: int = GRID,
    shown: float = SHOWN,
) -> FloatArray:
    """Saliency maps by random masks: the mean mask, weighed by how well the target is still found under it.

    All targets share the masks, so that a frame costs the same however many there are.

    Args:
        network: the black box.
        image: (H, W), normalised; hidden parts become 0, the median of the frame.
        targets: N of them.
        masks: how many.
        seed: of the masks.
        grid: cells of a mask along the shorter side of the image.
        shown: probability that a cell is shown.

    Returns:
        float32 (N, H, W), 0 to 1: mean weight of the masks that show a pixel over that of all masks, the least of the
        map taken off; all 0 for a target that is found under no mask.
    """
    height, width = image.shape
    weighed = np.zeros((len(targets), height, width), np.float64)
    plain = np.zeros((height, width), np.float64)
    weights = np.zeros(len(targets))
    if targets:
        for mask in random_masks(height, width, masks, seed, grid, shown):
            now = similarity(targets, network(image * mask))
            plain += mask
            weights += now
            for number in np.flatnonzero(now):
                weighed[number] += now[number] * mask
    maps = np.divide(weighed, plain, out=np.zeros_like(weighed), where=plain > 0)
    maps -= maps.min(axis=(1, 2), keepdims=True) if len(targets) else 0
    return maps.astype(np.float32)


def similarity(targets: Sequence[Target], found: Detections) -> FloatArray:
    """How well each target is found: the largest score × intersection over union among detections of its class.

    Petsiuk et al. compare whole score vectors; detections carry the score of their class only, so that stands alone.

    Returns:
        float32 (N,), 0 to 1.
    """
    result = np.zeros(len(targets), np.float32)
    for number, target in enumerate(targets):
        same = found.labels == target.label
        if same.any():
            result[number] = (iou(np.array(target.box, np.float32), found.boxes[same]) * found.scores[same]).max()
    return result


def random_masks(height: int, width: int, count: int, seed: int, grid: int, shown: float) -> Iterator[FloatArray]:
    """Smooth random masks: a coarse grid of zeros and ones, enlarged bilinearly and shifted by part of a cell.

    Yields:
        float32 (height, width), 0 hides and 1 shows.
    """
    generator = np.random.default_rng(seed)
    cell = max(1.0, min(height, width) / grid)
    rows, columns = int(np.ceil(height / cell)) + 1, int(np.ceil(width / cell)) + 1
    size = (int(np.ceil(columns * cell)), int(np.ceil(rows * cell)))
    for _ in range(count):
        coarse = (generator.random((rows, columns)) < shown).astype(np.float32)
        top, left = (int(generator.integers(0, extra + 1)) for extra in (size[1] - height, size[0] - width))
        large = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BILINEAR))
        yield large[top : top + height, left : left + width]
