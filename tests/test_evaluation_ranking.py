"""AP under weights is COCO's AP, and a bootstrap sample by weights is the data set with its images repeated."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation_scenes import CLASSES, scene, without_ties
from nightherd.evaluation import matching
from nightherd.evaluation.bootstrap import intervals, resample
from nightherd.evaluation.coco import coco_metrics
from nightherd.evaluation.ranking import Ranking
from nightherd.evaluation.types import DEER_SURVEY_SIZES, Truth
from nightherd.types import Detections


def flat(metrics: dict[str, object]) -> dict[str, float]:
    """COCO's figures by the names that a ranking gives them, NaN for None."""
    figures = {k: v for k, v in metrics.items() if k.startswith("a")}
    for name, one in metrics["per_class"].items():  # type: ignore[attr-defined]
        figures |= {f"per_class.{name}.{k}": one[k] for k in ("ap", "ap50", "ap75")}
    return {k: float("nan") if v is None else v for k, v in figures.items()}  # type: ignore[misc]


@given(
    seed=st.integers(0, 10**6),
    n_truth=st.sampled_from([0, 1, 12]),
    n_ignore=st.sampled_from([0, 2]),
    jitter=st.sampled_from([0, 2, 6]),
    n_false=st.sampled_from([0, 8]),
)
@settings(max_examples=30, deadline=None)
def test_with_weight_one_the_figures_are_cocos(
    seed: int, n_truth: int, n_ignore: int, jitter: int, n_false: int
) -> None:
    truth, found = scene(seed, 5, n_truth, n_ignore, jitter, n_false)
    expected = flat(coco_metrics(truth, found, CLASSES).to_dict())
    figures = Ranking(truth, found, CLASSES).figures(np.ones(len(truth)))
    assert dict(figures) == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_with_other_sizes_and_a_limit_the_figures_are_cocos() -> None:
    truth, found = scene(8, 3, 400, 2, 4, 100)
    expected = flat(coco_metrics(truth, found, CLASSES, 150, DEER_SURVEY_SIZES).to_dict())
    figures = Ranking(truth, found, CLASSES, DEER_SURVEY_SIZES, 150).figures(np.ones(len(truth)))
    assert expected["ar100"] < expected["ar150"], "the scene must need the limit"
    assert dict(figures) == pytest.approx(expected, abs=1e-9)


@given(seed=st.integers(0, 10**6), weights=st.lists(st.integers(0, 3), min_size=6, max_size=6))
@settings(max_examples=12, deadline=None)
def test_a_weighted_image_counts_like_one_that_is_there_so_often(seed: int, weights: list[int]) -> None:
    truth, found = scene(seed, 6)
    found = without_ties(found)
    drawn = np.repeat(np.arange(6), weights)
    brute = coco_metrics([truth[i] for i in drawn], [found[i] for i in drawn], CLASSES)
    figures = Ranking(truth, found, CLASSES).figures(np.array(weights, float))
    assert dict(figures) == pytest.approx(flat(brute.to_dict()), abs=1e-9, nan_ok=True)


def test_intervals_are_the_percentiles_of_evaluating_every_sample_again() -> None:
    truth, found = scene(9, 12)
    found = without_ties(found)
    ours = intervals(Ranking(truth, found, CLASSES).figures, 12, replicates=60, seed=4, level=0.9)
    brute = []
    for weights in resample(12, 60, 4):
        drawn = np.repeat(np.arange(12), weights.astype(int))
        brute.append(flat(coco_metrics([truth[i] for i in drawn], [found[i] for i in drawn], CLASSES).to_dict()))
    for name in ("ap", "ap50", "ar100", "ap_small", "per_class.person.ap50"):
        expected = np.quantile([one[name] for one in brute], [0.05, 0.95])
        assert ours[name] == pytest.approx(tuple(expected), abs=1e-9), name


def test_samples_repeat_with_the_seed_and_draw_groups_whole() -> None:
    groups = ["a", "a", "b", "c", "c", "c"]
    once, again = list(resample(6, 50, 1, groups)), list(resample(6, 50, 1, groups))
    assert np.array_equal(once, again)
    assert not np.array_equal(once, list(resample(6, 50, 2, groups)))
    for weights in once:
        assert weights[0] == weights[1] and weights[3] == weights[4] == weights[5]
        assert weights[0] + weights[2] + weights[3] == 3, "three groups are drawn from three"
    assert all(weights.sum() == 6 for weights in resample(6, 50, 1))


def test_the_interval_of_a_mean_is_the_textbook_one() -> None:
    """For the mean of many values the percentile bootstrap approaches mean ± 1.96 standard errors."""
    values = np.random.default_rng(0).normal(10, 2, 400)
    low, high = intervals(lambda w: {"mean": float(values @ w / w.sum())}, 400, 2000, 0)["mean"] or (0, 0)
    error = values.std() / 20
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.25 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.25 * error)


def test_a_figure_undefined_in_most_samples_has_no_interval() -> None:
    result = intervals(lambda w: {"rare": float("nan") if w[0] < 2 else 1.0, "sum": float(w.sum())}, 5, 100, 0)
    assert result == {"rare": None, "sum": (5.0, 5.0)}


def test_samples_do_not_match_again(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, found = scene(10, 30)
    ranking = Ranking(truth, found, CLASSES)

    def refuse(*arguments: object) -> None:
        raise AssertionError("matched again")

    monkeypatch.setattr(matching, "match_one", refuse)
    with pytest.raises(AssertionError, match="matched again"):
        Ranking(truth, found, CLASSES)
    low, high = intervals(ranking.figures, 30, 20, 0)["ap"] or (1, 0)
    assert 0 < low < high < 1


def test_no_image_and_no_detection_are_no_error() -> None:
    assert np.isnan(Ranking([], [], CLASSES).figures(np.zeros(0))["ap"])
    truth, _ = scene(11)
    none = [Detections(classes=CLASSES) for _ in truth]
    assert Ranking(truth, none, CLASSES).figures(np.ones(len(truth)))["ap"] == 0


def test_a_rare_class_that_a_sample_misses_does_not_move_the_mean() -> None:
    """COCO's mean is over the classes that occur, so a sample without the one rare class that is never found would be
    much better than the whole; with `steady` such a class keeps the value that it has on all images."""
    box = np.array([[0, 0, 10, 10]], np.float32)
    truth = [Truth(box, np.array([0])), Truth(box, np.array([0])), Truth(box, np.array([1]))]
    right = Detections(box, np.array([0.9], np.float32), np.array([0]), CLASSES[:2])
    ranking = Ranking(truth, [right, right, Detections(classes=CLASSES[:2])], CLASSES[:2])
    without = np.array([2.0, 1, 0])
    assert ranking.figures(np.ones(3))["ap50"] == pytest.approx(0.5)
    assert ranking.figures(without)["ap50"] == pytest.approx(1)
    steady = ranking.figures(without, steady=True)
    assert steady["ap50"] == pytest.approx(0.5) and np.isnan(steady["per_class.person.ap50"])
