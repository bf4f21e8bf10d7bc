"""What there is to explain in a frame, and the pictures and the page that show it."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image

from nightherd.datasets.types import Dataset
from nightherd.evaluation.types import Truth
from nightherd.report.explanation import (
    FOUND,
    GAP,
    LABELLED,
    PANEL,
    ExplainedObject,
    ExplanationContent,
    captioned,
    contact_sheet,
    explanation_page,
    object_panels,
    panels_of,
    png,
)
from nightherd.types import Detections
from nightherd.workflows.class_names import common_classes
from nightherd.workflows.explain_objects import choose, confidence, objects_of, with_place

MODEL = ("animal", "person", "bicycle")
CLASSES = common_classes(MODEL, Dataset("toy", ("Rotwild", "person"), ()), {"Rotwild": "animal"})


def boxes(*corners: tuple[float, float], side: float = 20) -> np.ndarray:
    return np.array([(x, y, x + side, y + side) for x, y in corners], np.float32).reshape(-1, 4)


def detections(where: np.ndarray, scores: list[float], labels: list[int]) -> Detections:
    return Detections(where, np.array(scores, np.float32), np.array(labels, np.int64), MODEL)


def kinds(found: Detections, truth: Truth, everything: Detections | None = None) -> list[tuple[str, str, str]]:
    listed = objects_of(found, everything or found, truth, CLASSES)
    return [(one.kind, one.name, one.reason) for one in listed]


def test_without_labels_everything_found_is_a_detection() -> None:
    found = detections(boxes((0, 0), (50, 50)), [0.9, 0.8], [0, 2])
    listed = objects_of(found, found)
    assert [(one.kind, one.name, one.score) for one in listed] == [
        ("detection", "animal", pytest.approx(0.9)), ("detection", "bicycle", pytest.approx(0.8)),
    ]  # fmt: skip
    assert listed[0].box == (0, 0, 20, 20)


def test_what_agrees_with_a_label_under_its_joined_name_is_a_hit() -> None:
    found = detections(boxes((2, 0)), [0.9], [0])
    [one] = objects_of(found, found, Truth(boxes((0, 0)), np.array([0])), CLASSES)
    assert (one.kind, one.found, one.labelled) == ("hit", (2, 0, 22, 20), (0, 0, 20, 20))
    assert one.box == one.found


@pytest.mark.parametrize(
    ("where", "label", "reason"),
    [
        ((100, 100), 0, "Nothing is labelled here."),
        ((1, 0), 1, "Labelled animal."),
        ((12, 0), 0, "The box is off: it overlaps a labelled animal by 0.25."),
    ],
)
def test_a_false_alarm_says_what_is_there_instead(where: tuple[float, float], label: int, reason: str) -> None:
    found = detections(boxes(where), [0.7], [label])
    listed = kinds(found, Truth(boxes((0, 0)), np.array([0])))
    assert (listed[1][0], listed[1][2]) == ("false alarm", reason)


def test_a_second_detection_of_one_animal_is_a_false_alarm_that_says_so() -> None:
    found = detections(boxes((0, 0), (3, 0)), [0.9, 0.7], [0, 0])
    listed = kinds(found, Truth(boxes((0, 0)), np.array([0])))
    assert [one[0] for one in listed] == ["false alarm", "hit"]
    assert listed[0][2] == "A second detection of one animal."


@pytest.mark.parametrize(
    ("found", "everything", "reason", "score"),
    [
        (([], []), ([], []), "Not seen: no detection of this class here, however low its score.", None),
        (([], []), ([(1, 0)], [0]), "Seen, but with score 0.30, under the threshold.", 0.3),
        (([(1, 0)], [1]), ([(1, 0)], [1]), "Taken for person with score 0.30.", None),
        (([(12, 0)], [0]), ([(12, 0)], [0]), "The box is off: a detection with score 0.30 overlaps it by 0.25.", None),
    ],
)
def test_a_miss_says_what_the_model_made_of_it(
    found: tuple[list[tuple[float, float]], list[int]],
    everything: tuple[list[tuple[float, float]], list[int]],
    reason: str,
    score: float | None,
) -> None:
    first, second = (detections(boxes(*at), [0.3] * len(at), labels) for at, labels in (found, everything))
    one = objects_of(first, second, Truth(boxes((0, 0)), np.array([0])), CLASSES)[0]
    assert (one.kind, one.name, one.reason, one.box) == ("miss", "animal", reason, (0, 0, 20, 20))
    assert one.score == (None if score is None else pytest.approx(score))


def test_a_miss_without_any_detection_learns_its_score_and_whether_a_region_was_proposed() -> None:
    nothing = detections(boxes(), [], [])
    [one] = objects_of(nothing, nothing, Truth(boxes((0, 0)), np.array([1])), CLASSES)
    assert with_place(one, 0.02, 0.8).reason == "Not seen: a region was proposed here, and scored 0.02."
    unseen = with_place(one, 0.02, 0.1)
    assert unseen.reason == "Not seen: no region was proposed here; the place itself scores 0.02."
    assert unseen.score == 0.02
    assert with_place(unseen, 0.5, 0.8) is unseen


def test_what_lies_in_a_region_to_ignore_is_neither_and_unlabelled_classes_are_shown_without_a_verdict() -> None:
    found = detections(boxes((0, 0), (60, 60)), [0.9, 0.8], [0, 2])
    truth = Truth(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), boxes((0, 0), side=40))
    assert kinds(found, truth) == [("detection", "bicycle", "The data set does not label bicycle.")]


def test_mistakes_come_before_the_rest_where_not_all_are_explained() -> None:
    found = detections(boxes((0, 0), (100, 0), (200, 0)), [0.9, 0.8, 0.7], [0, 0, 0])
    truth = Truth(boxes((0, 0), (300, 0)), np.array([0, 0]))
    listed = objects_of(found, found, truth, CLASSES)
    assert [one.kind for one in choose(listed, 2)] == ["miss", "false alarm"]
    assert [one.kind for one in choose(listed, 9)] == ["miss", "false alarm", "false alarm", "hit"]
    assert confidence("miss", 0.1) == pytest.approx(0.9) and confidence("hit", 0.1) == pytest.approx(0.1)


def panels(methods: int = 1) -> Image.Image:
    pixels = np.full((80, 100), 10.0, np.float32)
    pixels[30:40, 40:50] = 20
    heat = np.zeros_like(pixels)
    heat[32:36, 42:46] = 1
    maps = [(f"method {number}", heat) for number in range(methods)]
    return object_panels(pixels, maps, (40, 30, 50, 40), (40, 30, 50, 40), (35, 25, 55, 45), 0.05)


def test_a_picture_has_the_frame_in_grey_and_a_panel_a_method_with_both_boxes() -> None:
    picture = panels(2)
    assert picture.size == (3 * PANEL + 2 * GAP, PANEL)
    array = np.asarray(picture).astype(int)
    for colour in (FOUND, LABELLED):
        rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert (np.abs(array - rgb).sum(axis=2) < 12).sum() > 100
    grey, heated = array[8:60, 8:60], array[110:150, PANEL + GAP + 110 : PANEL + GAP + 150]
    assert np.ptp(grey, axis=2).max() == 0  # the left panel is grey
    assert np.ptp(heated, axis=2).max() > 60  # the right one is coloured where the map is hot
    assert np.ptp(array[8:60, PANEL + GAP + 200 : PANEL + GAP + 250], axis=2).max() == 0  # and nowhere else


def test_the_animal_shows_through_the_hottest_heat() -> None:
    pixels = np.random.default_rng(0).normal(0, 1, (60, 60)).astype(np.float32)
    picture = object_panels(pixels, [("odam", np.ones((60, 60), np.float32))], (20, 20, 40, 40))
    heated = np.asarray(picture.convert("L")).astype(float)[:, PANEL + GAP :]
    assert heated.std() > 5


def test_a_caption_frames_the_panels_and_gives_them_back() -> None:
    inner = panels()
    whole = captioned(inner, "false animal, score 0.82", "Nothing is labelled here. " * 20, "鹿/DJI_0001_T.JPG")
    assert whole.width == inner.width + 2 * GAP
    assert np.array_equal(np.asarray(panels_of(whole)), np.asarray(inner))
    sheet = contact_sheet([("False alarms", [whole] * 4), ("Misses", [])], columns=3)
    assert sheet.width > 3 * whole.width and sheet.height > 2 * whole.height
    with Image.open(io.BytesIO(png(sheet))) as read:
        assert read.size == sheet.size


def test_the_page_loads_nothing_and_escapes_what_it_is_told() -> None:
    evil = "<script>alert(1)</script>"
    one = ExplainedObject("miss", f"missed {evil}", evil, f"{evil}.jpg", panels())
    row = {"method": "odam", "objects": "detections", "n": 3, "deletion": 0.1, "insertion": None, "pointing": 1.0,
           "energy": 0.5, "gain": 40.0, "intervals": {"deletion": [0.0, 0.2]}}  # fmt: skip
    check = {"method": "odam", "n": 3, "passes": False, "verdict": "fails: it is the same", "stages": [
        {"part": "head.box_predictor", "similarity": 0.95}]}  # fmt: skip
    page = explanation_page(
        ExplanationContent(
            evil, "1 frame", {"odam": "adds"}, {"miss": 1}, [one], [row], [check], [evil], {"a": evil}, evil
        )
    )
    assert "<script" not in page and "&lt;script&gt;" in page
    assert not re.search(r"""(?:src|href)=["'](?!data:)""", page)
    assert "default-src 'none'" in page and "0.10" in page and "box_predictor" in page and "fails: it is" in page
