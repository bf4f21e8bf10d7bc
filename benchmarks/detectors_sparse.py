"""What it costs in AP, and saves in time, to compute the finest level of a pyramid only in part.

Part of `detectors.py --sparse`, which is the command. The same weights look at the same frames, once with everything
computed and once for each threshold, frame by frame in turn.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nightherd.datasets.types import LabelledImage
from nightherd.detector.export import detector_of_onnx
from nightherd.detector.presets import DetectorSettings, build_detector, preset
from nightherd.detector.sparse import SparseFinest, SparseLevels
from nightherd.detector.two_stage import TwoStageDetector
from nightherd.errors import ModelError
from nightherd.evaluation.coco import coco_metrics
from nightherd.evaluation.types import Truth, size_bins
from nightherd.frames.readers import read_frame
from nightherd.models import resolve_model
from nightherd.training.checkpoints import load_tensors, load_weights
from nightherd.training.start import BEST
from nightherd.training.validation import detect
from nightherd.types import Detections
from nightherd.workflows.export import run_config

SIZES = size_bins((16**2, 32**2), ("under_16", "16_to_32", "over_32"))
"""Boxes of an area under 16², of 16² to 32², and over, in pixels."""

FRAME = (512, 640)


def detector_of(model: str) -> tuple[TwoStageDetector, DetectorSettings]:
    """The detector of a bundled model's name, a model file or a run folder, in evaluation mode.

    Raises:
        ModelError: nothing of the kind is there.
    """
    path = Path(model)
    if not path.is_dir():
        detector, settings, _ = detector_of_onnx(resolve_model(model))
        return detector, settings
    config = run_config(path)
    settings = preset(config["settings"]["preset"], config["settings"]["detector"])
    plain = settings.model_copy(update={"backbone": settings.backbone.model_copy(update={"pretrained": "none"})})
    detector = build_detector(plain, tuple(config["classes"]))
    if not (path / BEST).is_file():
        raise ModelError(f"has no {BEST} yet; let 'nightherd train' reach its first validation", path)
    load_weights(detector, load_tensors(path / BEST), path / BEST)
    return detector.eval(), settings


def measure_sparse(
    detector: TwoStageDetector,
    images: Sequence[LabelledImage],
    classes: Sequence[str],
    thresholds: Sequence[float],
    block: int,
    margin: int,
) -> list[dict[str, Any]]:
    """AP, the share of blocks that is computed, and milliseconds, dense first, then for each threshold.

    Args:
        detector: in evaluation mode; its own `sparse` is set aside.
        images: labelled frames whose labels index `classes`.
        thresholds, block, margin: arguments of `SparseFinest`.
    """
    detector = detector.to(memory_format=torch.channels_last)
    modes: list[SparseFinest | None] = [None, *(SparseFinest(t, block, margin) for t in thresholds)]
    found: list[list[Detections]] = [[] for _ in modes]
    shares: list[list[float]] = [[] for _ in modes]
    milliseconds: list[list[float]] = [[] for _ in modes]
    for place, mode in enumerate(modes[1:], start=1):
        assert mode is not None
        mode.register_forward_hook(_note_share(shares[place]))
    for image in images:
        pixels = read_frame(image.path).pixels
        for place, mode in enumerate(modes):
            detector.sparse = mode
            start = time.perf_counter()
            found[place].append(detect(detector, pixels, bf16=False))
            milliseconds[place].append((time.perf_counter() - start) * 1000)
    truth = [Truth(i.boxes, i.labels, i.ignore, i.width, i.height) for i in images]
    rows = []
    for place, mode in enumerate(modes):
        metrics = coco_metrics(truth, found[place], classes, sizes=SIZES)
        rows.append(
            {
                "threshold": None if mode is None else mode.threshold,
                "computed": 1.0 if mode is None else float(np.mean(shares[place])),
                "ms": statistics.median(milliseconds[place]),
                "ap": metrics.ap,
                "ap50": metrics.ap50,
                "ap_by_size": dict(metrics.ap_by_size),
            }
        )
    return rows


def _note_share(shares: list[float]) -> Any:
    def note(_: torch.nn.Module, __: Any, levels: SparseLevels) -> None:
        shares.append(float(levels.computed.float().mean()))

    return note


@torch.no_grad()
def measure_shares(
    settings: DetectorSettings, shares: Sequence[float], block: int, rounds: int
) -> list[dict[str, Any]]:
    """Milliseconds of pyramid and first stage with random weights where a share of the blocks is computed.

    Dense first; rounds are interleaved, after one that does not count. Which blocks is drawn at random.

    Args:
        settings: of a preset.
        shares: of the blocks, 0 to 1.
        block: side of a block in places of the finest map.
    """
    torch.manual_seed(0)
    plain = settings.model_copy(update={"backbone": settings.backbone.model_copy(update={"pretrained": "none"})})
    detector = build_detector(plain, ("any",)).eval().to(memory_format=torch.channels_last)
    maps = detector.backbone(torch.randn(1, 1, *FRAME).to(memory_format=torch.channels_last))
    height, width = maps[0].shape[-2:]
    drawn = torch.rand(1, -(-height // block), -(-width // block))
    modes: list[tuple[float | None, Any]] = [(None, lambda: detector.proposals.head(detector.pyramid(maps)))]
    for share in shares:
        part = SparseFinest(block=block)
        part.blocks = partial(_fixed, drawn < share)  # type: ignore[method-assign]
        modes.append((share, partial(part, detector.pyramid, detector.proposals.head, maps)))
    times: list[list[float]] = [[] for _ in modes]
    for number in range(rounds + 1):
        for place, (_, run) in enumerate(modes):
            start = time.perf_counter()
            run()
            if number:
                times[place].append((time.perf_counter() - start) * 1000)
    return [{"share": share, "ms": statistics.median(each)} for (share, _), each in zip(modes, times, strict=True)]


def _fixed(chosen: torch.Tensor, _: Sequence[torch.Tensor]) -> torch.Tensor:
    return chosen


def shares_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows of `measure_shares` as Markdown."""
    lines = ["| finest level | ms of pyramid and first stage | time |", "| --- | --- | --- |"]
    for row in rows:
        title = "dense" if row["share"] is None else f"{row['share']:.0%} of the blocks"
        lines.append(f"| {title} | {row['ms']:.0f} | {row['ms'] / rows[0]['ms']:.2f} × |")
    return "\n".join(lines)


def sparse_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as Markdown, each with its difference to the dense one."""
    lines = [
        "| finest level | computed | ms a frame | AP | AP50 | AP under 16² | AP 16²–32² | loss of AP | time |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    dense = rows[0]
    for row in rows:
        title = "dense" if row["threshold"] is None else f"sparse, threshold {row['threshold']:g}"
        figures = [row["ap"], row["ap50"], row["ap_by_size"]["under_16"], row["ap_by_size"]["16_to_32"]]
        cells = [
            title,
            f"{row['computed']:.0%}",
            f"{row['ms']:.0f}",
            *("–" if f is None else f"{f:.3f}" for f in figures),
        ]
        loss = "–" if row["ap"] is None or row is dense else f"{dense['ap'] - row['ap']:+.4f}"
        lines.append("| " + " | ".join([*cells, loss, f"{row['ms'] / dense['ms']:.2f} ×"]) + " |")
    return "\n".join(lines)
