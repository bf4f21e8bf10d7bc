"""What of a data set an evaluation measures: classes, thresholds, truth of any kind, and the parts of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nightherd.datasets.types import Dataset, ImageId, LabelledImage
from nightherd.errors import ConfigError, DatasetError, ResultsError
from nightherd.evaluation.measurement import Measurement
from nightherd.evaluation.misread import misread
from nightherd.evaluation.slices import Part, Value, parts_of
from nightherd.evaluation.thresholds import Rule
from nightherd.evaluation.types import SizeBin, Truth
from nightherd.types import Detections
from nightherd.workflows.class_names import CommonClasses, common_classes
from nightherd.workflows.evaluate_source import Source
from nightherd.workflows.evaluate_truth import Table, parse_radius, radius_in_pixels


@dataclass(frozen=True, slots=True)
class Asked:
    """What is measured, the same for both detectors of a comparison."""

    images: Sequence[LabelledImage]
    classes: CommonClasses
    table: Table | None
    settings: Mapping[str, Any]
    rule: Rule
    bins: tuple[SizeBin, ...]
    iou: float

    def measure(
        self,
        source: Source,
        detections: Mapping[ImageId, Detections],
        parts: Sequence[Part],
        classes: CommonClasses | None = None,
    ) -> Measurement:
        """Matches the detections of one source.

        Raises:
            ResultsError: its boxes are written in another order, by all appearances.
            ConfigError: as `own_thresholds_of`.
        """
        names = classes or self.classes
        truth = [self._truth(image) for image in self.images]
        found = [detections[image.id] for image in self.images]
        is_checked = source.results is not None and self.table is None
        if is_checked and (evidence := misread(truth, found)) is not None:
            raise ResultsError(evidence, source.results)
        return Measurement(
            truth,
            [names.joined(one) for one in found],
            self.classes.names,
            counts=self._counts() if self.table is not None and self.table.kind == "counts" else None,
            iou=self.iou,
            rule=self.rule,
            fallback=own_thresholds_of(source, names, self.rule),
            sizes=self.bins,
            parts=parts,
        )

    def parts(self, chosen: Sequence[str]) -> tuple[Part, ...]:
        """The slices of the data set."""
        names = dict.fromkeys(name for image in self.images for name in image.attributes)
        columns: dict[str, Sequence[Value | None]] = {
            name: [image.attributes.get(name) for image in self.images] for name in names
        }
        if self.table is not None and self.table.kind == "counts":
            animals = self._counts().sum(axis=1).astype(np.int64)
        else:
            animals = np.array([len(self.classes.truth(image).boxes) for image in self.images], np.int64)
        return parts_of(columns, animals, chosen)

    def _truth(self, image: LabelledImage) -> Truth:
        truth = self.classes.truth(image)
        if self.table is None:
            return truth
        if self.table.kind == "counts":
            return Truth(width=image.width, height=image.height)
        return replace(truth, radius=radius_in_pixels(image, *parse_radius(self.settings["radius"])))

    def _counts(self) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        """float64 (I, C), animals of each class, joined as the classes are."""
        assert self.table is not None
        counts = np.zeros((len(self.images), len(self.classes.names)))
        for place, image in enumerate(self.images):
            for name, count in zip(self.classes.labelled, self.table.counts[image.id], strict=True):
                joined = self.classes.mapping.get(name, name)
                if joined in self.classes.names:
                    counts[place, self.classes.names.index(joined)] += count
        return counts


def own_thresholds_of(source: Source, names: CommonClasses, rule: Rule) -> dict[str, float]:
    """The source's own threshold of each class, by its joined name.

    Raises:
        ConfigError: the rule takes them, and there are none, or several for one class.
    """
    if rule.kind == "model" and source.thresholds is None:
        raise ConfigError(f"{source.name} has no thresholds of its own; give --confidence")
    own: dict[str, float] = {}
    for name, value in (source.thresholds or {}).items():
        joined = names.mapping.get(name, name)
        if rule.kind == "model" and own.setdefault(joined, value) != value:
            raise ConfigError(f"{source.name} counts the classes joined as {joined} from different scores; "
                              "--own-thresholds cannot be kept for them")  # fmt: skip
        own[joined] = value
    return own


def rule_of(
    confidence: float | None, at_recall: float | None, at_precision: float | None, own_thresholds: bool = False
) -> Rule:
    """How thresholds are chosen.

    Raises:
        ConfigError: in two ways at once, or a share that none is.
    """
    given = {"confidence": confidence, "recall": at_recall, "precision": at_precision}
    chosen = {kind: value for kind, value in given.items() if value is not None}
    if len(chosen) + own_thresholds > 1:
        raise ConfigError("--confidence, --own-thresholds, --at-recall and --at-precision exclude each other; give one")
    if any(not 0 <= value <= 1 for value in chosen.values()):
        raise ConfigError("--confidence, --at-recall and --at-precision lie from 0 to 1")
    if own_thresholds:
        return Rule("model")
    if confidence is not None:
        return Rule("confidence", confidence)
    if at_recall is not None:
        return Rule("recall", at_recall)
    return Rule("f1") if at_precision is None else Rule("precision", at_precision)


def classes_of(
    source: Source, other: Source | None, data: Dataset, mapping: Mapping[str, str]
) -> tuple[CommonClasses, CommonClasses | None]:
    """The classes that are measured, and, where two are compared, the other's view of the same ones.

    Raises:
        ConfigError: the mapping names something that no side has.
        DatasetError: there is no class in common.
    """
    if other is None:
        return common_classes(source.classes, data, mapping), None
    everywhere = {*data.classes, *source.classes, *other.classes}

    def of(own: Source) -> CommonClasses:
        known = {*data.classes, *own.classes}
        return common_classes(
            own.classes, data, {k: v for k, v in mapping.items() if k in known or k not in everywhere}
        )

    first, second = of(source), of(other)
    names = tuple(name for name in first.names if name in second.names)
    if not names:
        raise DatasetError(
            f"no class in common: of {data.name}, {source.name} finds {', '.join(first.names)} and {other.name} "
            f"{', '.join(second.names)}; join names with --map"
        )
    return replace(first, names=names), replace(second, names=names)
