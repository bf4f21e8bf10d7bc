"""Labelled data sets: read, write, inspect, split, fetch, simulate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nightherd.datasets.images import Missing
    from nightherd.datasets.types import Dataset

__all__ = ["open_dataset"]


def open_dataset(
    spec: str | Path, split: str | None = None, *, missing: Missing = "error", images: Path | None = None
) -> Dataset:
    """Opens a labelled data set; see `nightherd.datasets.opening.open_dataset`, which is imported on first use."""
    from nightherd.datasets import opening

    return opening.open_dataset(spec, split, missing=missing, images=images)
