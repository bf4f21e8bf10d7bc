"""What each trick of training is worth on a fixed small protocol, with its spread over seeds.

    uv run --extra train python benchmarks/ablation.py --data hit-uav --out ablation

Every arm trains the same detector from the same ImageNet weights on the same frames at half size, for the same number
of images, once with each seed, and differs from the baseline in one thing. Arms are compared seed by seed, so that what
a seed does to all of them cancels. Whatever does not stand out from the seeds is called no measurable difference, which
is no proof that there is none: so few images and seeds see only large ones.

A second table has the differences of AP50 by class. Runs lie in the folder, and the frames at half size with them, for
one data set; those that are finished are not repeated. `--arms baseline ohem` chooses, `--from RUN` starts
from other weights. All arms take about 40 minutes of two cores.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from derived_data import finish, is_made
from nightherd.datasets import open_dataset
from nightherd.datasets.types import Attribute, Dataset, LabelledImage
from nightherd.errors import ConfigError, DatasetError, NightherdError
from nightherd.files import atomic_path
from nightherd.frames.readers import read_frame
from nightherd.training.settings import training_settings
from nightherd.training.validation import spread_over
from nightherd.workflows.mine import mine
from nightherd.workflows.train import train_model

CLASSES = ("Person", "Car", "Bicycle")
TRAIN_FRAMES, VAL_FRAMES = 600, 100
MEASURES = ("ap", "ap50")
BY_CLASS = "ap50 "
"""What stands before a class in the names of its measures, as in metrics.csv."""

GROUND_SAMPLE_DISTANCE = "ground_sample_distance"
T_95 = {2: 12.71, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}
"""Student's t for a two-sided interval of 95 % from so many seeds."""

PROTOCOL: dict[str, Any] = {
    "preset": "small",
    "classes": CLASSES,
    "batch": 4,
    "warmup_steps": 20,
    "validate_every": 0,
    "validate_images": VAL_FRAMES,
    "ema": 0.998,
    "augmentation": {"crop": 256, "scale": [0.75, 1.5], "quarter_turns": False},
}
"""The baseline: a random sampler, labels by IoU, thermal augmentation, averaged weights, no copies, no mining."""

MINED_FROM, MINED_FRAMES, MINED_MOST = 0.1, 300, 500
"""From what score a false alarm is mined, for few are sure after so little training; from how many frames; how many."""

BASELINE, MINING = "baseline", "mining"
ARMS: dict[str, dict[str, Any]] = {
    BASELINE: {},
    MINING: {},
    "ohem": {"detector": {"head": {"sampler": "ohem"}}},
    "hard-negative": {"detector": {"head": {"sampler": "hard-negative"}}},
    "rfla": {"detector": {"proposals": {"assignment": "rfla"}}},
    "copy-paste": {"augmentation": {"paste": 0.5}},
    "rare-classes": {"repeat_factor": 0.5, "augmentation": {"even_classes": True}},
    "no-thermal": {"augmentation": {"tone": 0, "gain": 0, "offset": 0, "noise": 0, "blur": 0}},
    "no-ema": {"ema": 0.0},
}
"""What each arm changes. `mining` trains with the false alarms of the baseline of its seed, from the same start."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The measures of an arm by seed (`ap`, `ap50`, `ap50 Person`, …), and seconds of training."""

    arm: str
    measures: dict[int, dict[str, float]] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)


def settings_of(arm: str, seed: int, images: int, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The training settings of one run.

    Raises:
        ConfigError: no such arm.
    """
    if arm not in ARMS:
        raise ConfigError(f"no arm '{arm}'; there are {', '.join(ARMS)}")
    values: dict[str, Any] = {**PROTOCOL, "seed": seed, "images": images}
    for layer in (changes or {}, ARMS[arm]):
        values = _laid_over(values, layer)
    return values


def _laid_over(values: Mapping[str, Any], layer: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(values)
    for key, value in layer.items():
        before = merged.get(key)
        merged[key] = _laid_over(before, value) if isinstance(before, dict) and isinstance(value, Mapping) else value
    return merged


def halved(dataset: Dataset, folder: Path, most: int) -> Path:
    """Writes evenly spread frames at half size as a COCO set, once; boxes under 2 px become regions to ignore.

    Args:
        dataset: of one split.
        folder: the set to make; one that is finished is taken as it is.
        most: frames.

    Raises:
        DatasetError: no frames, or the folder was made from others.
    """
    source = dataset.subset(spread_over(dataset.images, most))
    if is_made(folder, source):
        return folder
    images = []
    for number, image in enumerate(source.images):
        pixels = np.asarray(read_frame(image.path).pixels, np.float32)
        height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
        half = pixels[: 2 * height, : 2 * width].reshape(height, 2, width, 2).mean(axis=(1, 3))
        path = folder / "images" / f"{number:04}-{Path(image.file_name).stem}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            Image.fromarray(half.round().clip(0, 255).astype(np.uint8)).save(temporary, format="PNG")
        boxes = np.clip(image.boxes / 2, 0, [width, height, width, height]).astype(np.float32)
        kept = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf) >= 2
        ignore = np.concatenate([image.ignore / 2, boxes[~kept]]).astype(np.float32)
        name = f"images/{path.name}"
        images.append(
            LabelledImage(
                number, name, path, width, height, boxes[kept], image.labels[kept], ignore,
                attributes=_at_half_size(image.attributes),
            )
        )  # fmt: skip
    if not images:
        raise DatasetError("no frames to train on", folder)
    finish(folder, Dataset(folder.name, dataset.classes, tuple(images)), source)
    return folder


def _at_half_size(attributes: Mapping[str, Attribute]) -> dict[str, Attribute]:
    """What is known of a frame; a pixel is twice as wide on the ground."""
    known = dict(attributes)
    distance = known.get(GROUND_SAMPLE_DISTANCE)
    if isinstance(distance, int | float):
        known[GROUND_SAMPLE_DISTANCE] = 2 * distance
    return known


def run_arm(
    arm: str,
    seeds: Sequence[int],
    data: tuple[Path, Path],
    out: Path,
    images: int,
    start: Path | None,
    changes: Mapping[str, Any] | None = None,
    say: Say = lambda _: None,
) -> Outcome:
    """Trains an arm with each seed; `mining` trains the baseline of the seed first, where it is not there.

    Args:
        data: COCO sets to train on and to validate on.
        out: a folder a run, named ARM-SEED.
        images: training images a run.
        start: weights to start from; None takes the preset's.
        changes: to the protocol of every arm.
    """
    outcome = Outcome(arm)
    for seed in seeds:
        hard: list[Path] = []
        if arm == MINING:
            run_arm(BASELINE, [seed], data, out, images, start, changes, say)
            hard = _mined(out / f"{BASELINE}-{seed}", data[0], out / f"mined-{seed}", say)
            if not hard:
                say(f"{arm}, seed {seed}: the baseline raised no false alarm; nothing to learn from")
                continue
        settings = settings_of(arm, seed, images, changes)
        run = out / f"{arm}-{seed}"
        began = time.perf_counter()
        result = train_model(
            [str(data[0])], run, settings, [str(data[1])], start=start, hard_negatives=[str(one) for one in hard]
        )
        outcome.seconds[seed] = 0.0 if result.was_finished else time.perf_counter() - began
        by_class = {BY_CLASS + name: one["ap50"] for name, one in result.best.get("per_class", {}).items()}
        outcome.measures[seed] = {name: float(result.best.get(name) or 0.0) for name in MEASURES}
        outcome.measures[seed] |= {name: value for name, value in by_class.items() if value is not None}
        say(f"{arm}, seed {seed}: AP50 {outcome.measures[seed]['ap50']:.3f}, {outcome.seconds[seed]:.0f} s")
    return outcome


def _mined(run: Path, data: Path, folder: Path, say: Say) -> list[Path]:
    """The mined set of a baseline run, as a list; empty where there was no false alarm."""
    record = mine(run, [data], folder, confidence=MINED_FROM, frames=MINED_FRAMES, limit=MINED_MOST, note=say)
    return [folder] if record["hard_negatives"] else []


def verdict(differences: Sequence[float]) -> tuple[float, float | None, str]:
    """The mean of paired differences, half the width of its 95 % interval (Student), and what that says."""
    mean = statistics.fmean(differences)
    if len(differences) < 2:
        return mean, None, "one seed says nothing"
    spread = statistics.stdev(differences)
    half = T_95.get(len(differences), 1.96) * spread / math.sqrt(len(differences))
    if abs(mean) <= half or mean == 0:
        return mean, half, "no measurable difference"
    return mean, half, "better" if mean > 0 else "worse"


def compare(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Mean and spread of each arm, and its differences to the baseline over the seeds that both have."""
    base = next((one for one in outcomes if one.arm == BASELINE), None)
    rows = []
    for one in outcomes:
        row: dict[str, Any] = {"arm": one.arm, "seeds": sorted(one.measures), "seconds": sum(one.seconds.values())}
        for name in dict.fromkeys(name for measures in one.measures.values() for name in measures):
            by_seed = {seed: one.measures[seed][name] for seed in sorted(one.measures) if name in one.measures[seed]}
            values = list(by_seed.values())
            row[name] = {"values": values, "mean": statistics.fmean(values)}
            row[name]["sd"] = statistics.stdev(values) if len(values) > 1 else None
            others = base.measures if base is not None and one is not base else {}
            differences = [by_seed[seed] - others[seed][name] for seed in by_seed if name in others.get(seed, {})]
            if differences:
                mean, half, says = verdict(differences)
                row[name] |= {"differences": differences, "difference": mean, "interval": half, "verdict": says}
        rows.append(row)
    return rows


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The comparison as Markdown."""
    lines = [
        "| arm | seeds | AP | AP50 | AP50 − baseline, by seed | mean (95 %) | |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        cells = [row["arm"], str(len(row["seeds"]))]
        for name in MEASURES:
            one = row.get(name)
            cells.append(
                "–" if one is None else f"{one['mean']:.3f}" + ("" if one["sd"] is None else f" ± {one['sd']:.3f}")
            )
        one = row.get("ap50", {})
        if "difference" in one:
            each = ", ".join(f"{value:+.3f}" for value in one["differences"])
            cells += [each, _difference(one), one["verdict"]]
        else:
            cells += ["", "", ""]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def class_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The differences of AP50 by class as Markdown."""
    names = list(dict.fromkeys(name for row in rows for name in row if name.startswith(BY_CLASS)))
    lines = ["| arm | " + " | ".join(name.removeprefix(BY_CLASS) for name in names) + " |"]
    lines.append("| --- " * (1 + len(names)) + "|")
    for row in rows:
        if row["arm"] != BASELINE:
            lines.append("| " + " | ".join([row["arm"], *(_difference(row.get(name, {})) for name in names)]) + " |")
    return "\n".join(lines)


def _difference(one: Mapping[str, Any]) -> str:
    if "difference" not in one:
        return "–"
    return f"{one['difference']:+.3f}" + ("" if one["interval"] is None else f" ± {one['interval']:.3f}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="hit-uav", help="a data set with train and val splits")
    parser.add_argument("--out", type=Path, required=True, help="the folder of the runs")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), metavar="ARM", help=", ".join(ARMS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--images", type=int, default=1200, help="training images a run")
    parser.add_argument("--from", type=Path, dest="start", help="a run, .safetensors or model file to start from")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 leaves its own choice")
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args()

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    if options.threads:
        import torch

        torch.set_num_threads(options.threads)
    try:
        for arm in options.arms:
            training_settings(settings_of(arm, 0, options.images))
        folders = []
        for split, most in (("train", TRAIN_FRAMES), ("val", VAL_FRAMES)):
            whole = open_dataset(options.data, split).with_classes(CLASSES)
            folders.append(halved(whole, options.out / "data" / split, most))
        data = (folders[0], folders[1])
        order = sorted(options.arms, key=lambda arm: arm != BASELINE)
        outcomes = [
            run_arm(arm, options.seeds, data, options.out, options.images, options.start, None, say) for arm in order
        ]
    except NightherdError as error:
        sys.exit(f"error: {error}")
    rows = compare(outcomes)
    if options.as_json:
        print(json.dumps({"images": options.images, "seeds": options.seeds, "arms": rows}, indent=2))
        return
    print(f"{TRAIN_FRAMES} training and {VAL_FRAMES} validation frames of {options.data} at half size, "
          f"{options.images} images a run, seeds {', '.join(map(str, options.seeds))}.\n")  # fmt: skip
    print(f"{table(rows)}\n\nAP50 by class − baseline (mean ± 95 %):\n\n{class_table(rows)}")


if __name__ == "__main__":
    main()
