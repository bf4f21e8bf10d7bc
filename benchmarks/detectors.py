"""Detectors beside each other: what they cost, what they find, and what computing less of them costs.

Time of each preset next to torchvision's Faster R-CNN, in one run of interleaved rounds:

    uv run --extra train python benchmarks/detectors.py --speed
    uv run --extra train python benchmarks/detectors.py --speed --presets small lyu2024-resnet18 --rounds 9

The finest level computed only where coarser ones say that there may be something, on labelled frames:

    uv run --extra train python benchmarks/detectors.py --sparse nightherd-small --data hit-uav --map Person=person …
    uv run --extra train python benchmarks/detectors.py --sparse lyu2024-resnet18

What the finest level of a model's pyramid has of the whole, in arithmetic and in time:

    uv run --extra train python benchmarks/detectors.py --finest nightherd-small

Training and evaluation under a stated budget, which writes `docs/results.md`; rows from other machines are added:

    uv run --extra train python benchmarks/detectors.py --train --budget cpu --data hit-uav --runs runs
    uv run --extra train python benchmarks/detectors.py --train --budget gpu --data hit-uav --runs runs --seeds 0 1 2
    uv run --extra train python benchmarks/detectors.py --add rows-from-elsewhere.json
    uv run --extra train python benchmarks/detectors.py --evaluate hituav-small=hituav-small --data hit-uav

The same `--train` over finished runs trains nothing; it measures again those that were measured otherwise.

What the detectors of that page cost on this machine, in one run of interleaved rounds:

    uv run --extra train python benchmarks/detectors.py --cost --presets hituav-small torchvision-resnet18 …
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch

from detectors_cost import measure_cost, with_cost
from detectors_finest import finest_lines, node_times, share_of_time
from detectors_results import RESULTS, add_rows, read_rows, write_results
from detectors_sparse import detector_of, measure_shares, measure_sparse, shares_table, sparse_table
from detectors_speed import contenders, measure_inference, measure_training, speed_rows, speed_table
from detectors_training import BUDGETS, batch_of, evaluated_row, is_of, train_rows
from nightherd.datasets import open_dataset
from nightherd.detector.cost import finest_share
from nightherd.detector.presets import PRESETS
from nightherd.errors import NightherdError
from nightherd.files import write_json
from nightherd.models import resolve_model
from nightherd.training.validation import spread_over

USUAL = ("small", "lyu2024-resnet18", "lyu2024-resnet50", "lyu2024-code-resnet18", "lyu2024-code-resnet50")
COMPARED = ("small", "torchvision-resnet18", "torchvision-resnet50", "lyu2024-resnet18", "lyu2024-code-resnet18")


def main() -> None:
    """Runs what was asked for and prints it as Markdown, or with --json as one value."""
    options = _parser().parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        if options.speed:
            _speed(options)
        elif options.sparse:
            _sparse(options)
        elif options.finest:
            _finest(options)
        elif options.train:
            rows = train_rows(
                options.presets or COMPARED,
                options.budget,
                options.data,
                options.runs,
                options.seeds,
                options.images,
                _say,
            )
            _results(options, rows)
        elif options.cost:
            _cost(options)
        elif options.evaluate:
            rows = []
            for given in options.evaluate:
                name, _, model = given.partition("=")
                rows.append(evaluated_row(name, model, options.data, _mapping(options), _say))
            _results(options, rows)
        else:
            _results(options, [row for path in options.add for row in read_rows(path)])
    except NightherdError as error:
        sys.exit(f"error: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--speed", action="store_true", help="time of the presets beside torchvision's detectors")
    what.add_argument(
        "--sparse", metavar="MODEL", help="a bundled model's name, a model file or a run: dense and sparse"
    )
    what.add_argument(
        "--finest", metavar="MODEL", help="a bundled model's name or a model file: share of the finest level"
    )
    what.add_argument("--train", action="store_true", help="train and evaluate under a budget")
    what.add_argument("--evaluate", action="append", metavar="NAME=MODEL", help="a row for what is trained already")
    what.add_argument("--cost", action="store_true", help="time and arithmetic of the page's detectors, into the page")
    what.add_argument("--add", action="append", type=Path, metavar="ROWS.json", help="rows from another machine")
    parser.add_argument(
        "--presets", nargs="+", help="which detectors; --train and --cost also take torchvision-resnet18, …"
    )
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 leaves its own choice")
    parser.add_argument("--json", action="store_true", dest="as_json")
    speed = parser.add_argument_group("speed")
    speed.add_argument("--rounds", type=int, default=7, help="of inference")
    speed.add_argument("--bf16", action="store_true", help="inference in bf16, of all contenders, in place of float32")
    speed.add_argument("--train-rounds", type=int, default=2, help="of training; 0 leaves it out")
    speed.add_argument("--batch", type=int, default=2)
    speed.add_argument("--steps", type=int, default=4, help="training steps a round; the first and last do not count")
    speed.add_argument("--workers", type=int, default=2, help="processes that read frames in torchvision's loop")
    data = parser.add_argument_group("data")
    data.add_argument("--data", default="hit-uav", help="a labelled data set; its val split is looked at")
    data.add_argument(
        "--map", nargs="+", default=[], metavar="DATA=MODEL", help="class names of the data as the model's"
    )
    data.add_argument("--images", type=int, default=0, help="validation frames of --sparse, training images of --train")
    sparse = parser.add_argument_group("sparse")
    sparse.add_argument("--thresholds", type=float, nargs="+", default=[0.01, 0.05, 0.2, 0.5])
    sparse.add_argument("--shares", type=float, nargs="+", default=[0.0, 0.1, 0.3, 1.0], help="of a preset's blocks")
    sparse.add_argument("--block", type=int, default=16)
    sparse.add_argument("--margin", type=int, default=1)
    train = parser.add_argument_group("training")
    train.add_argument("--budget", choices=sorted(BUDGETS), default="cpu")
    train.add_argument("--seeds", type=int, nargs="+", default=[0])
    train.add_argument("--runs", type=Path, default=Path("runs"), help="where runs lie; finished ones are not repeated")
    train.add_argument("--results", type=Path, default=RESULTS, help="the page; its rows lie beside it as .json")
    return parser


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _mapping(options: argparse.Namespace) -> dict[str, str]:
    return {key: value for key, _, value in (pair.partition("=") for pair in options.map)}


def _speed(options: argparse.Namespace) -> None:
    chosen = contenders(options.presets or USUAL)
    inference = measure_inference(chosen, max(1, options.rounds), options.bf16)
    training = {}
    if options.train_rounds:
        training = measure_training(chosen, options.train_rounds, options.batch, options.steps, options.workers)
    rows = speed_rows(chosen, inference, training)
    if options.as_json:
        print(json.dumps({"machine": machine(), "rows": rows}, indent=2))
        return
    kind = "bf16" if options.bf16 else "float32"
    print(f"{machine()}. Frames of 512 × 640, batch 1, {kind}, {options.rounds} interleaved rounds.")
    print(f"Training: batch {options.batch}, whole frames, each in its own loop, {options.train_rounds} rounds.\n")
    print(speed_table(rows))


def _sparse(options: argparse.Namespace) -> None:
    if options.sparse in PRESETS:
        shares = measure_shares(PRESETS[options.sparse], options.shares, options.block, max(1, options.rounds))
        told = f"{machine()}. {options.sparse}, random weights, 512 × 640, {options.rounds} interleaved rounds.\n\n"
        print(json.dumps(shares, indent=2) if options.as_json else told + shares_table(shares))
        return
    detector, settings = detector_of(options.sparse)
    mapping = _mapping(options)
    classes = tuple(dict.fromkeys(detector.classes))
    dataset = open_dataset(options.data, "val").with_classes(classes, mapping)
    images = spread_over(dataset.images, options.images or len(dataset))
    rows = measure_sparse(detector, images, classes, options.thresholds, options.block, options.margin)
    if options.as_json:
        print(json.dumps({"machine": machine(), "images": len(images), "rows": rows}, indent=2))
        return
    print(f"{machine()}. {options.sparse} ({settings.pyramid.kind}, strides {list(detector.strides)}) on {len(images)}")
    print(f"validation frames of {options.data}; blocks of {options.block}, margin {options.margin}.\n")
    print(sparse_table(rows))


def _finest(options: argparse.Namespace) -> None:
    detector, settings = detector_of(options.finest)
    nodes = node_times(resolve_model(options.finest), max(1, options.rounds), options.threads)
    share = share_of_time(nodes, detector.strides[0])
    if options.as_json:
        print(json.dumps({"machine": machine(), "share_of_gmac": finest_share(settings), "share_of_time": share}))
        return
    print("\n".join(finest_lines(options.finest, settings, share)))


def _results(options: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    merged = add_rows(options.results.with_suffix(".json"), rows)
    write_results(options.results, merged)
    if options.as_json:
        print(json.dumps(rows, indent=2))
    else:
        print(f"{len(rows)} rows added to {options.results}")


def _cost(options: argparse.Namespace) -> None:
    kept = options.results.with_suffix(".json")
    rows = read_rows(kept)
    names = options.presets or list(dict.fromkeys(row["name"] for row in rows))
    batches = partial(batch_of, budget=options.budget)
    costs = measure_cost(names, max(1, options.rounds), options.train_rounds, batches, options.steps, options.workers)
    rows = with_cost(rows, costs, machine(), lambda provenance: is_of(provenance, options.budget))
    write_json(kept, rows)
    write_results(options.results, rows)
    print(json.dumps(costs, indent=2))


def machine() -> str:
    """Processor, threads and library, as a table says under what it was measured."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    named = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), None)
    cores = os.cpu_count() or 1
    return f"{named or platform.machine()}, {cores} cores, {torch.get_num_threads()} threads, torch {torch.__version__}"


if __name__ == "__main__":
    main()
