"""Seconds of a training step of `small` on this processor: bf16 throughout, depthwise in float32, and a frozen stem.

    uv run --group dev python benchmarks/training_step.py

Random pixels, eight crops of 384 × 384 with eight boxes each; the median of the steps after the first.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from nightherd.detector.presets import build_detector, default_freeze, preset
from nightherd.detector.two_stage import Target
from nightherd.training.precision import depthwise_in_float32

SIDE, BATCH, BOXES = 384, 8, 8


def seconds_a_step(steps: int, bf16: bool, depthwise: bool, freeze: bool) -> float:
    """The median time of a step: losses, backward, AdamW."""
    torch.manual_seed(0)
    detector = build_detector(preset("small", {"backbone": {"pretrained": "none"}}), ("animal", "person"))
    if depthwise:
        depthwise_in_float32(detector)
    for name, parameter in detector.named_parameters():
        parameter.requires_grad_(not (freeze and name.startswith(default_freeze("small"))))
    detector = detector.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW([p for p in detector.parameters() if p.requires_grad], 1e-4)
    times = []
    for _ in range(steps + 1):
        images = torch.randn(BATCH, 1, SIDE, SIDE).to(memory_format=torch.channels_last)
        corners = torch.rand(BATCH, BOXES, 2) * (SIDE - 60)
        boxes = torch.cat([corners, corners + 10 + 40 * torch.rand(BATCH, BOXES, 2)], dim=2)
        labels = torch.ones(BOXES, dtype=torch.int64)
        targets = [Target(boxes=each, labels=labels, ignore=torch.zeros(0, 4)) for each in boxes]
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            losses = detector.losses(images, targets)
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=4)
    steps = parser.parse_args().steps
    rows = {
        "float32": (False, False, False),
        "bf16 throughout": (True, False, False),
        "bf16, depthwise in float32": (True, True, False),
        "the same, stem frozen": (True, True, True),
    }
    for title, choice in rows.items():
        print(f"{title:<28}{seconds_a_step(steps, *choice):6.2f} s")


if __name__ == "__main__":
    main()
