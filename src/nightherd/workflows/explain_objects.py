"""What there is to explain in a frame: what was found and is right, what was found and is wrong, what was not found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nightherd.evaluation.matching import iou_matrix, match_one
from nightherd.evaluation.types import Truth
from nightherd.types import Detections, FloatArray
from nightherd.workflows.class_names import CommonClasses

Box = tuple[float, float, float, float]

SAME_OBJECT, NEAR = 0.5, 0.1
"""Overlaps from which a box is right, and from which it has something to do with an object at all."""


NOT_SEEN = "Not seen:"

_ORDER = ("miss", "false alarm", "hit", "detection")


@dataclass(frozen=True, slots=True)
class FrameObject:
    """One object to explain.

    Attributes:
        kind: `hit`, `false alarm`, `miss`, or `detection` where nothing is labelled to compare with.
        label: place of its class in the model's classes: the one that was found, or that should have been.
        name: of that class.
        score: of the detection; for a miss the score at that place, None where only torch could tell.
        found, labelled: boxes in pixels of the frame: of a false alarm what is labelled nearby, of a miss what was
            found instead.
        reason: what happened, a sentence; empty for a hit.
    """

    kind: str
    label: int
    name: str
    score: float | None
    found: Box | None
    labelled: Box | None
    reason: str = ""

    @property
    def box(self) -> Box:
        """The box that is explained: of a miss what is labelled, else what was found."""
        box = self.labelled if self.kind == "miss" else self.found
        assert box is not None
        return box


def objects_of(
    found: Detections, everything: Detections, truth: Truth | None = None, classes: CommonClasses | None = None
) -> list[FrameObject]:
    """All objects of a frame: misses, then false alarms, then the rest, each the highest score first.

    Args:
        found: what counts, boxes in pixels of the frame.
        everything: the same frame down to score 0.
        truth: what is labelled, in `classes`; None where there are no labels.
        classes: that the model and the data set have in common.
    """
    if truth is None or classes is None:
        return [_detection(found, number, "detection") for number in range(len(found))]
    joined = [classes.names.index(name) if name in classes.names else -1 for name in _joined(found, classes)]
    label_of = np.array(joined, np.int64)[found.labels] if len(found) else np.zeros(0, np.int64)
    misses, alarms, hits = [], [], []
    boxes, labels, ignore = truth.boxes, truth.labels, truth.ignore
    regions = np.concatenate([np.zeros(len(boxes), bool), np.ones(len(ignore), bool)])
    places = np.concatenate([boxes, ignore]).astype(np.float32)
    of_each = np.full(len(found), -1, np.int64)
    for label in range(len(classes.names)):
        mine = np.flatnonzero(label_of == label)
        counts = np.flatnonzero(regions | np.concatenate([labels == label, np.zeros(len(ignore), bool)]))
        overlaps = iou_matrix(found.boxes[mine], places[counts], regions[counts])
        match = match_one(overlaps, regions[counts], regions[counts][None], np.array([SAME_OBJECT]))[0, 0]
        of_each[mine] = np.where(match >= 0, counts[match] if len(counts) else -1, -1)
    for number in range(len(found)):
        if label_of[number] < 0:
            one = _detection(found, number, "detection")
            hits.append(replace(one, reason=f"The data set does not label {one.name}."))
        elif of_each[number] < 0:
            one = _detection(found, number, "false alarm")
            reason, nearby = _why_false(found, number, int(label_of[number]), truth, classes)
            alarms.append(replace(one, reason=reason, labelled=nearby))
        elif of_each[number] < len(boxes):
            hits.append(replace(_detection(found, number, "hit"), labelled=as_box(boxes[of_each[number]])))
    for number in sorted(set(range(len(boxes))) - set(of_each.tolist())):
        label = joined.index(int(labels[number]))
        score = _score_near(boxes[number], label, everything)
        why, instead = _why_missed(boxes[number], label, found, score)
        misses.append(FrameObject("miss", label, found.classes[label], score, instead, as_box(boxes[number]), why))
    return [*misses, *alarms, *hits]


def _joined(found: Detections, classes: CommonClasses) -> list[str]:
    return [classes.mapping.get(name, name) for name in found.classes]


def as_box(box: npt.NDArray[np.floating[Any]]) -> Box:
    """Four numbers of an array as x1, y1, x2, y2."""
    x1, y1, x2, y2 = (float(edge) for edge in box)
    return x1, y1, x2, y2


def _detection(found: Detections, number: int, kind: str) -> FrameObject:
    label = int(found.labels[number])
    return FrameObject(
        kind, label, found.classes[label], float(found.scores[number]), as_box(found.boxes[number]), None
    )


def _why_false(
    found: Detections, number: int, label: int, truth: Truth, classes: CommonClasses
) -> tuple[str, Box | None]:
    """What there is where something was found that is not labelled so, and the box that is labelled there."""
    nothing = "Nothing is labelled here."
    if not len(truth.boxes):
        return nothing, None
    overlaps = iou_matrix(found.boxes[number : number + 1], truth.boxes)[0]
    same = np.where(truth.labels == label, overlaps, 0.0)
    if same.max() >= SAME_OBJECT:
        return f"A second detection of one {classes.names[label]}.", as_box(truth.boxes[int(same.argmax())])
    best = int(overlaps.argmax())
    name, box = classes.names[int(truth.labels[best])], as_box(truth.boxes[best])
    if overlaps[best] >= SAME_OBJECT:
        return f"Labelled {name}.", box
    if overlaps[best] >= NEAR:
        return f"The box is off: it overlaps a labelled {name} by {overlaps[best]:.2f}.", box
    return nothing, None


def _score_near(box: FloatArray, label: int, everything: Detections) -> float | None:
    """The best score of a class among boxes on an object, however low; None where there are none."""
    near = (everything.labels == label) & (_overlaps(box, everything) >= SAME_OBJECT)
    return float(everything.scores[near].max()) if near.any() else None


def _why_missed(box: FloatArray, label: int, found: Detections, score: float | None) -> tuple[str, Box | None]:
    """What the model made of an object that it did not find, and the box that it found instead."""
    overlaps = _overlaps(box, found)
    if len(found):
        other, same = np.where(found.labels != label, overlaps, 0.0), np.where(found.labels == label, overlaps, 0.0)
        best, own = int(other.argmax()), int(same.argmax())
        if other[best] >= SAME_OBJECT:
            name = found.classes[int(found.labels[best])]
            return f"Taken for {name} with score {found.scores[best]:.2f}.", as_box(found.boxes[best])
        if same[own] >= SAME_OBJECT:
            return "Its detection was taken for a neighbour.", as_box(found.boxes[own])
        if same[own] >= NEAR:
            off = f"The box is off: a detection with score {found.scores[own]:.2f} overlaps it by {same[own]:.2f}."
            return off, as_box(found.boxes[own])
    if score is not None:
        return f"Seen, but with score {score:.2f}, under the threshold.", None
    return f"{NOT_SEEN} no detection of this class here, however low its score.", None


def _overlaps(box: FloatArray, found: Detections) -> npt.NDArray[np.float64]:
    overlaps: npt.NDArray[np.float64] = iou_matrix(box[None], found.boxes)[0]
    return overlaps


def with_place(one: FrameObject, score: float, overlap: float) -> FrameObject:
    """A miss that left no detection, with the score at its place and whether a region was proposed there."""
    if one.kind != "miss" or one.score is not None:
        return one
    reason = one.reason
    if reason.startswith(NOT_SEEN):
        reason = (
            f"{NOT_SEEN} a region was proposed here, and scored {score:.2f}."
            if overlap >= SAME_OBJECT
            else f"{NOT_SEEN} no region was proposed here; the place itself scores {score:.2f}."
        )
    return replace(one, score=score, reason=reason)


def choose(objects: Sequence[FrameObject], limit: int) -> list[FrameObject]:
    """At most `limit` objects of a frame, mistakes first: misses and false alarms by turns, then the rest."""
    misses = sorted((one for one in objects if one.kind == "miss"), key=lambda one: -confidence(one.kind, one.score))
    alarms = [one for one in objects if one.kind == "false alarm"]
    rest = [one for one in objects if one.kind not in ("miss", "false alarm")]
    mixed = [one for pair in zip(misses, alarms, strict=False) for one in pair]
    shorter = min(len(misses), len(alarms))
    chosen = [*mixed, *misses[shorter:], *alarms[shorter:], *rest][:limit]
    return sorted(chosen, key=lambda one: (_ORDER.index(one.kind), -confidence(one.kind, one.score)))


def confidence(kind: str, score: float | None) -> float:
    """How sure the model was of what it did: the score, of a miss what is left of 1; 0 where it is not known."""
    if score is None:
        return 0.0
    return 1 - score if kind == "miss" else score
