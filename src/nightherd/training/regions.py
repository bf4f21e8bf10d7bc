"""Which regions a training step samples, and what each counts: the same however a step is cut into parts.

A step of 8 images may be one batch, 4 parts one after the other, or 2 processes of 2 parts. So that all of them take
the same step, the regions of an image are drawn by (seed, place of the image in the run), and the losses of a step are
sums over its images, divided by what the samplers are to choose rather than by what a part happens to hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from nightherd.detector.samplers import Masks, Sampler
from nightherd.detector.two_stage import TwoStageDetector

FIRST_STAGE = ("loss_objectness", "loss_rpn_box_reg")


class PlacedSampler:
    """A sampler that is seeded anew for every image, and counts what it chooses."""

    keeps_share: ClassVar[bool] = False

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler
        self.needs_losses = sampler.needs_losses
        self.needs_overlaps = sampler.needs_overlaps
        self._seeds: Iterator[int] = iter(())
        self.chosen: Tensor | float = 0.0

    def begin(self, seeds: Sequence[int]) -> None:
        """Before a part of a step: a seed for each of its images."""
        self._seeds, self.chosen = iter(seeds), 0.0

    def __call__(self, labels: Tensor, regions: Tensor, losses: Tensor | None, overlaps: Tensor | None) -> Masks:
        """See `detector.samplers`."""
        torch.manual_seed(next(self._seeds))
        positive, negative = self._sampler(labels, regions, losses, overlaps)
        self.chosen = self.chosen + positive.sum() + negative.sum()
        return positive, negative


class RegionChoice:
    """Takes over the two samplers of a detector for a run.

    Args:
        model: its samplers are wrapped in place.
        seed: of the run.
        samples: regions an image that the first and the second stage are to choose.
    """

    def __init__(self, model: TwoStageDetector, seed: int, samples: tuple[int, int]) -> None:
        self._seed = seed
        self._samples = samples
        self._stages = (PlacedSampler(model.proposals.sampler), PlacedSampler(model.head.sampler))
        model.proposals.sampler, model.head.sampler = self._stages

    def begin(self, places: Sequence[int]) -> None:
        """Before a part of a step: the place in the run of each of its images."""
        for number, stage in enumerate(self._stages):
            stage.begin([_seed_at(self._seed, place, number) for place in places])

    def weigh(self, losses: dict[str, Tensor], images: int) -> dict[str, Tensor]:
        """The losses of a part, which are means over what was chosen, as its share of a step of so many images."""
        share = [stage.chosen / (n * images) for stage, n in zip(self._stages, self._samples, strict=True)]
        return {name: loss * share[name not in FIRST_STAGE] for name, loss in losses.items()}


def _seed_at(seed: int, place: int, stage: int) -> int:
    return int(np.random.SeedSequence((seed, 4, place, stage)).generate_state(1)[0])
