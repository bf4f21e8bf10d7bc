"""What a training run computes on, for its record."""

from __future__ import annotations

from typing import Any

import torch


def device_facts() -> dict[str, Any]:
    """The accelerator's name (None for the processor) and the number of processor threads."""
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    if name is None and torch.backends.mps.is_available():
        name = "Apple GPU (MPS)"
    return {"device": name, "threads": torch.get_num_threads()}
