"""The training loop: one function that reads top to bottom.

Averaged weights, best weights by validation AP, resume to the same trajectory: the order, every crop and every sampled
region follow from (seed, place in the run), and the state is saved whole after each validation and every few minutes
between. Under torchrun each process makes its share of every step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from nightherd.datasets.types import Dataset, LabelledImage
from nightherd.detector.two_stage import TwoStageDetector
from nightherd.errors import DatasetError, NightherdError
from nightherd.training.average import WeightAverage
from nightherd.training.checkpoints import (
    RunState,
    load_state,
    optimizer_tensors,
    restore_optimizer,
    save_state,
    save_tensors,
)
from nightherd.training.companions import Companions
from nightherd.training.images import FrameCache, ReadFrame, batches, schedule
from nightherd.training.optimizers import OPTIMIZERS, SCHEDULES, parameter_groups, set_training_mode
from nightherd.training.pace import Pace
from nightherd.training.precision import depthwise_in_float32, precision_for
from nightherd.training.processes import agree_on_statistics, join_processes, own_share
from nightherd.training.settings import TrainingSettings, another_run, differences
from nightherd.training.step import Step, clip_gradients, memory_told
from nightherd.training.validation import spread_over, validate


@dataclass(frozen=True, slots=True)
class Progress:
    """What a run tells after each step.

    Attributes:
        step, steps: done, and in all.
        losses: of this step, by name.
        rate: the learning rate of this step.
        images_per_second, seconds_left: by recent steps and the last validation.
        images_per_step: over all processes.
        best_ap: the best validation so far, None before the first.
        validation: metrics, where this step ended in one.
        saving: whether the state is saved right after.
    """

    step: int
    steps: int
    losses: dict[str, float]
    rate: float
    images_per_second: float
    images_per_step: int
    seconds_left: float
    best_ap: float | None = None
    validation: dict[str, Any] | None = None
    saving: bool = False


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """How a run ended: steps done, best validation metrics, history of validations, where the best weights lie."""

    steps: int
    best: dict[str, Any]
    best_path: Path
    history: list[dict[str, Any]] = field(default_factory=list)
    was_finished: bool = False


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
        run: folder for the state and `best.safetensors`.
        read: reads a frame file.
        facts: JSON values that name the data and settings; a state with others is refused.
        report: called after each step, in the first process only, before the state is saved: what it writes down is
            there when the state is.

    Raises:
        ResultsError: `run` holds another run.
        DatasetError: nothing to train on.
        NightherdError: the loss is not a number any more, or memory is full.
    """
    if not train_sets or any(len(dataset) == 0 for dataset in train_sets):
        raise DatasetError("a training data set has no images")
    if not any(dataset.n_boxes for dataset in train_sets):
        raise DatasetError("no box in any training data set; there is nothing to learn")
    settings = settings.over(sum(len(dataset) for dataset in train_sets))
    accelerator = join_processes()
    rank, processes, is_main = accelerator.process_index, accelerator.num_processes, accelerator.is_main_process
    if settings.batch % processes:
        raise NightherdError(f"batch {settings.batch} does not divide over {processes} processes; choose another batch")
    settings = settings.model_copy(update={"precision": precision_for(settings.precision, accelerator.device.type)})
    bf16 = settings.precision == "bf16"
    if accelerator.device.type == "cpu" and bf16:
        depthwise_in_float32(model)
    model.to(accelerator.device).to(memory_format=torch.channels_last)
    optimizer = OPTIMIZERS[settings.optimizer](parameter_groups(model, settings), settings)
    average = WeightAverage(model, settings.ema)

    steps = max(1, settings.images // settings.batch)
    step, since, history, best = 0, 0, list[dict[str, Any]](), dict[str, Any]()
    state = load_state(run)
    if state is not None:
        if changed := differences(state.facts.get("run", {}), facts):
            raise another_run(changed, run)
        step, history, best = state.step, state.facts["history"], state.facts["best"]
        since = state.facts.get("since", 0)
        model.load_state_dict(state.model)
        average.load(state.average)
        restore_optimizer(optimizer, state.optimizer)
        if step >= steps or state.facts.get("stopped"):
            return TrainingResult(step, best, run / "best.safetensors", history, was_finished=True)

    order = schedule(train_sets, weights, steps * settings.batch, settings.seed, settings.repeat_factor)
    cache = FrameCache(read, int(settings.cache_gb * 1e9))
    others = Companions(train_sets)
    held_out = spread_over(validation.images, settings.validate_images) if validation is not None else []
    every = max(1, settings.validate_every // settings.batch) if settings.validate_every else steps
    one_step, rate_at = Step(model, settings, accelerator), SCHEDULES[settings.schedule]
    stopped, pace, saved_at, saved_step = False, Pace(), time.perf_counter(), step
    for images, targets in batches(
        order, cache, settings.augmentation, settings.batch, settings.seed, step, rank, processes, companions=others
    ):
        set_training_mode(model, settings)
        factor = rate_at(step, steps, settings)
        for group in optimizer.param_groups:
            group["lr"] = group["base"] * factor
        optimizer.zero_grad(set_to_none=True)
        places = [step * settings.batch + i for i in own_share(accelerator, settings.batch)]
        with memory_told(settings, f"training on {len(images)} images of {images.shape[3]} x {images.shape[2]}"):
            losses = one_step.backward(images, targets, places)
        norm = clip_gradients(optimizer.param_groups, settings.clip)
        if not math.isfinite(sum(losses.values()) + norm):
            raise _no_number(losses, norm, step, [order[place] for place in places], settings, run, saved_step)
        optimizer.step()
        average.update(model, step)
        step += 1
        pace.step()

        metrics: dict[str, Any] | None = None
        is_due = step % every == 0 or step == steps
        if is_due:
            agree_on_statistics(accelerator, average.tensors)
            seen = {"step": step, "images": step * settings.batch}
            if held_out:
                with average.applied_to(model), memory_told(settings, "validating on whole frames"):
                    metrics = {**seen, **validate(model, held_out, cache, bf16, accelerator).to_dict()}
                history.append(metrics)
            score = (metrics or {}).get("ap") or 0.0
            since = 0 if not held_out or not best or score > best.get("ap", -1.0) else since + 1
            if since == 0:
                best = {**(metrics or seen), "ap": score if held_out else None}
                if is_main:
                    save_tensors(run / "best.safetensors", average.tensors)
            stopped = bool(settings.patience) and since >= settings.patience
        is_kept = is_due or time.perf_counter() - saved_at >= settings.save_seconds
        if is_due:
            pace.validation()
        if is_main:
            left = pace.seconds_left(steps - step, -(-steps // every) - -(-step // every))
            speed = settings.batch / pace.seconds_a_step if pace.seconds_a_step else 0.0
            best_ap = best.get("ap") if history else None
            rate = settings.learning_rate * factor
            report(Progress(step, steps, losses, rate, speed, settings.batch, left, best_ap, metrics, is_kept))
        if is_main and is_kept:
            kept = {"run": facts, "history": history, "best": best, "since": since, "stopped": stopped}
            tensors = {k: v.detach().clone() for k, v in model.state_dict().items()}
            save_state(run, RunState(step, tensors, average.tensors, optimizer_tensors(optimizer), kept))
            saved_at, saved_step = time.perf_counter(), step
        if is_due:
            accelerator.wait_for_everyone()
        if stopped or step >= steps:
            break
    return TrainingResult(step, best, run / "best.safetensors", history)


def _no_number(
    losses: dict[str, float],
    norm: float,
    step: int,
    images: Sequence[LabelledImage],
    settings: TrainingSettings,
    run: Path,
    saved_step: int,
) -> NightherdError:
    loss = sum(losses.values())
    what = f"the loss is {loss}" if not math.isfinite(loss) else f"the gradient's norm is {norm}"
    names = ", ".join(image.file_name for image in images[:8]) + (", …" if len(images) > 8 else "")
    kept = f"the state of step {saved_step} is whole; " if saved_step else ""
    return NightherdError(
        f"{what} at step {step + 1}, on {names}; {kept}start anew with a lower rate, "
        f"--set learning_rate={settings.learning_rate / 2:g}, and another --out",
        run,
    )
