"""Parts of a data set, the comparison of two detectors, and boxes written in another order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation_scenes import CLASSES, scene
from nightherd.errors import ConfigError
from nightherd.evaluation.coco import coco_metrics
from nightherd.evaluation.measurement import Measurement
from nightherd.evaluation.misread import misread
from nightherd.evaluation.slices import parts_of
from nightherd.evaluation.summary import summarise
from nightherd.evaluation.thresholds import Rule
from nightherd.evaluation.types import Truth
from nightherd.types import Detections


def shown(parts: object) -> list[tuple[str, str, list[int]]]:
    return [(one.column, one.value, np.flatnonzero(one.images).tolist()) for one in parts]  # type: ignore[attr-defined]


def test_every_column_with_a_few_values_divides_the_images() -> None:
    columns = {
        "altitude": [100, 60, 100, 60], "light": ["night", "day", None, "day"], "camera": ["a", "a", "a", "a"],
        "number": [1, 2, 3, 4],
    }  # fmt: skip
    many = {**columns, "frame": list(range(4))}
    parts = shown(parts_of(many, np.array([0, 3, 1, 0])))
    assert parts[:2] == [("altitude", "60", [1, 3]), ("altitude", "100", [0, 2])]
    assert parts[2:5] == [("light", "day", [1, 3]), ("light", "night", [0]), ("light", "not known", [2])]
    assert not [one for one in parts if one[0] == "camera"], "one value divides nothing"
    assert [one for one in parts if one[0] == "animals"] == [
        ("animals", "0", [0, 3]), ("animals", "1", [2]), ("animals", "2 to 5", [1])
    ]  # fmt: skip


def test_chosen_columns_alone_divide_and_many_numbers_are_cut_at_quartiles() -> None:
    columns = {"height": [float(value) for value in range(40)], "name": [f"n{value}" for value in range(40)]}
    counts = np.zeros(40, np.int64)
    assert [one.column for one in parts_of(columns, counts)] == []
    parts = parts_of(columns, counts, ["height"])
    assert [int(one.images.sum()) for one in parts] == [10, 10, 10, 10]
    assert sum(one.images.astype(int) for one in parts).tolist() == [1] * 40
    with pytest.raises(ConfigError, match="40 values that are no numbers"):
        parts_of(columns, counts, ["name"])
    with pytest.raises(ConfigError, match=r"no such column \(there are height, name, animals\)"):
        parts_of(columns, counts, ["weather"])


@given(st.integers(0, 10**6))
@settings(max_examples=6, deadline=None)
def test_a_part_says_what_its_images_alone_would_say(seed: int) -> None:
    truth, found = scene(seed, 6)
    half = [place % 2 for place in range(6)]
    parts = parts_of({"half": half}, np.zeros(6, np.int64), ["half"])
    rule = Rule("confidence", 0.4)
    figures = Measurement(truth, found, CLASSES, rule=rule, parts=parts).figures(np.ones(6))
    for place in (0, 1):
        own = Measurement(truth[place::2], found[place::2], CLASSES, rule=rule).figures(np.ones(3))
        coco = coco_metrics(truth[place::2], found[place::2], CLASSES)
        expected = {name: own[name] for name in ("precision", "recall", "false_alarms")}
        expected |= {"ap50": np.nan if coco.ap50 is None else coco.ap50}
        expected |= {"count_mae": own["count.mae"], "count_bias": own["count.bias"]}
        ours = {name: figures[f"slices.{place}.{name}"] for name in expected}
        assert ours == pytest.approx(expected, nan_ok=True)


def test_little_in_a_part_is_marked_and_what_is_undefined_says_why() -> None:
    truth, found = scene(5, 4, n_truth=0)
    parts = parts_of({"half": [0, 0, 1, 1]}, np.zeros(4, np.int64))
    metrics = summarise(Measurement(truth, found, CLASSES, parts=parts), replicates=10).metrics
    part = metrics["slices"]["half"][0]
    assert part["is_small"] and part["n_images"] == 2 and part["recall"] is None and part["ap50"] is None
    assert metrics["reasons"]["slices.half.0.recall"] == "no box of these classes in these images"
    assert part["intervals"]["count_bias"][0] <= part["count_bias"] <= part["intervals"]["count_bias"][1]


def test_a_part_of_one_flight_has_no_interval_where_flights_are_resampled() -> None:
    """It is in a sample whole or not at all, so every sample says the same: no width is no certainty."""
    truth, found = scene(6, 6)
    flights = ["a", "a", "b", "b", "c", "c"]
    parts = parts_of({"flight": flights, "light": ["day", "night"] * 3}, np.zeros(6, np.int64), ["flight", "light"])
    metrics = summarise(Measurement(truth, found, CLASSES, parts=parts), replicates=20, groups=flights).metrics
    assert all(part["intervals"] == {} for part in metrics["slices"]["flight"])
    assert all(part["intervals"]["recall"] for part in metrics["slices"]["light"])
    assert metrics["reasons"]["slices.flight.a.intervals"]


def test_a_single_image_has_no_intervals() -> None:
    truth, found = scene(2, 1)
    assert summarise(Measurement(truth, found, CLASSES), replicates=10).metrics["intervals"] == {}


def degraded(found: list[Detections], share: float) -> list[Detections]:
    generator = np.random.default_rng(0)
    return [one.select(generator.random(len(one)) >= share) for one in found]


def test_a_worse_detector_is_told_apart_and_the_same_one_is_not() -> None:
    truth, found = scene(7, 24, n_false=2)
    first = Measurement(truth, found, CLASSES, rule=Rule("confidence", 0.3))
    worse = Measurement(truth, degraded(found, 0.6), CLASSES, rule=Rule("confidence", 0.3))
    against = summarise(first, replicates=40, against=worse, names=("good", "bad")).metrics["against"]
    row = against["differences"]["ap50"]
    assert row["is_real"] and row["interval"][0] > 0
    assert row["difference"] == pytest.approx(row["value"] - row["other"])
    assert any(
        s.startswith("AP50: good minus bad is +") and s.endswith("good is better.") for s in against["sentences"]
    )
    same = summarise(first, replicates=20, against=first, names=("a", "b")).metrics["against"]
    assert all(one["difference"] == 0 and not one["is_real"] for one in same["differences"].values())
    assert all(sentence.endswith("not distinguishable on these images.") for sentence in same["sentences"])
    unsure = summarise(first, replicates=0, against=worse).metrics["against"]
    assert unsure["differences"]["ap50"]["is_real"] is None and "not known" in unsure["sentences"][0]


def test_the_paired_interval_is_that_of_the_differences_of_every_sample() -> None:
    from nightherd.evaluation.bootstrap import resample

    truth, found = scene(8, 8, n_truth=5, n_false=2)
    first, other = (
        Measurement(truth, one, CLASSES, rule=Rule("confidence", 0.3)) for one in (found, degraded(found, 0.3))
    )
    row = summarise(first, replicates=15, seed=3, against=other).metrics["against"]["differences"]["f1"]
    brute = []
    for weights in resample(8, 15, 3):
        drawn = np.repeat(np.arange(8), weights.astype(int))
        pair = [
            Measurement([truth[i] for i in drawn], [one.detections[i] for i in drawn], CLASSES, rule=one.rule)
            for one in (first, other)
        ]
        brute.append(np.subtract(*(one.main_figures(np.ones(len(drawn)))["f1"] for one in pair)))
    assert row["interval"] == pytest.approx(np.quantile(brute, [0.025, 0.975]).tolist())


def as_read(raw: np.ndarray, scores: np.ndarray) -> Detections:
    """Four numbers that a file holds, read as x, y, width, height."""
    boxes = np.concatenate([raw[:, :2], raw[:, :2] + raw[:, 2:]], axis=1).astype(np.float32)
    return Detections(boxes, scores, np.zeros(len(raw), np.int64), ("animal",))


def test_boxes_in_another_order_are_recognised_by_the_truth() -> None:
    generator = np.random.default_rng(0)
    corner = generator.uniform(20, 200, (40, 2))
    size = generator.uniform(10, 40, (40, 2))
    boxes = np.concatenate([corner, corner + size], axis=1).astype(np.float32)
    truth = [Truth(boxes, np.zeros(40, np.int64), width=640, height=512)]
    scores = np.linspace(1, 0.1, 40).astype(np.float32)
    right = as_read(np.concatenate([corner, size], axis=1), scores)
    assert misread(truth, [right]) is None
    corners = misread(truth, [as_read(boxes, scores)])
    assert corners is not None and corners.startswith(
        "the boxes look like x1, y1, x2, y2: read so they lie on 40 of 40"
    )
    centred = misread(truth, [as_read(np.concatenate([corner + size / 2, size], axis=1), scores)])
    assert centred is not None and "centre x, centre y" in centred
    shares = misread(truth, [as_read(np.concatenate([corner, size], axis=1) / 640, scores)])
    assert shares is not None and "shares of width and height" in shares
    assert misread(truth, [Detections(classes=("animal",))]) is None
    assert misread([Truth()], [right]) is None


def test_a_bad_detector_is_not_taken_for_boxes_in_another_order() -> None:
    for seed in range(5):
        truth, found = scene(seed, 6, jitter=6, n_false=30)
        assert misread(truth, found) is None
