"""The gradient of one step, made in as many parts as memory asks for, and what stops a run told with a way on."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from nightherd.detector.presets import preset
from nightherd.detector.two_stage import Target, TwoStageDetector
from nightherd.errors import NightherdError
from nightherd.training.images import move_target
from nightherd.training.regions import RegionChoice
from nightherd.training.settings import TrainingSettings


class Step:
    """Losses and gradients of a detector.

    Args:
        model: on its device, with what is frozen marked so.
        settings: of the run.
        accelerator: this process among those of the run.
    """

    def __init__(self, model: TwoStageDetector, settings: TrainingSettings, accelerator: Accelerator) -> None:
        detector = preset(settings.preset, settings.detector)
        self._choice = RegionChoice(model, settings.seed, (detector.proposals.samples, detector.head.samples))
        losses = _Losses(model)
        self._losses: nn.Module = accelerator.prepare(losses) if accelerator.num_processes > 1 else losses
        self._accelerator = accelerator
        self._parts = settings.accumulate
        self._bf16 = settings.precision == "bf16"

    def backward(self, images: Tensor, targets: Sequence[Target], places: Sequence[int]) -> dict[str, float]:
        """Adds the gradient of this process's images of a step to the parameters'; returns the losses.

        Args:
            images: (B, 1, H, W) on the CPU.
            targets, places: of each image; where it comes in the run.
        """
        device = self._accelerator.device
        n = len(images)
        size = -(-n // self._parts)
        told: dict[str, float] = {}
        for start in range(0, n, size):
            part = slice(start, start + size)
            self._choice.begin(places[part])
            is_last = start + size >= n
            with contextlib.nullcontext() if is_last else self._accelerator.no_sync(self._losses):
                with torch.autocast(device.type, torch.bfloat16, enabled=self._bf16):
                    losses = self._losses(images[part].to(device), [move_target(t, device) for t in targets[part]])
                losses = self._choice.weigh(losses, n)
                self._accelerator.backward(torch.stack(list(losses.values())).sum())
            for name, loss in losses.items():
                key = name.removeprefix("loss_")
                told[key] = told.get(key, 0.0) + float(loss.detach())
        return told


class _Losses(nn.Module):
    """Makes `losses` the forward pass, which is what several processes synchronise."""

    def __init__(self, model: TwoStageDetector) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, targets: list[Target]) -> dict[str, Tensor]:
        return self.model.losses(images, targets)


def clip_gradients(groups: list[dict[str, Any]], most: float) -> float:
    """Scales the gradients of all groups to a norm of `most` where it is larger (0: never); returns the norm it was."""
    parameters = [p for group in groups for p in group["params"]]
    return float(torch.nn.utils.clip_grad_norm_(parameters, most or math.inf))


@contextlib.contextmanager
def memory_told(settings: TrainingSettings, doing: str) -> Iterator[None]:
    """Turns running out of memory, on the GPU or the CPU, into an error with a way on.

    Raises:
        NightherdError: out of memory.
    """
    try:
        yield
    except RuntimeError as error:
        # torch has a class of its own for a GPU that is full, and only a text for the CPU.
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        parts = min(settings.batch, 2 * settings.accumulate)
        smaller = settings.augmentation.crop // 64 * 32 or 384
        first = f"--set accumulate={parts} (the run goes on where it stopped) or, as another run, "
        raise NightherdError(
            f"out of memory while {doing}; give {first if parts > settings.accumulate else ''}"
            f"--set batch={max(1, settings.batch // 2)} or --set augmentation.crop={smaller}"
        ) from error
