"""Confidence intervals by the percentile bootstrap over images, or over groups of images such as flights.

Neighbouring frames of a flight look alike, so where flights are known they are what is resampled
(cluster bootstrap; Efron & Tibshirani 1993, chapters 8 and 13).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

Weights = npt.NDArray[np.float64]
Interval = tuple[float, float]
Track = Callable[[Iterable[Weights], str, int], Iterable[Weights]]


def plainly(items: Iterable[Weights], description: str, total: int) -> Iterable[Weights]:
    """The items as they are, without a progress bar."""
    return items


def resample(n_images: int, replicates: int, seed: int, groups: Sequence[Hashable] | None = None) -> Iterator[Weights]:
    """Bootstrap samples as weights: how often each image is drawn.

    Args:
        n_images: how many images there are.
        replicates: how many samples.
        seed: of the random numbers; the same seed gives the same samples, whatever is computed from them.
        groups: one per image, e.g. its flight; groups are drawn whole, as many as there are.

    Yields:
        float64 (I,).
    """
    generator = np.random.default_rng(seed)
    if groups is None:
        member = np.arange(n_images)
    else:
        if len(groups) != n_images:
            raise ValueError(f"{len(groups)} groups for {n_images} images")
        known = {group: number for number, group in enumerate(dict.fromkeys(groups))}
        member = np.array([known[group] for group in groups], np.int64)
    n_groups = int(member.max()) + 1 if n_images else 0
    for _ in range(replicates):
        drawn = np.bincount(generator.integers(0, max(n_groups, 1), n_groups), minlength=n_groups)
        yield drawn[member].astype(np.float64)


def intervals(
    statistic: Callable[[Weights], Mapping[str, float]],
    n_images: int,
    replicates: int = 1000,
    seed: int = 0,
    groups: Sequence[Hashable] | None = None,
    level: float = 0.95,
    track: Track = plainly,
) -> dict[str, Interval | None]:
    """Percentile intervals of several figures at once.

    Args:
        statistic: figures by name from weights of the images (I,); NaN where a sample leaves one undefined.
        n_images, replicates, seed, groups: as for `resample`.
        level: share of the samples inside the interval.
        track: shows progress, called as `track(items, description, total)`.

    Returns:
        (low, high) by name; None for a figure undefined in more than half of the samples or without samples at all.
    """
    samples: dict[str, list[float]] = {name: [] for name in statistic(np.ones(n_images))}
    for weights in track(resample(n_images, replicates, seed, groups), "intervals", replicates):
        for name, value in statistic(weights).items():
            samples[name].append(value)
    tails = (0.5 - level / 2, 0.5 + level / 2)
    result: dict[str, Interval | None] = {}
    for name, values in samples.items():
        defined = np.array(values)[~np.isnan(values)]
        if 2 * len(defined) < max(replicates, 1):
            result[name] = None
        else:
            low, high = np.quantile(defined, tails)
            result[name] = (float(low), float(high))
    return result
