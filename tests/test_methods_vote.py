"""Votes and agreement: majorities, ties, and kappas that scikit-learn and a literal reading of the formulas confirm."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightherd.methods.agreement import agreement, cohen_kappa, fleiss_kappa, group_agreement, over_papers, share_agreed
from nightherd.methods.vote import hard_vote, pairs, ratings, share_by, vote_on


@pytest.mark.parametrize(
    ("votes", "decision"),
    [
        ([True, True, False], True), ([False, False, True], False), ([True, False], None), ([], None),
        ([None, None], None), ([True, None], True), ([True, True, False, False], None), ([False, None, None], False),
    ],
)  # fmt: skip
def test_the_majority_decides_and_a_tie_decides_nothing(votes: list[bool | None], decision: bool | None) -> None:
    assert hard_vote(votes) is decision


def test_models_are_compared_where_both_decided() -> None:
    a = {("p", "1"): True, ("p", "2"): False, ("q", "1"): None}
    b = {("p", "1"): True, ("p", "2"): True, ("q", "1"): True}
    first, second, papers = pairs(a, b)
    assert first.tolist() == [True, False] and second.tolist() == [True, True] and papers == ["p", "p"]
    counts, papers = ratings([a, b])
    assert counts.tolist() == [[0, 2], [1, 1]] and papers == ["p", "p"]
    assert vote_on({"a": a, "b": b}) == {("p", "1"): True, ("p", "2"): None, ("q", "1"): True}
    assert share_by(b, lambda cell: cell[0]) == {"p": (2, 2), "q": (1, 1)}


BOOLS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)


@settings(max_examples=50, deadline=None)
@given(BOOLS)
def test_cohens_kappa_is_scikit_learns(rows: list[tuple[bool, bool]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    first, second = np.array(rows, np.bool_).T
    if len({value for row in rows for value in row}) < 2:
        assert math.isnan(cohen_kappa(first, second))
        return
    assert cohen_kappa(first, second) == pytest.approx(metrics.cohen_kappa_score(first, second))
    assert share_agreed(first, second) == pytest.approx(metrics.accuracy_score(first, second))


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 6).flatmap(lambda n: st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=1)))
def test_fleiss_kappa_is_that_of_all_pairs_of_judges(votes: list[list[bool]]) -> None:
    table = np.array(votes)
    counts = np.stack([(~table).sum(1), table.sum(1)], axis=1)
    agree = np.mean([np.mean([a == b for a, b in itertools.permutations(row, 2)]) for row in votes])
    yes = table.mean()
    expected = yes**2 + (1 - yes) ** 2
    if expected == 1:
        assert math.isnan(fleiss_kappa(counts))
    else:
        assert fleiss_kappa(counts) == pytest.approx((agree - expected) / (1 - expected))


def test_fleiss_published_example() -> None:
    """The worked example of Fleiss (1971) as commonly reprinted: 10 subjects, 14 raters, 5 categories, kappa 0.210."""
    counts = np.array(
        [[0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
         [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]]
    )  # fmt: skip
    assert fleiss_kappa(counts) == pytest.approx(0.210, abs=5e-4)


def test_intervals_come_from_whole_papers() -> None:
    rng = np.random.default_rng(1)
    papers = [f"p{i // 28}" for i in range(280)]
    truth = rng.random(280) < 0.5
    judge = truth ^ (rng.random(280) < 0.1)
    found = agreement(truth, judge, papers, 300)
    for name in ("agreement", "kappa"):
        low, high = found[name].interval or (1.0, 0.0)
        assert low < (found[name].value or 0) < high
        assert (found[name].n, found[name].papers) == (280, 10)
    whole = np.array([i // 28 < 5 for i in range(280)])  # five papers right, five wrong: cells hide how few there are
    low, high = agreement(whole, np.ones(280, np.bool_), papers, 300)["agreement"].interval or (0.0, 0.0)
    assert high - low > 0.4
    assert agreement(truth, judge, papers, 300) == found


def test_one_paper_or_no_variation_has_no_interval() -> None:
    same = np.ones(5, np.bool_)
    alone = agreement(same, same, ["p"] * 5)
    assert alone["agreement"].value == 1.0 and alone["agreement"].interval is None
    assert alone["kappa"].value is None
    assert group_agreement(np.zeros((0, 2), np.int64), []).value is None
    assert over_papers(lambda at: math.nan, ["a", "b"], 10).interval is None
