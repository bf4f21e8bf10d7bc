"""The frames that are mined: the training split of labelled data sets, and folders of frames free of animals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from nightherd.datasets import open_dataset
from nightherd.datasets.images import Missing, image_size
from nightherd.datasets.types import Dataset, LabelledImage
from nightherd.errors import DatasetError
from nightherd.workflows.images import find_images


def training_frames(spec: str | Path | Dataset, missing: Missing = "error") -> Dataset:
    """The `train` split of a data set, or the images that belong to no split; never `val` or `test`.

    Raises:
        DatasetError: it is missing or cannot be read, or holds nothing to train on.
    """
    whole = spec if isinstance(spec, Dataset) else open_dataset(spec, missing=missing)
    splits = {image.split for image in whole.images}
    wanted = "train" if "train" in splits else None
    part = whole.subset(image for image in whole.images if image.split == wanted)
    if not len(part):
        named = ", ".join(sorted(map(str, splits)))
        raise DatasetError(f"no 'train' split in {whole.name} (its splits: {named}); frames to test on are not mined")
    return part


def empty_frames(folder: Path) -> Dataset:
    """The frames of a folder without labels, as a data set in which there is nothing to find.

    Raises:
        FrameError: there is no image.
        DatasetError: the size of one cannot be read.
    """
    found, _ = find_images([Path(folder)])
    images = []
    for number, image in enumerate(found, 1):
        width, height = image_size(image.path)
        images.append(LabelledImage(number, image.file_name, image.path, width, height))
    return Dataset(Path(folder).resolve().name, (), tuple(images))


def spread(dataset: Dataset, most: int | None) -> Dataset:
    """At most so many images of a data set, evenly spread over it."""
    if most is None or len(dataset) <= most:
        return dataset
    places = np.linspace(0, len(dataset) - 1, most).round().astype(int)
    return replace(dataset, images=tuple(dataset.images[int(place)] for place in places))
