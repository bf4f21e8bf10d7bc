"""What is explained and by what: a target in a network's input, and the two ways to ask the network about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nightherd.types import Detections, FloatArray

if TYPE_CHECKING:
    from nightherd.detector.two_stage import TwoStageDetector

Network = Callable[[FloatArray], Detections]
"""A normalised image (H, W), its sides multiples of the stride → everything the network finds, boxes in its pixels."""

Explainer = Callable[[FloatArray, Sequence["Target"]], FloatArray]
"""A normalised image (H, W) and N targets → saliency maps (N, H, W), at least 0, high where the evidence is."""


@dataclass(frozen=True, slots=True)
class Target:
    """An object whose class score is explained: x1 y1 x2 y2 in pixels of the network's input, and its class.

    A detection has the box that was found, a miss the box that was labelled. `label` is the place of the class in the
    model's classes, from 0.
    """

    box: tuple[float, float, float, float]
    label: int

    @property
    def area(self) -> float:
        """Square pixels."""
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])

    @property
    def longer_side(self) -> float:
        """Pixels."""
        return max(self.box[2] - self.box[0], self.box[3] - self.box[1])


@dataclass(frozen=True, slots=True)
class Subject:
    """The model that is explained.

    Attributes:
        network: runs it as a black box.
        detector: the same model in torch, in evaluation mode; None where there is no torch.
    """

    network: Network
    detector: TwoStageDetector | None = None


def pixels_of(box: tuple[float, float, float, float], height: int, width: int) -> tuple[slice, slice]:
    """The rows and columns of the pixels that a box touches, at least one of each, inside an image."""
    left, top = min(max(int(np.floor(box[0])), 0), width - 1), min(max(int(np.floor(box[1])), 0), height - 1)
    right, bottom = min(max(int(np.ceil(box[2])), left + 1), width), min(max(int(np.ceil(box[3])), top + 1), height)
    return slice(top, bottom), slice(left, right)
