"""What `nightherd evaluate` does: a model or anyone's COCO results against a labelled data set, to metrics and figures.

    metrics = evaluate("nightherd-small", "hit-uav", split="val", mapping={"Person": "person"}, out=Path("val"))

Writes `metrics.json`, `detections.json` (COCO results under the data set's own ids and names), `confusion.csv`, two
figures and `report.html`. While a model runs, `progress.jsonl` records each frame, and a later run goes on from it.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nightherd import __version__
from nightherd.datasets import open_dataset
from nightherd.datasets.images import Missing
from nightherd.datasets.mending import count_problems
from nightherd.datasets.results import result_rows, write_results
from nightherd.datasets.types import Dataset, LabelledImage
from nightherd.errors import ConfigError, DatasetError, FrameError, ResultsError
from nightherd.evaluation.summary import Summary, summarise
from nightherd.files import write_bytes, write_json, write_text
from nightherd.types import Detections
from nightherd.workflows.class_names import common_classes
from nightherd.workflows.detector import Detector
from nightherd.workflows.evaluate_source import PROGRESS, dataset_digest, detections_of, open_source

RESULTS_FOLDER = "nightherd-results"
WRITTEN = ("detections.json", "confusion.csv", "curves.png", "confusion.png", "report.html", "metrics.json")

Track = Callable[..., Iterable[Any]]
Note = Callable[[str], None]


def _plain(items: Iterable[Any], description: str, total: int | None = None) -> Iterable[Any]:
    return items


def _silent(text: str) -> None:
    pass


def evaluate(
    model: str | Path | Detector,
    dataset: str | Path | Dataset,
    *,
    split: str | None = None,
    mapping: Mapping[str, str] | None = None,
    out: Path | None = None,
    iou: float = 0.5,
    confidence: float | None = None,
    replicates: int = 1000,
    seed: int = 0,
    threads: int | None = None,
    missing: Missing = "error",
    force: bool = False,
    track: Track = _plain,
    note: Note = _silent,
) -> dict[str, Any]:
    """Measures detections against truth and writes the results.

    Args:
        model: a bundled model's name, a model file, a COCO results file (`.json`), or a detector.
        dataset: as `open_dataset` takes it, or one that is open.
        split: which images; None takes `val` where the data set has splits, else all images.
        mapping: new names of classes on either side, e.g. {"Rotwild": "animal"}.
        out: folder for the results; None takes `./nightherd-results/MODEL-on-DATASET-SPLIT`.
        iou: overlap that makes a detection right, outside AP, which has its own.
        confidence: score from which a detection counts, outside AP; None takes the best F1 of each class.
        replicates, seed: of the bootstrap; 0 replicates give no intervals.
        threads: processor cores for the model; None takes all.
        missing: what to do about an image that the labels name and that is not there.
        force: overwrites another evaluation in `out` and begins anew.
        track: shows progress, called as `track(items, description, total)`.
        note: is told one line for whatever is noteworthy.

    Returns:
        What `metrics.json` holds, and `out`, the folder, and `was_finished`, whether it all was there before.

    Raises:
        NightherdError: the model, the results, the data set or the settings are at fault.
    """
    if not 0 < iou <= 1 or (confidence is not None and not 0 <= confidence <= 1) or replicates < 0:
        raise ConfigError("--iou lies between 0 and 1, --confidence from 0 to 1, and --replicates is not negative")
    mapping = dict(mapping or {})
    data = _open(dataset, split, missing)
    source = open_source(model, data, mapping, threads)
    classes = common_classes(source.classes, data, mapping)
    splits = sorted({image.split for image in data.images if image.split})
    split_name = "+".join(splits) or None
    folder = Path(out) if out is not None else _default_out(source.name, data.name, split_name)
    settings = {
        "model": source.name,
        "model_sha256": source.digest,
        "dataset": data.name,
        "dataset_sha256": dataset_digest(data),
        "split": split_name,
        "map": mapping,
        "iou": iou,
        "confidence": confidence,
        "replicates": replicates,
        "seed": seed,
        "version": __version__,
    }
    if (finished := _finished(folder, settings, force, goes_on=source.detector is not None)) is not None:
        return {**finished, "out": str(folder), "was_finished": True}

    detections, failures = detections_of(source, data, folder, force, track, note)
    images = [image for image in data.images if image.id in detections]
    if not images:
        raise FrameError(f"not one of the {len(data)} images could be read; the first: {next(iter(failures.values()))}")
    groups, unit = _groups(images)
    fixed = None if confidence is None else dict.fromkeys(classes.names, confidence)
    own = source.thresholds or {}
    summary = summarise(
        [classes.truth(image) for image in images],
        [classes.joined(detections[image.id]) for image in images],
        classes.names,
        iou=iou,
        thresholds=fixed,
        fallback={classes.mapping.get(name, name): value for name, value in own.items()},
        replicates=replicates,
        seed=seed,
        groups=groups,
        track=track,
    )
    notes = [*classes.notes(data.name), *summary.notes]
    if mended := count_problems(data.problems):
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in mended.items())
        notes.insert(0, f"Of {data.name}, mended or left out: {kinds}; 'nightherd data inspect' lists them.")
    if failures:
        notes.insert(0, f"{len(failures)} of {len(data)} images could not be read and are left out.")
    if replicates:
        notes.append(f"Intervals: 95 %, percentile bootstrap over {unit}, {replicates} samples, seed {seed}.")
    metrics = {
        **summary.metrics,
        "images_failed": [{"file_name": name, "reason": reason} for name, reason in failures.items()],
        "notes": notes,
        "settings": settings,
    }
    _write(folder, metrics, summary, [(image, classes.under_own_names(detections[image.id])) for image in images], data)
    if source.detector is not None:
        (folder / PROGRESS).unlink(missing_ok=True)
    return {**metrics, "out": str(folder), "was_finished": False}


def _open(dataset: str | Path | Dataset, split: str | None, missing: Missing) -> Dataset:
    """The data set; without a split named, its `val`, or all of it where it has no splits."""
    if isinstance(dataset, Dataset):
        whole = dataset
    elif split is not None:
        return open_dataset(dataset, split, missing=missing)
    else:
        try:
            return open_dataset(dataset, "val", missing=missing)
        except DatasetError:
            whole = open_dataset(dataset, missing=missing)
    if split is not None:
        return whole.split(split)
    splits = sorted({image.split for image in whole.images if image.split})
    if splits and "val" not in splits:
        raise DatasetError(f"{whole.name} has no split 'val'; say which with --split ({', '.join(splits)})")
    return whole.split("val") if splits else whole


def _groups(images: Sequence[LabelledImage]) -> tuple[list[str] | None, str]:
    """The flight of each image where every image has one and there are several; and what is resampled, in words."""
    flights = [image.attributes.get("flight") for image in images]
    known = {str(flight) for flight in flights}
    if None in flights:
        return (
            None,
            f"{len(images)} images (their flights are not known; frames of one flight look alike, so the "
            "intervals are too narrow)",
        )
    if len(known) < 2:
        return None, f"{len(images)} images of one flight (they say nothing about other flights)"
    return [str(flight) for flight in flights], f"{len(known)} flights"


def _default_out(model: str, dataset: str, split: str | None) -> Path:
    name = "-".join(part for part in (model, "on", dataset, split) if part)
    return Path(RESULTS_FOLDER) / re.sub(r"[^\w.+-]+", "-", name).strip(".-")


def _finished(folder: Path, settings: Mapping[str, Any], force: bool, goes_on: bool) -> dict[str, Any] | None:
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


def _write(
    folder: Path,
    metrics: Mapping[str, Any],
    summary: Summary,
    detections: Sequence[tuple[LabelledImage, Detections]],
    data: Dataset,
) -> None:
    """Everything into the folder, `metrics.json` last: where it is, all is."""
    from nightherd.report.evaluation import ClassCurve, confusion_picture, curves_picture, evaluation_page

    rows = []
    for image, found in detections:
        new = result_rows(image.id, found, data.category_ids, image.file_name)
        for row, score in zip(new, found.scores, strict=True):
            row["score"] = float(f"{score:.9g}")  # every digit, so that evaluating this file ranks alike
        rows += new
    write_results(folder / "detections.json", rows)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["truth \\ prediction", *summary.confusion.labels])
    for label, line in zip(summary.confusion.labels, summary.confusion.matrix.tolist(), strict=True):
        writer.writerow([label, *line])
    write_text(folder / "confusion.csv", table.getvalue())
    chosen = summary.confusion.thresholds
    curves = curves_picture(
        [ClassCurve(c.name, c.threshold, c.precision, c.recall, c.f1, chosen[c.name]) for c in summary.curves]
    )
    confusion = confusion_picture(summary.confusion.labels, summary.confusion.matrix)
    write_bytes(folder / "curves.png", curves)
    write_bytes(folder / "confusion.png", confusion)
    write_text(folder / "report.html", evaluation_page(metrics, curves, confusion))
    write_json(folder / "metrics.json", metrics)
