"""How good a detector gets from how few labelled frames, from which first weights, and after how long.

    uv run --extra train python benchmarks/learning_curve.py --data hit-uav --out curve \
      --start imagenet simulated=RUN --frames 50 200 800 --seeds 0 1

Each run fine-tunes `small` on so many frames of the train split, drawn by its seed and each draw within the next larger
one, with settings near those of docs/train-your-own.md, and is measured on whole val frames four times on its way.
A run starts from ImageNet's weights or from those of a run, a model file or a bundled model. `--freeze body` keeps
the backbone as it starts. Runs lie in the folder, and the frames with them, for one data set: those that are finished
are not repeated, others go on.

Weights that have seen the data already (nightherd-small has seen HIT-UAV's train split) flatter: the curve of a new
species is that of weights which never saw it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from derived_data import finish, is_made
from nightherd.datasets import open_dataset
from nightherd.datasets.mapping import parse_mapping
from nightherd.datasets.types import Dataset
from nightherd.errors import ConfigError, NightherdError
from nightherd.files import write_json
from nightherd.workflows.train import train_model

CLASSES = ("Person", "Car", "Bicycle")
IMAGENET = "imagenet"
MAPPING = {"person": "Person", "vehicle": "Car", "bicycle": "Bicycle"}
"""What weights may call these classes, for the rows of the head that they know."""

FREEZE = {"stem": None, "body": ["backbone"], "none": []}
"""What stays as it starts: the preset's own choice, the whole backbone, nothing."""

SETTINGS: dict[str, Any] = {
    "preset": "small",
    "classes": CLASSES,
    "batch": 8,
    "warmup_steps": 40,
    "ema": 0.995,
    "repeat_factor": 0.5,
    "augmentation": {"crop": 384, "scale": [0.7, 1.4], "even_classes": True, "quarter_turns": False},
}
"""Those of docs/train-your-own.md; HIT-UAV looks ahead as well as down, so its frames are not turned."""

POINTS = 4
"""Measurements on the way, the last at the end."""


def subset(dataset: Dataset, n: int, folder: Path, seed: int = 0) -> Path:
    """Copies n frames, the first of one order for all n, to a COCO set; one that is finished is taken as it is.

    Raises:
        ConfigError: there are fewer frames.
        DatasetError: the folder was made from others.
    """
    if n > len(dataset):
        raise ConfigError(f"{n} frames asked for, {dataset.name} has {len(dataset)}")
    order = np.random.default_rng(seed).permutation(len(dataset))[:n]
    images = [dataset.images[int(i)] for i in sorted(order)]
    chosen = dataset.subset(images)
    if is_made(folder, chosen):
        return folder
    (folder / "images").mkdir(parents=True, exist_ok=True)
    names = [f"images/{number:04}{image.path.suffix}" for number, image in enumerate(images)]
    for image, name in zip(images, names, strict=True):
        shutil.copyfile(image.path, folder / name)
    finish(folder, chosen, chosen, names)
    return folder


def run_one(
    data: Path, val: Path, out: Path, start: str | None, changes: dict[str, Any], mapping: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Trains one detector; its measurements on the way: images seen, mean AP50 and AP50 by class.

    Args:
        data, val: sets to train on and to measure on.
        out: the run's folder.
        start: its first weights; None takes ImageNet's.
        changes: classes, images, seed, and `freeze`, one of FREEZE.
        mapping: what weights may call the classes.
    """
    settings = {**SETTINGS, **changes, "validate_images": 10_000}
    freeze, batch = settings.pop("freeze"), int(SETTINGS["batch"])
    settings["validate_every"] = -(-settings["images"] // POINTS // batch) * batch
    if FREEZE[freeze] is not None:
        settings["freeze"] = FREEZE[freeze]
    result = train_model(
        [str(data)], out, settings, [str(val)], mapping=mapping, start=start,
        report=lambda p: print(f"\r{out.name}: {p.step}/{p.steps}", end="", file=sys.stderr, flush=True),
    )  # fmt: skip
    print(file=sys.stderr)
    return [
        {
            "images": point["images"],
            "ap50": statistics.fmean(one["ap50"] or 0.0 for one in point["per_class"].values()),
            "ap50_by_class": {name: one["ap50"] for name, one in point["per_class"].items()},
        }
        for point in result.history
    ]


def starts_of(given: Sequence[str]) -> dict[str, str | None]:
    """`imagenet`, `NAME=WEIGHTS` or a bundled model's name → what to start from.

    Raises:
        ConfigError: two share a name, or weights are called as ImageNet's are.
    """
    starts: dict[str, str | None] = {}
    for one in given:
        path, _, weights = one.partition("=")
        name = Path(path).name
        if name == IMAGENET and one != IMAGENET:
            raise ConfigError(f"'{one}': {IMAGENET} is the name of the preset's own weights; choose another")
        if name in starts:
            raise ConfigError(f"two starts are called {name}; give each its own name, NAME=WEIGHTS")
        starts[name] = None if name == IMAGENET else weights or path
    return starts


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The end of each curve as Markdown: mean over seeds, ± the standard deviation where there are several."""
    classes = list(rows[0]["points"][-1]["ap50_by_class"])
    lines = [
        "| frames | start | left as it starts | training images | seeds | AP50 | "
        + " | ".join(classes)
        + " | after a quarter, a half, three quarters |",
        "| --- " * (7 + len(classes)) + "|",
    ]
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["frames"], row["start"], row["freeze"], row["images"]), []).append(row)
    for key, members in groups.items():
        ends = [one["points"][-1] for one in members]
        cells = [f"{value:,}" if isinstance(value, int) else str(value) for value in key] + [str(len(members))]
        cells.append(_spread([end["ap50"] for end in ends]))
        cells += [_spread([end["ap50_by_class"].get(name) or 0.0 for end in ends]) for name in classes]
        before = [[one["points"][i]["ap50"] for one in members] for i in range(len(members[0]["points"]) - 1)]
        cells.append(", ".join(f"{statistics.fmean(values):.3f}" for values in before))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _spread(values: Sequence[float]) -> str:
    text = f"{statistics.fmean(values):.3f}"
    return f"{text} ± {statistics.stdev(values):.3f}" if len(values) > 1 else text


def plot(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """AP50 against frames, a line for each start, freeze and number of training images, a dot for each seed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), dpi=150, layout="constrained")
    axes = figure.subplots()
    for key in dict.fromkeys(_line_of(row) for row in rows):
        chosen = [row for row in rows if _line_of(row) == key]
        start, freeze, images = key
        sizes = sorted({row["frames"] for row in chosen})
        ends = {n: [row["points"][-1]["ap50"] for row in chosen if row["frames"] == n] for n in sizes}
        free = "" if freeze == "stem" else ", backbone frozen" if freeze == "body" else ", all free"
        label = f"from {start}{free}, {images:,} images"
        [line] = axes.plot(sizes, [statistics.fmean(ends[n]) for n in sizes], label=label, marker="o", markersize=3)
        for n in sizes:
            axes.plot([n] * len(ends[n]), ends[n], ".", color=line.get_color(), alpha=0.5)
    axes.set(xscale="log", xlabel="labelled frames", ylabel="mean AP50 on val", ylim=(0, 1))
    sizes = sorted({row["frames"] for row in rows})
    axes.set_xticks(sizes, [str(n) for n in sizes])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def _line_of(row: Mapping[str, Any]) -> tuple[str, str, int]:
    return row["start"], row["freeze"], row["images"]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="hit-uav", help="a data set with train and val splits")
    parser.add_argument("--classes", nargs="+", default=CLASSES, help="of the data set")
    parser.add_argument("--map", nargs="+", metavar="OLD=NEW", help="what first weights call these classes")
    parser.add_argument("--out", type=Path, required=True, help="the folder of the runs")
    parser.add_argument("--start", nargs="+", default=[IMAGENET], metavar="NAME[=WEIGHTS]", help="first weights")
    parser.add_argument("--frames", type=int, nargs="+", default=[50, 200, 800])
    parser.add_argument("--freeze", nargs="+", default=["stem"], choices=sorted(FREEZE))
    parser.add_argument("--images", type=int, default=3200, help="training images a run")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--plot", type=Path, help="a PNG of the curves")
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args()
    try:
        starts = starts_of(options.start)
        mapping = parse_mapping(options.map) if options.map else MAPPING
        whole = open_dataset(options.data, "train").with_classes(options.classes)
        held_out = open_dataset(options.data, "val").with_classes(options.classes)
        val = subset(held_out, len(held_out), options.out / "data" / "val")
        for seed in options.seeds:
            for n in options.frames:
                data = subset(whole, n, options.out / "data" / f"{n}-{seed}", seed)
                for name, weights in starts.items():
                    for freeze in options.freeze:
                        run = options.out / f"{n}-{name}-{freeze}-{options.images}-{seed}"
                        changes = {"freeze": freeze, "images": options.images, "seed": seed}
                        given = {**changes, "classes": tuple(options.classes)}
                        points = run_one(data, val, run, weights, given, mapping)
                        write_json(run / "row.json", {"frames": n, "start": name, **changes, "points": points})
    except NightherdError as error:
        sys.exit(f"error: {error}")
    rows = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(options.out.glob("*/row.json"))]
    rows.sort(key=lambda row: (row["frames"], row["start"], row["freeze"], row["images"], row["seed"]))
    if options.plot:
        plot(rows, options.plot)
    print(json.dumps(rows, indent=2) if options.as_json else table(rows))


if __name__ == "__main__":
    main()
