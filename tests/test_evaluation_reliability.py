"""Calibration, presence, confusion and curves against scikit-learn; thresholds by rule; sizes by name."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import accuracy_score, average_precision_score, precision_recall_curve, recall_score
from sklearn.metrics import confusion_matrix as by_sklearn

from evaluation_scenes import CLASSES, scene, without_ties
from nightherd.errors import ConfigError
from nightherd.evaluation.bootstrap import resample
from nightherd.evaluation.calibration import FLOOR, calibration
from nightherd.evaluation.confusion import confusion_matrix
from nightherd.evaluation.curves import OperatingPoint, confidence_curve, operating_point
from nightherd.evaluation.matching import ClassMatches, match_classes
from nightherd.evaluation.outcomes import image_outcomes
from nightherd.evaluation.presence import presence_figures
from nightherd.evaluation.ranking import ranked
from nightherd.evaluation.sizes import parse_sizes
from nightherd.evaluation.thresholds import Rule, choose
from nightherd.evaluation.types import COCO_SIZES, DEER_SURVEY_SIZES

HALF = np.array([0.5])


def table(scores: np.ndarray, right: np.ndarray, image: np.ndarray, n_images: int) -> ClassMatches:
    order = np.argsort(-scores, kind="stable")
    n = len(scores)
    return ClassMatches(
        "deer", scores[order].astype(np.float32), image[order], np.zeros(n, np.int64), np.zeros(n, np.int64),
        right[order][None, None], np.zeros((1, 1, n), bool), np.ones((1, n_images), np.int64),
    )  # fmt: skip


@given(st.integers(0, 10**6), st.integers(1, 300))
@settings(max_examples=25, deadline=None)
def test_the_reliability_diagram_is_sklearns(seed: int, n: int) -> None:
    generator = np.random.default_rng(seed)
    scores = generator.uniform(0.0, 1, n).astype(np.float32)
    right = generator.random(n) < scores**2
    image = generator.integers(0, 7, n)
    ours = calibration(table(scores, right, image, 7), bins=10, floor=0.0)
    true, predicted = calibration_curve(right, scores.astype(np.float64), n_bins=10)
    full = [one for one in ours.bins() if one["n"]]
    assert [one["right"] for one in full] == pytest.approx(true.tolist())
    assert [one["score"] for one in full] == pytest.approx(predicted.tolist(), abs=1e-6)
    shares = np.array([one["n"] for one in full], float) / n
    assert ours.error() == pytest.approx(float(shares @ np.abs(true - predicted)), abs=1e-6)
    weights = next(iter(resample(7, 1, seed)))
    repeated = np.concatenate([np.flatnonzero(image == k) for k in range(7) for _ in range(int(weights[k]))])
    again = calibration(table(scores[repeated], right[repeated], image[repeated], 7), floor=0.0)
    assert ours.error(weights) == pytest.approx(again.error(), nan_ok=True)


def test_scores_under_the_floor_are_left_out_and_none_has_no_error() -> None:
    scores = np.array([0.9, 0.01, 0.02], np.float32)
    one = calibration(table(scores, np.array([True, True, True]), np.zeros(3, np.int64), 1))
    assert sum(int(bin_["n"] or 0) for bin_ in one.bins()) == 1 and one.edges[0] == FLOOR
    assert one.error() == pytest.approx(0.1)
    nothing = calibration(table(scores[:0], np.zeros(0, bool), np.zeros(0, np.int64), 1))
    assert np.isnan(nothing.error()) and all(bin_["right"] is None for bin_ in nothing.bins())


def test_a_score_of_one_is_in_the_last_bin() -> None:
    one = calibration(table(np.array([1.0], np.float32), np.array([True]), np.zeros(1, np.int64), 1))
    assert one.bins()[-1]["n"] == 1


@given(st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_presence_is_sklearns_accuracy_over_images(seed: int) -> None:
    generator = np.random.default_rng(seed)
    truth, found = generator.integers(0, 3, 12).astype(float), generator.integers(0, 2, 12).astype(float)
    point = OperatingPoint("deer", 0.5, np.minimum(found, truth), np.maximum(found - truth, 0), truth)
    said, there = (point.true + point.false) > 0, truth > 0
    figures = presence_figures(point)
    assert figures["accuracy"] == pytest.approx(accuracy_score(there, said))
    if there.any():
        assert figures["sensitivity"] == pytest.approx(recall_score(there, said))
    if not there.all():
        assert figures["specificity"] == pytest.approx(recall_score(~there, ~said))
    weights = generator.integers(0, 3, 12).astype(float)
    if weights.sum():
        assert presence_figures(point, weights)["accuracy"] == pytest.approx(
            accuracy_score(there, said, sample_weight=weights)
        )


def test_presence_without_such_images_is_undefined() -> None:
    point = OperatingPoint("deer", 0.5, np.ones(2), np.zeros(2), np.ones(2))
    assert np.isnan(presence_figures(point)["specificity"]) and presence_figures(point)["sensitivity"] == 1


@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.4, 0.7]))
@settings(max_examples=25, deadline=None)
def test_the_confusion_matrix_is_sklearns_of_the_pairs(seed: int, threshold: float) -> None:
    """Each matched box, false alarm and miss as one pair (true class, class said); background is class 3."""
    truth, found = scene(seed, 4)
    thresholds = dict.fromkeys(CLASSES, threshold)
    true, said = [], []
    for image, one in zip(truth, image_outcomes(truth, found, CLASSES, thresholds), strict=True):
        for label, taken, forgiven in zip(one.label, one.taken, one.forgiven, strict=True):
            if not forgiven:
                true.append(int(image.labels[taken]) if taken >= 0 else 3)
                said.append(int(label))
        true += [int(image.labels[box]) for box in one.missed]
        said += [3] * len(one.missed)
        assert sorted([*one.missed, *one.taken[one.taken >= 0]]) == list(range(len(image.labels)))
    result = confusion_matrix(truth, found, CLASSES, thresholds)
    if true:
        assert np.array_equal(result.matrix, by_sklearn(true, said, labels=[0, 1, 2, 3]))
    matched = [(t, s) for t, s in zip(true, said, strict=True) if t < 3 and s < 3]
    expected = accuracy_score(*zip(*matched, strict=True)) if matched else np.nan
    assert result.class_accuracy() == pytest.approx(expected, nan_ok=True)


@given(st.integers(0, 10**6))
@settings(max_examples=8, deadline=None)
def test_the_curve_is_sklearns_where_everything_is_found(seed: int) -> None:
    """scikit-learn knows no misses: boxes that nothing finds are added below all other scores."""
    truth, found = scene(seed, 4, n_ignore=0)
    for one in match_classes(truth, without_ties(found), CLASSES, HALF):
        right = one.matched[0, 0]
        if not right.any():
            continue
        lost = int(one.n_truth.sum() - right.sum())
        y = np.concatenate([right, np.ones(lost, bool)])
        scores = np.concatenate([one.scores.astype(np.float64), np.full(lost, -1.0)])
        precision, recall, thresholds = precision_recall_curve(y, scores)
        curve = confidence_curve(one)
        keep = thresholds >= 0
        assert curve.precision[::-1] == pytest.approx(precision[:-1][keep])
        assert curve.recall[::-1] == pytest.approx(recall[:-1][keep])
        if not lost:  # COCO interpolates, so its average is never lower than the plain one by more than a step
            ap = ranked(one).average_precision(np.ones(len(truth)))
            assert ap >= average_precision_score(y, scores) - 1 / 100


def test_thresholds_by_rule_and_what_is_said_where_none_fits() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6], np.float32)
    one = table(scores, np.array([True, False, True, False]), np.arange(4), 4)
    curve = confidence_curve(one)
    assert choose(Rule("recall", 0.5), [curve], {}).thresholds == {"deer": pytest.approx(0.7)}
    assert choose(Rule("precision", 1.0), [curve], {}).thresholds == {"deer": pytest.approx(0.9)}
    assert choose(Rule("confidence", 0.3), [curve], {}).thresholds == {"deer": 0.3}
    assert choose(Rule("model"), [curve], {"deer": 0.2}).thresholds == {"deer": 0.2}
    best = choose(Rule(), [curve], {})
    assert best.thresholds == {"deer": curve.best()} and not best.notes
    never = choose(Rule("recall", 0.9), [curve], {})
    assert never.thresholds == best.thresholds
    assert never.notes == ("deer never reaches a recall of 0.9: its threshold is the highest F1.",)
    nothing = confidence_curve(table(scores[:0], np.zeros(0, bool), np.zeros(0, np.int64), 4))
    assert choose(Rule("recall", 0.9), [nothing], {"deer": 0.25}).thresholds == {"deer": 0.25}


@given(st.integers(0, 10**6), st.sampled_from([0.2, 0.5, 0.9]))
@settings(max_examples=15, deadline=None)
def test_the_threshold_for_a_recall_is_the_highest_that_reaches_it(seed: int, recall: float) -> None:
    truth, found = scene(seed)
    for one in match_classes(truth, found, CLASSES, HALF):
        threshold = confidence_curve(one).for_recall(recall)
        reached = [s for s in np.unique(one.scores) if operating_point(one, float(s)).figures()["recall"] >= recall]
        assert threshold == (float(max(reached)) if reached else None)


def test_sizes_by_name_by_area_and_by_root_of_area() -> None:
    assert parse_sizes("coco") == COCO_SIZES and parse_sizes("Survey") == DEER_SURVEY_SIZES
    assert parse_sizes("area:187,408") == DEER_SURVEY_SIZES
    assert parse_sizes("sqrt:32,96") == COCO_SIZES
    assert [(one.name, one.low, one.high) for one in parse_sizes("sqrt:16")] == [
        ("small", 0, 256),
        ("large", 256, None),
    ]
    names = [one.name for one in parse_sizes("sqrt:8,16,32")]
    assert names == ["under_8", "8_to_16", "16_to_32", "over_32"]


@pytest.mark.parametrize(
    "text", ["", "sqrt:", "sqrt:9,8", "area:a", "area:-1", "area:nan", "cm:3", "sqrt:0,3", "area:inf"]
)
def test_sizes_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--sizes"):
        parse_sizes(text)
