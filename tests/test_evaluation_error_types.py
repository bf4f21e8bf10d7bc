"""TIDE's error types against the paper's definition written as plain loops, and one scene by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation_scenes import CLASSES, by_pycocotools, scene, without_ties
from nightherd.evaluation.error_types import ERRORS, error_types
from nightherd.evaluation.matching import iou_matrix
from nightherd.evaluation.types import Truth
from nightherd.types import Detections

Row = tuple[float, int, str, tuple[int, int] | None]
"""Score, class, what it is, and the box (image, place) that it is or could be."""


def iou(a: np.ndarray, b: np.ndarray) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    inside = float(width * height)
    return inside / (float((a[2] - a[0]) * (a[3] - a[1])) + float((b[2] - b[0]) * (b[3] - b[1])) - inside)


def ap(rows: list[tuple[float, bool]], n_truth: int) -> float:
    """COCO's: the best precision at or beyond each of 101 recalls."""
    points = []
    true = 0
    for number, (_, right) in enumerate(sorted(rows, key=lambda row: -row[0]), start=1):
        true += right
        points.append((true / n_truth, true / number))
    best = [max((p for r, p in points if r >= recall), default=0.0) for recall in np.linspace(0, 1, 101)]
    return sum(best) / 101


def sort_out(truth: Sequence[Truth], found: Sequence[Detections]) -> tuple[list[Row], set[tuple[int, int]]]:
    """Every detection's kind, and the boxes that are found."""
    rows: list[Row] = []
    used: set[tuple[int, int]] = set()
    wrong: list[tuple[int, int]] = []
    for image, (true, one) in enumerate(zip(truth, found, strict=True)):
        for place, (box, score, name) in enumerate(one):
            label = CLASSES.index(name)
            free = [
                (iou(box, other), number)
                for number, other in enumerate(true.boxes)
                if true.labels[number] == label and (image, number) not in used and iou(box, other) >= 0.5
            ]
            if free:
                best = max(free)[1]
                used.add((image, best))
                rows.append((score, label, "right", (image, best)))
            else:
                wrong.append((image, place))
    for image, place in wrong:
        true, one = truth[image], found[image]
        box, score, label = one.boxes[place], float(one.scores[place]), int(one.labels[place])
        overlaps = [iou(box, other) for other in true.boxes]
        own = [overlap if true.labels[i] == label else -1.0 for i, overlap in enumerate(overlaps)] + [-1.0]
        other = [overlap if true.labels[i] != label else -1.0 for i, overlap in enumerate(overlaps)] + [-1.0]
        if 0.1 <= max(own) < 0.5:
            rows.append((score, label, "localisation", (image, own.index(max(own)))))
        elif max(other) >= 0.5:
            rows.append((score, label, "classification", (image, other.index(max(other)))))
        elif max(own) >= 0.5:
            rows.append((score, label, "duplicate", None))
        elif max([*overlaps, 0.0]) < 0.1:
            rows.append((score, label, "background", None))
        else:
            rows.append((score, label, "both", None))
    return rows, used


def by_definition(truth: Sequence[Truth], found: Sequence[Detections]) -> tuple[dict[str, int], dict[str, float]]:
    rows, used = sort_out(truth, found)
    boxes = {(i, k): int(label) for i, image in enumerate(truth) for k, label in enumerate(image.labels)}
    candidates = [row for row in rows if row[3] is not None and row[2] != "right" and row[3] not in used]
    best = {row[3]: max(one[0] for one in candidates if one[3] == row[3]) for row in candidates}
    missed = set(boxes) - used - set(best)

    def mean_ap(kind: str, left: dict[tuple[int, int], int]) -> float:
        values = []
        for label in sorted(set(boxes.values())):
            ranked = []
            for score, own, what, target in rows:
                if what != kind:
                    if own == label and not (kind == "false_positive" and what != "right"):
                        ranked.append((score, what == "right"))
                elif target is not None and target not in used and best[target] == score and boxes[target] == label:
                    ranked.append((score, True))
            n_truth = sum(one == label for one in left.values())
            if n_truth or ranked:
                values.append(ap(ranked, n_truth) if n_truth else 0.0)
        return sum(values) / len(values) if values else 0.0

    base = mean_ap("nothing", boxes)
    counts = {kind: sum(row[2] == kind for row in rows) for kind in ERRORS} | {"missed": len(missed)}
    costs = {kind: mean_ap(kind, boxes) - base for kind in [*ERRORS, "false_positive"] if kind != "missed"}
    for kind, gone in (("missed", missed), ("false_negative", set(boxes) - used)):
        left = {box: label for box, label in boxes.items() if box not in gone}
        costs[kind] = mean_ap("nothing", left) - base
    return counts, costs


@given(
    seed=st.integers(0, 10**6),
    n_truth=st.sampled_from([1, 4, 12]),
    jitter=st.sampled_from([2, 6, 10]),
    n_false=st.sampled_from([0, 6]),
)
@settings(max_examples=20, deadline=None)
def test_counts_and_costs_are_those_of_the_definition(seed: int, n_truth: int, jitter: int, n_false: int) -> None:
    truth, found = scene(seed, 4, n_truth, 0, jitter, n_false)
    found = without_ties(found)
    if len({float(s) for one in found for s in one.scores}) < sum(map(len, found)) or not any(
        len(image.boxes) for image in truth
    ):
        return
    truth = [without_equal_overlaps(image, one) for image, one in zip(truth, found, strict=True)]
    result = error_types(truth, found, CLASSES)
    counts, costs = by_definition(truth, found)
    assert result.counts == counts
    ours = result.costs()
    for kind, cost in costs.items():
        assert ours[kind] == pytest.approx(cost, abs=1e-9), kind


def without_equal_overlaps(image: Truth, one: Detections) -> Truth:
    """The boxes that no detection overlaps exactly as another, for which the paper has no rule."""
    overlaps = iou_matrix(one.boxes, image.boxes)
    keep = [
        place
        for place in range(len(image.boxes))
        if not any(
            overlaps[d, place] > 0 and (np.abs(overlaps[d] - overlaps[d, place]) < 1e-9)[:place].any()
            for d in range(len(one))
        )
    ]
    return Truth(image.boxes[keep], image.labels[keep])


def test_every_type_by_hand() -> None:
    def at(x: float, dx: float = 0.0) -> list[float]:
        return [x + dx, 0, x + dx + 10, 10]

    truth = [Truth(np.array([at(0), at(50), at(100), at(150)], np.float32), np.array([0, 0, 0, 0]))]
    found = Detections(
        # right, found already, off by half, another class, another class and off, nothing there; the fourth is missed
        np.array([at(0), at(0, 1), at(50, 5), at(100), at(50, 6), at(300)], np.float32),
        np.array([0.95, 0.9, 0.85, 0.8, 0.75, 0.7], np.float32),
        np.array([0, 0, 0, 1, 1, 1]),
        CLASSES,
    )
    result = error_types(truth, [found], CLASSES)
    assert result.counts == {
        "classification": 1, "localisation": 1, "both": 1, "duplicate": 1, "background": 1, "missed": 1
    }  # fmt: skip
    base = 26 / 101  # precision 1 up to a recall of 1 in 4
    assert by_pycocotools(truth, [found])["per_class.animal.ap50"] == pytest.approx(base)
    costs = result.costs()
    assert costs["missed"] == pytest.approx(34 / 101 - base), "one in three is then found"
    assert costs["localisation"] == pytest.approx((26 + 25 * 2 / 3) / 101 - base), "right, wrong, right"
    assert costs["classification"] == pytest.approx((26 + 25 * 2 / 4) / 101 - base), "right, wrong, wrong, right"
    assert costs["duplicate"] == costs["both"] == costs["background"] == costs["false_positive"] == 0
    assert costs["false_negative"] == pytest.approx(1 - base)


def test_what_lies_in_a_region_to_ignore_is_no_error() -> None:
    region = np.array([[100, 100, 200, 200]], np.float32)
    truth = [Truth(np.array([[0, 0, 10, 10]], np.float32), np.array([0]), region)]
    boxes = np.array([[0, 0, 10, 10], [120, 120, 130, 130]], np.float32)
    found = [Detections(boxes, np.array([0.5, 0.9], np.float32), np.array([0, 0]), CLASSES)]
    result = error_types(truth, found, CLASSES)
    assert not any(result.counts.values())
    assert result.costs()["false_positive"] == 0


@given(st.integers(0, 10**6))
@settings(max_examples=10, deadline=None)
def test_the_base_is_cocos_ap50_with_regions_and_ties(seed: int) -> None:
    truth, found = scene(seed)
    result = error_types(truth, found, CLASSES)
    expected = by_pycocotools(truth, found)
    for name, one in zip(CLASSES, result.base, strict=True):
        value = one.average_precision(np.ones(len(truth)))
        assert (np.isnan(value) and expected[f"per_class.{name}.ap50"] == -1) or value == pytest.approx(
            expected[f"per_class.{name}.ap50"], abs=1e-9
        )


def test_no_truth_and_no_detections_are_no_error() -> None:
    nothing = [Detections(classes=CLASSES)]
    assert all(np.isnan(value) for value in error_types([Truth()], nothing, CLASSES).costs().values())
    truth, _ = scene(3)
    lonely = error_types(truth, [Detections(classes=CLASSES) for _ in truth], CLASSES)
    assert lonely.counts["missed"] == sum(len(image.boxes) for image in truth)
    assert lonely.costs()["missed"] == 0, "AP is 0 with nothing found, however few boxes there are"


def test_a_class_that_is_missed_whole_is_what_missing_costs() -> None:
    """Person is found, animal never: with the missed boxes not asked for, person alone is left."""
    box = np.array([[0, 0, 10, 10]], np.float32)
    truth = [Truth(np.concatenate([box, box + 50]), np.array([0, 1]))]
    found = [Detections(box + 50, np.array([0.9], np.float32), np.array([1]), CLASSES)]
    costs = error_types(truth, found, CLASSES).costs()
    assert costs["missed"] == costs["false_negative"] == pytest.approx(0.5)
