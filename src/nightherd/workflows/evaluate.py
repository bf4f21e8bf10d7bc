"""What `nightherd evaluate` does: a model or anyone's COCO results against a labelled data set, to metrics and figures.

    metrics = evaluate("nightherd-small", "hit-uav", split="val", mapping={"Person": "person"}, out=Path("val"))

Writes `metrics.json`, `detections.json` (COCO results under the data set's own ids and names), `confusion.csv`,
`curves.csv`, figures and `report.html`. While a model runs, `progress.jsonl` records each frame, and a later run goes
on from it.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nightherd import __version__
from nightherd.datasets import open_dataset
from nightherd.datasets.images import Missing
from nightherd.datasets.mending import count_problems
from nightherd.datasets.types import Dataset, ImageId, LabelledImage
from nightherd.errors import ConfigError, DatasetError, FrameError
from nightherd.evaluation.sizes import parse_sizes
from nightherd.evaluation.summary import summarise
from nightherd.types import Detections
from nightherd.workflows.detector import Detector
from nightherd.workflows.evaluate_measure import Asked, classes_of, own_thresholds_of, rule_of
from nightherd.workflows.evaluate_output import (
    DETECTIONS,
    OTHER_DETECTIONS,
    default_out,
    finished,
    write_detections,
    write_figures,
)
from nightherd.workflows.evaluate_pictures import worst_images, worst_pictures
from nightherd.workflows.evaluate_source import PROGRESS, dataset_digest, detections_of, open_source
from nightherd.workflows.evaluate_truth import Table, is_table, read_table
from nightherd.workflows.explain_mistakes import maps_for_mistakes, with_maps
from nightherd.workflows.record import record_evaluation
from nightherd.workflows.telling import Note, Track, silent, untracked

AGAINST_FOLDER = "against"
"""Where the record of the other model's run is kept while it runs."""

FEW_FLIGHTS = 10
"""Below this a bootstrap over flights says too little of what another flight would give, and that is said."""

RADIUS = "12px"
"""How far the centre of a detection may lie from a point, where nothing is said."""


def evaluate(
    model: str | Path | Detector,
    dataset: str | Path | Dataset,
    *,
    split: str | None = None,
    mapping: Mapping[str, str] | None = None,
    out: Path | None = None,
    iou: float = 0.5,
    confidence: float | None = None,
    own_thresholds: bool = False,
    at_recall: float | None = None,
    at_precision: float | None = None,
    sizes: str = "coco",
    slices: Sequence[str] = (),
    against: str | Path | Detector | None = None,
    radius: str | None = None,
    images: Path | None = None,
    replicates: int = 1000,
    seed: int = 0,
    threads: int | None = None,
    missing: Missing = "error",
    force: bool = False,
    track: Track = untracked,
    note: Note = silent,
) -> dict[str, Any]:
    """Measures detections against truth and writes the results.

    Args:
        model: a bundled model's name, a model file, a COCO results file (`.json`), or a detector.
        dataset: as `open_dataset` takes it, one that is open, or a table of points or counts (`.csv`).
        split: which images; None takes `val` where the data set has splits, else all images.
        mapping: new names of classes on either side, e.g. {"Rotwild": "animal"}.
        out: folder for the results; None takes `./nightherd-results/MODEL-on-DATASET-SPLIT`.
        iou: overlap that makes a detection right, outside AP, which has its own.
        confidence: score from which a detection counts, outside AP; None takes the best F1 of each class.
        own_thresholds: instead, the model's own score for each class, which `detect` and `survey` go by.
        at_recall, at_precision: instead, the score at which each class reaches this share.
        sizes: bins for AP by size, as `parse_sizes` takes them.
        slices: columns of the data set to measure by, as `parts_of` takes them.
        against: another model or results file to compare with.
        radius: where the truth is points, how far a detection's centre may lie from one, `12px` or `2m`.
        images: where the truth is a table, the folder of its images.
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
    mapping, bins = dict(mapping or {}), parse_sizes(sizes)
    rule = rule_of(confidence, at_recall, at_precision, own_thresholds)
    if not 0 < iou <= 1 or replicates < 0:
        raise ConfigError("--iou lies between 0 and 1, and --replicates is not negative")
    table = _open_table(dataset, images, split, missing, is_results(model) and (not against or is_results(against)))
    if table is None and (radius is not None or images is not None):
        raise ConfigError("--radius and --images are for truth in a table (.csv) of points or counts")
    data = table.data if table is not None else _open(dataset, split, missing)
    source = open_source(model, data, mapping, threads)
    other = None if against is None else open_source(against, data, mapping, threads)
    classes, other_classes = classes_of(source, other, data, mapping)
    own_thresholds_of(source, classes, rule)  # before frames are searched for hours
    if other is not None:
        own_thresholds_of(other, other_classes or classes, rule)
    splits = sorted({image.split for image in data.images if image.split})
    split_name = "+".join(splits) or None
    folder = Path(out) if out is not None else default_out(source.name, data.name, split_name)
    settings = {
        "model": source.name,
        "model_sha256": source.digest,
        "dataset": data.name,
        "dataset_sha256": dataset_digest(data) if table is None else table.digest,
        "split": split_name,
        "map": mapping,
        "iou": iou,
        "confidence": confidence,
        "own_thresholds": own_thresholds,
        "at_recall": at_recall,
        "at_precision": at_precision,
        "sizes": sizes,
        "slices": list(slices),
        "against": None if other is None else other.name,
        "against_sha256": None if other is None else other.digest,
        "radius": (radius or RADIUS) if table is not None and table.kind == "points" else None,
        "replicates": replicates,
        "seed": seed,
        "version": __version__,
    }
    goes_on = source.detector is not None or (other is not None and other.detector is not None)
    if (done := finished(folder, settings, force, goes_on)) is not None:
        return {**done, "out": str(folder), "was_finished": True}

    detections, failures = detections_of(source, data, folder, force, track, note)
    more: dict[ImageId, Detections] = {}
    if other is not None:
        more, others_failed = detections_of(other, data, folder / AGAINST_FOLDER, force, track, note)
        failures = {**others_failed, **failures}
    there = [one for one in data.images if one.id in detections and (other is None or one.id in more)]
    if not there:
        raise FrameError(f"not one of the {len(data)} images could be read; the first: {next(iter(failures.values()))}")
    asked = Asked(there, classes, table, settings, rule, bins, iou)
    parts = asked.parts(slices)
    measured = asked.measure(source, detections, parts)
    rival = None if other is None or other_classes is None else asked.measure(other, more, (), other_classes)
    groups, unit = _groups(there)
    summary = summarise(
        measured,
        replicates=replicates,
        seed=seed,
        groups=groups,
        against=rival,
        names=(source.name, other.name if other is not None else ""),
        track=track,
    )
    errors = worst_images(there, measured)
    worst, unseen = worst_pictures(errors, measured)
    if source.detector is not None and isinstance(model, str | Path):
        worst = with_maps(worst, maps_for_mistakes(model, errors, measured, mapping, threads=threads))
    notes = _notes_on_data(data, failures, unseen) + classes.notes(data.name)
    if other is not None and other_classes is not None and set(other_classes.only_found) != set(classes.only_found):
        notes.append(f"Compared in the classes that both find: {', '.join(classes.names)}.")
    notes += summary.notes
    resampled = f"percentile bootstrap over {unit}, {replicates} samples, seed {seed}"
    if replicates:
        notes.append(f"Intervals: 95 %, {resampled}." if len(there) > 1 else "No intervals: one image is no sample.")
    metrics = {
        **summary.metrics,
        "resampled": resampled if replicates and len(there) > 1 else None,
        "images_failed": [{"file_name": name, "reason": reason} for name, reason in failures.items()],
        "notes": notes,
        "settings": settings,
        "command": _command(model, dataset, against, images, settings),
    }
    write_detections(folder / DETECTIONS, [(one, classes.under_own_names(detections[one.id])) for one in there], data)
    if other_classes is not None:
        rows = [(one, other_classes.under_own_names(more[one.id])) for one in there]
        write_detections(folder / OTHER_DETECTIONS, rows, data)
    else:
        (folder / OTHER_DETECTIONS).unlink(missing_ok=True)
    record_evaluation(folder, metrics, data, dataset, note)
    write_figures(folder, metrics, summary, worst)
    _clear(folder, source.detector is not None)
    return {**metrics, "out": str(folder), "was_finished": False}


def is_results(model: object) -> bool:
    """Whether a model is named that is a file of results, for which no image need be there."""
    return isinstance(model, str | Path) and Path(model).suffix.lower() == ".json"


def _open_table(
    dataset: object, images: Path | None, split: str | None, missing: Missing, is_measured_from_results: bool
) -> Table | None:
    if not is_table(dataset):
        return None
    assert isinstance(dataset, str | Path)
    if split is not None:
        raise ConfigError("a table of points or counts has no splits; leave --split out")
    return read_table(Path(dataset), images, "allow" if is_measured_from_results else missing)


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
    few = " (so few that the intervals are rather too narrow)" if len(known) < FEW_FLIGHTS else ""
    return [str(flight) for flight in flights], f"{len(known)} flights{few}"


def _notes_on_data(data: Dataset, failures: Mapping[str, str], unseen: int) -> list[str]:
    notes = []
    if failures:
        notes.append(f"{len(failures)} of {len(data)} images could not be read and are left out.")
    if mended := count_problems(data.problems):
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in mended.items())
        notes.append(f"Of {data.name}, mended or left out: {kinds}; 'nightherd data inspect' lists them.")
    if unseen:
        notes.append(f"{unseen} of the images with the most errors could not be read, and are not shown.")
    return notes


def _command(model: object, dataset: object, against: object, images: Path | None, settings: Mapping[str, Any]) -> str:
    """The command line that does the same."""
    given = [settings[key] if not isinstance(one, str | Path) else str(one)
             for key, one in (("model", model), ("dataset", dataset))]  # fmt: skip
    words = ["nightherd", "evaluate", *given]
    if settings["split"]:
        words += ["--split", settings["split"]]
    if settings["map"]:
        words += ["--map", ",".join(f"{old}={new}" for old, new in settings["map"].items())]
    defaults = {"iou": 0.5, "confidence": None, "at_recall": None, "at_precision": None, "sizes": "coco",
                "radius": None, "replicates": 1000, "seed": 0}  # fmt: skip
    for key, usual in defaults.items():
        if settings[key] != usual:
            words += [f"--{key.replace('_', '-')}", str(settings[key])]
    if settings["own_thresholds"]:
        words += ["--own-thresholds"]
    for column in settings["slices"]:
        words += ["--slice", column]
    if against is not None:
        words += ["--against", str(against) if isinstance(against, str | Path) else settings["against"]]
    if images is not None:
        words += ["--images", str(images)]
    return shlex.join(words)


def _clear(folder: Path, has_run: bool) -> None:
    """Takes away the records of the runs, which the results replace; without a run, one there is another's."""
    if has_run:
        (folder / PROGRESS).unlink(missing_ok=True)
    inner = folder / AGAINST_FOLDER
    if inner.is_dir():
        (inner / PROGRESS).unlink(missing_ok=True)
        if not any(inner.iterdir()):
            inner.rmdir()
