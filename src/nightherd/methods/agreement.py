"""How far judges agree: share, Cohen's kappa of two (1960), Fleiss' kappa of several (1971), with bootstrap intervals.

Answers about one paper depend on each other, so whole papers are drawn in the bootstrap, not single answers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure with its 95 % interval, from n cells of so many papers; None where it is not defined."""

    value: float | None
    interval: tuple[float, float] | None
    n: int
    papers: int


def share_agreed(first: Bools, second: Bools) -> float:
    """The share of cells on which two judges say the same; nan for none."""
    return float(np.mean(first == second)) if len(first) else math.nan


def cohen_kappa(first: Bools, second: Bools) -> float:
    """Cohen's kappa, (p_o - p_e) / (1 - p_e), of two judges, bool (N,) each; nan where chance explains everything."""
    if not len(first):
        return math.nan
    observed = float(np.mean(first == second))
    a, b = float(np.mean(first)), float(np.mean(second))
    expected = a * b + (1 - a) * (1 - b)
    return math.nan if expected >= 1 else (observed - expected) / (1 - expected)


def fleiss_kappa(counts: Counts) -> float:
    """Fleiss' kappa of judges whose votes are counted, int64 (N, categories), as many in each row; nan if undefined."""
    if not len(counts) or counts[0].sum() < 2:
        return math.nan
    judges = int(counts[0].sum())
    within = (np.square(counts).sum(axis=1) - judges) / (judges * (judges - 1))
    observed = float(np.mean(within))
    expected = float(np.square(counts.sum(axis=0) / counts.sum()).sum())
    return math.nan if expected >= 1 else (observed - expected) / (1 - expected)


def over_papers(
    figure: Callable[[npt.NDArray[np.int64]], float],
    papers: Sequence[str],
    replicates: int = 1000,
    seed: int = 0,
) -> Measured:
    """A figure of cells with the percentile interval of a bootstrap over papers.

    Args:
        figure: from places of cells, int64 (M,), those of a paper drawn twice twice, to the figure.
        papers: the paper of each cell.
        replicates: bootstrap samples; 0 gives no interval, nor do fewer than two papers.
        seed: of the drawing.
    """
    places = np.arange(len(papers))
    value = figure(places)
    names = np.array(papers, dtype=object)
    distinct = list(dict.fromkeys(papers))
    interval = None
    if replicates and len(distinct) > 1:
        members = [places[names == name] for name in distinct]
        generator = np.random.default_rng(seed)
        drawn = generator.integers(0, len(distinct), (replicates, len(distinct)))
        found = np.array([figure(np.concatenate([members[i] for i in row])) for row in drawn])
        found = found[np.isfinite(found)]
        if 2 * len(found) > replicates:  # else the figure is undefined more often than not
            low, high = np.percentile(found, (2.5, 97.5))
            interval = (float(low), float(high))
    return Measured(value if math.isfinite(value) else None, interval, len(papers), len(distinct))


def agreement(
    first: Bools, second: Bools, papers: Sequence[str], replicates: int = 1000, seed: int = 0
) -> dict[str, Measured]:
    """`agreement` (share) and `kappa` (Cohen's) of two judges, with intervals."""
    return {
        "agreement": over_papers(lambda at: share_agreed(first[at], second[at]), papers, replicates, seed),
        "kappa": over_papers(lambda at: cohen_kappa(first[at], second[at]), papers, replicates, seed),
    }


def group_agreement(counts: Counts, papers: Sequence[str], replicates: int = 1000, seed: int = 0) -> Measured:
    """Fleiss' kappa of several judges, with its interval."""
    return over_papers(lambda at: fleiss_kappa(counts[at]), papers, replicates, seed)
