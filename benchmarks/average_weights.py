"""The mean of the weights of several runs of one preset, as a run to start from or to export.

    python benchmarks/average_weights.py 0.35=runs/four 0.65=runs/five --out runs/mean
    python benchmarks/average_weights.py 0.4=runs/four 0.6=runs/hituav --out runs/start \\
      --map Person=person Car=vehicle Bicycle=bicycle

Averaging weights that came from one another often does better on data unlike the training's than either (Wortsman et
al. 2022, doi 10.48550/arXiv.2203.05482). The first run gives config.json and the classes; a class that another run does
not know, after `--map`, keeps the first one's rows of the head.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from torch import Tensor

from nightherd.datasets.mapping import parse_mapping
from nightherd.errors import NightherdError
from nightherd.training.checkpoints import load_tensors, save_tensors
from nightherd.training.start import BEST, BOXES, SCORES
from nightherd.workflows.export import run_config


def mean(parts: list[tuple[float, dict[str, Tensor], list[str]]]) -> dict[str, Tensor]:
    """The weighted mean of tensors.

    Args:
        parts: share, tensors by name, and classes in the order of the labels; the order of the first is kept.
    """
    _, first, classes = parts[0]
    total = sum(share for share, _, _ in parts)
    result = {}
    for name, value in first.items():
        if not value.is_floating_point():
            result[name] = value
            continue
        rows = 1 if name.startswith(SCORES) else 4 if name.startswith(BOXES) else 0
        result[name] = value.float() * 0
        for share, tensors, known in parts:
            one = tensors[name].float()
            if rows:
                mine = value.float().clone()
                for i, label in enumerate(["", *classes]):
                    j = ["", *known].index(label) if label in ["", *known] else None
                    if j is not None:
                        mine[i * rows : (i + 1) * rows] = one[j * rows : (j + 1) * rows]
                one = mine
            result[name] += share / total * one
        result[name] = result[name].to(value.dtype)
    return result


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="SHARE=RUN")
    parser.add_argument("--map", nargs="+", default=[], metavar="OLD=NEW", help="classes by the first run's names")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    try:
        mapping = parse_mapping(options.map)
        parts = []
        for given in options.runs:
            share, _, run = given.partition("=")
            classes = [mapping.get(name, name) for name in run_config(Path(run))["classes"]]
            parts.append((float(share), load_tensors(Path(run) / BEST), classes))
        options.out.mkdir(parents=True, exist_ok=True)
        save_tensors(options.out / BEST, mean(parts))
        shutil.copyfile(Path(options.runs[0].partition("=")[2]) / "config.json", options.out / "config.json")
    except NightherdError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
