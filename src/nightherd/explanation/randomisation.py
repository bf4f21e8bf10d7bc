"""The parameter-randomisation check: a map that stays when the weights are shuffled explains nothing of the model.

Adebayo et al. 2018 (https://arxiv.org/abs/1810.03292): weights are shuffled layer by layer, from the last to the first,
and the maps are compared with those of the trained model.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats

from nightherd.detector.two_stage import TwoStageDetector
from nightherd.explanation.types import Target, pixels_of
from nightherd.types import FloatArray

LIMIT = 0.5
"""A method whose maps still agree by this rank correlation with every weight shuffled does not show the model."""

SAME = 0.9
"""One whose maps agree by this with the head shuffled does not show the class score."""

Maps = Callable[[TwoStageDetector], FloatArray]
"""A detector → the maps (N, H, W) of the same targets."""


@dataclass(frozen=True, slots=True)
class Stage:
    """The maps with all parts up to one shuffled.

    Attributes:
        part: the last part that was shuffled, by the name of its parameters.
        similarity: rank correlation of each target's map with that of the trained model, (N,), -1 to 1.
    """

    part: str
    similarity: FloatArray


def cascade(detector: TwoStageDetector, maps: Maps, targets: Sequence[Target], seed: int = 0) -> list[Stage]:
    """Shuffles one part of a copy after the other, from the head to the stem, and compares the maps.

    Args:
        detector: stays as it is.
        maps: draws the maps of the targets with a detector.
        targets: N of them, in pixels of the maps.
        seed: of the shuffle.
    """
    trained = maps(detector)
    stages = []
    for part, shuffled in shuffled_copies(detector, seed):
        pairs = zip(trained, maps(shuffled), targets, strict=True)
        stages.append(Stage(part, np.array([rank_correlation(one, other, at) for one, other, at in pairs], np.float32)))
    return stages


def shuffled_copies(detector: TwoStageDetector, seed: int = 0) -> Iterator[tuple[str, TwoStageDetector]]:
    """Yields (part, detector) with one part more shuffled each time; it is the same copy, changed further."""
    changed = copy.deepcopy(detector)
    generator = torch.Generator().manual_seed(seed)
    for part, names in parts_of(changed):
        state = changed.state_dict()
        with torch.no_grad():
            for name in names:
                tensor = state[name]
                order = torch.randperm(tensor.numel(), generator=generator)
                tensor.copy_(tensor.flatten()[order].reshape(tensor.shape))
        yield part, changed


def parts_of(detector: TwoStageDetector) -> list[tuple[str, list[str]]]:
    """The parts of a detector, last first: each with the names of its parameters and batch-norm statistics."""
    groups: dict[str, list[str]] = {"head.box_predictor": [], "head.box_head": [], "proposals": [], "pyramid": []}
    body: dict[str, list[str]] = {}
    for name, tensor in detector.state_dict().items():
        if not tensor.is_floating_point():
            continue
        prefix = next((one for one in groups if name.startswith(f"{one}.")), None)
        if prefix is not None:
            groups[prefix].append(name)
            continue
        words = name.split(".")
        body.setdefault(".".join(words[: 4 if words[2] == "blocks" else 3]), []).append(name)
    return [(part, names) for part, names in groups.items() if names] + list(reversed(body.items()))


def rank_correlation(before: FloatArray, after: FloatArray, target: Target) -> float:
    """Spearman's rank correlation of two maps (H, W) inside a box.

    Inside only: the head pools from the box, so with any weights a map by gradients is hotter there than outside, and
    would agree for that alone. A flat map agrees with nothing: 0.
    """
    rows, columns = pixels_of(target.box, *before.shape)
    one, other = before[rows, columns].ravel(), after[rows, columns].ravel()
    if not (np.isfinite(other).all() and np.ptp(one) > 0 and np.ptp(other) > 0):
        return 0.0
    return float(stats.spearmanr(one, other).statistic)


def verdict(stages: Sequence[Stage]) -> tuple[bool, str]:
    """Whether maps depend on what was learned, and that in a sentence.

    Two things are asked: with everything shuffled little is left of the map, and already with the head shuffled it is
    another one, for the class score comes from there.
    """
    head = [stage for stage in stages if stage.part.startswith("head.")]
    in_the_end, after_head = float(stages[-1].similarity.mean()), float(head[-1].similarity.mean())
    if in_the_end >= LIMIT:
        return False, f"fails: similarity {in_the_end:.2f} with every weight shuffled; it does not show the model"
    if after_head >= SAME:
        return False, f"fails: similarity {after_head:.2f} with the head shuffled; it does not show the class score"
    return True, f"passes: similarity {after_head:.2f} with the head shuffled, {in_the_end:.2f} with every weight"
