"""COCO metrics agree with pycocotools, figure by figure, on generated truth and detections with every edge in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation_scenes import CLASSES, by_pycocotools, scene
from nightherd.errors import ResultsError
from nightherd.evaluation.coco import coco_metrics
from nightherd.evaluation.types import DEER_SURVEY_SIZES, Truth, size_bins
from nightherd.types import Detections


def assert_agree(truth: Sequence[Truth], found: Sequence[Detections], **options: object) -> dict[str, float]:
    expected = by_pycocotools(truth, found, **options)  # type: ignore[arg-type]
    metrics = coco_metrics(truth, found, CLASSES, **options).to_dict()  # type: ignore[arg-type]
    for name, value in expected.items():
        ours = metrics
        for part in name.split("."):
            ours = ours[part]
        if value == -1.0:
            assert ours is None and metrics["undefined"][name], name
        else:
            assert ours == pytest.approx(value, abs=1e-6), name
            assert name not in metrics["undefined"]
    return expected


@given(
    seed=st.integers(0, 10**6),
    n_images=st.integers(1, 6),
    n_truth=st.sampled_from([0, 1, 3, 12]),
    n_ignore=st.sampled_from([0, 2]),
    jitter=st.sampled_from([0, 2, 6]),
    n_false=st.sampled_from([0, 1, 8]),
)
@settings(max_examples=40, deadline=None)
def test_agrees_with_pycocotools(
    seed: int, n_images: int, n_truth: int, n_ignore: int, jitter: int, n_false: int
) -> None:
    assert_agree(*scene(seed, n_images, n_truth, n_ignore, jitter, n_false))


def test_agrees_on_three_hundred_boxes_in_a_frame() -> None:
    expected = assert_agree(*scene(3, n_images=1, n_truth=600, n_ignore=3, n_false=300))
    assert expected["ar500"] > expected["ar100"] + 0.05, "the scene must need more than 100 detections"


def test_agrees_with_other_size_bins_and_limits() -> None:
    assert_agree(*scene(4, n_truth=60), sizes=DEER_SURVEY_SIZES, max_detections=150)


def test_no_prediction_is_zero_and_no_truth_is_undefined_with_a_reason() -> None:
    truth, found = scene(5)
    nothing = [Detections(classes=CLASSES) for _ in truth]
    metrics = coco_metrics(truth, nothing, CLASSES)
    assert (metrics.ap, metrics.ap50, metrics.ar100, metrics.ar500) == (0, 0, 0, 0)
    empty = coco_metrics([Truth() for _ in truth], found, CLASSES)
    assert empty.ap is None and empty.ar500 is None and empty.ap_small is None
    assert empty.undefined["ap"] == "no box of these classes in the truth"
    assert coco_metrics([], [], CLASSES).undefined["ap"] == "there is no image"


def test_a_class_without_truth_stays_out_of_the_mean() -> None:
    truth = [Truth(np.array([[0, 0, 10, 10]], np.float32), np.array([0]))]
    boxes = np.array([[0, 0, 10, 10], [50, 50, 60, 60]], np.float32)
    found = [Detections(boxes, np.array([0.9, 0.8], np.float32), np.array([0, 1]), CLASSES)]
    metrics = coco_metrics(truth, found, CLASSES)
    assert metrics.ap == pytest.approx(1)
    assert metrics.per_class["person"].ap is None
    assert metrics.undefined["per_class.person.ap"] == "no box of person in the truth"


@pytest.mark.parametrize("label", range(len(CLASSES)))
def test_a_region_to_ignore_forgives_every_class(label: int) -> None:
    truth = [Truth(np.array([[0, 0, 10, 10]], np.float32), np.array([label]), np.array([[50, 50, 90, 90]], np.float32))]
    boxes = np.array([[60, 60, 70, 70], [0, 0, 10, 10]], np.float32)
    found = [Detections(boxes, np.array([0.9, 0.8], np.float32), np.array([label, label]), CLASSES)]
    assert coco_metrics(truth, found, CLASSES).ap == pytest.approx(1)
    outside = [Truth(truth[0].boxes, truth[0].labels)]
    assert coco_metrics(outside, found, CLASSES).ap == pytest.approx(0.5)


def test_classes_are_matched_by_name_not_by_number() -> None:
    truth, found = scene(6)
    order = (2, 0, 1)
    renamed = [
        Detections(one.boxes, one.scores, np.array([order.index(k) for k in one.labels], np.int64),
                   tuple(CLASSES[k] for k in order))
        for one in found
    ]  # fmt: skip
    assert coco_metrics(truth, renamed, CLASSES) == coco_metrics(truth, found, CLASSES)


def test_scores_and_boxes_that_are_no_numbers_are_refused() -> None:
    box = np.array([[0, 0, 10, 10]], np.float32)
    bad_score = Detections(box, np.array([np.nan], np.float32), np.array([0]), CLASSES)
    bad_box = Detections(box + np.float32(np.inf), np.array([0.5], np.float32), np.array([0]), CLASSES)
    for bad in (bad_score, bad_box):
        with pytest.raises(ResultsError, match="image 0"):
            coco_metrics([Truth()], [bad], CLASSES)
    with pytest.raises(ValueError, match="1 images of truth, 0 of detections"):
        coco_metrics([Truth()], [], CLASSES)


def test_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    coco_metrics(*scene(7), CLASSES, sizes=size_bins((100, 200, 300), ("xs", "s", "m", "l")))
    assert capfd.readouterr() == ("", "")
