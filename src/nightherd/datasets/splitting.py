"""Splits a data set: stratified by the number of animals in the image, as Lyu et al. (2024) did, and by whole flights.

Each group of frames goes to one split. Groups are placed largest first where they bring the splits closest to their
shares of images, of boxes of each class and of images in each stratum, then moved and exchanged while that helps.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from nightherd.datasets.grouping import Groups
from nightherd.datasets.types import Dataset
from nightherd.errors import ConfigError

NAMES = ("train", "val", "test")
STRATA = (0, 1, 2, 4, 8, 16, 32)
"""Least number of animals of each stratum of images."""
ROUNDS = 30
MOST_EXCHANGED = 3_000
"""With more groups than this only moves are tried: they are small enough for moves to balance them."""


@dataclass(frozen=True, slots=True)
class SplitReport:
    """What balance a split reached.

    Attributes:
        grouped_by: how groups were told.
        groups: groups in each split.
        images: images in each split.
        boxes: boxes of each class in each split.
        shares: share of the images in each split, and what was asked for.
        strata: images of each stratum (`0`, `1`, `2-3`…) in each split.
        worst: the stratum whose share in a split is furthest from what was asked: (split, stratum, share, asked).
        largest_group: images in the largest group, which bounds how close the shares can come.
    """

    grouped_by: str
    groups: dict[str, int]
    images: dict[str, int]
    boxes: dict[str, dict[str, int]]
    shares: dict[str, tuple[float, float]]
    strata: dict[str, dict[str, int]]
    worst: tuple[str, str, float, float] | None
    largest_group: int


def fractions_of(values: Sequence[float]) -> tuple[float, ...]:
    """Shares for train, val (and test), made to sum to 1: 75, 15, 15 is allowed, as published; a last 0 means no test.

    Raises:
        ConfigError: another number of shares, or one that is not above 0.
    """
    if len(values) == 3 and values[2] == 0:
        values = values[:2]
    if len(values) not in (2, 3):
        raise ConfigError(f"--fractions: give two or three, for train, val and test; {len(values)} were given")
    if not all(math.isfinite(v) and v > 0 for v in values):
        raise ConfigError("--fractions: each must be above 0; only the last may be 0, for no test")
    total = sum(values)
    return tuple(v / total for v in values)


def split(
    dataset: Dataset, groups: Groups, fractions: Sequence[float] = (0.7, 0.15, 0.15), seed: int = 0
) -> tuple[Dataset, SplitReport]:
    """Gives every image a split.

    Args:
        dataset: its own splits are replaced.
        groups: of its images; a group is never parted.
        fractions: shares of the images for train, val (and test); see `fractions_of`.
        seed: of the order in which groups of one size are placed.

    Returns:
        The data set with its images' splits set, and what balance was reached.

    Raises:
        ConfigError: fewer groups than splits.
    """
    shares = np.array(fractions_of(fractions), np.float64)
    names = NAMES[: len(shares)]
    if groups.count < len(names):
        raise ConfigError(
            f"{len(names)} splits cannot be made of {groups.count} groups of frames ({groups.how}); "
            "give fewer --fractions, or another --group-by"
        )
    features = _features(dataset, groups)
    place = _place(features, shares, np.random.default_rng(seed))
    assigned = place[groups.numbers]
    images = [replace(image, split=names[int(k)]) for image, k in zip(dataset.images, assigned, strict=True)]
    done = dataset.subset(images)
    return done, _report(done, groups, place, names, shares)


def stratum_of(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The stratum of each image, by its number of animals."""
    return np.asarray(np.searchsorted(STRATA, counts, side="right") - 1, np.int64)


def stratum_names() -> list[str]:
    """`0`, `1`, `2-3`, … `32+`."""
    found = []
    for low, high in itertools.pairwise(STRATA):
        found.append(str(low) if high == low + 1 else f"{low}-{high - 1}")
    return [*found, f"{STRATA[-1]}+"]


def _features(dataset: Dataset, groups: Groups) -> npt.NDArray[np.float64]:
    """float64 (G, F): images, boxes of each class and images of each stratum in each group, each of the whole set 1.

    The number of images weighs as much as all strata together, the classes half of that.
    """
    n_classes = len(dataset.classes)
    columns = np.zeros((len(dataset), 1 + n_classes + len(STRATA)), np.float64)
    columns[:, 0] = 1
    for i, image in enumerate(dataset.images):
        if len(image.labels):
            columns[i, 1 : 1 + n_classes] = np.bincount(image.labels, minlength=n_classes)
    counts = np.array([len(image.boxes) for image in dataset.images], np.int64)
    columns[np.arange(len(dataset)), 1 + n_classes + stratum_of(counts)] = 1
    summed = np.zeros((groups.count, columns.shape[1]), np.float64)
    np.add.at(summed, groups.numbers, columns)
    totals = summed.sum(axis=0)
    scaled = summed / np.where(totals > 0, totals, 1)
    # A stratum or class with few members cannot be balanced well and should not drive the rest.
    weight = np.sqrt(totals / max(totals[0], 1))
    weight[0] = 2.0
    weight[1 : 1 + n_classes] = np.minimum(weight[1 : 1 + n_classes], 1.0) * 0.7
    weighted: npt.NDArray[np.float64] = scaled * weight
    return weighted


def _place(
    features: npt.NDArray[np.float64], shares: npt.NDArray[np.float64], rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """The split of each group: greedily, then by moves and exchanges that lower the squared distance to the shares."""
    target = shares[:, None] * features.sum(axis=0)
    have = np.zeros_like(target)
    place = np.zeros(len(features), np.int64)
    shuffled = rng.permutation(len(features))
    order = shuffled[np.argsort(-features[shuffled, 0], kind="stable")]
    for g in order:
        gain = ((have + features[g] - target) ** 2 - (have - target) ** 2).sum(axis=1)
        place[g] = int(np.argmin(gain / shares))
        have[place[g]] += features[g]
    for empty in np.flatnonzero(np.bincount(place, minlength=len(shares)) == 0):
        donor = int(np.argmax(np.bincount(place, minlength=len(shares))))
        g = min(np.flatnonzero(place == donor), key=lambda i: features[i, 0])
        have[donor] -= features[g]
        have[empty] += features[g]
        place[g] = empty
    for _ in range(ROUNDS):
        if not _improve(features, target, have, place):
            break
    return place


def _improve(
    features: npt.NDArray[np.float64],
    target: npt.NDArray[np.float64],
    have: npt.NDArray[np.float64],
    place: npt.NDArray[np.int64],
) -> bool:
    """One round of the best move of each group, and of the best exchange with it; whether anything got better."""
    changed = False
    n_splits = len(target)
    for g in range(len(features)):
        source = int(place[g])
        off = have - target
        # Moving f from a to b changes the cost by 2 f·(off_b - off_a) + 2 f·f.
        f = features[g]
        costs = 2 * (off @ f - off[source] @ f) + 2 * f @ f
        costs[source] = 0.0
        if np.count_nonzero(place == source) > 1 and costs.min() < -1e-12:
            goal = int(np.argmin(costs))
            have[source] -= f
            have[goal] += f
            place[g] = goal
            changed = True
            continue
        if len(features) > MOST_EXCHANGED:
            continue
        # Exchanging f in a with h in b moves d = f - h from a to b.
        best, partner = -1e-12, -1
        for goal in range(n_splits):
            if goal == source:
                continue
            others = np.flatnonzero(place == goal)
            d = f - features[others]
            exchange = 2 * d @ (off[goal] - off[source]) + 2 * (d * d).sum(axis=1)
            if len(exchange) and exchange.min() < best:
                best, partner = float(exchange.min()), int(others[int(np.argmin(exchange))])
        if partner >= 0:
            goal = int(place[partner])
            d = f - features[partner]
            have[source] -= d
            have[goal] += d
            place[g], place[partner] = goal, source
            changed = True
    return changed


def _report(
    done: Dataset, groups: Groups, place: npt.NDArray[np.int64], names: Sequence[str], shares: npt.NDArray[np.float64]
) -> SplitReport:
    by_name = {name: [i for i in done.images if i.split == name] for name in names}
    strata = {}
    for name, images in by_name.items():
        counts = np.bincount(stratum_of(np.array([len(i.boxes) for i in images], np.int64)), minlength=len(STRATA))
        strata[name] = {label: int(c) for label, c in zip(stratum_names(), counts, strict=True)}
    worst = None
    for label in stratum_names():
        whole = sum(strata[name][label] for name in names)
        for name, asked in zip(names, shares, strict=True):
            if whole:
                share = strata[name][label] / whole
                if worst is None or abs(share - asked) > abs(worst[2] - worst[3]):
                    worst = (name, label, round(share, 4), round(float(asked), 4))
    return SplitReport(
        grouped_by=groups.how,
        groups={name: int((place == k).sum()) for k, name in enumerate(names)},
        images={name: len(images) for name, images in by_name.items()},
        boxes={
            name: {c: sum(int((i.labels == k).sum()) for i in images) for k, c in enumerate(done.classes)}
            for name, images in by_name.items()
        },
        shares={
            name: (round(len(by_name[name]) / len(done), 4), round(float(asked), 4))
            for name, asked in zip(names, shares, strict=True)
        },
        strata=strata,
        worst=worst,
        largest_group=int(np.bincount(groups.numbers).max()),
    )
