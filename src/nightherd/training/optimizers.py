"""Optimizers and learning-rate schedules by name: which parameters move, how far, and when."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from nightherd.training.settings import TrainingSettings

Groups = list[dict[str, Any]]
NORMS = (nn.BatchNorm2d,)


def parameter_groups(model: nn.Module, settings: TrainingSettings) -> Groups:
    """Four groups: backbone or not, decayed or not (biases and norms are not); what is frozen asks for no gradient.

    Each group carries `base`, its rate before the schedule.
    """
    of_norms = {id(p) for m in model.modules() if isinstance(m, NORMS) for p in m.parameters()}
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        is_frozen_norm = settings.norm == "frozen" and id(parameter) in of_norms
        if is_frozen_norm or (settings.freeze and name.startswith(settings.freeze)):
            parameter.requires_grad_(False)
            continue
        groups.setdefault((name.startswith("backbone."), parameter.ndim > 1), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": settings.learning_rate * (settings.backbone_rate if in_backbone else 1.0),
            "base": settings.learning_rate * (settings.backbone_rate if in_backbone else 1.0),
            "weight_decay": settings.weight_decay if decayed else 0.0,
        }
        for (in_backbone, decayed), parameters in groups.items()
    ]


def set_training_mode(model: nn.Module, settings: TrainingSettings) -> None:
    """Training mode, but for the batch norms that are frozen: they keep their statistics."""
    model.train()
    for name, module in model.named_modules():
        if isinstance(module, NORMS) and (settings.norm == "frozen" or name.startswith(settings.freeze or ("\0",))):
            module.eval()


def _adamw(groups: Groups, settings: TrainingSettings) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups)


def _sgd(groups: Groups, settings: TrainingSettings) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, momentum=settings.momentum, nesterov=settings.nesterov)


OPTIMIZERS: dict[str, Callable[[Groups, TrainingSettings], torch.optim.Optimizer]] = {"adamw": _adamw, "sgd": _sgd}
"""Optimizers, by name."""


def _warm(step: int, settings: TrainingSettings) -> float | None:
    return (step + 1) / settings.warmup_steps if step < settings.warmup_steps else None


def cosine(step: int, steps: int, settings: TrainingSettings) -> float:
    """Linear from 0 to 1 over the warm-up, then a cosine to 0.01 at `steps` (Loshchilov and Hutter 2017)."""
    warm = _warm(step, settings)
    share = (step - settings.warmup_steps) / max(1, steps - settings.warmup_steps)
    return warm if warm is not None else 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def constant(step: int, steps: int, settings: TrainingSettings) -> float:
    """Linear from 0 to 1 over the warm-up, then 1."""
    warm = _warm(step, settings)
    return warm if warm is not None else 1.0


def cyclic(step: int, steps: int, settings: TrainingSettings) -> float:
    """Triangles between `low_rate` and `learning_rate`, beginning low (Smith 2017); no warm-up."""
    half = max(1.0, settings.cycle_images / settings.batch / 2)
    height = 1 - abs((step / half) % 2 - 1)
    low = settings.low_rate / settings.learning_rate
    return low + (1 - low) * height


SCHEDULES: dict[str, Callable[[int, int, TrainingSettings], float]] = {
    "cosine": cosine,
    "constant": constant,
    "cyclic": cyclic,
}
"""Factor of the learning rate at a step of a run of so many steps, by name."""
