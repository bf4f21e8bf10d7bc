"""The weights that a run starts from: the preset's own, those of another run, or those of a model file."""

from __future__ import annotations

from pathlib import Path

import torch

from nightherd.detector.export import tensors_of_onnx
from nightherd.detector.presets import build_detector, preset
from nightherd.detector.two_stage import TwoStageDetector
from nightherd.errors import ModelError
from nightherd.training.checkpoints import load_tensors, load_weights
from nightherd.training.settings import TrainingSettings

BEST = "best.safetensors"


def start_model(
    settings: TrainingSettings, classes: tuple[str, ...], start: Path | None, told: str | None = None
) -> TwoStageDetector:
    """A detector with its starting weights; what no weights are given for is drawn by the run's seed.

    Args:
        settings: the preset and what is laid over it.
        classes: names to learn.
        start: a .safetensors or .onnx file; None starts from the preset's own weights.
        told: the preset that `start` is said to be of, for the message where it does not fit.

    Raises:
        ModelError: `start` is missing, of another kind, or of another model.
    """
    torch.manual_seed(settings.seed)
    detector = preset(settings.preset, settings.detector)
    if start is None:
        return build_detector(detector, classes)
    plain = detector.model_copy(update={"backbone": detector.backbone.model_copy(update={"pretrained": "none"})})
    model = build_detector(plain, classes)
    if start.suffix == ".onnx":
        load_weights(model, tensors_of_onnx(start), start, settings.preset, told)
    elif start.suffix == ".safetensors":
        load_weights(model, load_tensors(start), start, settings.preset, told)
    else:
        raise ModelError("is neither a run folder, .safetensors nor .onnx; pickles are refused", start)
    return model
