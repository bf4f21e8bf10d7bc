"""Which classes of a model and of a data set mean the same, after `--map` has joined their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nightherd.datasets.types import Dataset, LabelledImage
from nightherd.errors import ConfigError, DatasetError
from nightherd.evaluation.types import Truth
from nightherd.types import Detections


@dataclass(frozen=True, slots=True)
class CommonClasses:
    """The classes that both sides know.

    Attributes:
        names: after joining, in the order of the finder.
        mapping: the joined name of each name on either side.
        labelled: the data set's classes, by its own names.
        only_found: names (joined) that are found but not labelled, and left out.
        only_labelled: names (joined) that are labelled but never found, and left out.
    """

    names: tuple[str, ...]
    mapping: Mapping[str, str]
    labelled: tuple[str, ...]
    only_found: tuple[str, ...]
    only_labelled: tuple[str, ...]

    def truth(self, image: LabelledImage) -> Truth:
        """The boxes of one image in these classes; boxes of classes left out are background, as in COCO."""
        index = [self._index(name) for name in self.labelled]
        labels = np.array(index or [-1], np.int64)[image.labels] if len(image.labels) else image.labels
        keep = labels >= 0
        return Truth(image.boxes[keep], labels[keep], image.ignore, image.width, image.height)

    def joined(self, detections: Detections) -> Detections:
        """The detections in these classes."""
        index = np.array([self._index(name) for name in detections.classes] or [-1], np.int64)
        labels = index[detections.labels] if len(detections) else detections.labels
        kept = replace(detections, labels=labels, classes=self.names)
        return kept.select(labels >= 0)

    def under_own_names(self, detections: Detections) -> Detections:
        """The detections labelled by the data set's own classes: of several that are joined, its first."""
        first = {self.mapping.get(name, name): name for name in reversed(self.labelled)}
        own = [name if name in self.labelled else first.get(self._joined_name(name)) for name in detections.classes]
        index = np.array([self.labelled.index(name) if name else -1 for name in own] or [-1], np.int64)
        labels = index[detections.labels] if len(detections) else detections.labels
        kept = replace(detections, labels=labels, classes=self.labelled)
        return kept.select(labels >= 0)

    def _joined_name(self, name: str) -> str:
        return self.mapping.get(name, name)

    def _index(self, name: str) -> int:
        joined = self._joined_name(name)
        return self.names.index(joined) if joined in self.names else -1

    def notes(self, dataset: str) -> list[str]:
        """What was left out, in sentences."""
        notes = []
        if self.only_found:
            notes.append(f"{dataset} does not label {_list(self.only_found)}: left out, neither right nor wrong.")
        if self.only_labelled:
            notes.append(f"Labelled but not known to the model, and left out: {_list(self.only_labelled)}.")
        return notes


def common_classes(found: Sequence[str], dataset: Dataset, mapping: Mapping[str, str]) -> CommonClasses:
    """The classes that are both found and labelled, once `mapping` has been applied to either side.

    Args:
        found: class names of the model, or of the results.
        dataset: with class names of its own.
        mapping: the new name of each old one, from `--map old=new`.

    Raises:
        ConfigError: the mapping names something that neither side has.
        DatasetError: the data set has no class, or none in common; the message shows how to join names.
    """
    labelled = dataset.classes
    unknown = [name for name in mapping if name not in labelled and name not in found]
    if unknown:
        raise ConfigError(
            f"--map {unknown[0]}={mapping[unknown[0]]}: neither side has a class {unknown[0]} "
            f"({dataset.name} has {_list(labelled)}; the model finds {_list(found)})"
        )
    there = list(dict.fromkeys(mapping.get(name, name) for name in labelled))
    here = list(dict.fromkeys(mapping.get(name, name) for name in found))
    names = tuple(name for name in here if name in there)
    if not names:
        raise DatasetError(
            f"no class in common: {dataset.name} labels {_list(labelled)}, the model finds {_list(found)}; "
            f"join names with {_suggestion(labelled, found)}"
        )
    return CommonClasses(
        names,
        dict(mapping),
        labelled,
        tuple(name for name in here if name not in there),
        tuple(name for name in there if name not in here),
    )


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) or "nothing"


def _suggestion(labelled: Sequence[str], found: Sequence[str]) -> str:
    """`--map` options that would join names which look alike, else one as an example."""
    pairs = []
    for name in labelled:
        alike = [one for one in found if one.lower() in name.lower() or name.lower() in one.lower()]
        if alike:
            pairs.append(f"--map {name}={max(alike, key=len)}")
    if pairs:
        return " ".join(pairs[:4])
    return f"for example --map {labelled[0] if labelled else 'Rotwild'}={found[0] if found else 'animal'}"
