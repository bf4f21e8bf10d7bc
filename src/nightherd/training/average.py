"""The moving average of a model's weights, which is validated, kept and exported (Tarvainen and Valpola 2017)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn


class WeightAverage:
    """Keeps avg = d · avg + (1 - d) · weights, with d = min(decay, (1 + n) / (10 + n)) after n updates.

    Integer buffers are copied. Batch-norm statistics are averaged like weights.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.tensors = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, n: int) -> None:
        """Takes in the weights after update number `n`, counted from 0."""
        decay = min(self.decay, (1 + n) / (10 + n))
        for key, value in model.state_dict().items():
            kept = self.tensors[key]
            if kept.dtype.is_floating_point:
                kept.lerp_(value.detach(), 1 - decay)
            else:
                kept.copy_(value)

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Takes back saved averages."""
        for key, value in tensors.items():
            self.tensors[key].copy_(value)

    @contextlib.contextmanager
    def applied_to(self, model: nn.Module) -> Iterator[None]:
        """The model carries the averages inside the block and its own weights after it."""
        own = {k: v.detach().clone() for k, v in model.state_dict().items()}
        model.load_state_dict(self.tensors)
        try:
            yield
        finally:
            model.load_state_dict(own)
