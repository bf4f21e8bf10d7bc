"""The ablation: one thing differs in each arm, finished runs are not repeated, and noise is called noise."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import ablation
from dataset_toys import many
from nightherd.datasets import open_dataset
from nightherd.errors import ConfigError, DatasetError
from nightherd.training.companions import magnification
from nightherd.training.settings import training_settings

TOY = {
    "classes": ("deer", "boar"),
    "detector": {
        "backbone": {"pretrained": "none", "strides": [8, 16, 32]},
        "anchors": {"sizes": [[8, 12], [18, 26], [38, 54]]},
    },
    "batch": 2,
    "precision": "f32",
    "augmentation": {"crop": 32},
}


def outcome(arm: str, *values: float) -> ablation.Outcome:
    measures = {seed: {"ap": value / 2, "ap50": value} for seed, value in enumerate(values)}
    return ablation.Outcome(arm, measures, dict.fromkeys(measures, 1.0))


@pytest.mark.parametrize("arm", [name for name in ablation.ARMS if name != ablation.BASELINE])
def test_an_arm_differs_from_the_baseline_in_what_it_names_and_in_nothing_else(arm: str) -> None:
    base, other = (ablation.settings_of(name, 1, 80) for name in (ablation.BASELINE, arm))
    changed = {key for key in other if other[key] != base.get(key)}
    named = {name: {"detector"} for name in ("ohem", "rfla", "hard-negative")}
    named["rare-classes"] = {"augmentation", "repeat_factor"}
    assert changed <= named.get(arm, {"augmentation", "ema"})
    assert bool(changed) == (arm != ablation.MINING)
    assert other["seed"] == 1
    assert other["augmentation"]["crop"] == 256


@pytest.mark.parametrize("arm", ablation.ARMS)
def test_every_arm_is_one_that_training_takes(arm: str) -> None:
    settings = training_settings(ablation.settings_of(arm, 0, 80))
    assert settings.images == 80


def test_an_unknown_arm_is_refused() -> None:
    with pytest.raises(ConfigError, match="no arm 'magic'; there are baseline"):
        ablation.settings_of("magic", 0, 80)


def test_differences_are_paired_and_small_ones_are_no_difference() -> None:
    base = outcome(ablation.BASELINE, 0.30, 0.50, 0.40)
    better, noise = outcome("ohem", 0.41, 0.60, 0.50), outcome("rfla", 0.50, 0.30, 0.42)
    rows = {row["arm"]: row for row in ablation.compare([base, better, noise])}
    assert rows["ohem"]["ap50"]["differences"] == pytest.approx([0.11, 0.10, 0.10])
    assert rows["ohem"]["ap50"]["verdict"] == "better"
    assert rows["rfla"]["ap50"]["verdict"] == "no measurable difference"
    assert "difference" not in rows[ablation.BASELINE]["ap50"]
    text = ablation.table(list(rows.values()))
    assert "| baseline | 3 | 0.200 ± 0.050 | 0.400 ± 0.100 |" in text
    assert "+0.110, +0.100, +0.100 | +0.103 ± 0.014 | better |" in text


def test_the_interval_is_students() -> None:
    scipy_stats = pytest.importorskip("scipy.stats")
    values = [0.02, 0.05, 0.01, 0.04]
    mean, half, _ = ablation.verdict(values)
    low, high = scipy_stats.t.interval(0.95, 3, loc=np.mean(values), scale=scipy_stats.sem(values))
    assert (mean, half) == (pytest.approx((low + high) / 2), pytest.approx((high - low) / 2, rel=1e-3))


def test_one_seed_says_nothing_and_a_worse_arm_is_worse() -> None:
    assert ablation.verdict([0.3])[1:] == (None, "one seed says nothing")
    assert ablation.verdict([-0.3, -0.31, -0.3])[2] == "worse"
    assert ablation.verdict([0.0, 0.0])[2] == "no measurable difference"


def test_seeds_of_one_arm_alone_are_not_compared() -> None:
    base, other = outcome(ablation.BASELINE, 0.3, 0.4), ablation.Outcome("ohem", {1: {"ap": 0.2, "ap50": 0.5}}, {})
    row = ablation.compare([base, other])[1]
    assert row["ap50"]["differences"] == pytest.approx([0.1])


def test_frames_are_halved_with_their_boxes_once(tmp_path: Path) -> None:
    folder = ablation.halved(many(tmp_path / "whole", 5, seed=1), tmp_path / "half", 3)
    half, whole = open_dataset(folder), many(tmp_path / "whole", 5, seed=1, files=False)
    assert [(image.width, image.height) for image in half.images] == [(32, 24)] * 3
    for small, large in zip(half.images, [whole.images[i] for i in (0, 2, 4)], strict=True):
        boxes = np.clip(large.boxes / 2, 0, [32, 24, 32, 24])
        is_kept = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf) >= 2
        assert small.boxes == pytest.approx(boxes[is_kept], abs=1e-3)
        assert len(small.ignore) == int((~is_kept).sum())
    before = (folder / "annotations.json").stat().st_mtime_ns
    assert ablation.halved(many(tmp_path / "whole", 5, seed=1), folder, 3) == folder
    assert (folder / "annotations.json").stat().st_mtime_ns == before


def test_halved_frames_of_another_data_set_are_refused(tmp_path: Path) -> None:
    folder = ablation.halved(many(tmp_path / "whole", 5, seed=1), tmp_path / "half", 3)
    for other in (many(tmp_path / "other", 5, seed=2), many(tmp_path / "whole", 4, seed=1)):
        with pytest.raises(DatasetError, match="was not made from these frames of toy; choose another --out"):
            ablation.halved(other, folder, 3)
    (folder / "source.sha256").unlink()
    with pytest.raises(DatasetError, match="was not made from these frames"):
        ablation.halved(many(tmp_path / "whole", 5, seed=1), folder, 3)


def test_objects_of_halved_frames_are_magnified_as_those_of_whole_ones(tmp_path: Path) -> None:
    known: list[dict[str, Any]] = [
        {"altitude": 60, "camera_angle": 90, "time_of_day": "night"},
        {"altitude": 100, "camera_angle": 50, "time_of_day": "night"},
        {"altitude": 80, "camera_angle": 30, "ground_sample_distance": 0.06},
        {"altitude": 130, "camera_angle": 90, "ground_sample_distance": 0.09},
    ]
    whole = many(tmp_path / "whole", 4, seed=1)
    told = [replace(image, attributes=each) for image, each in zip(whole.images, known, strict=True)]
    half = open_dataset(ablation.halved(whole.subset(told), tmp_path / "half", 4)).images
    for a in range(4):
        for b in range(4):
            factor = magnification(told[a], told[b])
            assert factor is not None and magnification(half[a], half[b]) == pytest.approx(factor)
    assert half[1].attributes == known[1]
    assert half[2].attributes["ground_sample_distance"] == 0.12


def test_differences_are_told_by_class(tmp_path: Path) -> None:
    def by_class(arm: str, *values: float) -> ablation.Outcome:
        measures = {i: {"ap": 0.1, "ap50": 0.2, "ap50 deer": v, "ap50 boar": 0.3} for i, v in enumerate(values)}
        return ablation.Outcome(arm, measures)

    rows = ablation.compare([by_class(ablation.BASELINE, 0.3, 0.4, 0.5), by_class("ohem", 0.41, 0.50, 0.60)])
    assert rows[1]["ap50 deer"]["differences"] == pytest.approx([0.11, 0.10, 0.10])
    assert ablation.class_table(rows).splitlines() == [
        "| arm | deer | boar |",
        "| --- | --- | --- |",
        "| ohem | +0.103 ± 0.014 | +0.000 ± 0.000 |",
    ]
    assert "deer" not in ablation.table(rows)


def test_an_arm_runs_and_a_finished_one_is_not_repeated(tmp_path: Path) -> None:
    data = ablation.halved(many(tmp_path / "whole", 4, seed=3), tmp_path / "half", 4)

    def run() -> ablation.Outcome:
        return ablation.run_arm("no-ema", [0], (data, data), tmp_path / "out", 4, None, TOY)

    first, second = run(), run()
    assert first.measures == second.measures
    assert set(first.measures[0]) == {"ap", "ap50", "ap50 deer", "ap50 boar"}
    assert first.seconds[0] > 0
    assert second.seconds[0] == 0
    kept: dict[str, Any] = json.loads((tmp_path / "out" / "no-ema-0" / "config.json").read_text(encoding="utf-8"))
    assert kept["run"]["settings"]["ema"] == 0


def test_mining_trains_with_the_false_alarms_of_the_baseline_of_its_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = ablation.halved(many(tmp_path / "whole", 4, seed=3), tmp_path / "half", 4)
    trained: list[tuple[str, list[str]]] = []

    class Result:
        was_finished = False
        best = {"ap": 0.1, "ap50": 0.2}  # noqa: RUF012

    def train_model(data: Any, run: Path, *_: Any, hard_negatives: Any = (), **__: Any) -> Result:
        trained.append((run.name, [Path(one).name for one in hard_negatives]))
        return Result()

    monkeypatch.setattr(ablation, "train_model", train_model)
    monkeypatch.setattr(ablation, "_mined", lambda run, data, folder, say: [folder])
    outcome = ablation.run_arm(ablation.MINING, [4], (data, data), tmp_path / "out", 4, None, TOY)
    assert trained == [("baseline-4", []), ("mining-4", ["mined-4"])]
    assert outcome.measures[4]["ap50"] == 0.2
    monkeypatch.setattr(ablation, "_mined", lambda *_: [])
    assert ablation.run_arm(ablation.MINING, [4], (data, data), tmp_path / "out", 4, None, TOY).measures == {}
