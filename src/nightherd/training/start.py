"""The weights that a run starts from: the preset's own, those of another run, or those of a model file."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from nightherd.detector.export import tensors_of_onnx
from nightherd.detector.presets import build_detector, preset
from nightherd.detector.two_stage import TwoStageDetector
from nightherd.errors import ModelError
from nightherd.training.checkpoints import load_tensors, load_weights
from nightherd.training.settings import TrainingSettings

BEST = "best.safetensors"

SCORES, BOXES = "head.box_predictor.cls_score.", "head.box_predictor.bbox_pred."
"""The layers of the head with rows for each class: one a class, background first, and four a class."""

IN_FRONT = "head.box_head."
"""The layers of the head whose features those rows weigh; rows behind other features mean nothing."""


def start_model(
    settings: TrainingSettings,
    classes: tuple[str, ...],
    start: Path | None,
    told: str | None = None,
    known: Sequence[str] | None = None,
) -> tuple[TwoStageDetector, dict[str, bool]]:
    """A detector with its starting weights; what no weights are given for is drawn by the run's seed.

    A head whose fully connected layers are of another shape is drawn anew with all its rows.

    Args:
        settings: the preset and what is laid over it.
        classes: names to learn.
        start: a .safetensors or .onnx file; None starts from the preset's own weights.
        told: the preset that `start` is said to be of, for the message where it does not fit.
        known: the classes that `start` is said to find, in the order of its labels; see `class_rows`. None takes the
            head's last layers as they are where they have the right shape.

    Returns:
        The detector, and the parts of it that `start` has not in this shape, see `new_parts`.

    Raises:
        ModelError: `start` is missing, of another kind, or of another model.
    """
    torch.manual_seed(settings.seed)
    detector = preset(settings.preset, settings.detector)
    if start is None:
        return build_detector(detector, classes), {}
    plain = detector.model_copy(update={"backbone": detector.backbone.model_copy(update={"pretrained": "none"})})
    model = build_detector(plain, classes)
    if start.suffix == ".onnx":
        tensors = tensors_of_onnx(start)
    elif start.suffix == ".safetensors":
        tensors = load_tensors(start)
    else:
        raise ModelError("is neither a run folder, .safetensors nor .onnx; pickles are refused", start)
    if known is not None:
        tensors = class_rows(tensors, known, classes, model.state_dict())
    wanted = model.state_dict()
    features = [name for name in wanted if name.startswith(IN_FRONT)]
    if any(name not in tensors or tensors[name].shape != wanted[name].shape for name in features):
        tensors = {name: value for name, value in tensors.items() if not name.startswith("head.")}
    lacking = load_weights(model, tensors, start, settings.preset, told)
    return model, new_parts(wanted, lacking)


def new_parts(wanted: Mapping[str, Tensor], lacking: Collection[str]) -> dict[str, bool]:
    """The parts of a detector that lack tensors, in its order, and whether they lack the weights of every layer.

    Args:
        wanted: tensors of the detector by name, which starts with the part's: backbone, pyramid, proposals or head.
        lacking: names of those that were not found; counters of batch norms do not matter.
    """
    missing = [name for name in lacking if not name.endswith("num_batches_tracked")]
    parts = [part for part in dict.fromkeys(map(_part, wanted)) if part in set(map(_part, missing))]
    kept = {_part(name) for name, value in wanted.items() if value.dim() > 1 and name not in missing}
    return {part: part not in kept for part in parts}


def _part(name: str) -> str:
    return name.partition(".")[0]


def class_rows(
    tensors: dict[str, Tensor], known: Sequence[str], classes: Sequence[str], fresh: dict[str, Tensor]
) -> dict[str, Tensor]:
    """The tensors with the head's rows put in the order of other classes.

    A class that the weights know by its name keeps its rows. One that they do not know takes its score's rows from
    `fresh`, and for its boxes the mean of those of all classes, since how a box is drawn about a body is much the same.

    Args:
        tensors: weights of a detector of `known`, by name.
        known: class names in the order of its labels; one that is there twice counts once.
        classes: names in the order wanted.
        fresh: tensors of a detector of `classes` that knows nothing yet.
    """
    taken = dict(tensors)
    for name, value in tensors.items():
        rows = 1 if name.startswith(SCORES) else 4 if name.startswith(BOXES) else 0
        new = fresh.get(name)
        if not rows or new is None or len(value) != rows * (len(known) + 1) or value.shape[1:] != new.shape[1:]:
            continue
        parts = value.reshape(len(known) + 1, rows, *value.shape[1:])
        into = new.clone().to(value.dtype).reshape(len(classes) + 1, rows, *value.shape[1:])
        into[0] = parts[0]
        for i, wanted in enumerate(classes):
            if wanted in known:
                into[i + 1] = parts[list(known).index(wanted) + 1]
            elif rows == 4:
                into[i + 1] = parts[1:].mean(dim=0)
        taken[name] = into.reshape(new.shape)
    return taken
