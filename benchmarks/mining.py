"""Does training on mined hard negatives pay, beside training as long without them? The whole experiment in one command.

    uv run --group dev python benchmarks/mining.py --data hit-uav \
        --map Person=person,Car=vehicle,OtherVehicle=vehicle,Bicycle=bicycle --frames 800 --images 400 --seeds 3

A detector (--from, the bundled one by default) is mined once on --frames frames of the train split. For each seed it
is then trained on for --images images twice, from the same weights: a control on the data alone, and a run of which a
quarter of the images (--share) are crops around hard negatives. Both are compared at equal recall on the val split. A
control is needed, since longer training alone changes the number of false alarms. Run again, it goes on where it was
interrupted.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from nightherd.datasets import open_dataset
from nightherd.datasets.mapping import parse_mapping
from nightherd.inference.predictor import Predictor
from nightherd.models import DEFAULT_MODEL, resolve_model
from nightherd.workflows.mine import lines as mined_lines
from nightherd.workflows.mine import mine
from nightherd.workflows.mine_data import spread, training_frames
from nightherd.workflows.mine_proof import lines as proof_lines
from nightherd.workflows.mine_proof import prove
from nightherd.workflows.train import train_model


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="hit-uav", help="a labelled data set with a train and a val split")
    parser.add_argument("--map", action="append", default=[], metavar="OLD=NEW", help="join class names")
    parser.add_argument("--from", dest="start", default=DEFAULT_MODEL, help="a bundled name or a model file")
    parser.add_argument("--frames", type=int, default=800, help="training frames that are mined")
    parser.add_argument("--val-frames", type=int, default=None, help="frames to compare on, all by default")
    parser.add_argument("--images", type=int, default=400, help="training images of each run")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--crop", type=int, default=320, help="side of the training crops, pixels")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=2e-4, help="learning rate")
    parser.add_argument("--share", type=float, default=0.25, help="share of images drawn from the hard negatives")
    parser.add_argument("--replicates", type=int, default=1000, help="bootstrap samples")
    parser.add_argument("--threads", type=int, default=None, help="processor cores for detection")
    parser.add_argument("--out", type=Path, default=Path("nightherd-results/mining-benchmark"))
    return parser.parse_args()


def tell(text: str) -> None:
    """Prints a line about the run at once."""
    print(text, file=sys.stderr, flush=True)


def settings_of(told: argparse.Namespace, classes: tuple[str, ...], seed: int) -> dict[str, Any]:
    """A short fine-tuning whose last averaged weights are kept: the val split decides nothing."""
    return {
        "classes": list(classes),
        "images": told.images,
        "batch": told.batch,
        "learning_rate": told.rate,
        "warmup_steps": max(1, told.images // told.batch // 10),
        "ema": 0.95,
        "seed": seed,
        "validate_every": 0,
        "validate_images": 1,
        "hard_negative_share": told.share,
        "augmentation": {"crop": told.crop},
    }


def main() -> None:
    """Mines, trains, compares, and prints what came out."""
    told = arguments()
    mapping = parse_mapping(told.map)
    start = resolve_model(told.start)
    classes = Predictor(start, threads=1).classes
    mined = mine(
        str(told.start), [told.data], told.out / "mined", mapping=mapping, frames=told.frames, threads=told.threads,
        note=tell,
    )  # fmt: skip
    for line in mined_lines(mined):
        print(line)
    runs: dict[str, list[Path]] = {"control": [], "mined": []}
    for seed in range(told.seeds):
        for name, sources in (("control", []), ("mined", [told.out / "mined"])):
            began = time.monotonic()
            run = told.out / f"{name}-{seed}"
            settings = settings_of(told, classes, seed)
            train_model(
                [told.data], run, settings, mapping=mapping, start=start, hard_negatives=[str(s) for s in sources]
            )
            runs[name].append(run)
            tell(f"{run.name}: {told.images} images, {time.monotonic() - began:.0f} s")
    held_out = spread(open_dataset(told.data, "val"), told.val_frames)
    looked_at = len(training_frames(told.data))
    proof = prove(
        runs["control"], runs["mined"], held_out, mapping=mapping, out=told.out / "proof", replicates=told.replicates,
        threads=told.threads, note=tell,
    )  # fmt: skip
    print(f"\n{told.seeds} seeds, {told.images} images each, from {told.start}; before: control, after: mined")
    print(f"mined on {mined['frames_looked_at']} of {looked_at} training frames")
    for line in proof_lines(proof):
        print(line)
    for sentence in proof["notes"]:
        print(sentence)


if __name__ == "__main__":
    main()
