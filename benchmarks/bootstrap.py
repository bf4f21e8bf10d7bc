"""How long the intervals of an evaluation take: every figure, error type and slice under bootstrap samples.

    NIGHTHERD_DATA=… python benchmarks/bootstrap.py                 runs the bundled model over HIT-UAV val first
    NIGHTHERD_DATA=… python benchmarks/bootstrap.py val/detections.json   takes the results of an earlier evaluation

Detections are matched once; a sample only weighs what was matched (docs/evaluation.md). Prints seconds of one process.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from nightherd.datasets import open_dataset
from nightherd.evaluation.bootstrap import intervals
from nightherd.evaluation.measurement import Measurement
from nightherd.evaluation.slices import parts_of
from nightherd.workflows.class_names import common_classes
from nightherd.workflows.evaluate_source import detections_of, open_source

MAP = {"Person": "person", "Car": "vehicle", "OtherVehicle": "vehicle", "Bicycle": "bicycle"}


def main() -> None:
    """Measures HIT-UAV val and times the samples."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="?", default="nightherd-small", help="a model, or COCO results for the split")
    parser.add_argument("--data", default="hit-uav")
    parser.add_argument("--split", default="val")
    parser.add_argument("--replicates", type=int, default=1000)
    given = parser.parse_args()

    data = open_dataset(given.data, given.split)
    mapping = {old: new for old, new in MAP.items() if old in data.classes}
    source = open_source(given.results, data, mapping)
    with TemporaryDirectory() as folder:
        found, _ = detections_of(source, data, Path(folder), False, lambda items, *_: items, sys.stderr.write)
    classes = common_classes(source.classes, data, mapping)
    truth = [classes.truth(image) for image in data.images]
    detections = [classes.joined(found[image.id]) for image in data.images]
    columns = {name: [image.attributes.get(name) for image in data.images] for name in data.images[0].attributes}
    parts = parts_of(columns, np.array([len(image.boxes) for image in truth]))

    start = time.perf_counter()
    measured = Measurement(truth, detections, classes.names, parts=parts)
    matched = time.perf_counter()
    for what, statistic in (("COCO, counts and thresholds", measured.main_figures), ("everything", measured.figures)):
        began = time.perf_counter()
        figures = intervals(statistic, len(truth), given.replicates)
        seconds = time.perf_counter() - began
        print(f"{what}: {len(figures)} figures, {given.replicates:,} samples in {seconds:.1f} s")
    boxes, rows = sum(len(image.boxes) for image in truth), sum(map(len, detections))
    print(f"matching once: {matched - start:.2f} s ({len(truth)} images, {boxes:,} boxes, {rows:,} detections, "
          f"{len(classes.names)} classes, {len(parts)} slices)")  # fmt: skip


if __name__ == "__main__":
    main()
