"""Splitting: no group is parted, shares and strata are met, the same seed gives the same split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_toys import many, picture
from nightherd.datasets.grouping import Groups, group
from nightherd.datasets.splitting import fractions_of, split, stratum_names, stratum_of
from nightherd.errors import ConfigError


@settings(max_examples=40, deadline=None)
@given(n=st.integers(3, 80), n_groups=st.integers(3, 40), seed=st.integers(0, 99), two=st.booleans())
def test_every_image_has_one_split_and_no_group_is_parted(n: int, n_groups: int, seed: int, two: bool) -> None:
    dataset = many(Path(), n, seed=seed, files=False)
    numbers = np.random.default_rng(seed).integers(0, min(n_groups, n), n)
    numbers[: min(n_groups, n)] = np.arange(min(n_groups, n))
    done, report = split(dataset, Groups(numbers, "toy"), (0.8, 0.2) if two else (0.7, 0.15, 0.15), seed)
    homes: dict[int, set[str | None]] = {}
    for number, image in zip(numbers.tolist(), done.images, strict=True):
        homes.setdefault(number, set()).add(image.split)
    assert all(len(home) == 1 for home in homes.values())
    assert set(report.images) == {"train", "val"} | (set() if two else {"test"})
    assert min(report.images.values()) > 0
    assert sum(report.images.values()) == n
    assert [i.id for i in done.images] == [i.id for i in dataset.images]


def test_shares_and_strata_are_met_where_groups_allow_it() -> None:
    dataset = many(Path(), 600, flights=100, seed=4, files=False)
    done, report = split(dataset, group(dataset.images, "flight"), (0.7, 0.15, 0.15))
    assert report.groups == {"train": 70, "val": 15, "test": 15}
    for name, asked in (("train", 0.7), ("val", 0.15), ("test", 0.15)):
        assert report.shares[name][0] == pytest.approx(asked, abs=0.01)
        for stratum in stratum_names():
            whole = sum(report.strata[other][stratum] for other in report.strata)
            assert report.strata[name][stratum] == pytest.approx(asked * whole, abs=max(2.5, 0.05 * whole))
    counted = {s: sum(i.split == s for i in done.images) for s in ("train", "val", "test")}
    assert counted == report.images


def test_the_same_seed_gives_the_same_split_and_another_gives_another() -> None:
    dataset = many(Path(), 60, files=False)
    groups = group(dataset.images, "none")
    first, again, other = (
        [i.split for i in split(dataset, groups, (0.7, 0.15, 0.15), seed)[0].images] for seed in (5, 5, 6)
    )
    assert first == again
    assert first != other


def test_strata_are_those_of_their_names() -> None:
    assert stratum_names() == ["0", "1", "2-3", "4-7", "8-15", "16-31", "32+"]
    counts = np.array([0, 1, 2, 3, 4, 7, 8, 31, 32, 500])
    assert [stratum_names()[k] for k in stratum_of(counts)] == [
        "0", "1", "2-3", "2-3", "4-7", "4-7", "8-15", "16-31", "32+", "32+",
    ]  # fmt: skip


def test_shares_need_not_sum_to_one() -> None:
    assert fractions_of((75, 15, 15)) == pytest.approx((5 / 7, 1 / 7, 1 / 7))
    assert fractions_of((0.8, 0.2, 0)) == pytest.approx((0.8, 0.2))
    for wrong in ((1,), (0.5, 0.5, -1), (0.5, float("nan"), 0.5), (0, 0.5, 0.5), (1, 1, 1, 1)):
        with pytest.raises(ConfigError, match="--fractions"):
            fractions_of(wrong)


def test_fewer_groups_than_splits_is_refused_with_the_remedy() -> None:
    dataset = many(Path(), 10, flights=2, files=False)
    with pytest.raises(ConfigError, match=r"3 splits cannot be made of 2 groups.*--group-by"):
        split(dataset, group(dataset.images, "flight"), (0.7, 0.15, 0.15))


def test_flights_are_told_by_attribute_folder_pattern_or_number() -> None:
    dataset = many(Path(), 12, flights=3, files=False)
    auto = group(dataset.images)
    assert (auto.how, auto.count) == ("attribute flight", 3)
    bare = [replace(i, attributes={}, file_name=f"flight{k % 4}/thermal/{k}.png") for k, i in enumerate(dataset.images)]
    assert group(bare).how == "folder"
    assert group(bare, "folder").count == 4
    assert group(bare, r"flight(\d)").count == 4
    numbered = [
        replace(i, attributes={"frame_number": 7 * k if k < 6 else 900 + k, "altitude": 60 if k < 3 else 80})
        for k, i in enumerate(dataset.images)
    ]
    assert group(numbered, "number").numbers.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 2, 2]


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ("site", "no such attribute.*known: flight"),
        ("number", "tells no frame number"),
        ("(", "not a regular expression"),
        ("(a)(b)", "one group in parentheses"),
        (r"x(\d)", "does not match 0000.png"),
    ],
)
def test_a_grouping_that_does_not_fit_is_refused(by: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"--group-by.*{message}"):
        group(many(Path(), 4, files=False).images, by)


def test_frames_that_look_alike_stay_together_where_nothing_tells_the_flight(tmp_path: Path) -> None:
    dataset = many(tmp_path, 12)
    for k, image in enumerate(dataset.images):
        picture(image.path, 320, 256, seed=500 + k // 3)
    bare = [replace(i, attributes={}) for i in dataset.images]
    groups = group(bare)
    assert groups.how == "near-duplicates"
    assert groups.numbers.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_hit_uav_splits_without_parting_neighbours(nightherd_data: Path) -> None:
    from nightherd.datasets import open_dataset

    dataset = open_dataset(nightherd_data / "hit-uav")
    done, report = split(dataset, group(dataset.images, "number"), (0.7, 0.15, 0.15))
    numbers = {int(i.attributes["frame_number"]): i.split for i in done.images}
    assert numbers[0] == numbers[1] == numbers[2]
    assert report.worst is not None and abs(report.worst[2] - report.worst[3]) < 0.06
