"""The folder that an evaluation is written to: whose it is, and everything that goes into it."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nightherd.datasets.results import result_rows, write_results
from nightherd.datasets.types import Dataset, LabelledImage
from nightherd.errors import ResultsError
from nightherd.evaluation.curves import ConfidenceCurve
from nightherd.evaluation.summary import Summary
from nightherd.files import write_bytes, write_json, write_text
from nightherd.report.evaluation import ReportPicture
from nightherd.types import Detections
from nightherd.workflows.evaluate_source import PROGRESS

RESULTS_FOLDER = "nightherd-results"
DETECTIONS, OTHER_DETECTIONS = "detections.json", "detections-against.json"
FIGURES = ("curves.png", "confidence.png", "confusion.png", "error_types.png", "calibration.png", "slices.png")
WRITTEN = (DETECTIONS, OTHER_DETECTIONS, "confusion.csv", "curves.csv", *FIGURES, "report.html", "metrics.json")
MOST_POINTS = 400
"""Rows of a class in `curves.csv`."""


def default_out(model: str, dataset: str, split: str | None) -> Path:
    """The folder for the results where none is given."""
    name = "-".join(part for part in (model, "on", dataset, split) if part)
    return Path(RESULTS_FOLDER) / re.sub(r"[^\w.+-]+", "-", name).strip(".-")


def finished(folder: Path, settings: Mapping[str, Any], force: bool, goes_on: bool) -> dict[str, Any] | None:
    """The metrics of the same evaluation, where it is there; one that `goes_on` from a record checks whose that is.

    Raises:
        ResultsError: the folder holds another evaluation or other work, or is a file.
    """
    path = folder / "metrics.json"
    if folder.exists() and not folder.is_dir():
        raise ResultsError("is a file; --out names the folder for the results", folder)
    if force:
        return None
    if not path.exists():
        there = [name for name in WRITTEN if (folder / name).exists()]
        if there and not (goes_on and (folder / PROGRESS).exists()):
            raise ResultsError(
                f"holds a {there[0]} of other work; choose another --out, or --force to overwrite it",
                folder,
            )
        return None
    try:
        metrics = json.loads(path.read_bytes())
        found = metrics["settings"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ResultsError("is no evaluation; choose another --out, or --force to overwrite it", path) from error
    if found == json.loads(json.dumps(settings)):
        return dict(metrics)
    differs = ", ".join(name for name in settings if not isinstance(found, dict) or found.get(name) != settings[name])
    raise ResultsError(f"holds another evaluation ({differs}); choose another --out, or --force to overwrite it", path)


def write_detections(path: Path, detections: Sequence[tuple[LabelledImage, Detections]], data: Dataset) -> None:
    """COCO results under the data set's own ids, every digit of the scores kept, so that the file ranks alike."""
    rows = []
    for image, found in detections:
        new = result_rows(image.id, found, data.category_ids, image.file_name)
        for row, score in zip(new, found.scores, strict=True):
            row["score"] = float(f"{score:.9g}")
        rows += new
    write_results(path, rows)


def write_figures(
    folder: Path, metrics: Mapping[str, Any], summary: Summary, worst: Sequence[ReportPicture] = ()
) -> None:
    """The tables, the pictures and the report; what the truth does not tell is not drawn, and an old one removed."""
    from nightherd.report import evaluation_figures as draw
    from nightherd.report.evaluation import evaluation_page

    confusion, curves = summary.measured.confusion, summary.measured.curves
    tables, pictures = dict[str, str](), dict[str, bytes]()
    if confusion is not None:
        tables["confusion.csv"] = _csv(
            ["truth \\ prediction", *confusion.labels],
            [[label, *line] for label, line in zip(confusion.labels, confusion.matrix.tolist(), strict=True)],
        )
        rows = [row for curve in curves for row in _curve_rows(curve)]
        tables["curves.csv"] = _csv(["class", "confidence", "precision", "recall", "f1"], rows)
        lines = [
            draw.ClassCurve(c.name, c.threshold, c.precision, c.recall, c.f1, confusion.thresholds[c.name])
            for c in curves
        ]
        pictures["curves.png"] = draw.curves_picture(lines)
        pictures["confidence.png"] = draw.confidence_picture(lines)
        pictures["confusion.png"] = draw.confusion_picture(confusion.labels, confusion.matrix)
        reliability = {name: one["reliability"] for name, one in metrics["per_class"].items()}
        pictures["calibration.png"] = draw.calibration_picture(reliability)
    if metrics["error_types"]:
        pictures["error_types.png"] = draw.error_types_picture(metrics["error_types"], metrics["intervals"])
    if any(metrics["slices"].values()):
        pictures["slices.png"] = draw.slices_picture(metrics["slices"], metrics["truth"]["kind"])
    for name in WRITTEN:
        if name.endswith((".csv", ".png")) and name not in (*tables, *pictures):
            (folder / name).unlink(missing_ok=True)
    for name, text in tables.items():
        write_text(folder / name, text)
    for name, data in pictures.items():
        write_bytes(folder / name, data)
    figures = {Path(name).stem: data for name, data in pictures.items()}
    write_text(folder / "report.html", evaluation_page(metrics, figures, worst))
    write_json(folder / "metrics.json", metrics)


def _csv(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return table.getvalue()


def _curve_rows(curve: ConfidenceCurve) -> list[list[object]]:
    """Precision, recall and F1 at most `MOST_POINTS` confidences, from the highest to the lowest."""
    n = len(curve.threshold)
    at = np.unique(np.linspace(0, n - 1, min(n, MOST_POINTS)).round().astype(int)) if n else np.zeros(0, int)
    columns = (curve.threshold[at], curve.precision[at], curve.recall[at], curve.f1[at])
    return [[curve.name, *(f"{value:.6g}" for value in row)] for row in zip(*columns, strict=True)]
