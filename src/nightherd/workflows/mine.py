"""What `nightherd mine` does: a detector over training frames, its false alarms into a data set to train on next.

    mined = mine("runs/one", ["hit-uav"], Path("mined"), mapping={"Person": "person"})
    train_model(["hit-uav"], Path("runs/two"), hard_negatives=["mined"], start=Path("runs/one"), ...)

Writes `annotations.json` (COCO: the frames' own truth, and the false alarms as `hard_negatives` of each image),
`images/` (copies of the frames that hold any), `thumbnails/` and `thumbnails.png`, and last `mined.json`: what was
found by kind and by class, and every setting. Until then `work/` keeps what a later run goes on from.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nightherd import __version__
from nightherd.datasets.images import Missing
from nightherd.datasets.types import Dataset
from nightherd.errors import ConfigError, DatasetError, ModelError, ResultsError
from nightherd.files import write_error, write_json
from nightherd.inference.predictor import Predictor
from nightherd.models import resolve_model
from nightherd.training.mining import KINDS
from nightherd.types import Detections
from nightherd.workflows.detector import Detector
from nightherd.workflows.evaluate_source import Source, dataset_digest, detections_of
from nightherd.workflows.mine_alarms import Alarm, find_alarms, without_repeats
from nightherd.workflows.mine_data import empty_frames, spread, training_frames
from nightherd.workflows.mine_files import write_mined
from nightherd.workflows.telling import Note, Track, silent, untracked

RESULTS_FOLDER = "nightherd-results"
RECORD = "mined.json"
WORK = "work"
LOWEST_SCORE = 0.3
"""Score from which a false alarm is mined where none is given, or the model's own where that is lower."""

SURE = 0.8
"""A false alarm with such a score is often an object that the labels lack."""


def mine(
    model: str | Path | Detector,
    data: Sequence[str | Path | Dataset],
    out: Path | None = None,
    *,
    empty: Sequence[Path] = (),
    mapping: Mapping[str, str] | None = None,
    iou: tuple[float, float] = (0.1, 0.5),
    keep_near_misses: bool = False,
    confidence: float | None = None,
    limit: int | None = None,
    frames: int | None = None,
    threads: int | None = None,
    missing: Missing = "error",
    force: bool = False,
    track: Track = untracked,
    note: Note = silent,
) -> dict[str, Any]:
    """Collects the false alarms of a detector on training frames, and on frames that are free of animals.

    Args:
        model: a training run's folder, a bundled model's name, a model file, or a detector.
        data: labelled data sets; of each the `train` split alone, or all of one without splits.
        out: the folder to make; None takes `./nightherd-results/mined-MODEL`.
        empty: folders of frames, without labels, that hold nothing the detector should find.
        mapping: new names of classes on either side, e.g. {"Rotwild": "animal"}.
        iou: under the first with every labelled box a detection is a false alarm, from the second on right; between
            them it is a near miss.
        keep_near_misses: mines near misses too.
        confidence: score from which a false alarm counts; None takes 0.3, or the model's own where that is lower.
        limit: at most so many false alarms, highest scores first.
        frames: looks at no more than so many frames of each data set, evenly spread.
        threads: processor cores for the model; None takes all.
        missing: what to do about an image that the labels name and that is not there.
        force: throws away another mined set in `out`.
        track: shows progress, called as `track(items, description, total)`.
        note: is told one line for whatever is noteworthy.

    Returns:
        What `mined.json` holds, and `out`, the folder, and `was_finished`, whether it all was there before.

    Raises:
        NightherdError: the model, the data, the settings or the folder are at fault.
    """
    low, high = iou
    if not 0 < low <= high <= 1:
        raise ConfigError(f"--iou takes two overlaps, 0 < low <= high <= 1, not {low:g} and {high:g}")
    if not data and not empty:
        raise ConfigError("nothing to look at; give --data, or --empty for a folder of frames without animals")
    mapping = dict(mapping or {})
    sets = [spread(training_frames(spec, missing), frames) for spec in data]
    sets += [spread(empty_frames(folder), frames) for folder in empty]
    name, digest = identity(model)
    settings = {
        "model": name,
        "model_sha256": digest,
        "data": [{"name": one.name, "frames": len(one), "sha256": dataset_digest(one)} for one in sets],
        "empty": len(empty),
        "map": mapping,
        "iou": [low, high],
        "keep_near_misses": keep_near_misses,
        "confidence": confidence,
        "limit": limit,
        "frames": frames,
        "version": __version__,
    }
    folder = Path(out) if out is not None else Path(RESULTS_FOLDER) / f"mined-{name}"
    if (finished := _claim(folder, settings, force)) is not None:
        return {**finished, "out": str(folder), "was_finished": True}

    detector = as_detector(model, folder / WORK, None, threads)
    least = {c: min(LOWEST_SCORE, t) if confidence is None else confidence for c, t in detector.thresholds.items()}
    if isinstance(detector, Predictor):
        detector = Predictor.from_runtime(detector.runtime, threshold=min(least.values()))
    source = Source(name, detector.digest, tuple(detector.classes), detector=detector)
    outcome: Counter[str] = Counter()
    alarms: list[Alarm] = []
    notes: list[str] = []
    failed: dict[str, str] = {}
    for number, one in enumerate(sets):
        found, failures = detections_of(source, one, folder / WORK / f"set-{number}", False, track, note)
        failed |= failures
        kept = {key: _above(detections, least) for key, detections in found.items()}
        is_empty = number >= len(data)
        new, counts, said = find_alarms(one, number, kept, mapping, is_empty, (low, high), keep_near_misses, track)
        alarms, notes, outcome = alarms + new, notes + said, outcome + counts
    kept_alarms, n_repeats = without_repeats(alarms)
    dropped = 0 if limit is None else max(0, len(kept_alarms) - limit)
    kept_alarms = kept_alarms[: len(kept_alarms) - dropped]
    outcome["repeats in neighbouring frames"] = n_repeats
    outcome["over the limit"] = dropped
    if failed:
        notes.insert(0, f"{len(failed)} frames could not be read and are left out.")
    written = write_mined(folder, sets, kept_alarms, name, track) if kept_alarms else {"images": 0, "bytes": 0}
    record = {
        "settings": settings,
        "frames_looked_at": sum(len(one) for one in sets) - len(failed),
        "frames_failed": [{"file_name": key, "reason": reason} for key, reason in failed.items()],
        "hard_negatives": len(kept_alarms),
        "by_kind": dict(Counter(alarm.kind for alarm in kept_alarms).most_common()),
        "by_class": dict(Counter(alarm.label for alarm in kept_alarms).most_common()),
        "confidence": least,
        "sure": sum(alarm.score >= SURE for alarm in kept_alarms),
        "left_out": {key: outcome[key] for key in LEFT_OUT},
        "right": outcome["right"],
        "kinds": KINDS,
        "notes": notes,
        **written,
    }
    write_json(folder / RECORD, record)
    shutil.rmtree(folder / WORK, ignore_errors=True)
    return {**record, "out": str(folder), "was_finished": False}


LEFT_OUT = ("near misses", "in regions to ignore", "doubles in one frame", "repeats in neighbouring frames",
            "over the limit")  # fmt: skip


def _above(detections: Detections, least: Mapping[str, float]) -> Detections:
    return detections.select(np.array([score >= least.get(name, 0.0) for _, score, name in detections], np.bool_))


def identity(model: str | Path | Detector) -> tuple[str, str]:
    """The model's name and what tells it from any other, without loading it."""
    if not isinstance(model, str | Path):
        return model.name, model.digest
    path = Path(model)
    if path.is_dir():
        path = path / "best.safetensors"
        if not path.is_file():
            raise ModelError("is no training run with weights; give one, a model file or a bundled name", Path(model))
        return Path(model).resolve().name, hashlib.sha256(path.read_bytes()).hexdigest()
    path = resolve_model(model)
    return path.stem, hashlib.sha256(path.read_bytes()).hexdigest()


def as_detector(model: str | Path | Detector, work: Path, threshold: float | None, threads: int | None) -> Detector:
    """Whatever names a detector as one that runs; a training run is exported into `work` first."""
    if not isinstance(model, str | Path):
        return model
    path = Path(model)
    if path.is_dir():
        from nightherd.workflows.export import export_run

        name = path.resolve().name
        path = export_run(path, work / f"{name}.onnx", name, force=True).path
        return Predictor(path, threshold=threshold, threads=threads)
    return Predictor(model, threshold=threshold, threads=threads)


def _claim(folder: Path, settings: dict[str, Any], force: bool) -> dict[str, Any] | None:
    """Makes the folder this run's own; returns the record of the same one, finished.

    Raises:
        ResultsError: it holds other work.
    """
    if folder.exists() and not folder.is_dir():
        raise ResultsError("is a file; --out names the folder for the mined set", folder)
    for path in (folder / RECORD, folder / WORK / "settings.json"):
        if not path.is_file():
            continue
        try:
            record = json.loads(path.read_bytes())
            found = record["settings"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ResultsError("is not the record of a mined set; choose another --out", path) from error
        if found == json.loads(json.dumps(settings)) and not (force and path.name == RECORD):
            return dict(record) if path.name == RECORD else None
        if not force:
            differs = ", ".join(k for k in settings if not isinstance(found, dict) or found.get(k) != settings[k])
            raise ResultsError(f"holds another mined set ({differs}); choose another --out, or --force", folder)
        _clear(folder)
        break
    else:
        if folder.is_dir() and any(folder.iterdir()):
            raise ResultsError("is there and holds other work; choose another --out", folder)
    write_json(folder / WORK / "settings.json", {"settings": settings})
    return None


def _clear(folder: Path) -> None:
    """Throws away a mined set, and nothing else in its folder; the record goes first."""
    try:
        for name in (RECORD, "annotations.json", "thumbnails.png"):
            (folder / name).unlink(missing_ok=True)
        for name in (WORK, "images", "thumbnails"):
            if (folder / name).is_dir():
                shutil.rmtree(folder / name)
    except OSError as error:
        raise write_error(error, folder) from error


def lines(record: Mapping[str, Any]) -> list[str]:
    """What `nightherd mine` prints for people."""
    found = record["hard_negatives"]
    if record["was_finished"]:
        first = [f"mined before, nothing to do: {record['out']}"]
    else:
        first = []
    text = [*first, f"{record['frames_looked_at']} frames looked at with {record['settings']['model']}"]
    text.append(f"{found} hard negatives in {record['images']} frames, {record['right']} detections were right")
    text += [f"  {count:>6}  {kind}" for kind, count in record["by_kind"].items()]
    by_class = ", ".join(f"{count} {name}" for name, count in record["by_class"].items())
    if found:
        text.append(f"taken for: {by_class}")
    text.append("left out: " + ", ".join(f"{count} {what}" for what, count in record["left_out"].items()))
    if found:
        text.append(f"data set: {record['out']} ({record['bytes'] / 1e6:.1f} MB); look at thumbnails.png in it")
        if sure := record["sure"]:
            text.append(
                f"{sure} of them score {SURE:g} or more: some may be objects without a label; delete their pictures in "
                "thumbnails/, and they are not trained on"
            )
        text.append(f"next: nightherd train … --hard-negatives {record['out']}, and the same without it as a control;")
        text.append("      nightherd mine CONTROL --against RUN --data … says whether it paid")
    else:
        text.append("nothing to train on; give a lower --confidence, or other frames")
    return text


def mined_frames(folder: Path) -> set[str]:
    """SHA-256 of every frame that a mined set holds a copy of.

    Raises:
        DatasetError: not a mined set.
    """
    try:
        return {str(one["sha256"]) for one in json.loads((folder / RECORD).read_bytes()).get("files", [])}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError("is not a set that 'nightherd mine' wrote", folder) from error
