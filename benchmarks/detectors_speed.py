"""Time of each preset beside torchvision's Faster R-CNN: contenders, interleaved rounds, and what GMAC predict.

Part of `detectors.py --speed`, which is the command. Weights are random, and the first stage hands on as many proposals
as it may, whatever the weights: `all_proposals`. A frame is 512 × 640; torchvision resizes it as it is told to. All run
with channels last, in which torchvision's are faster too, by up to 3 %.
"""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from detectors_reference import reference_steps, torchvision_detector
from nightherd.datasets.types import Dataset, LabelledImage
from nightherd.detector.presets import build_detector, preset
from nightherd.detector.two_stage import TwoStageDetector
from nightherd.errors import ConfigError
from nightherd.frames.readers import read_frame
from nightherd.training.loop import Progress, train
from nightherd.training.settings import training_settings

HEIGHT, WIDTH = 512, 640
CLASSES = ("Person", "Car", "Bicycle", "OtherVehicle")
BASE = "torchvision ResNet18-FPN"
SAME = "nightherd's loop, torchvision's ResNet18-FPN"
PUBLISHED_LIMIT, LOOP_LIMIT = 1.2, 1.8

AS_TORCHVISION: dict[str, Any] = {
    "anchors": {"kind": "per-level", "sizes": [[32], [64], [128], [256], [512]], "rounded": True},
    "criterion": {"canonical_scale": 224},
    "head": {"pooled_size": [7, 7]},
}
"""What makes torchvision's model of `lyu2024-code-resnet18`; `tests/test_detector_torchvision.py` holds it to that."""

PLAIN = {"crop": 0, "quarter_turns": False, "tone": 0, "gain": 0, "offset": 0, "noise": 0, "blur": 0}
"""Whole frames, flipped or not, as torchvision's reference loop has them."""

OUR_LOOP: dict[str, Any] = {
    "optimizer": "adamw",
    "schedule": "cosine",
    "weight_decay": 0.02,
    "warmup_steps": 100,
    "clip": 5.0,
    "ema": 0.998,
    "precision": "bf16",
    "epochs": 0,
    "patience": 0,
    "validate_every": 0,
}
"""Nightherd's own way of training, for every preset, whatever recipe belongs to it."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A detector to time.

    Attributes:
        name: in the table.
        build: makes it, with random weights.
        sides: torchvision's (min_size, max_size); None for ours, which take a frame as it is.
        training: settings of Nightherd's loop; None for torchvision's.
        is_published: held to the time that its GMAC predict.
        is_timed: at inference; a model that only compares loops is not.
    """

    name: str
    build: Callable[[], nn.Module]
    sides: tuple[int, int] | None = None
    training: Mapping[str, Any] | None = None
    is_published: bool = False
    is_timed: bool = True


def contenders(presets: Sequence[str]) -> list[Contender]:
    """torchvision's two at two sizes, its ResNet18 in our loop, and the presets."""
    rows = [
        Contender(
            f"torchvision ResNet{depth}-FPN{label}", partial(torchvision_detector, depth, sides, len(CLASSES)), sides
        )
        for sides, label in (((HEIGHT, WIDTH), ""), ((800, 1333), ", resized to 800–1333"))
        for depth in (18, 50)
    ]
    rows.append(ours(SAME, "lyu2024-code-resnet18", AS_TORCHVISION, is_timed=False))
    rows += [ours(name, name, {}, is_published=name.startswith("lyu2024")) for name in presets]
    return rows


def ours(name: str, of: str, overrides: Mapping[str, Any], **facts: bool) -> Contender:
    """A preset under a name, with changes of its settings and without weights."""
    detector = {**overrides, "backbone": {**overrides.get("backbone", {}), "pretrained": "none"}}
    build = partial(build_detector, preset(of, detector), CLASSES)
    return Contender(name, build, None, {"preset": of, "detector": detector}, **facts)


@contextlib.contextmanager
def all_proposals(model: Any) -> Iterator[None]:
    """Lets the first stage of a detector of either kind hand on as many proposals as it keeps at most.

    Its suppression drops nothing meanwhile; else the weights would decide how much work the second stage has.

    Raises:
        ConfigError: another number reached the second stage.
    """
    stage = model.proposals if isinstance(model, TwoStageDetector) else model.rpn
    wanted = stage.post_nms_top_n()

    def check(_: nn.Module, __: Any, found: Any) -> None:
        for proposals in found[0]:
            if len(proposals) != wanted:
                raise ConfigError(f"{len(proposals)} proposals in place of {wanted}; give larger frames")

    nms_iou, stage.nms_thresh = stage.nms_thresh, 1.0
    hook = stage.register_forward_hook(check)
    try:
        yield
    finally:
        hook.remove()
        stage.nms_thresh = nms_iou


def run_of(model: nn.Module, bf16: bool = False) -> Callable[[], object]:
    """One run on a frame of noise with all proposals, of a detector that is in evaluation mode and channels last from
    now on.
    """
    model.eval().to(memory_format=torch.channels_last)
    device = next(model.parameters()).device
    if isinstance(model, TwoStageDetector):
        given: Any = torch.randn(1, 1, HEIGHT, WIDTH, device=device).to(memory_format=torch.channels_last)
    else:
        given = [torch.rand(3, HEIGHT, WIDTH, device=device)]

    @torch.no_grad()
    def run() -> object:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16), all_proposals(model):
            return model(given)

    return run


def giga_macs(run: Callable[[], object]) -> float:
    """Billions of multiply-accumulates of all convolutions and matrix products of a run, second stage included."""
    with FlopCounterMode(display=False) as counter:
        run()
    return float(counter.get_total_flops()) / 2e9


def measure_inference(rows: Sequence[Contender], rounds: int, bf16: bool = False) -> dict[str, dict[str, Any]]:
    """Parameters, GMAC and milliseconds of each contender, in interleaved rounds after one that does not count."""
    facts: dict[str, dict[str, Any]] = {}
    runs: dict[str, Callable[[], object]] = {}
    for row in rows:
        torch.manual_seed(0)
        model = row.build()
        run = run_of(model, bf16)
        facts[row.name] = {
            "parameters": sum(p.numel() for p in model.parameters()),
            "gmac": giga_macs(run),
            "ms": [],
        }
        if row.is_timed:
            runs[row.name] = run
    for number in range(rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if number:
                facts[name]["ms"].append((time.perf_counter() - start) * 1000)
    return facts


def made_up_frames(folder: Path, n: int = 16) -> Dataset:
    """JPEG frames of 512 × 640 with twelve warm bodies each, and their boxes."""
    rng = np.random.default_rng(0)
    images = []
    for number in range(n):
        pixels = rng.normal(90, 6, (HEIGHT, WIDTH))
        corners = rng.integers((8, 8), (WIDTH - 40, HEIGHT - 40), (12, 2))
        sides = rng.integers(8, 28, (12, 2))
        for (x, y), (w, h) in zip(corners, sides, strict=True):
            pixels[y : y + h, x : x + w] += 70
        path = folder / f"{number:02}.jpg"
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
        boxes = np.concatenate([corners, corners + sides], axis=1).astype(np.float32)
        labels = rng.integers(0, len(CLASSES), 12)
        images.append(LabelledImage(number, path.name, path, WIDTH, HEIGHT, boxes, labels, split="train"))
    return Dataset("made-up", CLASSES, tuple(images))


def seconds_of_our_steps(
    contender: Contender, data: Dataset, batch: int, steps: int, augmentation: Mapping[str, Any] = PLAIN
) -> list[float]:
    """Seconds of the steps of Nightherd's own loop, without the first and the last, which compile and save.

    The loop as it is: bf16 on layers that gain, channels last, frames read once and batches made ahead, gradients
    clipped, averaged weights.
    """
    settings = training_settings(
        {
            **(contender.training or {}),
            **OUR_LOOP,
            "images": steps * batch,
            "batch": batch,
            "learning_rate": 1e-5,
            "augmentation": dict(augmentation),
        }
    )
    moments: list[float] = []

    def report(_: Progress) -> None:
        moments.append(time.perf_counter())

    torch.manual_seed(0)
    model: Any = contender.build()
    with tempfile.TemporaryDirectory(prefix="nightherd-") as folder:
        train(model, [data], [1.0], None, settings, Path(folder) / "run", read_frame, {}, report)
    return list(np.diff(moments)[:-1])


def seconds_of_reference_steps(
    contender: Contender, data: Dataset, batch: int, steps: int, workers: int
) -> list[float]:
    """Seconds of the steps of torchvision's reference loop, without the first and the last, as for ours."""
    torch.manual_seed(0)
    moments = []
    for _ in reference_steps(contender.build(), data, steps * batch, batch, 1e-4, workers):
        moments.append(time.perf_counter())
    return list(np.diff(moments)[:-1])


def measure_training(
    rows: Sequence[Contender], rounds: int, batch: int, steps: int, workers: int
) -> dict[str, list[float]]:
    """Training images a second of each contender in its own loop, one figure a step, in interleaved rounds."""
    speeds: dict[str, list[float]] = {row.name: [] for row in rows}
    with tempfile.TemporaryDirectory(prefix="nightherd-") as folder:
        data = made_up_frames(Path(folder))
        for _ in range(rounds):
            for row in rows:
                if row.training is None:
                    seconds = seconds_of_reference_steps(row, data, batch, steps, workers)
                else:
                    seconds = seconds_of_our_steps(row, data, batch, steps)
                speeds[row.name] += [batch / each for each in seconds]
    return speeds


def speed_rows(
    contenders: Sequence[Contender],
    inference: Mapping[str, Mapping[str, Any]],
    training: Mapping[str, Sequence[float]],
) -> list[dict[str, Any]]:
    """One row a contender: medians, the middle half, ratios to torchvision's ResNet18-FPN, and the two verdicts.

    The time that a contender's GMAC predict is the base's milliseconds, times the ratio of their GMAC.
    """
    base = inference[BASE]
    base_ms = statistics.median(base["ms"])
    rows = []
    for one in contenders:
        fact = inference[one.name]
        ms = list(fact["ms"])
        speed = list(training.get(one.name, ()))
        row: dict[str, Any] = {"name": one.name, "parameters": fact["parameters"], "gmac": fact["gmac"]}
        if ms:
            median = statistics.median(ms)
            predicted = base_ms * fact["gmac"] / base["gmac"]
            row |= {"ms": median, "ms_middle_half": _middle(ms), "ratio": median / base_ms, "ms_predicted": predicted}
            if one.is_published:
                row |= {"over_predicted": median / predicted, "is_within": median <= PUBLISHED_LIMIT * predicted}
        if speed:
            row |= {"images_per_second": statistics.median(speed), "images_per_second_middle_half": _middle(speed)}
        rows.append(row)
    return rows


def _middle(values: Sequence[float]) -> list[float]:
    low, high = np.percentile(values, (25, 75))
    return [float(low), float(high)]


def speed_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as Markdown, and below them how much faster our loop trains torchvision's model."""
    lines = [
        "| detector | parameters (10⁶) | GMAC | ms a frame (middle half) | × ResNet18-FPN | ms that GMAC predict "
        f"| within {PUBLISHED_LIMIT} × | training images a second (middle half) |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        cells = [row["name"], f"{row['parameters'] / 1e6:.1f}", f"{row['gmac']:.1f}", "", "", "", "", ""]
        if "ms" in row:
            low, high = row["ms_middle_half"]
            cells[3:6] = [
                f"{row['ms']:.0f} ({low:.0f}–{high:.0f})",
                f"{row['ratio']:.2f}",
                f"{row['ms_predicted']:.0f}",
            ]
        if "is_within" in row:
            cells[6] = f"{'yes' if row['is_within'] else 'no'}, {row['over_predicted']:.2f} ×"
        if "images_per_second" in row:
            low, high = row["images_per_second_middle_half"]
            cells[7] = f"{row['images_per_second']:.2f} ({low:.2f}–{high:.2f})"
        lines.append("| " + " | ".join(cells) + " |")
    if (ratio := loop_ratio(rows)) is not None:
        verdict = "yes" if ratio >= LOOP_LIMIT else "no"
        lines += [
            "",
            f"Training torchvision's ResNet18-FPN, Nightherd's loop is {ratio:.2f} × as fast as torchvision's "
            f"reference loop (at least {LOOP_LIMIT}: {verdict}).",
        ]
    return "\n".join(lines)


def loop_ratio(rows: Sequence[Mapping[str, Any]]) -> float | None:
    """How many times as fast our loop trains torchvision's model, or None where that was not measured."""
    speed: dict[str, float] = {row["name"]: row["images_per_second"] for row in rows if "images_per_second" in row}
    return speed[SAME] / speed[BASE] if SAME in speed and BASE in speed else None
