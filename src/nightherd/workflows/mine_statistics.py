"""Before and after over seeds: means, spreads, and a paired bootstrap over frames and seeds. Arrays in, numbers out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nightherd.evaluation.bootstrap import resample
from nightherd.evaluation.false_alarms import AlarmTable
from nightherd.workflows.telling import Track

Figures = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean, standard deviation (None of a single value), least and greatest over seeds, and the values."""

    mean: float
    sd: float | None
    least: float
    greatest: float
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Before and after at one recall.

    Attributes:
        recall: share of the boxes that each model finds.
        seeds: pairs.
        before, after, change: false alarms a frame.
        interval: 95 % of the change; None without a bootstrap.
        wrong_before, wrong_after: wrong detections a frame, near misses and doubles among them.
        per_km2: `before` and `after` for each km² of ground seen; None where the frames have no pose.
    """

    recall: float
    seeds: int
    before: Spread
    after: Spread
    change: Spread
    interval: tuple[float, float] | None
    wrong_before: Spread
    wrong_after: Spread
    per_km2: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Comparison:
        """The inverse of `to_dict`."""
        spreads = {key: Spread(**one) for key, one in value.items() if isinstance(one, dict) and "mean" in one}
        return cls(**{**value, **spreads})


def compare(
    before: Sequence[AlarmTable],
    after: Sequence[AlarmTable],
    recall: float,
    areas: Figures | None = None,
    flights: Sequence[str] | None = None,
    replicates: int = 1000,
    seed: int = 0,
    track: Track | None = None,
) -> Comparison:
    """Compares models at a recall that all of them reach.

    Args:
        before, after: a table for each seed over the same images; a single one before is compared with each after.
        recall: to compare at.
        areas: float64 (I,), m² of ground that each image shows, NaN where unknown; None where no pose is known.
        flights: one for each image; drawn whole.
        replicates, seed: of the bootstrap. Each sample draws images and pairs anew, and finds the scores at which each
            model reaches the recall on it.
        track: shows progress.
    """
    pairs = len(after)
    firsts = list(before) if len(before) == pairs else list(before) * pairs
    n = len(after[0].n_truth)
    alarms = [[one.at_recall(recall)[1:] for one in side] for side in (firsts, after)]
    means = np.array([[part[0].mean() for part in side] for side in alarms])
    wrong = np.array([[part[1].mean() for part in side] for side in alarms])
    interval = None
    if replicates:
        generator = np.random.default_rng((seed, 1))
        samples: Iterable[Figures] = resample(n, replicates, seed, flights)
        samples = track(samples, "intervals", replicates) if track is not None else samples
        changes = []
        for weights in samples:
            drawn = generator.integers(0, pairs, pairs)
            total = weights.sum()
            each = [
                float(weights @ (after[k].at_recall(recall, weights)[1] - firsts[k].at_recall(recall, weights)[1]))
                / total
                for k in drawn
            ]
            changes.append(float(np.mean(each)))
        defined = np.array(changes)[~np.isnan(changes)]
        if 2 * len(defined) >= replicates:
            low, high = np.quantile(defined, (0.025, 0.975))
            interval = (float(low), float(high))
    per_km2 = None
    if areas is not None and np.isfinite(areas).any():
        known = np.isfinite(areas)
        square = float(areas[known].sum()) / 1e6
        each_km2 = [[float(part[0][known].sum()) / square for part in side] for side in alarms]
        per_km2 = {
            "before": asdict(_spread(np.array(each_km2[0][: len(before)]))),
            "after": asdict(_spread(np.array(each_km2[1]))),
            "km2": square,
            "frames": int(known.sum()),
        }
    return Comparison(
        recall,
        pairs,
        _spread(means[0][: len(before)]),
        _spread(means[1]),
        _spread(means[1] - means[0]),
        interval,
        _spread(wrong[0][: len(before)]),
        _spread(wrong[1]),
        per_km2,
    )


def _spread(values: Figures) -> Spread:
    sd = float(values.std(ddof=1)) if len(values) > 1 else None
    return Spread(float(values.mean()), sd, float(values.min()), float(values.max()), tuple(values.tolist()))


def verdict(result: Comparison) -> str:
    """One sentence: whether it paid."""
    seeds = f"{result.seeds} seeds" if result.seeds > 1 else "a single seed, which says little"
    if result.interval is None:
        return "No interval, so no verdict; give --replicates."
    low, high = result.interval
    range_ = f"95 % interval of the change {low:+.2f} to {high:+.2f} a frame over {seeds}"
    relative = f" ({result.change.mean / result.before.mean:+.0%})" if result.before.mean else ""
    end = f"at a recall of {result.recall:.3f}: {result.change.mean:+.2f} false alarms a frame{relative}; {range_}."
    if high < 0:
        return f"It pays here, {end}"
    if low > 0:
        return f"It does not pay here, it costs, {end}"
    return f"It does not pay here, {end} The interval includes no improvement."
