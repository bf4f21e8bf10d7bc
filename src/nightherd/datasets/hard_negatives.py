"""Hard negatives in labels: a list `hard_negatives` in an image's COCO record, which other readers of COCO pass over.

Each entry is `{"bbox": [x, y, width, height], "score", "category", "kind", "thumbnail"}`; only the box is needed.
`nightherd mine` writes them, a trainer lays crops around them, and no metric takes them for truth. One that names a
thumbnail that is not there counts as rejected: a person deletes the picture of what is no false alarm.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nightherd.datasets.mending import Problems, as_number, is_file, mend_boxes, relative_path, shown
from nightherd.errors import DatasetError
from nightherd.types import FloatArray

KEY = "hard_negatives"


def read_focus(
    record: dict[str, Any], file_name: str, width: int, height: int, path: Path, problems: Problems
) -> FloatArray:
    """The hard negatives of an image's record, clipped to the image.

    Args:
        record: of the image, as the label file has it.
        file_name: of the image, for messages.
        width, height: of the image, pixels.
        path: the label file.
        problems: takes a line for each box that was mended or left out.

    Returns:
        float32 (K, 4), x1 y1 x2 y2 in pixels; (0, 4) where the record has none.

    Raises:
        DatasetError: the list is no list, or an entry has no box.
    """
    entries = record.get(KEY)
    if entries is None:
        return np.zeros((0, 4), np.float32)
    if not isinstance(entries, list):
        raise DatasetError(f"{KEY} of image {file_name} is {shown(entries)}; it must be a list", path)
    where = [f"{file_name}, hard negative {place}" for place in range(1, len(entries) + 1)]
    corners = np.zeros((len(entries), 4), np.float64)
    is_rejected = np.zeros(len(entries), np.bool_)
    for place, entry in enumerate(entries):
        box = entry.get("bbox") if isinstance(entry, dict) else None
        if not isinstance(box, list) or len(box) != 4:
            raise DatasetError(f"{where[place]} has the bbox {shown(box)}; it must be x, y, width, height", path)
        x, y, w, h = (as_number(value, f"the bbox of {where[place]}", path, problems) for value in box)
        corners[place] = x, y, x + w, y + h
        is_rejected[place] = _is_rejected(entry.get("thumbnail"), where[place], path)
    for place in map(int, np.flatnonzero(is_rejected)):
        problems.add("rejected hard negative", where[place], "left out, its thumbnail was deleted")
    corners, where = corners[~is_rejected], [name for name, gone in zip(where, is_rejected, strict=True) if not gone]
    return mend_boxes(corners, width, height, where, problems)[0]


def _is_rejected(thumbnail: object, where: str, path: Path) -> bool:
    if thumbnail is None:
        return False
    return not is_file(path.parent / relative_path(thumbnail, f"the thumbnail of {where}", path))


def focus_value(focus: FloatArray) -> list[dict[str, Any]]:
    """Hard negatives as they stand in an image's record: x, y, width and height of each."""
    return [
        {"bbox": [round(float(v), 4) for v in (x1, y1, x2 - x1, y2 - y1)]}
        for x1, y1, x2, y2 in focus.astype(np.float64)
    ]
