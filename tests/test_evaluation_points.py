"""Matching, curves, confusion and counts against plain loops that say the rule in words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation_scenes import CLASSES, by_pycocotools, scene
from nightherd.evaluation.coco import coco_metrics
from nightherd.evaluation.confusion import confusion_matrix
from nightherd.evaluation.counts import count_errors, count_figures
from nightherd.evaluation.curves import ConfidenceCurve, confidence_curve, operating_point
from nightherd.evaluation.matching import iou_matrix, match_classes
from nightherd.evaluation.types import Truth
from nightherd.types import Detections

HALF = np.array([0.5])
scenes = st.builds(
    scene,
    st.integers(0, 10**6),
    st.integers(1, 4),
    st.sampled_from([0, 1, 12]),
    st.sampled_from([0, 2]),
    st.sampled_from([0, 3, 6]),
    st.sampled_from([0, 6]),
)


def overlap(a: np.ndarray, b: np.ndarray, region: bool = False) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    inside = float(width) * float(height)
    area_a, area_b = float((a[2] - a[0]) * (a[3] - a[1])), float((b[2] - b[0]) * (b[3] - b[1]))
    return inside / area_a if region else inside / (area_a + area_b - inside)


def judge(truth: Truth, found: Detections, name: str, threshold: float) -> tuple[int, int, int]:
    """Right, wrong and missed of one class in one image at IoU 0.5, one detection after the other."""
    free = [box for box, label in zip(truth.boxes, truth.labels, strict=True) if CLASSES[label] == name]
    right = wrong = 0
    rows = [(box, score) for box, score, own in found if own == name and score >= np.float32(threshold)]
    for box, _ in sorted(rows, key=lambda row: -row[1]):
        overlaps = [overlap(box, other) for other in free]
        if overlaps and max(overlaps) >= 0.5:
            best = max(overlaps)
            last = max(i for i, value in enumerate(overlaps) if value == best)
            free.pop(last)
            right += 1
        elif not any(overlap(box, region, True) >= 0.5 for region in truth.ignore):
            wrong += 1
    return right, wrong, len(free)


@given(scenes)
@settings(max_examples=20, deadline=None)
def test_overlaps_agree_with_pycocotools(drawn: tuple[list[Truth], list[Detections]]) -> None:
    from pycocotools import mask

    for truth, found in zip(*drawn, strict=True):
        others = np.concatenate([truth.boxes, truth.ignore])
        regions = np.arange(len(others)) >= len(truth.boxes)
        ours = iou_matrix(found.boxes, others, regions)
        if not ours.size:
            continue
        a, b = (np.hstack([x[:, :2], x[:, 2:] - x[:, :2]]).astype(np.float64) for x in (found.boxes, others))
        assert np.array_equal(ours, mask.iou(a, b, regions.astype(np.uint8)))


def test_of_two_boxes_that_overlap_alike_the_later_is_taken() -> None:
    """As pycocotools does; the second detection fits one box only, so the choice decides whether it is right."""
    truth = [Truth(boxes((0, 0, 20, 20), (8, 0, 28, 20)), np.array([0, 0]))]
    found = [
        Detections(boxes((4, 0, 24, 20), (0, 0, 20, 20)), np.array([0.9, 0.8], np.float32), np.array([0, 0]), CLASSES)
    ]
    for order in ([0, 1], [1, 0]):
        one = Truth(truth[0].boxes[order], truth[0].labels)
        matches = match_classes([one], found, CLASSES, np.array([0.6]))[0]
        assert matches.matched[0, 0].tolist() == [True, order == [0, 1]]
        expected = by_pycocotools([one], found)["per_class.animal.ap50"]
        assert expected == coco_metrics([one], found, CLASSES).per_class["animal"].ap50


@given(scenes, st.sampled_from([0.0, 0.3, 0.5, 0.95]))
@settings(max_examples=40, deadline=None)
def test_precision_and_recall_count_one_detection_after_the_other(
    drawn: tuple[list[Truth], list[Detections]], threshold: float
) -> None:
    truth, found = drawn
    for matches in match_classes(truth, found, CLASSES, HALF):
        point = operating_point(matches, threshold)
        expected = [judge(t, f, matches.name, threshold) for t, f in zip(truth, found, strict=True)]
        right, wrong, missed = np.array(expected).T
        assert np.array_equal(point.true, right)
        assert np.array_equal(point.false, wrong)
        assert np.array_equal(point.truth, right + missed)
        figures = point.figures()
        tp, fp, fn = right.sum(), wrong.sum(), missed.sum()
        assert figures["precision"] == pytest.approx(tp / (tp + fp) if tp + fp else np.nan, nan_ok=True)
        assert figures["recall"] == pytest.approx(tp / (tp + fn) if tp + fn else np.nan, nan_ok=True)
        assert figures["f1"] == pytest.approx(2 * tp / (2 * tp + fp + fn) if tp + fp + fn else np.nan, nan_ok=True)


@given(scenes)
@settings(max_examples=25, deadline=None)
def test_the_curve_says_at_every_score_what_the_operating_point_says(
    drawn: tuple[list[Truth], list[Detections]],
) -> None:
    truth, found = drawn
    for matches in match_classes(truth, found, CLASSES, HALF):
        curve = confidence_curve(matches)
        assert (np.diff(curve.threshold) < 0).all()
        for place, threshold in enumerate(curve.threshold):
            point = operating_point(matches, float(threshold))
            assert (curve.true[place], curve.false[place]) == (point.true.sum(), point.false.sum())
        best = curve.best()
        all_f1 = [operating_point(matches, float(s)).figures()["f1"] for s in np.unique(matches.scores)]
        if best is None:
            assert not matches.matched.any()
        else:
            assert operating_point(matches, best).figures()["f1"] == pytest.approx(max(all_f1))


def test_thresholds_for_a_stated_recall_or_precision() -> None:
    curve = ConfidenceCurve(
        "animal", np.array([0.9, 0.7, 0.5, 0.2]), np.array([1.0, 2, 2, 3]), np.array([0.0, 0, 2, 6]), 4
    )
    assert curve.for_recall(0.5) == 0.7
    assert curve.for_recall(0.75) == 0.2
    assert curve.for_recall(0.8) is None
    assert curve.for_precision(1.0) == 0.7
    assert curve.for_precision(0.5) == 0.5
    assert curve.best() == 0.7


def test_nothing_found_gives_no_threshold_and_nothing_there_gives_no_recall() -> None:
    [matches] = match_classes([Truth()], [Detections(classes=("animal",))], ["animal"], HALF)
    assert confidence_curve(matches).best() is None
    assert confidence_curve(matches).for_recall(0) is None
    assert all(np.isnan(value) for value in operating_point(matches, 0.5).figures().values())


def boxes(*corners: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(corners, np.float32).reshape(-1, 4)


def test_the_confusion_matrix_by_hand() -> None:
    """Truth: two animals, a person, a vehicle. Found: an animal, the person as an animal, two things that are not there
    (one where nothing counts); the vehicle below its threshold."""
    truth = Truth(
        boxes((0, 0, 10, 10), (20, 0, 30, 10), (40, 0, 50, 10), (60, 0, 90, 30)),
        np.array([0, 0, 1, 2]),
        boxes((200, 200, 300, 300)),
    )
    found = Detections(
        boxes((0, 0, 10, 11), (40, 1, 50, 10), (100, 100, 110, 110), (210, 210, 220, 220), (60, 0, 90, 30)),
        np.array([0.9, 0.8, 0.7, 0.6, 0.2], np.float32),
        np.array([0, 0, 1, 1, 2]),
        CLASSES,
    )
    result = confusion_matrix([truth], [found], CLASSES, {"animal": 0.5, "person": 0.5, "vehicle": 0.3})
    assert result.labels == ("animal", "person", "vehicle", "background")
    assert result.matrix.tolist() == [[1, 0, 0, 1], [1, 0, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0]]


def test_a_box_goes_to_its_own_class_before_a_better_overlap_of_another() -> None:
    truth = Truth(boxes((0, 0, 10, 10), (0, 3, 10, 13)), np.array([0, 1]))
    found = Detections(
        boxes((0, 2, 10, 12), (0, 0, 10, 10)), np.array([0.9, 0.8], np.float32), np.array([0, 1]), CLASSES
    )
    result = confusion_matrix([truth], [found], CLASSES, dict.fromkeys(CLASSES, 0.5), iou=0.5)
    assert result.matrix.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


@given(scenes, st.sampled_from([0.0, 0.3, 0.7]), st.sampled_from([0.5, 0.75]))
@settings(max_examples=40, deadline=None)
def test_rows_are_the_truth_and_columns_the_detections_that_precision_counts(
    drawn: tuple[list[Truth], list[Detections]], threshold: float, iou: float
) -> None:
    truth, found = drawn
    result = confusion_matrix(truth, found, CLASSES, dict.fromkeys(CLASSES, threshold), iou)
    for label, matches in enumerate(match_classes(truth, found, CLASSES, np.array([iou]))):
        point = operating_point(matches, threshold)
        assert result.matrix[label, label] == point.true.sum()
        assert result.matrix[label].sum() == point.truth.sum()
        assert result.matrix[:, label].sum() == (point.true + point.false).sum()
    assert result.matrix[-1, -1] == 0


def test_count_errors_by_hand() -> None:
    truth = [Truth(boxes((0, 0, 10, 10), (20, 0, 30, 10)), np.array([0, 1])), Truth(), Truth()]
    one = Detections(boxes((0, 0, 10, 10)), np.array([0.9], np.float32), np.array([0]), CLASSES)
    two = Detections(
        boxes((0, 0, 10, 10), (50, 0, 60, 10)), np.array([0.9, 0.8], np.float32), np.array([0, 0]), CLASSES
    )
    points = [
        operating_point(matches, 0.5) for matches in match_classes(truth, [one, two, Detections()], CLASSES, HALF)
    ]
    errors = count_errors(points)
    assert errors.tolist() == [-1, 2, 0]
    assert count_figures(errors) == pytest.approx({"mae": 1, "rmse": (5 / 3) ** 0.5, "bias": 1 / 3})
    assert count_figures(errors, np.array([2.0, 0, 0])) == {"mae": 1, "rmse": 1, "bias": -1}
    assert all(np.isnan(value) for value in count_figures(np.zeros(0)).values())
