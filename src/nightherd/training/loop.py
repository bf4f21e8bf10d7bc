"""The training loop: one function that reads top to bottom.

AdamW, linear warm-up and cosine, averaged weights, best weights by validation AP, resume to the same trajectory: the
order, every crop and every sampled region follow from (seed, step), and the state is saved whole after each validation
and every few minutes between.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration

from nightherd.datasets.types import Dataset
from nightherd.detector.two_stage import TwoStageDetector
from nightherd.errors import DatasetError, NightherdError, ResultsError
from nightherd.training.average import WeightAverage
from nightherd.training.checkpoints import (
    RunState,
    load_state,
    optimizer_tensors,
    restore_optimizer,
    save_state,
    save_tensors,
)
from nightherd.training.images import FrameCache, ReadFrame, batches, move_target, schedule
from nightherd.training.precision import depthwise_in_float32
from nightherd.training.settings import TrainingSettings
from nightherd.training.validation import spread_over, validate

SAVE_SECONDS = 120.0
"""At most so much training is lost where a run is interrupted between validations."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What a run tells while it goes: step of steps, losses, rate, images a second, and a validation if any."""

    step: int
    steps: int
    losses: dict[str, float]
    rate: float
    images_per_second: float
    images_per_step: int
    validation: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """How a run ended: steps done, best validation metrics, history of validations, where the best weights lie."""

    steps: int
    best: dict[str, Any]
    best_path: Path
    history: list[dict[str, Any]] = field(default_factory=list)
    was_finished: bool = False


def learning_rate_at(step: int, steps: int, warmup: int) -> float:
    """Factor of the learning rate: linear from 0 to 1 over `warmup` steps, then a cosine to 0.01 at `steps`."""
    if step < warmup:
        return (step + 1) / warmup
    share = (step - warmup) / max(1, steps - warmup)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def _set_mode(model: TwoStageDetector, freeze: Sequence[str]) -> None:
    model.train()
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d) and name.startswith(tuple(freeze) or ("\0",)):
            module.eval()


def _parameter_groups(model: TwoStageDetector, settings: TrainingSettings) -> list[dict[str, Any]]:
    """Four groups: backbone or not, decayed or not (biases and norms are not)."""
    groups: dict[tuple[bool, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if settings.freeze and name.startswith(settings.freeze):
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


def train(
    model: TwoStageDetector,
    train_sets: Sequence[Dataset],
    weights: Sequence[float],
    validation: Dataset | None,
    settings: TrainingSettings,
    run: Path,
    read: ReadFrame,
    facts: dict[str, Any],
    report: Callable[[Progress], None] = lambda _: None,
) -> TrainingResult:
    """Trains a detector, or goes on where the same run stopped.

    Args:
        model: with its starting weights.
        train_sets, weights: labelled data with the model's classes, and how often each is drawn.
        validation: decides which weights are best; without it the last averaged weights are kept.
        settings: all that decides the outcome.
        run: folder for the state, `best.safetensors` and `metrics.csv` rows (in the facts).
        read: reads a frame file.
        facts: JSON values that name the data and settings; a state with others is refused.

    Raises:
        ResultsError: `run` holds another run.
        DatasetError: nothing to train on.
        NightherdError: the loss is not a number any more.
    """
    if not train_sets or any(len(dataset) == 0 for dataset in train_sets):
        raise DatasetError("a training data set has no images")
    if not any(dataset.n_boxes for dataset in train_sets):
        raise DatasetError("no box in any training data set; there is nothing to learn")
    accelerator = Accelerator(
        mixed_precision="no", dataloader_config=DataLoaderConfiguration(), step_scheduler_with_optimizer=False
    )
    bf16 = settings.precision == "bf16"
    if settings.batch % accelerator.num_processes:
        raise NightherdError(f"batch {settings.batch} does not divide over {accelerator.num_processes} processes")
    steps = max(1, settings.images // settings.batch)
    if accelerator.device.type == "cpu" and bf16:
        depthwise_in_float32(model)
    model.to(accelerator.device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(_parameter_groups(model, settings))
    average = WeightAverage(model, settings.ema)
    step, since, history, best = 0, 0, list[dict[str, Any]](), dict[str, Any]()
    state = load_state(run)
    if state is not None:
        if state.facts.get("run") != facts:
            raise ResultsError("holds another training run; choose another --out, or --force to start anew", run)
        step, history, best = state.step, state.facts["history"], state.facts["best"]
        since = state.facts.get("since", 0)
        model.load_state_dict(state.model)
        average.load(state.average)
        restore_optimizer(optimizer, state.optimizer)
        if step >= steps or state.facts.get("stopped"):
            return TrainingResult(step, best, run / "best.safetensors", history, was_finished=True)

    order = schedule(train_sets, weights, steps * settings.batch, settings.seed)
    cache = FrameCache(read, int(settings.cache_gb * 1e9))
    held_out = spread_over(validation.images, settings.validate_images) if validation is not None else []
    every = max(1, settings.validate_every // settings.batch) if settings.validate_every else steps
    wrapped = accelerator.prepare(_Losses(model)) if accelerator.num_processes > 1 else _Losses(model)
    rank, processes = accelerator.process_index, accelerator.num_processes
    stopped, started, counted = False, time.perf_counter(), 0
    saved = started
    for images, targets in batches(
        order, cache, settings.augmentation, settings.batch, settings.seed, step, rank, processes
    ):
        _set_mode(model, settings.freeze)
        factor = learning_rate_at(step, steps, settings.warmup_steps)
        for group in optimizer.param_groups:
            group["lr"] = group["base"] * factor
        torch.manual_seed(settings.seed * 1_000_003 + step * processes + rank)
        images = images.to(accelerator.device)
        targets = [move_target(target, accelerator.device) for target in targets]
        with torch.autocast(accelerator.device.type, torch.bfloat16, enabled=bf16):
            losses = wrapped(images, targets)
        loss = torch.stack(list(losses.values())).sum()
        if not math.isfinite(float(loss.detach())):
            raise NightherdError(
                f"the loss is {float(loss.detach())} at step {step}; give a lower rate, --set "
                f"learning_rate={settings.learning_rate / 2:g}, and another --out",
                run,
            )
        optimizer.zero_grad(set_to_none=True)
        accelerator.backward(loss)
        torch.nn.utils.clip_grad_norm_([p for g in optimizer.param_groups for p in g["params"]], settings.clip)
        optimizer.step()
        average.update(model, step)
        step += 1
        counted += settings.batch
        told = {k.removeprefix("loss_"): float(v.detach()) for k, v in losses.items()}
        speed = counted / (time.perf_counter() - started)
        metrics: dict[str, Any] | None = None
        is_due = step % every == 0 or step == steps
        if is_due:
            with average.applied_to(model):
                if held_out:
                    metrics = {
                        "step": step,
                        "images": step * settings.batch,
                        **validate(model, held_out, cache, bf16).to_dict(),
                    }
                    history.append(metrics)
                score = (metrics or {}).get("ap") or 0.0
                since = 0 if not best or score > best.get("ap", -1.0) or not held_out else since + 1
                if since == 0:
                    best = {**(metrics or {"step": step, "images": step * settings.batch}), "ap": score}
                    if accelerator.is_main_process:
                        save_tensors(run / "best.safetensors", average.tensors)
            stopped = bool(settings.patience) and since >= settings.patience
        if accelerator.is_main_process and (is_due or time.perf_counter() - saved >= SAVE_SECONDS):
            kept = {"run": facts, "history": history, "best": best, "since": since, "stopped": stopped}
            tensors = {k: v.detach().clone() for k, v in model.state_dict().items()}
            save_state(run, RunState(step, tensors, average.tensors, optimizer_tensors(optimizer), kept))
            saved = time.perf_counter()
        if is_due:
            accelerator.wait_for_everyone()
        report(Progress(step, steps, told, settings.learning_rate * factor, speed, settings.batch, metrics))
        if stopped or step >= steps:
            break
    return TrainingResult(step, best, run / "best.safetensors", history)


class _Losses(torch.nn.Module):
    """Makes `losses` the forward pass, which is what several processes synchronise."""

    def __init__(self, model: TwoStageDetector) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor, targets: list[Any]) -> dict[str, torch.Tensor]:
        return self.model.losses(images, targets)
