"""ODAM beside D-RISE: seconds for all detections of a frame, and how faithful the maps are, in one run.

    uv run python benchmarks/explain.py --data hit-uav --frames 4
    uv run python benchmarks/explain.py --frames 2 --masks 100     # the bundled flight, quickly

Both explain the same detections, those that count at the model's own thresholds. A frame costs D-RISE its masks however
many detections there are, and ODAM one forward pass and a backward pass each. Deletion and insertion are those of
`nightherd.explanation.faithfulness`; the score in them is D-RISE's own similarity, which is what it optimises.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np

from nightherd.datasets import open_dataset
from nightherd.errors import NightherdError
from nightherd.evaluation.bootstrap import Weights, intervals
from nightherd.explanation.drise import GRID
from nightherd.explanation.faithfulness import measure
from nightherd.explanation.methods import explainer
from nightherd.frames.readers import read_frame
from nightherd.models import DEFAULT_MODEL
from nightherd.types import FloatArray
from nightherd.workflows.explain_model import ExplainedModel, Scene, open_model

METHODS = ("odam", "drise")


def main() -> None:
    """Prints the table, or with --json the same as one value."""
    parser = argparse.ArgumentParser(description="Seconds a frame and faithfulness of ODAM and D-RISE.")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="a bundled model's name or a model file")
    parser.add_argument("--data", default="example", help="a data set; its images only")
    parser.add_argument("--split", help="which images; val where there is one")
    parser.add_argument("--frames", type=int, default=4, help="frames with detections, spread evenly")
    parser.add_argument("--masks", type=int, default=1000)
    parser.add_argument("--scored", type=int, default=8, help="detections of a frame whose maps are scored")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args()
    try:
        rows = run(options)
    except NightherdError as error:
        parser.exit(1, f"error: {error}\n")
    if not rows:
        parser.exit(1, "error: the model found nothing in these frames\n")
    report(rows, options)


def run(options: argparse.Namespace) -> list[dict[str, object]]:
    """One row a frame: detections, seconds of each method, and (deletion, insertion) of each map that was scored."""
    model, _, _ = open_model(options.model, METHODS, threads=options.threads)
    data = open_dataset(options.data, options.split)
    if options.split is None and any(image.split == "val" for image in data.images):
        data = data.split("val")
    places = np.linspace(0, len(data) - 1, min(len(data), 4 * options.frames)).round().astype(int)
    rows: list[dict[str, object]] = []
    for place in places:
        if len(rows) == options.frames:
            break
        pixels = read_frame(data.images[place].path).pixels
        if row := one_frame(model, pixels, options):
            rows.append({"frame": data.images[place].file_name} | row)
    return rows


def one_frame(model: ExplainedModel, pixels: FloatArray, options: argparse.Namespace) -> dict[str, object]:
    """Times both methods on one frame of a single tile; empty where nothing was found or there are more tiles."""
    found = model.predictor.predict(pixels)
    scene = Scene(pixels, model.predictor)
    if not len(found) or len(scene.tiles) != 1:
        return {}
    image = scene.input_of(scene.tiles[0])
    targets = [
        scene.target(tuple(map(float, box)), int(label), scene.tiles[0])
        for box, label in zip(found.boxes, found.labels, strict=True)
    ]
    explainer("odam", model.subject)(image, targets[:1])  # whatever is set up on first use
    row: dict[str, object] = {"detections": len(targets)}
    for name in METHODS:
        explain = explainer(name, model.subject, options.masks, options.seed)
        start = time.perf_counter()
        maps = explain(image, targets)
        seconds = time.perf_counter() - start
        scores = []
        for heat, target in list(zip(maps, targets, strict=True))[: options.scored]:
            worth = measure(model.subject.network, image, heat, target, scene.stride)
            if worth.deletion is not None and worth.insertion is not None:
                scores.append((worth.deletion, worth.insertion))
        row |= {f"{name}_seconds": seconds, f"{name}_scores": scores}
    return row


def report(rows: list[dict[str, object]], options: argparse.Namespace) -> None:
    """Prints seconds, their ratio, and means with 95 % intervals over frames, of the difference too."""
    seconds = {name: np.array([row[f"{name}_seconds"] for row in rows], np.float64) for name in METHODS}
    of_frame = [np.array([row[f"{name}_scores"] for name in METHODS], np.float64) for row in rows]  # (2, N, 2) each

    def statistic(weights: Weights) -> dict[str, float]:
        total = sum(w * one.shape[1] for w, one in zip(weights, of_frame, strict=True))
        if not total:
            return dict.fromkeys(("odam_deletion", "odam_insertion", "drise_deletion", "drise_insertion",
                                  "deletion_difference", "insertion_difference"), float("nan"))  # fmt: skip
        means = sum(w * one.sum(axis=1) for w, one in zip(weights, of_frame, strict=True)) / total
        return {f"{name}_{what}": float(means[i, j]) for i, name in enumerate(METHODS)
                for j, what in enumerate(("deletion", "insertion"))} | {
            f"{what}_difference": float(means[0, j] - means[1, j]) for j, what in enumerate(("deletion", "insertion"))
        }  # fmt: skip

    values = statistic(np.ones(len(rows)))
    ranges = intervals(statistic, len(rows), 1000, options.seed)
    ratio = float(seconds["drise"].sum() / seconds["odam"].sum())
    if options.as_json:
        print(json.dumps({"frames": rows, "ratio": ratio, "figures": values, "intervals": ranges}, indent=2))
        return
    detections = [int(str(row["detections"])) for row in rows]
    scored = sum(one.shape[1] for one in of_frame)
    print(f"{options.model} on {len(rows)} frames of {options.data}, {sum(detections)} detections, {scored} scored; "
          f"{options.masks} masks of {GRID} cells a side, {options.threads} thread(s)\n")  # fmt: skip
    for row in rows:
        odam, drise = float(str(row["odam_seconds"])), float(str(row["drise_seconds"]))
        times = f"odam {odam:.2f} s, drise {drise:.1f} s, {drise / odam:.0f} ×"
        print(f"{row['frame']}: {row['detections']} detections, {times}")
    print(
        f"all frames: odam {seconds['odam'].sum():.2f} s, drise {seconds['drise'].sum():.1f} s, {ratio:.0f} × faster\n"
    )
    for name, value in values.items():
        pair, sign = ranges[name], "+" if name.endswith("difference") else "-"
        interval = f" [{pair[0]:{sign}.3f}, {pair[1]:{sign}.3f}]" if pair else ""
        print(f"{name.replace('_', ' '):<22} {value:{sign}.3f}{interval}")


if __name__ == "__main__":
    main()
