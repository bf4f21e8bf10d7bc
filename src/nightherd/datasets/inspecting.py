"""What is in a data set and what is wrong with it: counts, sizes, crowding, near-duplicates across splits, problems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nightherd.datasets.duplicates import Track, near_duplicates, plainly, thumbnails
from nightherd.datasets.images import image_size
from nightherd.datasets.mending import count_problems
from nightherd.datasets.types import Dataset, LabelledImage
from nightherd.errors import DatasetError

SIZE_EDGES = (8, 16, 32, 96)
"""√area in pixels between the size bins; COCO's small, medium and large meet at 32 and 96."""
COUNT_EDGES = (0, 1, 2, 4, 8, 16, 32, 64)
"""The least number of animals of each bin of images."""
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
MOST_IMAGES = 20_000
"""More images than this are compared by an even sample."""


@dataclass(frozen=True, slots=True)
class SplitSummary:
    """Counts of one split: images, images without a box, boxes, boxes of each class, regions to ignore, individuals."""

    images: int
    empty: int
    boxes: int
    per_class: dict[str, int]
    ignore: int
    individuals: int | None


@dataclass(frozen=True, slots=True)
class Inspection:
    """What `inspect` found.

    Attributes:
        name: of the data set.
        classes: names.
        splits: a summary of each split; a data set without splits has one, called `all`.
        image_sizes: images of each `width x height`.
        box_size: quantiles of √area in pixels, over all boxes and for each class.
        size_bins: boxes in each bin of √area.
        per_image: images in each bin of the number of boxes.
        individuals: animals told apart across frames, where the labels do.
        compared: images whose thumbnails were compared; None where it was not asked for.
        duplicates: pairs of near-duplicates within and across splits, and examples across: (file, file, correlation).
        problems: how many of each kind, and the lines.
    """

    name: str
    classes: tuple[str, ...]
    splits: dict[str, SplitSummary]
    image_sizes: dict[str, int]
    box_size: dict[str, dict[str, float]]
    size_bins: dict[str, int]
    per_image: dict[str, int]
    individuals: int | None
    compared: int | None
    duplicates: dict[str, Any]
    problems: dict[str, int]
    problem_lines: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The record as plain values."""
        return asdict(self)


def box_sizes(images: Sequence[LabelledImage]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """√area in pixels of every box of these images, and its label."""
    if not images:
        return np.zeros(0, np.float64), np.zeros(0, np.int64)
    boxes = np.concatenate([image.boxes for image in images]).astype(np.float64)
    labels = np.concatenate([image.labels for image in images])
    return np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])), labels


def inspect(dataset: Dataset, *, compare: bool = True, track: Track = plainly) -> Inspection:
    """Looks through a data set.

    Args:
        dataset: as it was read; its problems are counted too.
        compare: whether to read the images, compare them, and check their sizes against the labels.
        track: shows progress.
    """
    sizes, labels = box_sizes(dataset.images)
    groups = {"all boxes": sizes} | {name: sizes[labels == i] for i, name in enumerate(dataset.classes)}
    lines = list(dataset.problems)
    compared: int | None = None
    duplicates: dict[str, Any] = {}
    if compare:
        compared, duplicates, found = _compare(dataset.images, track)
        lines += found
    individuals = _individuals(dataset.images)
    return Inspection(
        name=dataset.name,
        classes=dataset.classes,
        splits={
            name: _summary([i for i in dataset.images if (i.split or "all") == name], dataset.classes)
            for name in split_names(dataset)
        },
        image_sizes=dict(Counter(f"{i.width} x {i.height}" for i in dataset.images).most_common(20)),
        box_size={name: _quantiles(values) for name, values in groups.items() if len(values)},
        size_bins=_binned(sizes, (0, *SIZE_EDGES), "px"),
        per_image=_binned(np.array([len(i.boxes) for i in dataset.images], np.float64), COUNT_EDGES, ""),
        individuals=individuals,
        compared=compared,
        duplicates=duplicates,
        problems=count_problems(lines),
        problem_lines=tuple(lines),
    )


def split_names(dataset: Dataset) -> list[str]:
    """The splits of a data set in the usual order; `all` stands for images without one."""
    order = {"train": 0, "val": 1, "test": 2}
    return sorted({i.split or "all" for i in dataset.images}, key=lambda name: (order.get(name, 3), name))


def _summary(images: Sequence[LabelledImage], classes: Sequence[str]) -> SplitSummary:
    labels = np.concatenate([i.labels for i in images]) if images else np.zeros(0, np.int64)
    counts = np.bincount(labels, minlength=len(classes))
    return SplitSummary(
        images=len(images),
        empty=sum(1 for i in images if not len(i.boxes)),
        boxes=len(labels),
        per_class={name: int(count) for name, count in zip(classes, counts, strict=True)},
        ignore=sum(len(i.ignore) for i in images),
        individuals=_individuals(images),
    )


def _individuals(images: Sequence[LabelledImage]) -> int | None:
    """Animals told apart: distinct ids within a flight; None where the labels tell none."""
    found = {
        (i.attributes.get("flight"), int(number))
        for i in images
        if i.individuals is not None
        for number in i.individuals
        if number >= 0
    }
    return len(found) or None


def _quantiles(values: npt.NDArray[np.float64]) -> dict[str, float]:
    return {f"{q:.0%}": round(float(v), 2) for q, v in zip(QUANTILES, np.quantile(values, QUANTILES), strict=True)}


def _binned(values: npt.NDArray[np.float64], edges: Sequence[int], unit: str) -> dict[str, int]:
    """Counts between edges, the last bin open; named as people write ranges."""
    counts = np.histogram(values, [*edges, np.inf])[0]
    found = {}
    for i, count in enumerate(counts):
        low = edges[i]
        if i + 1 == len(edges):
            name = f"{low}{'' if not unit else ' ' + unit} and more"
        elif unit:
            name = f"{low} to {edges[i + 1]} {unit}"
        else:
            name = str(low) if edges[i + 1] == low + 1 else f"{low} to {edges[i + 1] - 1}"
        found[name] = int(count)
    return found


def _compare(images: Sequence[LabelledImage], track: Track) -> tuple[int, dict[str, Any], list[str]]:
    """Reads the images small: how many, what near-duplicates there are, and problems found on the way."""
    step = max(1, -(-len(images) // MOST_IMAGES))
    sample = list(images[::step])
    small, is_read, errors = thumbnails([i.path for i in sample], track)
    lines = [f"image cannot be read: {error.path}: {error.message}" for error in errors]
    for image, ok in zip(sample, is_read, strict=True):
        if ok:
            lines += _size_problem(image)
    names = sorted({i.split or "all" for i in sample})
    split_number = np.array([names.index(i.split or "all") for i in sample], np.int64)
    pairs, correlation = near_duplicates(small)
    across = split_number[pairs[:, 0]] != split_number[pairs[:, 1]] if len(pairs) else np.zeros(0, np.bool_)
    order = np.argsort(-correlation[across], kind="stable")
    examples = []
    for k in np.flatnonzero(across)[order][:50]:
        first, second = sample[int(pairs[k, 0])], sample[int(pairs[k, 1])]
        examples.append(
            {
                "first": first.file_name,
                "first_split": first.split,
                "second": second.file_name,
                "second_split": second.split,
                "correlation": round(float(correlation[k]), 4),
            }
        )
    touched = {
        name: len({int(i) for pair in pairs[across] for i in pair if split_number[i] == number})
        for number, name in enumerate(names)
    }
    found = {
        "within_splits": int((~across).sum()),
        "across_splits": int(across.sum()),
        "images_with_one_in_another_split": {name: count for name, count in touched.items() if count},
        "examples": examples,
    }
    return len(sample), found, lines


def _size_problem(image: LabelledImage) -> list[str]:
    """A line where the header of an image and its labels disagree about its size."""
    try:
        width, height = image_size(image.path)
    except DatasetError as error:
        return [f"image cannot be read: {error.path}: {error.message}"]
    if (width, height) == (image.width, image.height):
        return []
    return [
        f"size in the labels is wrong: {image.file_name}: labels {image.width} x {image.height}, "
        f"file {width} x {height}"
    ]
