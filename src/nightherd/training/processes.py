"""One process or several: what `torchrun` starts agrees on the device, on one set of detections, and on who writes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs, broadcast
from torch import Tensor

from nightherd.types import Detections

PATIENCE = timedelta(hours=2)
"""How long the processes of a run wait for one another: one may be reading a slow disk."""


def join_processes() -> Accelerator:
    """This process in its place: alone, or one of those that torchrun started, on a GPU each or on the CPU."""
    among_several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    return Accelerator(
        cpu=among_several and not torch.cuda.is_available(),
        mixed_precision="no",
        step_scheduler_with_optimizer=False,
        kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
    )


def own_share(accelerator: Accelerator, n: int) -> range:
    """Which of n things this process does."""
    return range(accelerator.process_index, n, accelerator.num_processes)


def gather_detections(
    accelerator: Accelerator, found: Sequence[Detections], n: int, classes: tuple[str, ...]
) -> list[Detections]:
    """The detections of all n images, in order, from those that each process made of its own share.

    They travel as rows of numbers, for what is sent between processes as objects is pickled.
    """
    if accelerator.num_processes == 1:
        return list(found)
    rows = np.concatenate(
        [np.zeros((0, 7))]
        + [
            np.column_stack([np.full(len(d.boxes), i), d.boxes, d.scores, d.labels]).astype(np.float64)
            for i, d in zip(own_share(accelerator, n), found, strict=True)
        ]
    )
    mine = torch.from_numpy(rows).to(accelerator.device)
    # A row of -1 more, since a process may have found nothing and gathers all the same.
    mine = torch.cat([mine, mine.new_full((1, 7), -1.0)])
    padded = accelerator.pad_across_processes(mine, dim=0, pad_index=-1)
    every = accelerator.gather(padded).cpu().numpy()
    result = []
    for i in range(n):
        of_image = every[every[:, 0] == i]
        result.append(
            Detections(
                of_image[:, 1:5].astype(np.float32),
                of_image[:, 5].astype(np.float32),
                of_image[:, 6].astype(np.int64),
                classes,
            )
        )
    return result


def agree_on_statistics(accelerator: Accelerator, tensors: dict[str, Tensor]) -> None:
    """Gives all processes the first one's batch-norm statistics; weights agree already."""
    if accelerator.num_processes == 1:
        return
    for name, tensor in tensors.items():
        if name.endswith((".running_mean", ".running_var")):
            tensor.copy_(broadcast(tensor.clone(), from_process=0))
