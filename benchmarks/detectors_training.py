"""Training and evaluation of one detector after another under a stated budget: rows of `docs/results.md`.

Part of `detectors.py --train`, which is the command. Presets go through Nightherd's own way of training whatever their
recipe, torchvision's models through torchvision's reference loop, with layers in bf16 as ours have them; both see the
same crops and are measured on the same whole validation frames in float32. Runs lie in a folder; those that are
finished are not repeated, presets go on where they stopped. Finished ones that were measured otherwise than EVALUATION
says are measured again.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from detectors_reference import SameCrops, collate, layers_in_bf16, sgd_steps, to_reference, torchvision_detector
from detectors_sparse import SIZES, detector_of
from detectors_speed import OUR_LOOP, giga_macs, run_of
from nightherd.datasets import open_dataset
from nightherd.datasets.types import Dataset, LabelledImage
from nightherd.detector.presets import PRESETS
from nightherd.detector.two_stage import TwoStageDetector
from nightherd.errors import ConfigError
from nightherd.evaluation.coco import coco_metrics
from nightherd.evaluation.types import Truth
from nightherd.files import write_json
from nightherd.frames.normalise import normalise
from nightherd.frames.readers import read_frame
from nightherd.training.augmentation import AugmentationSettings
from nightherd.training.checkpoints import load_tensors, save_tensors
from nightherd.training.start import BEST
from nightherd.training.validation import detect
from nightherd.types import Detections
from nightherd.workflows.export import run_config
from nightherd.workflows.train import train_model

BUDGETS: dict[str, dict[str, Any]] = {
    "cpu": {"images": {"small": 20_000}, "others": 2_000, "batch": {"small": 8}, "other_batch": 2},
    "gpu": {"images": {}, "others": 60_000, "batch": {}, "other_batch": 16},
}
"""Training images of each detector, and images a step: what two cores do in a night, and one GPU in some hours."""

CROPS = AugmentationSettings(quarter_turns=False).model_dump()
"""What every detector sees of a frame: crops of one size, varied alike; frames that look ahead are not turned."""

CONVERGED = 15_000
"""Training images below which a row is called not converged."""

FRAME = (512, 640)
THEIRS = "torchvision-resnet"
EVALUATED = "evaluated from"

EVALUATION = {"score_floor": 0.02, "max_detections": 500}
"""Of every detector in the table, whatever its own: the score under which nothing counts, and the most of a frame."""

Say = Callable[[str], None]
Look = Callable[[LabelledImage], Detections]


def train_rows(
    names: Sequence[str], budget: str, data: str, runs: Path, seeds: Sequence[int], images: int, say: Say
) -> list[dict[str, Any]]:
    """Trains and evaluates each detector with each seed; one row a detector.

    Args:
        names: presets, or `torchvision-resnet18` and `torchvision-resnet50`.
        budget: one of BUDGETS.
        data: a data set with train and val splits.
        runs: a folder for the runs.
        images: training images of every detector, in place of the budget's; 0 takes the budget's.
        say: is told what goes on.
    """
    limits = BUDGETS[budget]
    rows = []
    for name in names:
        wanted = images or limits["images"].get(name, limits["others"])
        batch = batch_of(name, budget)
        one = _train_theirs if name.startswith(THEIRS) else _train_ours
        measured = [one(name, data, runs / f"{name}-{wanted}-{seed}", wanted, batch, seed, say) for seed in seeds]
        start = measured[0].pop("start")
        rows.append(
            {
                "name": name,
                "images": wanted,
                "start": start,
                "provenance": provenance(budget, wanted),
                "seeds": list(seeds),
                "metrics": [each["metrics"] for each in measured],
                **{key: measured[-1][key] for key in ("parameters", "gmac", "images_per_second")},
            }
        )
    return rows


def batch_of(name: str, budget: str) -> int:
    """Training images a step of a detector; a bundled model is a `small`."""
    limits = BUDGETS[budget]
    known = name in PRESETS or name.startswith(THEIRS)
    return int(limits["batch"].get(name if known else "small", limits["other_batch"]))


def is_of(provenance: str, budget: str) -> bool:
    """Whether a row's provenance is this kind of machine under that budget, or a model that is trained already."""
    return provenance.startswith((_here(budget), EVALUATED))


def _here(budget: str) -> str:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{os.cpu_count()} cores"
    return f"{device}, {platform.machine()}, budget {budget}"


def provenance(budget: str, images: int) -> str:
    """Where a row comes from: the machine, and that a small number of images is not a trained detector."""
    return _here(budget) + ("" if images >= CONVERGED else ", not converged")


def _train_ours(name: str, data: str, run: Path, images: int, batch: int, seed: int, say: Say) -> dict[str, Any]:
    small = name == "small"
    settings = {
        **OUR_LOOP,
        "preset": name,
        "detector": {} if small else {"backbone": {"pretrained": "none"}},
        "augmentation": CROPS,
        "images": images,
        "batch": batch,
        "seed": seed,
        "learning_rate": 8e-4 if small else 4e-4,
        "backbone_rate": 0.5 if small else 1.0,
        "validate_every": 0 if images < CONVERGED else images // 4,
    }

    def trained() -> float | None:
        say(f"{name}, seed {seed}: training on {images} images into {run}")
        speeds: list[float] = []
        train_model([data], run, settings, say=say, report=lambda progress: speeds.append(progress.images_per_second))
        return speeds[-1] if speeds else None

    def loaded(_: Sequence[str]) -> tuple[nn.Module, Look]:
        detector, _settings = detector_of(str(run))
        return detector, lambda image: detect(detector, read_frame(image.path).pixels, False)

    return {**_measured(run, settings, data, trained, loaded, say), "start": "ImageNet" if small else "random"}


def _train_theirs(name: str, data: str, run: Path, images: int, batch: int, seed: int, say: Say) -> dict[str, Any]:
    check_depth(name)
    settings = {
        "images": images,
        "batch": batch,
        "seed": seed,
        "rate": 0.02 * batch / 16,
        "warmup": OUR_LOOP["warmup_steps"],
        "drops": [images // batch * epochs // 26 for epochs in (16, 22)],
        "precision": "layers in bf16",
        "norm": "batch",
        "augmentation": CROPS,
    }
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def trained() -> float | None:
        torch.manual_seed(seed)
        train_set = open_dataset(data, "train")
        model = reference_model(name, len(train_set.classes)).to(device)
        say(f"{name}, seed {seed}: training on {images} images into {run}")
        started, seen = time.perf_counter(), 0
        crops = SameCrops(train_set, images, AugmentationSettings(**CROPS), seed)
        workers = min(4, os.cpu_count() or 1)
        loader = DataLoader(crops, batch, num_workers=workers, collate_fn=collate, drop_last=True)
        for losses in sgd_steps(model, loader, settings["rate"], device, settings["warmup"], settings["drops"]):
            seen += batch
            if seen % (50 * batch) == 0:
                pace = seen / (time.perf_counter() - started)
                say(f"{seen} of {images} images, loss {sum(losses.values()):.3f}, {pace:.2f} a second")
        speed = seen / (time.perf_counter() - started)
        save_tensors(run / BEST, {key: value.cpu() for key, value in model.state_dict().items()})
        return speed

    def loaded(classes: Sequence[str]) -> tuple[nn.Module, Look]:
        model = torchvision_detector(int(name.removeprefix(THEIRS)), FRAME, len(classes)).to(device)
        model.load_state_dict(load_tensors(run / BEST))
        return model, lambda image: _detect_theirs(model, image, classes, device)

    return {**_measured(run, settings, data, trained, loaded, say), "start": "random"}


def check_depth(name: str) -> None:
    """
    Raises:
        ConfigError: no detector of torchvision's.
    """
    if name.removeprefix(THEIRS) not in ("18", "34", "50", "101", "152"):
        raise ConfigError(f"no detector '{name}'; torchvision's are {THEIRS}18 and {THEIRS}50")


def reference_model(name: str, n_classes: int) -> Any:
    """torchvision's detector of a name, which takes crops as they are and computes its layers in bf16."""
    model: Any = torchvision_detector(int(name.removeprefix(THEIRS)), FRAME, n_classes)
    model.transform.min_size = (CROPS["crop"],)
    layers_in_bf16(model)
    return model


@torch.no_grad()
def _detect_theirs(model: nn.Module, image: LabelledImage, classes: Sequence[str], device: torch.device) -> Detections:
    model.eval()
    given = to_reference(normalise(read_frame(image.path).pixels))
    found = model([given.to(device)])[0]
    boxes, scores = found["boxes"].cpu().numpy(), found["scores"].cpu().numpy()
    keep = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    labels = found["labels"].cpu().numpy().astype(np.int64) - 1
    return Detections(boxes[keep], scores[keep], labels[keep], tuple(classes))


def _kept(run: Path, settings: Mapping[str, Any]) -> dict[str, Any] | None:
    path = run / "row.json"
    if not path.is_file():
        return None
    kept = dict(json.loads(path.read_text(encoding="utf-8")))
    if kept.pop("settings", None) != json.loads(json.dumps(settings)):
        raise ConfigError("holds a row of other training; choose another --runs", run)
    return kept


def _measured(
    run: Path,
    settings: Mapping[str, Any],
    data: str,
    trained: Callable[[], float | None],
    loaded: Callable[[Sequence[str]], tuple[nn.Module, Look]],
    say: Say,
) -> dict[str, Any]:
    """What a row needs, from beside the run, or measured on val and written there.

    Args:
        settings: of the training.
        trained: trains and gives images a second.
        loaded: the trained detector of the data's classes, and what it finds in a frame.
    """
    kept = _kept(run, settings)
    if kept is not None and kept.pop("evaluation", None) == EVALUATION:
        return kept
    speed = trained() if kept is None else kept["images_per_second"]
    dataset = open_dataset(data, "val")
    model, look = loaded(dataset.classes)
    say(f"{run.name}: {len(dataset)} validation frames")
    facts = {**_figures(model, dataset, look, dataset.classes), "images_per_second": speed}
    write_json(run / "row.json", {**facts, "settings": dict(settings), "evaluation": EVALUATION})
    return facts


def _figures(model: nn.Module, dataset: Dataset, look: Look, classes: Sequence[str]) -> dict[str, Any]:
    evaluate_alike(model)
    return {
        "metrics": metrics_on(dataset, look, classes),
        "parameters": sum(p.numel() for p in model.parameters()),
        "gmac": giga_macs(run_of(model)),
    }


def evaluate_alike(model: Any) -> None:
    """Gives a detector of either kind the score floor and the most detections of EVALUATION."""
    head = model.head if isinstance(model, TwoStageDetector) else model.roi_heads
    head.score_thresh, head.detections_per_img = EVALUATION["score_floor"], EVALUATION["max_detections"]


def metrics_on(dataset: Dataset, look: Look, classes: Sequence[str]) -> dict[str, Any]:
    """What a row says of one seed: AP, AP50 in all and by class, AP by size."""
    truth = [Truth(i.boxes, i.labels, i.ignore, i.width, i.height) for i in dataset.images]
    metrics = coco_metrics(truth, [look(image) for image in dataset.images], classes, sizes=SIZES)
    return {
        "ap": metrics.ap,
        "ap50": metrics.ap50,
        "ap50_by_class": {name: one.ap50 for name, one in metrics.per_class.items()},
        "ap_by_size": dict(metrics.ap_by_size),
        "n_images": metrics.n_images,
    }


def evaluated_row(name: str, model: str, data: str, mapping: Mapping[str, str], say: Say) -> dict[str, Any]:
    """A row for a run, a model file or a bundled model that is trained already.

    Args:
        name: in the table.
        mapping: class names of the data as the model's.
    """
    detector, _ = detector_of(model)
    path = Path(model)
    images, seed, start = 0, 0, "see its card"
    if path.is_dir():
        config = run_config(path)
        images, seed = int(config["settings"]["images"]), int(config["settings"]["seed"])
        start = "other weights" if config.get("start") else "the preset's"
    dataset = open_dataset(data, "val").with_classes(detector.classes, mapping)
    say(f"{name}: {len(dataset)} frames")

    def look(image: LabelledImage) -> Detections:
        return detect(detector, read_frame(image.path).pixels, False)

    figures = _figures(detector, dataset, look, detector.classes)
    return {
        "name": name,
        "images": images,
        "start": start,
        "provenance": f"{EVALUATED} {path.name}",
        "seeds": [seed],
        **figures,
        "metrics": [figures["metrics"]],
    }
