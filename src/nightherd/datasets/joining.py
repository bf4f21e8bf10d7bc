"""Several label files, one data set: classes joined by name, ids kept apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from nightherd.datasets.types import Dataset


def join(parts: Sequence[Dataset], name: str) -> Dataset:
    """One data set of all images; where two parts use an id for different images, theirs become `split/id`.

    Args:
        parts: at least one; a class belongs to the one of the same name in another part.
        name: of the whole.
    """
    classes = tuple(dict.fromkeys(c for part in parts for c in part.classes))
    numbers: dict[str, int] = {}
    for part in parts:
        for class_name, number in zip(part.classes, part.category_ids, strict=False):
            if class_name not in numbers and number not in numbers.values():
                numbers[class_name] = number
    is_complete = len(numbers) == len(classes)
    images = [image for part in parts for image in part.with_classes(classes).images]
    uses = Counter(image.id for image in images)
    problems = [line for part in parts for line in part.problems]
    shared = sum(1 for count in uses.values() if count > 1)
    if shared:
        seen: Counter[object] = Counter()
        renamed = []
        for image in images:
            if uses[image.id] > 1:
                seen[image.id] += 1
                prefix = image.split or f"part{seen[image.id]}"
                renamed.append(replace(image, id=f"{prefix}/{image.id}"))
            else:
                renamed.append(image)
        images = renamed
        problems.append(f"image id in two splits: {shared} ids: read as split/id")
    return Dataset(
        name,
        classes,
        tuple(images),
        tuple(numbers[c] for c in classes) if is_complete else tuple(range(1, len(classes) + 1)),
        tuple(problems),
    )
