"""What the names of files and folders tell: the split, and HIT-UAV's record of each flight."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from nightherd.datasets.types import Attribute, LabelledImage

SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""How folders and files call a split, and our name for it."""

_HIT_UAV = re.compile(r"([01])_(\d{2,3})_(\d{1,2})_(\d)_(\d+)")


def split_of_name(name: str) -> str | None:
    """The split that a name tells: `instances_val2017` is `val`; None where it tells none, or several."""
    words = [SPLITS[word] for word in re.findall(r"[a-z]+", name.lower()) if word in SPLITS]
    return words[0] if len(set(words)) == 1 else None


def split_of_file(path: Path) -> str | None:
    """The split of a label file: told by its name, else by its folder where that is called as a split is."""
    return split_of_name(path.stem) or SPLITS.get(path.parent.name.lower())


def hit_uav_attributes(file_name: str) -> dict[str, Attribute] | None:
    """What a HIT-UAV file name tells: `{0 day|1 night}_{altitude, m}_{camera angle, degrees}_{weather}_{number}`.

    Returns:
        `time_of_day` (`day`, `night`), `altitude`, `camera_angle`, `weather` (the code as it stands) and
        `frame_number`; None for any other name. Source: Suo et al. 2023, Scientific Data 10:227.
    """
    match = _HIT_UAV.fullmatch(PurePosixPath(file_name).stem)
    if match is None:
        return None
    return {
        "time_of_day": "night" if match[1] == "1" else "day",
        "altitude": int(match[2]),
        "camera_angle": int(match[3]),
        "weather": int(match[4]),
        "frame_number": int(match[5]),
    }


def with_name_attributes(images: Sequence[LabelledImage]) -> tuple[LabelledImage, ...]:
    """The images with what their names tell, where every one of them is named as HIT-UAV names its frames.

    Attributes that the labels themselves give stand.
    """
    found = [hit_uav_attributes(image.file_name) for image in images]
    if any(attributes is None for attributes in found):
        return tuple(images)
    return tuple(
        replace(image, attributes={**(attributes or {}), **image.attributes})
        for image, attributes in zip(images, found, strict=True)
    )
