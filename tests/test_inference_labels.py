"""One object, one label."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nightherd.inference.labels import one_label_each
from nightherd.inference.tiles import iou
from nightherd.types import Detections

CLASSES = ("animal", "person", "bicycle")


def found(boxes: list[list[float]], labels: list[int]) -> Detections:
    scores = np.linspace(0.9, 0.3, len(labels)).astype(np.float32)
    return Detections(np.array(boxes, np.float32), scores, np.array(labels, np.int64), CLASSES)


def test_a_body_that_two_classes_claim_keeps_the_surer_claim() -> None:
    left = one_label_each(found([[10, 10, 30, 20], [10, 10, 31, 20], [50, 50, 60, 60]], [0, 1, 1]))
    assert left.labels.tolist() == [0, 1]
    assert left.boxes[1].tolist() == [50, 50, 60, 60]


def test_a_rider_and_a_bicycle_stay_two() -> None:
    assert len(one_label_each(found([[10, 10, 30, 30], [13, 5, 26, 24]], [2, 1]))) == 2


def test_two_of_one_class_are_not_its_concern() -> None:
    assert len(one_label_each(found([[10, 10, 30, 20], [10, 10, 30, 20]], [0, 0]))) == 2


def test_a_dropped_claim_drops_no_other() -> None:
    boxes = [[0, 0, 100, 10], [15, 0, 115, 10], [30, 0, 130, 10]]
    left = one_label_each(found(boxes, [0, 1, 2]), same_object=0.7)
    assert left.labels.tolist() == [0, 2]


@given(
    hnp.arrays(np.float32, (12, 4), elements=st.integers(0, 40).map(float)),
    st.lists(st.integers(0, 2), min_size=12, max_size=12),
)
def test_what_is_left_has_one_label_each_and_every_loss_a_reason(corners: np.ndarray, labels: list[int]) -> None:
    boxes = np.concatenate([corners[:, :2], corners[:, :2] + corners[:, 2:] + 1], axis=1)
    given_detections = found(boxes.tolist(), labels)
    left = one_label_each(given_detections)
    overlap = iou(left.boxes[:, None], left.boxes[None])
    assert not np.any((overlap >= 0.7) & (left.labels[:, None] != left.labels[None, :]))
    for i in range(12):
        if given_detections.scores[i] not in left.scores:
            rival = (left.scores > given_detections.scores[i]) & (left.labels != given_detections.labels[i])
            assert np.any(iou(given_detections.boxes[i], left.boxes)[rival] >= 0.7)
