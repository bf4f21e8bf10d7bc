"""What `nightherd train` does: data sets and settings in, a run folder with the best weights out."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightherd import __version__
from nightherd.datasets import open_dataset
from nightherd.datasets.images import Missing
from nightherd.datasets.mending import count_problems
from nightherd.datasets.types import Dataset
from nightherd.errors import ConfigError, DatasetError, MissingExtraError, ResultsError
from nightherd.files import write_json
from nightherd.frames.readers import read_frame
from nightherd.methods.record import MACHINES, PEOPLE
from nightherd.workflows.evaluate_source import dataset_digest
from nightherd.workflows.record import record_training
from nightherd.workflows.run_tables import RECORDS, RunTables
from nightherd.workflows.starting import StartingWeights, starting_weights, what_carries_over

if TYPE_CHECKING:
    from nightherd.training.loop import Progress, TrainingResult

CONFIG = "config.json"


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Data sets with common classes, how often each is drawn, what decides the best weights, and notes."""

    train: tuple[Dataset, ...]
    weights: tuple[float, ...]
    validation: Dataset | None
    notes: tuple[str, ...]


def require_torch(purpose: str) -> None:
    """Raises MissingExtraError where the train extra is not installed."""
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("timm") is None:
        raise MissingExtraError("train", purpose)


def is_main_process() -> bool:
    """Whether this is the one process that writes and prints, of those that torchrun may have started."""
    return os.environ.get("RANK", "0") == "0"


def open_training_data(
    data: Sequence[str],
    validation: Sequence[str] = (),
    weights: Sequence[float] = (),
    classes: Sequence[str] = (),
    mapping: Mapping[str, str] | None = None,
    missing: Missing = "error",
    hard_negatives: Sequence[str | Path] = (),
    hard_negative_share: float = 0.25,
) -> TrainingData:
    """Opens data sets for training: their `train` split (or all of one without splits) and, to validate, their `val`.

    Args:
        data: data sets, as `open_dataset` takes them.
        validation: data sets to validate on instead of the `val` splits of `data`.
        weights: how often each of `data` is drawn, 1 each where none are given.
        classes: names to learn; empty takes those of the first data set after `mapping`.
        mapping: renames and joins classes.
        missing: what to do about an image that the labels name and that is not there.
        hard_negatives: data sets that `nightherd mine` wrote.
        hard_negative_share: share of the training images drawn from them.

    Raises:
        ConfigError: weights that do not fit the data sets.
        DatasetError: a data set is missing, has no usable class, or its test split was asked for.
    """
    if weights and len(weights) != len(data):
        raise ConfigError(f"{len(weights)} weights for {len(data)} data sets; give one --weight for each --data")
    if not all(0 < weight < float("inf") for weight in weights):
        raise ConfigError("a --weight must be a number above 0; leave a data set out that is not to be drawn")
    mapping = dict(mapping or {})
    opened = [open_dataset(spec, missing=missing) for spec in data]
    wanted = tuple(classes) or tuple(dict.fromkeys(mapping.get(name, name) for name in opened[0].classes))
    notes = []
    train, held_out = [], []
    for whole in opened:
        dataset = whole.with_classes(wanted, mapping)
        splits = {image.split for image in dataset.images}
        part = dataset.split("train") if "train" in splits else dataset.subset(i for i in dataset.images if not i.split)
        if not len(part):
            raise DatasetError(
                f"no 'train' split in {dataset.name} (its splits: {', '.join(sorted(map(str, splits)))})"
            )
        labelled = {mapping.get(name, name) for name in whole.classes}
        absent = [name for name in wanted if name not in labelled]
        notes.append(f"{dataset.name}: {len(part)} training images, {part.n_boxes} boxes" + _absent(absent))
        notes += _mended(whole)
        train.append(part)
        if "val" in splits and not validation:
            held_out.append(dataset.split("val"))
    counts = [
        sum(int((image.labels == i).sum()) for part in train for image in part.images) for i in range(len(wanted))
    ]
    unseen = [name for name, count in zip(wanted, counts, strict=True) if not count]
    if unseen and any(counts):
        notes.append(
            f"no training box of {', '.join(unseen)}: the detector learns to find none (leave it out or add data)"
        )
    if not any(counts):
        raise DatasetError(f"no box of {', '.join(wanted)} in any training data set; there is nothing to learn")
    for spec in validation:
        whole = open_dataset(spec, missing=missing)
        notes += _mended(whole)
        dataset = whole.with_classes(wanted, mapping)
        splits = {image.split for image in dataset.images}
        held_out.append(dataset.split("val") if "val" in splits else dataset)
    shares = [float(weight) for weight in weights] or [1.0] * len(train)
    mined = [_mined_set(spec, wanted, mapping, missing) for spec in hard_negatives]
    places = [sum(len(image.focus) for image in part.images) for part in mined]
    for part, count in zip(mined, places, strict=True):
        notes.append(f"{part.name}: {count} hard negatives in {len(part)} training images")
        shares.append(sum(shares[: len(data)]) * hard_negative_share / (1 - hard_negative_share) * count / sum(places))
    train += mined
    joined = None
    if held_out:
        images = tuple(image for dataset in held_out for image in dataset.images)
        joined = Dataset("+".join(d.name for d in held_out), wanted, images)
        notes.append(f"validation: {len(joined)} images, {joined.n_boxes} boxes")
    else:
        notes.append("no validation data: the last weights are kept, not the best (give --val)")
    return TrainingData(tuple(train), tuple(shares), joined, tuple(notes))


def _mined_set(spec: str | Path, classes: Sequence[str], mapping: Mapping[str, str], missing: Missing) -> Dataset:
    """The images of a mined data set that hold hard negatives."""
    whole = open_dataset(spec, missing=missing).with_classes(classes, mapping)
    images = [image for image in whole.images if len(image.focus) and image.split in (None, "train")]
    if not images:
        raise DatasetError("no hard negative in it; give a folder that 'nightherd mine' wrote", Path(spec))
    return whole.subset(images)


def median_frame(train: Sequence[Dataset]) -> tuple[int, int]:
    """The median width and height, in pixels, of the frames of some data sets together."""
    sizes = [(image.width, image.height) for part in train for image in part.images]
    width, height = (round(statistics.median(side)) for side in zip(*sizes, strict=True))
    return width, height


def _mended(dataset: Dataset) -> list[str]:
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in count_problems(dataset.problems).items())
    return [f"{dataset.name}, mended or left out: {kinds}; 'nightherd data inspect' lists them"] if kinds else []


def _absent(names: list[str]) -> str:
    return f"; its frames count as free of: {', '.join(names)}" if names else ""


def train_model(
    data: Sequence[str],
    out: Path,
    settings: Mapping[str, Any] | None = None,
    validation: Sequence[str] = (),
    weights: Sequence[float] = (),
    mapping: Mapping[str, str] | None = None,
    start: str | Path | None = None,
    missing: Missing = "error",
    force: bool = False,
    hard_negatives: Sequence[str | Path] = (),
    log: Sequence[str] = (),
    say: Callable[[str], None] = lambda _: None,
    report: Callable[[Progress], None] = lambda _: None,
) -> TrainingResult:
    """Trains a detector into the folder `out`, or goes on where the same command stopped.

    Args:
        data, validation, weights, mapping, missing, hard_negatives: see `open_training_data`.
        out: the run folder: config.json, metrics.csv, losses.csv, best.safetensors, state/.
        settings: values of `TrainingSettings`; the rest are its defaults.
        start: a run folder, .safetensors, .onnx or a bundled model's name to start from. Classes that it knows, by
            name and after `mapping`, it goes on with.
        force: throw away what `out` holds of another run.
        log: loggers besides the tables: `tensorboard`, `mlflow`.
        say, report: called with lines for people, and with the progress of each step.

    Raises:
        NightherdError: the data, the settings or the folder are at fault.
    """
    require_torch("training")
    from nightherd.training.loggers import check_loggers, opener
    from nightherd.training.loop import train
    from nightherd.training.precision import precision_for
    from nightherd.training.processes import join_processes
    from nightherd.training.settings import training_settings
    from nightherd.training.start import start_model

    chosen = training_settings(dict(settings or {}))
    check_loggers(log)
    processes = join_processes()
    chosen = chosen.model_copy(update={"precision": precision_for(chosen.precision, processes.device.type)})
    share = chosen.hard_negative_share
    opened = open_training_data(data, validation, weights, chosen.classes, mapping, missing, hard_negatives, share)
    classes = opened.train[0].classes
    for line in opened.notes if processes.is_main_process else ():
        say(line)
    facts = {
        "settings": json.loads(chosen.model_dump_json()),
        "classes": list(classes),
        "data": list(data),
        "validation": list(validation),
        "weights": list(opened.weights),
        "mapping": dict(mapping or {}),
        "start": None if start is None else str(Path(start)),
        "hard_negatives": [str(spec) for spec in hard_negatives],
        "images": [len(d) for d in opened.train],
        "digests": {
            "data": [dataset_digest(d) for d in opened.train],
            "validation": None if opened.validation is None else dataset_digest(opened.validation),
        },
        "frame": list(median_frame(opened.train)),
    }
    is_new = _is_new(out, facts, force)
    first = StartingWeights() if start is None else starting_weights(start)
    known = None
    if first.classes is not None:
        known = [dict(mapping or {}).get(name, name) for name in first.classes]
    model, new = start_model(chosen, classes, first.path, first.preset, known)
    if is_new and first.path is not None and processes.is_main_process:
        say(what_carries_over(first, known, classes, new))
    processes.wait_for_everyone()  # all have looked at the folder
    if is_new and processes.is_main_process:  # only now, so that a run that cannot start claims no folder
        _claim(out, facts)
    processes.wait_for_everyone()  # the folder is this run's
    record = RunTables(out, [opener(name, out, facts["settings"]) for name in dict.fromkeys(log)], report)
    try:
        result = train(model, opened.train, opened.weights, opened.validation, chosen, out, read_frame, facts, record)
    finally:
        if processes.is_main_process:
            record.close()
    if processes.is_main_process:
        record_training(out, facts, opened, result, say)
    return result


def _is_new(out: Path, facts: dict[str, Any], force: bool) -> bool:
    """Whether the folder is still to be claimed by this run; refuses one that holds another run, or other work."""
    from nightherd.training.settings import another_run, differences

    config = out / CONFIG
    if config.is_file():
        try:
            others = differences(json.loads(config.read_text(encoding="utf-8"))["run"], facts)
        except (ValueError, KeyError, TypeError, AttributeError):
            others = ["its config.json cannot be read"]
        if others and not force:
            raise another_run(others, out)
        return bool(others)
    if out.exists() and (not out.is_dir() or any(out.iterdir())) and not force:
        raise ResultsError("is there and is not a training run; choose another --out", out)
    return True


def _claim(out: Path, facts: dict[str, Any]) -> None:
    """Writes the run's config, and throws away what there is of another."""
    for name in ("state", "state-previous", "tensorboard"):
        shutil.rmtree(out / name, ignore_errors=True)
    for name in ("best.safetensors", PEOPLE, MACHINES, *RECORDS):
        (out / name).unlink(missing_ok=True)
    software = {"nightherd": __version__, "python": platform.python_version()}
    software |= {name: importlib.metadata.version(name) for name in ("torch", "torchvision", "timm")}
    write_json(out / CONFIG, {"run": facts, "software": software, "machine": platform.machine()})
