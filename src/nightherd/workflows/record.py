"""Writes METHODS.md and methods.json at the end of a training run, an evaluation or a survey.

A record that fails loses nothing of the run: what went wrong is told in one line.
"""

from __future__ import annotations

import json
import shlex
import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightherd import __version__
from nightherd.datasets.types import Dataset
from nightherd.errors import ModelError, NightherdError
from nightherd.frames.normalise import NORMALISATION
from nightherd.methods.record import MACHINES, PEOPLE, MethodsRecord, write_record
from nightherd.methods.wording import flat
from nightherd.workflows.machine import TRAINING, code_facts, hardware_facts, software_facts, without_folders
from nightherd.workflows.record_data import dataset_facts

if TYPE_CHECKING:
    from nightherd.training.loop import TrainingResult
    from nightherd.workflows.train import TrainingData

Say = Callable[[str], None]


def record_training(
    out: Path, facts: Mapping[str, Any], opened: TrainingData, result: TrainingResult, say: Say = lambda _: None
) -> MethodsRecord | None:
    """Writes the record of a training run into its folder, unless a finished run has it; None where it has or fails.

    Args:
        out: the run's folder.
        facts: what names the run, as in its config.json.
        opened: the data it learned from.
        result: how it ended.
        say: told one line where the record cannot be written.
    """
    if result.was_finished and (out / PEOPLE).is_file() and (out / MACHINES).is_file():
        return None
    return _written(out, lambda: _training(out, facts, opened, result), say)


def record_evaluation(
    folder: Path, metrics: Mapping[str, Any], data: Dataset, spec: object, say: Say = lambda _: None
) -> MethodsRecord | None:
    """Writes the record of an evaluation into its folder; None where that fails.

    Args:
        folder: of the results.
        metrics: what metrics.json holds.
        data: what was measured on.
        spec: what it was opened by.
        say: told one line where the record cannot be written.
    """

    def build() -> MethodsRecord:
        from nightherd.methods.results_record import evaluation_record

        named = spec if isinstance(spec, str | Path) else None
        return evaluation_record(
            {
                **_common(folder),
                "command": _without_folders(str(metrics.get("command") or "")),
                "metrics": metrics,
                "data": [dataset_facts(data, named)],
                "card": _card(metrics["settings"]["model"], metrics["settings"]["model_sha256"]),
            }
        )

    return _written(folder, build, say)


def record_survey(
    folder: Path,
    summary: Mapping[str, Any],
    settings: Mapping[str, str],
    frames: Sequence[Path],
    say: Say = lambda _: None,
) -> MethodsRecord | None:
    """Writes the record of a survey into its folder; None where that fails.

    Args:
        folder: of the results.
        summary: what summary.json holds.
        settings: label → text, as the report tells them.
        frames: the flight's files.
        say: told one line where the record cannot be written.
    """

    def build() -> MethodsRecord:
        from nightherd.methods.results_record import survey_record

        formats: dict[str, int] = {}
        for path in frames:
            formats[path.suffix.lower()] = formats.get(path.suffix.lower(), 0) + 1
        return survey_record(
            {
                **_common(folder),
                "name": summary["flight"],
                "command": _without_folders(str(summary.get("command") or "")),
                "summary": summary,
                "settings": settings,
                "formats": formats,
                "card": _card(summary["model"], summary["fingerprint"]["model"]),
            }
        )

    return _written(folder, build, say)


def _written(folder: Path, build: Callable[[], MethodsRecord], say: Say) -> MethodsRecord | None:
    try:
        record = build()
        write_record(folder, record)
    except NightherdError as error:
        say(f"the methods record could not be written ({error}); the results are whole")
    except Exception as error:  # hours of work lie in the folder: a fault of the record's must not end the run
        say(f"the methods record could not be made ({type(error).__name__}: {error}); the results are whole")
    else:
        return record
    return None


def _common(folder: Path) -> dict[str, Any]:
    return {
        "name": folder.resolve().name,
        "made": datetime.now(UTC).date().isoformat(),
        "version": __version__,
        "hardware": hardware_facts(),
        "software": software_facts(),
        "code": code_facts(),
        "normalisation": NORMALISATION,
    }


def _training(out: Path, facts: Mapping[str, Any], opened: TrainingData, result: TrainingResult) -> MethodsRecord:
    from nightherd.detector.presets import preset
    from nightherd.methods.training_record import training_record
    from nightherd.training.device import device_facts
    from nightherd.training.precision import precision_for
    from nightherd.training.processes import join_processes
    from nightherd.training.settings import training_settings

    settings = facts["settings"]
    usual = training_settings({"preset": settings["preset"]})
    defaults = json.loads(usual.model_dump_json())
    defaults["precision"] = precision_for(usual.precision, join_processes().device.type)
    detector = preset(settings["preset"], settings["detector"]).model_dump(mode="json")
    n = sum(len(part) for part in opened.train)
    images = n * settings.get("epochs", 0) or settings["images"]
    whole = [*facts["data"], *facts.get("hard_negatives", ())]
    data = [dataset_facts(part, spec) for part, spec in zip(opened.train, whole, strict=False)]
    held_out = opened.validation
    validation: dict[str, Any] | None = None
    if held_out is not None:
        seen = {image.path for part in opened.train for image in part.images}
        validation = dataset_facts(held_out, _one(facts["validation"]))
        validation["also_trained_on"] = sum(image.path in seen for image in held_out.images)
    return training_record(
        {
            **_common(out),
            "command": _train_command(out, facts, defaults),
            "settings": settings,
            "defaults": defaults,
            "detector": detector,
            "classes": facts["classes"],
            "parameters": count_parameters(out / "best.safetensors"),
            "data": data,
            "validation": validation,
            "validation_given": bool(facts["validation"]),
            "mapping": facts["mapping"],
            "weights": list(opened.weights),
            "first_weights": _first_weights(facts, detector),
            "result": {
                "steps": result.steps,
                "planned": max(1, images // settings["batch"]),
                "validations": len(result.history),
                "best": result.best,
            },
            "hardware": {**hardware_facts(), **device_facts()},
            "software": software_facts(TRAINING),
        }
    )


def _one(specs: Sequence[str]) -> str | None:
    return specs[0] if len(specs) == 1 else None


def _first_weights(facts: Mapping[str, Any], detector: Mapping[str, Any]) -> str:
    if facts.get("start"):
        return f"those of {without_folders(str(facts['start']))}, whose own record tells how they were made"
    if detector["backbone"].get("pretrained") == "imagenet":
        return "a backbone pretrained on ImageNet (classification of photographs); all else random"
    return "random; nothing was pretrained"


def _train_command(out: Path, facts: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    """A command line that does the same as the run, names in place of folders."""
    settings = facts["settings"]
    words = ["nightherd", "train", "--preset", str(settings["preset"])]
    for option, values in (("data", "data"), ("val", "validation"), ("hard-negatives", "hard_negatives")):
        for value in facts.get(values, ()):
            words += [f"--{option}", without_folders(str(value))]
    if len(set(facts["weights"])) > 1:
        for value in facts["weights"][: len(facts["data"])]:
            words += ["--weight", f"{value:g}"]
    for old, new in facts["mapping"].items():
        words += ["--map", f"{old}={new}"]
    if facts.get("start"):
        words += ["--from", without_folders(str(facts["start"]))]
    usual = flat(defaults)
    for name, value in flat({k: v for k, v in settings.items() if k != "preset"}).items():
        if usual.get(name) != value and not (name not in usual and value in ({}, None)):
            words += ["--set", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
    return shlex.join([*words, "--out", out.resolve().name])


def _without_folders(command: str) -> str:
    """A command line with the folders of this machine cut off; as it is where it cannot be taken apart."""
    try:
        return shlex.join(without_folders(word) for word in shlex.split(command))
    except ValueError:
        return " ".join(without_folders(word) for word in command.split())


def _card(name: str, digest: str) -> dict[str, Any] | None:
    """The card of a bundled model, where the file that ran is that model's."""
    import hashlib

    from nightherd.models import model_card, resolve_model

    try:
        card = model_card(name)
        if card is None or hashlib.sha256(resolve_model(name).read_bytes()).hexdigest() != digest:
            return None
    except (ModelError, OSError):
        return None
    return card.model_dump(mode="json")


def count_parameters(path: Path) -> int | None:
    """Learned numbers in a safetensors file, by its header; None where there is none. Batch statistics do not count."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(length, 50_000_000)))
    except (OSError, ValueError, struct.error):
        return None
    total = 0
    for name, tensor in header.items():
        if name == "__metadata__" or name.endswith(("running_mean", "running_var", "num_batches_tracked")):
            continue
        size = 1
        for side in tensor["shape"]:
            size *= int(side)
        total += size
    return total
