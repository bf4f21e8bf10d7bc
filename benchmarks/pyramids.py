"""What the width of the pyramid of `small` and its levels are worth, and what they cost in ONNX Runtime.

    uv run --extra train python benchmarks/pyramids.py --data hit-uav --backbone RUN --out pyramids --images 2000

Each variant is trained on the same crops in the same order, from one backbone (that of RUN, without it ImageNet's) with
a pyramid, proposals and head that know nothing yet. Then it is exported, measured on the val split, and all are timed
in interleaved rounds. So few images show large differences only. Runs lie in the folder, all of one backbone; those
that are finished are not repeated, others go on.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save

from nightherd.datasets import open_dataset
from nightherd.errors import ConfigError, NightherdError
from nightherd.files import write_bytes
from nightherd.training.checkpoints import load_tensors
from nightherd.training.start import BEST
from nightherd.workflows.export import export_run
from nightherd.workflows.train import train_model
from speed_accuracy import Variant, measured, show

BASELINE = "64 channels, strides 4 to 32"
THREE_LEVELS = [[8, 11, 15], [21, 29, 40], [56, 78, 108]]
"""Sides of anchors (√area, pixels) that cover on three levels what `small` covers on four."""

VARIANTS: dict[str, dict[str, Any]] = {
    BASELINE: {},
    "32 channels": {"pyramid": {"channels": 32}},
    "96 channels": {"pyramid": {"channels": 96}},
    "strides 4 to 16": {"backbone": {"strides": [4, 8, 16]}, "anchors": {"sizes": THREE_LEVELS}},
    "strides 8 to 32": {"backbone": {"strides": [8, 16, 32]}, "anchors": {"sizes": THREE_LEVELS}},
    "finest level separable": {"pyramid": {"finest": "separable"}},
}
"""What each changes in the detector of `small`."""

SETTINGS: dict[str, Any] = {
    "preset": "small",
    "batch": 8,
    "warmup_steps": 40,
    "ema": 0.995,
    "validate_every": 0,
    "validate_images": 100,
    "augmentation": {"crop": 384, "scale": [0.7, 1.4], "quarter_turns": False},
}


def backbone_of(weights: Path, folder: Path) -> Path:
    """Writes the tensors of the backbone alone, so that every variant starts with as much; returns the file.

    Its name tells its content, so that a run which started from another backbone is another run.

    Args:
        weights: a run's folder or a .safetensors file.
        folder: where to write.

    Raises:
        ConfigError: there is no backbone in it.
    """
    path = weights / BEST if weights.is_dir() else weights
    tensors = {name: value for name, value in load_tensors(path).items() if name.startswith("backbone.")}
    if not tensors:
        raise ConfigError("holds no backbone", path)
    data = save(tensors)
    out = folder / f"backbone-{hashlib.sha256(data).hexdigest()[:12]}.safetensors"
    write_bytes(out, data)
    return out


def trained(
    variant: str, data: str, out: Path, images: int, seed: int, start: Path | None, classes: Sequence[str]
) -> Variant:
    """Trains a variant and exports it."""
    run = out / f"{variant.replace(' ', '-').replace(',', '')}-{images}-{seed}"
    detector = dict(VARIANTS[variant])
    if start is not None:
        detector["backbone"] = {**detector.get("backbone", {}), "pretrained": "none"}
    settings = {**SETTINGS, "detector": detector, "classes": tuple(classes), "images": images, "seed": seed}
    print(f"{variant}, seed {seed}", file=sys.stderr, flush=True)
    train_model([data], run, settings, [data], start=start)
    return Variant(variant, export_run(run, force=True).path)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="hit-uav", help="a data set with train and val splits")
    parser.add_argument("--classes", nargs="+", default=["Person", "Car", "Bicycle"], help="of the data set")
    parser.add_argument("--backbone", type=Path, metavar="RUN", help="a run or .safetensors whose backbone all take")
    parser.add_argument("--out", type=Path, required=True, help="the folder of the runs")
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS), metavar="NAME",
                        help="; ".join(VARIANTS))  # fmt: skip
    parser.add_argument("--images", type=int, default=2000, help="training images a run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=1, help="look at every n-th frame of val")
    parser.add_argument("--rounds", type=int, default=20, help="of timing")
    parser.add_argument("--train-only", action="store_true", help="leave measuring to another call")
    parser.add_argument("--plot", type=Path, help="a PNG")
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args()
    try:
        start = backbone_of(options.backbone, options.out) if options.backbone else None
        variants = [
            trained(name, options.data, options.out, options.images, options.seed, start, options.classes)
            for name in options.variants
        ]
        if options.train_only:
            return
        val = open_dataset(options.data, "val")
        rows = measured(variants, val.subset(val.images[:: options.every]), {}, options.rounds)
    except NightherdError as error:
        sys.exit(f"error: {error}")
    show(rows, options.plot, options.as_json)


if __name__ == "__main__":
    main()
