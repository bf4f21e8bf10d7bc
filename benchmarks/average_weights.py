"""The mean of the weights of several runs of one preset, as a run to start from or to export.

    python benchmarks/average_weights.py 0.35=runs/four 0.65=runs/five --out runs/mean
    python benchmarks/average_weights.py 0.4=runs/four 0.6=runs/hituav --out runs/start \\
      --map Person=person Car=vehicle Bicycle=bicycle

Averaging weights that came from one another often does better on data unlike the training's than either (Wortsman et
al. 2022, doi 10.48550/arXiv.2203.05482). The first run gives config.json and the classes; a class that another run does
not know, after `--map`, keeps the first one's rows of the head. The folder of --out is made anew.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from torch import Tensor

from nightherd.datasets.mapping import parse_mapping
from nightherd.errors import ConfigError, ModelError, NightherdError, ResultsError
from nightherd.files import write_bytes
from nightherd.training.checkpoints import load_tensors, save_tensors
from nightherd.training.start import BEST, BOXES, SCORES
from nightherd.workflows.export import run_config
from nightherd.workflows.train import CONFIG


def rows_of(name: str) -> int:
    """How many rows of a tensor belong to each class, background included; 0 where none do."""
    return 1 if name.startswith(SCORES) else 4 if name.startswith(BOXES) else 0


def check_alike(first: dict[str, Tensor], other: dict[str, Tensor], n_classes: int, path: Path) -> None:
    """
    Args:
        first, other: tensors by name.
        n_classes: of the other.
        path: of the other, for the message.

    Raises:
        ModelError: the other has other tensors, or of other shapes but for the rows of its own classes.
    """
    if lacking := sorted(first.keys() ^ other.keys()):
        raise ModelError(f"holds weights of another model than the first run: {lacking[0]} is in one only", path)
    for name, value in first.items():
        rows = rows_of(name)
        wanted = (rows * (n_classes + 1), *value.shape[1:]) if rows else tuple(value.shape)
        if tuple(other[name].shape) != wanted:
            found = f"{name} has the shape {tuple(other[name].shape)}, not {wanted}"
            raise ModelError(f"holds weights of another model than the first run: {found}", path)


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
        rows = rows_of(name)
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


def share_and_run(given: str) -> tuple[float, Path]:
    """
    Raises:
        ConfigError: not SHARE=RUN with a share above 0.
    """
    share, _, run = given.partition("=")
    try:
        if run and 0 < float(share) < float("inf"):
            return float(share), Path(run)
    except ValueError:
        pass
    raise ConfigError(f"'{given}': give SHARE=RUN, such as 0.5=runs/four")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="SHARE=RUN")
    parser.add_argument("--map", nargs="+", default=[], metavar="OLD=NEW", help="classes by the first run's names")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    try:
        if options.out.exists() and (not options.out.is_dir() or any(options.out.iterdir())):
            raise ResultsError("is there already; choose another --out", options.out)
        mapping = parse_mapping(options.map)
        runs = [share_and_run(given) for given in options.runs]
        parts: list[tuple[float, dict[str, Tensor], list[str]]] = []
        for share, run in runs:
            classes = [mapping.get(name, name) for name in run_config(run)["classes"]]
            tensors = load_tensors(run / BEST)
            check_alike(parts[0][1] if parts else tensors, tensors, len(classes), run / BEST)
            parts.append((share, tensors, classes))
        save_tensors(options.out / BEST, mean(parts))
        write_bytes(options.out / CONFIG, (runs[0][1] / CONFIG).read_bytes())
    except NightherdError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
