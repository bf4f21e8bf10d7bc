"""Whether training on hard negatives paid: false alarms a frame at equal recall, before and after, on held-out frames.

    proof = prove(["runs/control-0", "runs/control-1"], ["runs/mined-0", "runs/mined-1"], "hit-uav", out=Path("proof"))

Each seed is a pair: the run that went on without hard negatives, and the one that went on as long with them. The
interval comes from resampling frames (flights, where they are known) and pairs together.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nightherd import __version__
from nightherd.datasets import open_dataset
from nightherd.datasets.images import Missing
from nightherd.datasets.types import Dataset, LabelledImage
from nightherd.errors import ConfigError, DatasetError, FrameError, ResultsError
from nightherd.evaluation.false_alarms import AlarmTable, alarm_tables
from nightherd.files import write_json
from nightherd.types import Detections
from nightherd.workflows.class_names import common_classes
from nightherd.workflows.detector import Detector
from nightherd.workflows.evaluate_source import Source, dataset_digest, detections_of
from nightherd.workflows.mine import RESULTS_FOLDER, WORK, as_detector, identity, mined_frames
from nightherd.workflows.mine_area import ground_areas
from nightherd.workflows.mine_files import file_digest
from nightherd.workflows.mine_statistics import Comparison, compare, verdict
from nightherd.workflows.telling import Note, Track, silent, untracked

RECORD = "proof.json"
RECALLS = (0.5, 0.6, 0.7, 0.8, 0.9)


def prove(
    before: Sequence[str | Path | Detector],
    after: Sequence[str | Path | Detector],
    data: str | Path | Dataset,
    *,
    split: str | None = None,
    mapping: Mapping[str, str] | None = None,
    out: Path | None = None,
    iou: tuple[float, float] = (0.1, 0.5),
    recall: float | None = None,
    replicates: int = 1000,
    seed: int = 0,
    threads: int | None = None,
    missing: Missing = "error",
    force: bool = False,
    track: Track = untracked,
    note: Note = silent,
) -> dict[str, Any]:
    """Compares false alarms at equal recall on frames that were not mined.

    Args:
        before: runs, model files or detectors without hard negatives, a seed each; or a single one for all of `after`.
        after: those trained with them, as many.
        data: a labelled data set; frames that `after` was mined from are left out.
        split: which images; None takes `val`, or all of a data set without splits.
        mapping: new names of classes on either side.
        out: folder for `proof.json`; None takes `./nightherd-results/proof-MODEL`.
        iou: under the first a detection is a false alarm, from the second it is right.
        recall: to compare at; None takes what the models before reach at their best F1, lowered to what all reach.
        replicates, seed: of the bootstrap; 0 replicates give no interval and no verdict.
        threads, missing, force, track, note: as for `mine`.

    Returns:
        What `proof.json` holds, and `out` and `was_finished`.

    Raises:
        NightherdError: a model, the data, the settings or the folder are at fault.
    """
    if len(before) not in (1, len(after)) or not after:
        raise ConfigError(f"{len(before)} models before and {len(after)} after; give as many, a pair for each seed")
    if not 0 < iou[0] <= iou[1] <= 1:
        raise ConfigError(f"--iou takes two overlaps, 0 < low <= high <= 1, not {iou[0]:g} and {iou[1]:g}")
    mapping = dict(mapping or {})
    models = [*before, *after]
    named = [identity(model) for model in models]
    dataset, notes = _held_out(data, split, missing, after)
    settings = {
        "before": [{"name": name, "sha256": digest} for name, digest in named[: len(before)]],
        "after": [{"name": name, "sha256": digest} for name, digest in named[len(before) :]],
        "dataset": dataset.name,
        "dataset_sha256": dataset_digest(dataset),
        "split": split,
        "map": mapping,
        "iou": list(iou),
        "recall": recall,
        "replicates": replicates,
        "seed": seed,
        "version": __version__,
    }
    folder = Path(out) if out is not None else Path(RESULTS_FOLDER) / f"proof-{named[len(before)][0]}"
    if (finished := _finished(folder, settings, force)) is not None:
        return {**finished, "out": str(folder), "was_finished": True}
    found = []
    for number, (model, (name, digest)) in enumerate(zip(models, named, strict=True)):
        detector = as_detector(model, folder / WORK, 0.0, threads)
        source = Source(name, digest, tuple(detector.classes), detector=detector)
        per_image, failures = detections_of(source, dataset, folder / WORK / digest[:16], False, track, note)
        found.append((source, per_image))
        if failures and not number:
            notes.append(f"{len(failures)} of {len(dataset)} frames could not be read and are left out.")
    images = [image for image in dataset.images if all(image.id in per_image for _, per_image in found)]
    if not images:
        raise FrameError("not one of the frames could be read", dataset.images[0].path)
    tables = [_tables(source, per_image, dataset, images, mapping, iou) for source, per_image in found]
    areas, said = ground_areas(images)
    notes += said
    flights = _flights(images)
    if flights is None:
        notes.append("Flights are not known; frames of one flight look alike, so the interval is too narrow.")
    record = {
        "settings": settings,
        "n_images": len(images),
        "n_boxes": int(tables[0][None].n_truth.sum()),
        **_results(tables, len(before), recall, areas, flights, replicates, seed, track),
        "notes": notes,
    }
    write_json(folder / RECORD, record)
    shutil.rmtree(folder / WORK, ignore_errors=True)
    return {**record, "out": str(folder), "was_finished": False}


def _held_out(
    data: str | Path | Dataset, split: str | None, missing: Missing, after: Sequence[str | Path | Detector]
) -> tuple[Dataset, list[str]]:
    """The frames to compare on, without those that were mined."""
    whole = data if isinstance(data, Dataset) else open_dataset(data, missing=missing)
    splits = {image.split for image in whole.images}
    if split is None and splits != {None} and "val" not in splits:
        raise DatasetError(f"{whole.name} has no split 'val'; say which with --split ({', '.join(map(str, splits))})")
    dataset = whole.split(split or "val") if split or "val" in splits else whole
    mined: set[str] = set()
    notes = []
    for model in after:
        folder = Path(model) if isinstance(model, str | Path) else None
        sets = _mined_by(folder) if folder is not None and folder.is_dir() else None
        if sets is None:
            notes.append("Which frames a model file was trained on is not known; take care that none is among these.")
        for mined_set in sets or []:
            if mined_set.is_dir():
                mined |= mined_frames(mined_set)
            else:
                notes.append(f"{mined_set} is not there any more; whether its frames are among these is not known.")
    if mined:
        kept = [image for image in dataset.images if file_digest(image.path) not in mined]
        if len(kept) < len(dataset):
            notes.append(f"{len(dataset) - len(kept)} frames were mined, and are left out.")
        if not kept:
            raise DatasetError(f"every frame of {dataset.name} was mined; compare on others")
        dataset = dataset.subset(kept)
    return dataset, list(dict.fromkeys(notes))


def _mined_by(run: Path) -> list[Path] | None:
    """The mined sets that a run was trained on, None where it is no run."""
    try:
        return [Path(one) for one in json.loads((run / "config.json").read_bytes())["run"].get("hard_negatives", [])]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _tables(
    source: Source,
    per_image: Mapping[Any, Detections],
    dataset: Dataset,
    images: Sequence[LabelledImage],
    mapping: Mapping[str, str],
    iou: tuple[float, float],
) -> dict[str | None, AlarmTable]:
    classes = common_classes(source.classes, dataset, mapping)
    truth = [classes.truth(image) for image in images]
    return alarm_tables(truth, [classes.joined(per_image[image.id]) for image in images], classes.names, *iou)


def _flights(images: Sequence[LabelledImage]) -> list[str] | None:
    flights = [str(image.attributes.get("flight", "")) for image in images]
    return flights if all(flights) and len(set(flights)) > 1 else None


def _results(
    tables: Sequence[Mapping[str | None, AlarmTable]],
    n_before: int,
    recall: float | None,
    areas: np.ndarray[Any, np.dtype[np.float64]] | None,
    flights: Sequence[str] | None,
    replicates: int,
    seed: int,
    track: Track,
) -> dict[str, Any]:
    names = list(dict.fromkeys(name for one in tables for name in one))
    if any(set(one) != set(names) for one in tables):
        raise ConfigError("the models do not know the same classes; join their names with --map")
    rows: dict[str, Any] = {}
    for name in names:
        own = [one[name] for one in tables]
        if not own[0].n_truth.sum():
            continue
        reached = min(one.highest_recall() for one in own)
        at = recall if recall is not None else float(np.mean([one.recall_at_best_f1() for one in own[:n_before]]))
        if recall is None or name is not None:
            at = min(at, 0.95 * reached)  # so that most bootstrap samples reach it too
        if not 0 < at <= reached:
            if name is None:
                raise ConfigError(f"not every model reaches a recall of {at:.3g} (the least: {reached:.3f})")
            continue
        rows[name or "all"] = compare(
            own[:n_before], own[n_before:], at, areas, flights, replicates, seed, track
        ).to_dict()
    if "all" not in rows:
        raise DatasetError("no box of a class that the models know; there is no recall to compare at")
    pooled = [one[None] for one in tables]
    lowest = min(one.highest_recall() for one in pooled)
    curve = [
        compare(pooled[:n_before], pooled[n_before:], at, None, None, 0, seed, track).to_dict()
        for at in RECALLS
        if at <= lowest
    ]
    every = rows.pop("all")
    return {"all": every, "per_class": rows, "at_recalls": curve, "verdict": verdict(Comparison.from_dict(every))}


def _finished(folder: Path, settings: Mapping[str, Any], force: bool) -> dict[str, Any] | None:
    """The record of the same proof where it is there, else makes the folder this proof's own."""
    if folder.exists() and not folder.is_dir():
        raise ResultsError("is a file; --out names the folder for the proof", folder)
    marker = folder / WORK / "settings.json"
    for path in (folder / RECORD, marker):
        if not path.is_file():
            continue
        try:
            record = dict(json.loads(path.read_bytes()))
        except (OSError, ValueError, TypeError) as error:
            raise ResultsError("is not the record of a proof; choose another --out", path) from error
        if record.get("settings") == json.loads(json.dumps(settings)) and not (force and path.name == RECORD):
            return record if path.name == RECORD else None
        if not force:
            raise ResultsError("holds another proof; choose another --out, or --force to overwrite it", folder)
        (folder / RECORD).unlink(missing_ok=True)
        break
    else:
        if folder.is_dir() and any(folder.iterdir()):
            raise ResultsError("is there and holds other work; choose another --out", folder)
    shutil.rmtree(folder / WORK, ignore_errors=True)
    write_json(marker, {"settings": settings})
    return None


def lines(proof: Mapping[str, Any]) -> list[str]:
    """What `nightherd mine --against` prints for people."""
    every = proof["all"]
    text = [f"finished before, nothing to do: {proof['out']}"] if proof["was_finished"] else []
    text.append(
        f"{proof['n_images']} frames that were not mined, {proof['n_boxes']} boxes, {every['seeds']} "
        + ("seed" if every["seeds"] == 1 else "seeds")
    )
    text.append(
        "false alarms a frame at equal recall, mean ± standard deviation over seeds; 95 % interval of the change"
    )
    head = ["", "recall", "before", "after", "change", "interval"]
    rows = [head, *(_row(name, one) for name, one in [("all", every), *proof["per_class"].items()])]
    widths = [max(len(row[k]) for row in rows) for k in range(len(head))]
    text += ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    if (area := every["per_km2"]) is not None:
        text.append(f"false alarms a km²: {_spread(area['before'], 0)} before, {_spread(area['after'], 0)} after")
    text.append(f"with near misses and doubles: {_spread(every['wrong_before'])}, {_spread(every['wrong_after'])}")
    others = [f"{one['recall']:.2f}: {_change(one)}" for one in proof["at_recalls"]]
    if others:
        text.append("at other recalls: " + "; ".join(others))
    return [*text, proof["verdict"]]


def _row(name: str, one: Mapping[str, Any]) -> list[str]:
    interval = "-" if one["interval"] is None else f"[{one['interval'][0]:+.2f}, {one['interval'][1]:+.2f}]"
    change = one["change"]
    return [
        name,
        f"{one['recall']:.3f}",
        _spread(one["before"]),
        _spread(one["after"]),
        _spread(change, 2, "+"),
        interval,
    ]


def _change(one: Mapping[str, Any]) -> str:
    return f"{one['before']['mean']:.2f} → {one['after']['mean']:.2f}"


def _spread(one: Mapping[str, Any], digits: int = 2, sign: str = "") -> str:
    mean = f"{one['mean']:{sign}.{digits}f}"
    return mean if one["sd"] is None else f"{mean} ± {one['sd']:.{digits}f}"
