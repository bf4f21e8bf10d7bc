"""Offline mining without files: what is a false alarm, of what kind, which repeat; false alarms at equal recall."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightherd.evaluation.false_alarms import AlarmTable, alarm_tables
from nightherd.evaluation.types import Truth
from nightherd.training.augmentation import AugmentationSettings, training_sample
from nightherd.training.mining import (
    KINDS,
    cutout,
    descriptor,
    first_sightings,
    kind_of,
    looks,
    neighbourhood,
    sort_detections,
)
from nightherd.types import Detections
from nightherd.workflows.mine_statistics import Comparison, compare, verdict

CLASSES = ("person", "vehicle")
NO_BOXES = np.zeros((0, 4), np.float32)


def found(*rows: tuple[list[float], float, int]) -> Detections:
    return Detections(
        np.array([box for box, _, _ in rows], np.float32).reshape(-1, 4),
        np.array([score for _, score, _ in rows], np.float32),
        np.array([label for _, _, label in rows], np.int64),
        CLASSES,
    )


def truth(*rows: tuple[list[float], int], ignore: list[list[float]] | None = None) -> Truth:
    return Truth(
        np.array([box for box, _ in rows], np.float32).reshape(-1, 4),
        np.array([label for _, label in rows], np.int64),
        np.array(ignore or [], np.float32).reshape(-1, 4),
        200,
        200,
    )


PERSON, VEHICLE = ([0.0, 0, 10, 10], 0), ([100.0, 100, 140, 120], 1)


def test_right_near_and_ignored_detections_are_no_false_alarms() -> None:
    detections = found(
        ([0, 0, 10, 9], 0.9, 0),  # on the person
        ([0, 5, 10, 15], 0.8, 0),  # IoU 1/3: near
        ([60, 60, 66, 66], 0.7, 0),  # in a region to ignore
        ([30, 30, 40, 40], 0.6, 0),  # on nothing
    )
    result = sort_detections(detections, truth(PERSON, ignore=[[50, 50, 90, 90]]))
    assert result.alarms.tolist() == [3]
    assert (result.relation, result.other.tolist()) == (("",), [-1])
    assert (result.n_right, result.n_near, result.n_ignored, result.n_double) == (1, 1, 1, 0)
    with_near = sort_detections(detections, truth(PERSON, ignore=[[50, 50, 90, 90]]), keep_near_misses=True)
    assert with_near.alarms.tolist() == [1, 3] and with_near.relation == ("near miss", "")


@pytest.mark.parametrize(
    ("box", "label", "relation", "other"),
    [
        ([100, 100, 140, 119], 0, "confused with", 1),
        ([105, 105, 111, 111], 0, "part of", 1),
        ([105, 105, 111, 111], 1, "part of", 1),
        ([0, 0, 60, 60], 0, "around", 0),
    ],
)
def test_a_false_alarm_on_a_labelled_box_says_which(box: list[float], label: int, relation: str, other: int) -> None:
    result = sort_detections(found((box, 0.9, label)), truth(PERSON, VEHICLE))
    assert (result.relation, result.other.tolist()) == ((relation,), [other])
    kind = kind_of(relation, CLASSES[other], "hot spot")
    assert kind == f"{relation} {CLASSES[other]}" and f"{relation} CLASS" in KINDS


def test_a_detection_halfway_on_a_box_of_another_class_is_a_near_miss() -> None:
    result = sort_detections(found(([100, 100, 120, 115], 0.9, 0)), truth(VEHICLE))
    assert not len(result.alarms) and result.n_near == 1


def test_of_overlapping_false_alarms_the_better_one_stays_whatever_its_class() -> None:
    result = sort_detections(found(([30, 30, 40, 40], 0.6, 0), ([31, 30, 41, 40], 0.7, 1)), truth())
    assert result.alarms.tolist() == [1] and result.n_double == 1


BOX = st.tuples(*[st.integers(0, 60)] * 2, *[st.integers(1, 40)] * 2).map(
    lambda v: [float(v[0]), float(v[1]), float(v[0] + v[2]), float(v[1] + v[3])]
)
ROWS = st.lists(st.tuples(BOX, st.integers(0, 1)), max_size=5)


@settings(max_examples=50, deadline=None)
@given(ROWS, ROWS, st.lists(BOX, max_size=2))
def test_every_detection_has_one_outcome_and_no_alarm_is_a_near_miss(
    rows: list[tuple[list[float], int]], boxes: list[tuple[list[float], int]], ignore: list[list[float]]
) -> None:
    detections = found(*((box, 0.9 - k / 10, label) for k, (box, label) in enumerate(rows)))
    result = sort_detections(detections, truth(*boxes, ignore=ignore))
    assert len(result.alarms) + result.n_right + result.n_near + result.n_ignored + result.n_double == len(rows)
    assert (np.diff(detections.scores[result.alarms]) <= 0).all()
    for alarm in result.alarms:
        x1, y1, x2, y2 = detections.boxes[alarm]
        for (a, b, c, d), label in boxes:
            shared = max(0.0, min(x2, c) - max(x1, a)) * max(0.0, min(y2, d) - max(y1, b))
            iou = shared / ((x2 - x1) * (y2 - y1) + (c - a) * (d - b) - shared)
            assert iou < 0.1 if label == detections.labels[alarm] else True


def drawn(shape: str) -> np.ndarray:
    image = np.random.default_rng(0).normal(0, 0.05, (100, 100)).astype(np.float32)
    rows, columns = np.mgrid[:100, :100]
    inside = {
        "disc": np.hypot(rows - 50, columns - 50) < 5,
        "bar": (np.abs(rows - columns) < 3) & (np.abs(rows - 50) < 14),
        "nothing": np.zeros((100, 100), bool),
    }[shape]
    image[inside] = 2.5
    return image


@pytest.mark.parametrize(
    ("shape", "sign", "factor", "kind"),
    [
        ("disc", 1, 1.0, "hot spot"),
        ("disc", -1, 1.0, "cold spot"),
        ("disc", 1, 0.2, "patch"),
        ("bar", 1, 1.0, "elongated"),
        ("bar", -1, 0.3, "elongated"),
        ("nothing", 1, 0.0, "patch"),
    ],
)
def test_kinds_follow_from_looks(shape: str, sign: int, factor: float, kind: str) -> None:
    box = np.array([44, 44, 57, 57], np.float32)
    assert looks((drawn(shape) * sign * factor).astype(np.float32), box) == kind
    assert kind in KINDS


def test_looks_at_the_rim_and_over_the_whole_frame_are_a_kind() -> None:
    image = drawn("disc")
    for box in ([0, 0, 2, 2], [98, 98, 100, 100], [0, 0, 100, 100], [99.5, 99.5, 100, 100]):
        assert looks(image, np.array(box, np.float32)) in KINDS


def test_a_cutout_has_the_box_in_its_middle_and_nothing_beyond_the_frame() -> None:
    image = drawn("disc")
    view, zoom = cutout(image, np.array([45, 45, 55, 55], np.float32))
    assert view.shape == (64, 64) and zoom == 1.0
    assert view[32, 32] == image[50, 50]
    corner, _ = cutout(image, np.array([0, 0, 4, 4], np.float32))
    assert not corner[:29].any() and corner[30:, 30:].any()
    wide, zoom = cutout(image, np.array([0, 0, 100, 20], np.float32))
    assert wide.shape == (64, 64) and zoom == pytest.approx(64 / 150)


def descriptors(*views: np.ndarray) -> np.ndarray:
    return np.stack([descriptor(view.astype(np.float32)) for view in views])


def test_the_same_thing_in_neighbouring_frames_is_kept_once_at_its_best_score() -> None:
    rng = np.random.default_rng(1)
    thing, other = rng.normal(0, 1, (2, 16, 16)).repeat(4, 1).repeat(4, 2)
    views = descriptors(thing, thing + 0.1 * rng.normal(0, 1, (64, 64)), other, thing, thing)
    scores = np.array([0.5, 0.9, 0.8, 0.7, 0.6], np.float32)
    frame = np.array([0, 1, 2, 200, 3], np.int64)
    flight = np.array([0, 0, 0, 0, 1], np.int64)
    stands_for = first_sightings(views, scores, frame, flight)
    assert stands_for.tolist() == [1, 1, 2, 3, 4]  # the last two: too far away, another flight
    assert first_sightings(views, scores, np.zeros(5, np.int64), np.zeros(5, np.int64)).tolist() == [0, 1, 2, 3, 4]


def test_where_they_lie_on_the_ground_decides_before_looks() -> None:
    thing = np.random.default_rng(2).normal(0, 1, (64, 64))
    views = descriptors(thing, thing, thing)
    scores = np.array([0.9, 0.8, 0.7], np.float32)
    frame = np.array([0, 1, 900], np.int64)
    ground = np.array([[0.0, 0.0], [30.0, 0.0], [2.0, 0.0]])
    sigma = np.full(3, 3.0)
    flight = np.zeros(3, np.int64)
    assert first_sightings(views, scores, frame, flight, ground, sigma).tolist() == [0, 1, 0]


def test_frames_of_a_folder_are_ordered_with_numbers_as_numbers() -> None:
    place, series = neighbourhood(["a/DJI_20240312_10_T.jpg", "a/DJI_20240312_9_T.jpg", "a/DJI_20240311_99_T.jpg", "x"])
    assert place.tolist() == [2, 1, 0, 0]
    assert series.tolist() == [0, 0, 0, 1]


@given(st.lists(st.text("ab01٣/._", min_size=1, max_size=12), min_size=1, max_size=6, unique=True))
@settings(max_examples=50, deadline=None)
def test_any_names_are_ordered(names: list[str]) -> None:
    place, series = neighbourhood(names)
    assert len({(int(s), int(p)) for s, p in zip(series, place, strict=True)}) == len(names)


def scene(n: int, alarm_score: float, deer_score: float = 0.9) -> tuple[list[Truth], list[Detections]]:
    """n frames with a person each, found; and a false alarm and a near miss in each."""
    frames = [truth(PERSON) for _ in range(n)]
    rows = [(PERSON[0], deer_score, 0), ([50.0, 50, 60, 60], alarm_score, 0), ([0.0, 4, 10, 14], 0.5, 0)]
    return frames, [found(*sorted(rows, key=lambda row: -row[1])) for _ in range(n)]


def test_false_alarms_at_a_recall_count_what_lies_on_no_box() -> None:
    tables = alarm_tables(*scene(4, 0.95), CLASSES)
    score, alarms, wrong = tables[None].at_recall(1.0)
    assert score == pytest.approx(0.9) and alarms.tolist() == wrong.tolist() == [1, 1, 1, 1]
    low_tables = alarm_tables(*scene(4, 0.6, deer_score=0.4), CLASSES)
    _, alarms, wrong = low_tables["person"].at_recall(0.5)
    assert alarms.tolist() == [1] * 4 and wrong.tolist() == [2] * 4  # near misses are wrong, no false alarms
    assert np.isnan(tables["vehicle"].at_recall(0.1)[0])
    assert tables[None].highest_recall() == 1.0 and tables["vehicle"].highest_recall() == 0.0


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 30), st.integers(1, 5), st.integers(0, 2**32 - 1), st.floats(0.05, 1.0))
def test_at_recall_agrees_with_trying_every_score(n: int, images: int, seed: int, recall: float) -> None:
    rng = np.random.default_rng(seed)
    scores = -np.sort(-rng.integers(1, 12, n) / 12)
    right = rng.random(n) < 0.5
    table = AlarmTable(scores, rng.integers(0, images, n), right, ~right & (rng.random(n) < 0.7), np.full(images, 4.0))
    weights = rng.integers(0, 3, images).astype(np.float64)
    score, alarms, _ = table.at_recall(recall, weights)
    total = float((weights * 4).sum())
    fits = [
        s for s in np.unique(scores) if total and weights[table.image[right & (scores >= s)]].sum() >= recall * total
    ]
    assert (np.isnan(score) and not fits) or score == max(fits)
    if fits:
        assert alarms.sum() == (table.alarm & (scores >= score)).sum()


def test_fewer_false_alarms_at_equal_recall_pay_and_equal_ones_do_not() -> None:
    loud = alarm_tables(*scene(12, 0.95), CLASSES)[None]
    quiet = alarm_tables(*scene(12, 0.3), CLASSES)[None]
    pays = compare([loud, loud], [quiet, quiet], 0.9, replicates=50)
    assert (pays.before.mean, pays.after.mean, pays.change.sd) == (1.0, 0.0, 0.0)
    assert pays.interval is not None and pays.interval[1] < 0
    assert verdict(pays).startswith("It pays here, at a recall of 0.900: -1.00")
    same = compare([loud], [loud, loud], 0.9, replicates=50)
    assert same.interval == (0.0, 0.0)
    assert verdict(same).startswith("It does not pay here") and "no improvement" in verdict(same)
    worse = compare([quiet], [loud], 0.9, replicates=50)
    assert "it costs" in verdict(worse) and "a single seed" in verdict(worse)
    assert Comparison.from_dict(pays.to_dict()) == pays
    assert "no verdict" in verdict(compare([loud], [quiet], 0.9, replicates=0))


def test_areas_give_false_alarms_a_square_kilometre() -> None:
    loud = alarm_tables(*scene(4, 0.95), CLASSES)[None]
    quiet = alarm_tables(*scene(4, 0.3), CLASSES)[None]
    areas = np.array([10_000.0, 10_000.0, np.nan, 20_000.0])
    result = compare([loud], [quiet], 0.9, areas, replicates=0)
    assert result.per_km2 is not None
    assert result.per_km2["before"]["mean"] == pytest.approx(3 / 0.04)
    assert result.per_km2["after"]["mean"] == 0 and result.per_km2["frames"] == 3


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(20.0, 20.0), (150.0, 20.0), (80.0, 110.0)]))
def test_crops_are_laid_around_hard_negatives_and_keep_the_truth(seed: int, middle: tuple[float, float]) -> None:
    pixels = np.random.default_rng(0).normal(100, 5, (128, 160)).astype(np.float32)
    x, y = middle
    box = np.array([[x - 6, y - 6, x + 6, y + 6]], np.float32)
    labels = np.zeros(1, np.int64)
    chosen = AugmentationSettings(crop=64, on_object=0.0, scale=(1.0, 1.0))

    def sample(focus: np.ndarray | None, truth: np.ndarray = box):
        return training_sample(pixels, truth, labels, NO_BOXES, chosen, np.random.default_rng(seed), focus=focus)

    around = sample(box)
    assert len(around.boxes) + len(around.ignore) == 1
    plain, empty = sample(None), sample(NO_BOXES)
    assert np.array_equal(plain.pixels, empty.pixels) and np.array_equal(plain.boxes, empty.boxes)
