"""The one in-memory form of a labelled data set, that every reader fills and every writer, trainer and metric takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from nightherd.errors import DatasetError
from nightherd.types import FloatArray, IntArray

ImageId = int | str
Attribute = str | float | int


def _no_boxes() -> FloatArray:
    return np.zeros((0, 4), np.float32)


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One image of a data set and what is known about it; the pixels stay on disk.

    Attributes:
        id: the data set's own id of the image, kept as it came.
        file_name: as the labels say it, relative to the root of the data set, `/` between parts.
        path: where the image lies.
        width, height: pixels.
        boxes: float32 (N, 4), x1 y1 x2 y2 in pixels, clipped to the image, none empty.
        labels: int64 (N,), index into `Dataset.classes`.
        ignore: float32 (M, 4), regions to ignore for every class: neither truth nor background (crowds are here too).
        individuals: int64 (N,) id of the animal in each box across frames, or None.
        split: `train`, `val`, `test` or None.
        attributes: anything else known: `flight`, `altitude`, `camera_angle`, `time_of_day`…
        box_attributes: what is known of each box (`species`, `visibility`, `occluded`…), N of them, or empty.
        focus: float32 (K, 4), hard negatives: places without the object that a detector took for one, to train on.
    """

    id: ImageId
    file_name: str
    path: Path
    width: int
    height: int
    boxes: FloatArray = field(default_factory=_no_boxes)
    labels: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    ignore: FloatArray = field(default_factory=_no_boxes)
    individuals: IntArray | None = None
    split: str | None = None
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    box_attributes: tuple[Mapping[str, Attribute], ...] = ()
    focus: FloatArray = field(default_factory=_no_boxes)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A labelled data set.

    Attributes:
        name: for reports.
        classes: names, in the order of the labels.
        images: one record each.
        category_ids: the data set's own id of each class (COCO), for writing results under its ids; else 1, 2, …
        problems: what was mended or left out while reading, one line each, for `data inspect`.
    """

    name: str
    classes: tuple[str, ...]
    images: tuple[LabelledImage, ...]
    category_ids: tuple[int, ...] = ()
    problems: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    @property
    def n_boxes(self) -> int:
        """Labelled boxes over all images, ignore regions not counted."""
        return sum(len(image.boxes) for image in self.images)

    def split(self, name: str) -> Dataset:
        """The images of one split.

        Raises:
            DatasetError: the data set has no such split; the message names those it has.
        """
        images = tuple(image for image in self.images if image.split == name)
        if not images:
            known = ", ".join(sorted({image.split for image in self.images if image.split})) or "none"
            raise DatasetError(f"no split '{name}' in {self.name} (its splits: {known})")
        return replace(self, images=images)

    def subset(self, images: Iterable[LabelledImage]) -> Dataset:
        """The same data set with other images."""
        return replace(self, images=tuple(images))

    def with_classes(self, classes: Sequence[str], mapping: Mapping[str, str] | None = None) -> Dataset:
        """Renames and joins classes: boxes of class c become `mapping.get(c, c)`, labelled by its place in `classes`.

        Boxes whose new name is not in `classes` become regions to ignore.
        """
        mapping = mapping or {}
        index = {name: i for i, name in enumerate(classes)}
        lookup = np.array([index.get(mapping.get(name, name), -1) for name in self.classes] or [-1], np.int64)
        images = []
        for image in self.images:
            labels = lookup[image.labels] if len(image.labels) else image.labels
            keep = labels >= 0
            images.append(
                replace(
                    image,
                    boxes=image.boxes[keep],
                    labels=labels[keep],
                    ignore=np.concatenate([image.ignore, image.boxes[~keep]]).astype(np.float32),
                    individuals=None if image.individuals is None else image.individuals[keep],
                    box_attributes=tuple(image.box_attributes[i] for i in np.flatnonzero(keep))
                    if image.box_attributes
                    else (),
                )
            )
        return replace(self, classes=tuple(classes), images=tuple(images), category_ids=())
