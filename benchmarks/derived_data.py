"""A folder of frames made from a data set, and of which: so that it is not taken for one made from another.

Part of `ablation.py` and `learning_curve.py`, whose folders are made once and kept with the runs.
"""

from __future__ import annotations

from pathlib import Path

from nightherd.datasets.coco import write_coco
from nightherd.datasets.types import Dataset
from nightherd.errors import DatasetError
from nightherd.files import write_text
from nightherd.workflows.evaluate_source import dataset_digest

LABELS, SOURCE = "annotations.json", "source.sha256"


def is_made(folder: Path, source: Dataset) -> bool:
    """Whether the folder is finished.

    Args:
        source: the frames that it is to be made from, with their labels.

    Raises:
        DatasetError: it was made from others.
    """
    if not (folder / LABELS).is_file():
        return False
    noted = folder / SOURCE
    if not noted.is_file() or noted.read_text(encoding="utf-8").strip() != dataset_digest(source):
        raise DatasetError(f"was not made from these frames of {source.name}; choose another --out", folder)
    return True


def finish(folder: Path, made: Dataset, source: Dataset, file_names: list[str] | None = None) -> None:
    """Writes the labels of what was made, after the digest of what it was made from."""
    write_text(folder / SOURCE, dataset_digest(source) + "\n")
    write_coco(made, folder / LABELS, file_names)
