"""Scores as probabilities: the fit against a brute-force search, the line in a model file, the promise on new data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from nightherd.evaluation.platt import fit_line
from nightherd.inference.calibration import calibrated
from nightherd.inference.model_file import ModelInfo

INFO = {
    "format": 1, "name": "toy", "preset": "small", "classes": ["deer", "boar"], "threshold": 0.5, "stride": 32,
    "normalisation": "x", "tile": [640, 512], "max_detections": 100, "version": "1",
}  # fmt: skip


def overconfident(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores whose chance of being right is sigmoid(0.6 logit - 1)."""
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0.02, 0.98, n)
    chance = 1 / (1 + np.exp(-(0.6 * np.log(scores / (1 - scores)) - 1.0)))
    return scores, rng.random(n) < chance


def test_the_fit_finds_the_line_that_scores_were_drawn_by() -> None:
    line = fit_line(*overconfident(40_000, 0))
    assert line is not None
    assert line == pytest.approx((0.6, -1.0), abs=0.05)


def test_the_fit_is_the_best_of_a_grid() -> None:
    scores, right = overconfident(300, 1)
    line = fit_line(scores, right)
    assert line is not None
    x = np.log(scores / (1 - scores))
    target = np.where(right, (right.sum() + 1) / (right.sum() + 2), 1 / ((~right).sum() + 2))

    def loss(slope: float, offset: float) -> float:
        z = slope * x + offset
        return float(np.sum(np.logaddexp(0, z) - target * z))

    grid = min(loss(a, b) for a in np.linspace(0.05, 2, 60) for b in np.linspace(-3, 1, 60))
    assert loss(*line) <= grid


def test_of_detections_near_a_calibrated_score_that_share_is_right_on_other_data() -> None:
    line = fit_line(*overconfident(4000, 2))
    assert line is not None
    scores, right = overconfident(20_000, 3)
    labels = np.zeros(len(scores), np.int64)
    after = calibrated(scores.astype(np.float32), labels, ("deer",), {"deer": line})
    for low in (0.1, 0.3, 0.5, 0.6):
        near = (after >= low) & (after < low + 0.1)
        assert right[near].mean() == pytest.approx(after[near].mean(), abs=0.06)


def test_too_little_to_learn_from_gives_no_line() -> None:
    assert fit_line(np.full(30, 0.5), np.ones(30, bool)) is None
    rng = np.random.default_rng(0)
    scores = rng.uniform(0, 1, 400)
    assert fit_line(scores, scores < 0.4) is None  # higher scores are less often right


@settings(max_examples=40)
@given(st.lists(st.floats(0, 1, width=32), min_size=2, max_size=20), st.floats(0.1, 5), st.floats(-5, 5))
def test_order_is_kept_and_other_classes_untouched(values: list[float], slope: float, offset: float) -> None:
    scores = np.sort(np.array(values, np.float32))[::-1]
    ones = np.ones(len(scores), np.int64)
    after = calibrated(scores, ones, ("deer", "boar"), {"boar": (slope, offset)})
    assert np.all(np.diff(after) <= 1e-7)
    assert np.all((after >= 0) & (after <= 1))
    np.testing.assert_array_equal(calibrated(scores, ones, ("deer", "boar"), {"deer": (slope, offset)}), scores)


def test_a_model_file_refuses_a_line_that_cannot_be() -> None:
    assert ModelInfo.model_validate({**INFO, "calibration": {"boar": [1.5, -0.2]}}).calibration["boar"] == (1.5, -0.2)
    for wrong in ({"wolf": [1, 0]}, {"boar": [-1, 0]}, {"boar": [1]}, {"boar": [float("nan"), 0]}):
        with pytest.raises(ValidationError):
            ModelInfo.model_validate({**INFO, "calibration": wrong})
