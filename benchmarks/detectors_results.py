"""The table of `docs/results.md`: rows kept as JSON, so that those of several machines stand in one page.

Part of `detectors.py`, which is the command. A row is one detector under one amount of training on one machine:

    name, images (training images seen), start (where its weights began), provenance (machine and state of training),
    seeds and metrics (one set for each seed: ap, ap50, ap_by_size, ap50_by_class, n_images), and, where measured,
    parameters, gmac, ms and images_per_second; timed: where and how the latter two were measured, if by `--cost`.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nightherd.errors import ResultsError
from nightherd.files import write_json, write_text

RESULTS = Path(__file__).parent.parent / "docs" / "results.md"
SIZE_TITLES = {"under_16": "AP under 16²", "16_to_32": "AP 16²–32²", "over_32": "AP over 32²"}
CLASSES = ("Person", "Car", "Bicycle", "OtherVehicle")
TIMES = ("ms", "images_per_second", "timed")
NEEDED = ("name", "images", "start", "provenance", "seeds", "metrics")

HEAD = """# Detectors on HIT-UAV

What detectors reach on the validation frames of HIT-UAV (Suo et al. 2023, 290 frames), trained on its training frames.
The test frames were looked at by nobody here. 106 of the 290 have a near-duplicate among the training frames
(`nightherd data inspect hit-uav`), which flatters every row alike. Figures that papers give are of the test frames or
of other splits, so none of them can be set beside these.

A figure is the mean over seeds, ± the standard deviation where there are several. A row says how many training images
it saw, where its weights began and on what machine; rows of different training are not comparable with each other, and
those marked *not converged* say nothing about how good the detector can be. Rows that `detectors.py --train` made saw
the same crops; torchvision's models went through its reference loop (SGD, two drops of the rate, the last weights), the
others through Nightherd's (AdamW, cosine, averaged weights; of long runs the best of four looks at val). The detections
are the network's own, in every row those with a score of at least 0.02, at most 500 a frame; `nightherd evaluate`,
which leaves each body one label, comes out up to a hundredth lower in AP and for Person, Car and Bicycle, and up to
four hundredths for OtherVehicle with its 12 boxes.
"""

COSTS = """

GMAC count a frame of 512 × 640 with the second stage, on as many proposals as a detector takes at most.
"""

TIMED = """
`detectors.py --cost` measured the times where a row names the processor, in one run of interleaved rounds: milliseconds
a frame in torch in float32, and training images a second on crops of 384 × 384 with layers in bf16, 8 images a step for
`small`, 2 for the others. In ONNX Runtime, which `survey` uses, `small` takes half the time
([Detectors](detectors.md)).
"""

FOOT = """\
Sizes are of boxes, in pixels: 16² is an area of 256. OtherVehicle has 12 boxes in these frames: its AP is a matter of
luck, so the mean over Person, Car and Bicycle stands beside that over all four.

## Your row

    uv run --extra train python benchmarks/detectors.py --train --budget gpu --data hit-uav --runs runs \\
      --presets lyu2024-resnet18 --seeds 0 1 2 --results mine.md

writes `mine.md` and `mine.json`. Send the JSON with an issue; `detectors.py --add mine.json` puts it here.
"""


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON file.

    Raises:
        ResultsError: it is not there, or something in it is no row.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ResultsError(f"cannot be read: {error.strerror}", path) from error
    except ValueError as error:
        raise ResultsError("is not JSON", path) from error
    if not isinstance(rows, list):
        raise ResultsError("holds no list of rows", path)
    for row in rows:
        lacking = [key for key in NEEDED if not isinstance(row, dict) or key not in row]
        if lacking or len(row["seeds"]) != len(row["metrics"]):
            raise ResultsError(
                f"holds something that is no row: {', '.join(lacking) or 'a seed without metrics'}", path
            )
    return rows


def add_rows(path: Path, new: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Writes new rows beside those of a file and returns all.

    A row of the same detector, training and place takes the new one's figures; seeds that only it has stay.
    """
    rows = {_key(row): row for row in (read_rows(path) if path.is_file() else [])}
    for row in new:
        before = rows.get(_key(row))
        metrics = dict(zip(before["seeds"], before["metrics"], strict=True)) if before else {}
        metrics |= dict(zip(row["seeds"], row["metrics"], strict=True))
        seeds = sorted(metrics)
        timed = {key: before[key] for key in TIMES if key in before} if before and "timed" in before else {}
        joined = {"seeds": seeds, "metrics": [metrics[seed] for seed in seeds]}
        rows[_key(row)] = {**(before or {}), **row, **timed, **joined}
    merged = list(rows.values())
    write_json(path, merged)
    return merged


def _key(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in ("name", "images", "start", "provenance"))


def write_results(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes the page."""
    write_text(path, f"{HEAD}\n{results_table(rows).rstrip()}\n\n{FOOT}")


def results_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as two Markdown tables: what the detectors find, and what they cost; the best trained first."""
    columns = ["detector", "training images", "start", "seeds", "AP", "AP50 of 4", "AP50 of 3"]
    columns += [f"AP50 {name}" for name in CLASSES] + list(SIZE_TITLES.values()) + ["where it comes from"]
    found = [_line(columns), _line(["---"] * len(columns))]
    cost = [_line(["detector", "parameters (10⁶)", "GMAC", "ms a frame", "training images a second", "where"])]
    cost.append(_line(["---"] * 6))
    for row in sorted(rows, key=lambda row: -_mean(row, "ap")):
        metrics = row["metrics"]
        cells = [row["name"], f"{row['images']:,}", row["start"], str(len(row["seeds"]))]
        cells += [_spread([one.get("ap") for one in metrics]), _spread([one.get("ap50") for one in metrics])]
        cells.append(_spread([_mean_of_three(one) for one in metrics]))
        cells += [_spread([one["ap50_by_class"].get(name) for one in metrics]) for name in CLASSES]
        cells += [_spread([one["ap_by_size"].get(name) for one in metrics]) for name in SIZE_TITLES]
        found.append(_line([*cells, row["provenance"]]))
        if row.get("parameters"):
            speed = [
                _number(row.get(key), digits) for key, digits in (("gmac", 1), ("ms", 0), ("images_per_second", 2))
            ]
            where = row.get("timed") or row["provenance"]
            cost.append(_line([row["name"], f"{row['parameters'] / 1e6:.1f}", *speed, where]))
    text = "\n".join(found)
    if len(cost) > 2:
        text += "\n\n## What they cost\n\n" + "\n".join(dict.fromkeys(cost))
        text += COSTS + (TIMED if any("timed" in row for row in rows) else "")
    return text


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in cells) + " |"


def _mean(row: Mapping[str, Any], name: str) -> float:
    values = [one.get(name) or 0.0 for one in row["metrics"]]
    return statistics.fmean(values) if values else 0.0


def _mean_of_three(metrics: Mapping[str, Any]) -> float | None:
    values = [metrics["ap50_by_class"].get(name) for name in CLASSES[:3]]
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if len(known) == 3 else None


def _spread(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    text = f"{statistics.fmean(known):.3f}"
    return f"{text} ± {statistics.stdev(known):.3f}" if len(known) > 1 else text


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
