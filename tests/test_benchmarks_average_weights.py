"""The mean of weights: tensors by share, and the head's rows by class, not by place."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

from average_weights import mean
from nightherd.training.start import BOXES, SCORES


def weights(level: float, n: int) -> dict[str, torch.Tensor]:
    """A layer of one level, a counter, and rows of the head that say which class they are of."""
    rows = torch.arange(n + 1.0) + level
    return {
        "layer": torch.full((2,), float(level)),
        "seen": torch.tensor(7),
        SCORES + "bias": rows,
        BOXES + "bias": rows.repeat_interleave(4),
    }


def test_rows_are_averaged_by_class_and_those_that_only_the_first_knows_stay() -> None:
    both = mean([(1, weights(0, 3), ["animal", "person", "vehicle"]), (3, weights(100, 2), ["vehicle", "person"])])
    assert both["layer"].tolist() == [75, 75] and both["seen"] == 7
    # background 0 and 100; animal stays 1; person 2 and 102; vehicle 3 and 101
    expected = [75, 1, 0.25 * 2 + 0.75 * 102, 0.25 * 3 + 0.75 * 101]
    assert both[SCORES + "bias"].tolist() == pytest.approx(expected)
    assert both[BOXES + "bias"].reshape(4, 4)[:, 3].tolist() == pytest.approx(expected)
