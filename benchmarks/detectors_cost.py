"""What a trained row of the table costs: GMAC and milliseconds a frame, and training images a second, in one run.

Part of `detectors.py --cost`, which is the command. All named detectors take turns on one machine: inference on frames
of 512 × 640 in torch with all proposals, the very run that GMAC are counted on; training on the crops that rows are
trained on, each in its own loop.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from detectors_reference import SameCrops, collate, sgd_steps, torchvision_detector
from detectors_sparse import detector_of
from detectors_speed import Contender, made_up_frames, measure_inference, ours, seconds_of_our_steps
from detectors_training import CROPS, FRAME, THEIRS, check_depth, reference_model
from nightherd.datasets.types import Dataset
from nightherd.detector.presets import PRESETS
from nightherd.errors import ConfigError
from nightherd.training.augmentation import AugmentationSettings


def contender_of(given: str) -> Contender:
    """A preset, `torchvision-resnet18` or `-50`, or a bundled model, a model file or a run; NAME=MODEL names it.

    All have random weights and the classes of HIT-UAV.

    Raises:
        ConfigError, ModelError: nothing of that name is there.
    """
    name, _, model = given.partition("=")
    if name.startswith(THEIRS):
        check_depth(name)
        return Contender(name, partial(torchvision_detector, int(name.removeprefix(THEIRS)), FRAME), FRAME)
    if name in PRESETS:
        return ours(name, name, {})
    _, settings = detector_of(model or name)
    return ours(name, "small", settings.model_dump())


def measure_cost(
    names: Sequence[str], rounds: int, train_rounds: int, batches: Callable[[str], int], steps: int, workers: int
) -> dict[str, dict[str, Any]]:
    """GMAC, and medians of ms and images_per_second, of each detector, in interleaved rounds on the processor.

    Args:
        names: see `contender_of`.
        rounds, train_rounds: of inference in float32, and of training; each after one that does not count.
        batches: training images a step of a detector.
        steps: training steps a round, of which the first and the last do not count.
        workers: processes that make crops for torchvision's loop.

    Raises:
        ConfigError: a GPU would take the training of some and not of others.
    """
    if torch.cuda.is_available():
        raise ConfigError("times of processors only; hide the GPU (CUDA_VISIBLE_DEVICES=)")
    rows = [contender_of(name) for name in names]
    inference = measure_inference(rows, rounds)
    speeds: dict[str, list[float]] = {row.name: [] for row in rows}
    with tempfile.TemporaryDirectory(prefix="nightherd-") as folder:
        data = made_up_frames(Path(folder))
        for number in range(train_rounds + 1):
            for row in rows:
                batch = batches(row.name)
                if row.training is None:
                    seconds = _reference_seconds(row, data, batch, steps, workers)
                else:
                    seconds = seconds_of_our_steps(row, data, batch, steps, CROPS)
                speeds[row.name] += [batch / each for each in seconds] if number else []
    return {
        name: {"gmac": facts["gmac"], "ms": statistics.median(facts["ms"])}
        | ({"images_per_second": statistics.median(speeds[name])} if speeds[name] else {})
        for name, facts in inference.items()
    }


def _reference_seconds(row: Contender, data: Dataset, batch: int, steps: int, workers: int) -> list[float]:
    torch.manual_seed(0)
    model = reference_model(row.name, len(data.classes))
    crops = SameCrops(data, steps * batch, AugmentationSettings(**CROPS), 0)
    loader = DataLoader(crops, batch, num_workers=workers, collate_fn=collate, drop_last=True)
    moments = []
    for _ in sgd_steps(model, loader, 1e-4):
        moments.append(time.perf_counter())
    return list(np.diff(moments)[:-1])


def with_cost(
    rows: Sequence[Mapping[str, Any]],
    costs: Mapping[str, Mapping[str, Any]],
    machine: str,
    is_here: Callable[[str], bool],
) -> list[dict[str, Any]]:
    """The rows with what their detectors cost; those that were trained on another machine stay as they are.

    Args:
        costs: from `measure_cost`.
        machine: where that was measured.
        is_here: whether a row's provenance is this machine.
    """
    return [
        {**row, **costs[row["name"]], "timed": machine}
        if row["name"] in costs and is_here(row["provenance"])
        else dict(row)
        for row in rows
    ]
