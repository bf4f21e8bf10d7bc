"""Saliency maps and what they are worth, against captum, plain linear algebra and models whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightherd.errors import ConfigError, MissingExtraError
from nightherd.explanation import faithfulness
from nightherd.explanation.drise import drise, random_masks, similarity
from nightherd.explanation.methods import METHODS, explainer
from nightherd.explanation.types import Subject, Target, pixels_of
from nightherd.types import Detections, FloatArray

SPOT = Target((40.0, 24.0, 52.0, 36.0), 0)


def spot_finder(image: FloatArray) -> Detections:
    """A black box that finds one object at `SPOT`, as sure as its pixels are bright on average."""
    rows, columns = pixels_of(SPOT.box, *image.shape)
    score = float(np.clip(image[rows, columns].mean(), 0, 1))
    return Detections(
        np.array([SPOT.box], np.float32), np.array([score], np.float32), np.zeros(1, np.int64), ("animal",)
    )


def spot_image() -> FloatArray:
    image = np.zeros((64, 96), np.float32)
    image[pixels_of(SPOT.box, 64, 96)] = 1.0
    return image


def test_drise_is_hottest_on_the_object_that_a_black_box_needs() -> None:
    elsewhere = Target((4.0, 4.0, 12.0, 12.0), 0)
    heat, nothing = drise(spot_finder, spot_image(), [SPOT, elsewhere], masks=300, grid=8)
    assert heat.dtype == np.float32 and heat.shape == (64, 96)
    assert faithfulness.points_at(heat, SPOT, slack=0)
    assert faithfulness.energy_in_box(heat, SPOT)[1] > 2
    assert not nothing.any()


def test_drise_follows_its_seed() -> None:
    first, again, other = (drise(spot_finder, spot_image(), [SPOT], masks=20, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_masks_hide_as_much_as_they_are_told() -> None:
    masks = np.array(list(random_masks(50, 70, 200, seed=0, grid=10, shown=0.3)))
    assert masks.shape == (200, 50, 70)
    assert masks.min() >= 0 and masks.max() <= 1
    assert abs(masks.mean() - 0.3) < 0.02
    assert np.ptp(masks.mean(axis=0)) < 0.25  # no part of the image is hidden more often than another


def test_a_detection_of_another_class_or_place_is_no_sign_of_the_target() -> None:
    found = Detections(
        np.array([SPOT.box, (0, 0, 5, 5), SPOT.box], np.float32),
        np.array([0.9, 0.8, 0.6], np.float32),
        np.array([1, 0, 0]),
        ("animal", "person"),
    )
    assert similarity([SPOT, Target(SPOT.box, 1)], found) == pytest.approx([0.6, 0.9])
    assert similarity([SPOT], Detections(classes=("animal",))) == pytest.approx([0])


def test_deletion_and_insertion_of_a_linear_model_have_the_areas_that_one_works_out() -> None:
    # The score is the share of the box that is there; the perfect map spends one area of the box out of BUDGET.
    image, heat, background = spot_image(), spot_image(), np.zeros((64, 96), np.float32)

    def score(seen: FloatArray) -> float:
        return float(seen[pixels_of(SPOT.box, 64, 96)].mean())

    gone = faithfulness.deletion(score, image, heat, SPOT, background)
    come = faithfulness.insertion(score, image, heat, SPOT, background)
    assert gone.area == pytest.approx(0.5 / faithfulness.BUDGET)
    assert come.area == pytest.approx(1 - 0.5 / faithfulness.BUDGET)
    assert gone.scores[0] == 1 and gone.scores[-1] == 0 and come.scores[0] == 0 and come.scores[-1] == 1
    assert np.array_equal(image, spot_image())  # nothing that is given is changed
    wrong = faithfulness.deletion(score, image, 1 - heat, SPOT, background)
    assert wrong.area == 1


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_no_ranking_beats_the_weights_of_a_linear_model(seed: int) -> None:
    generator = np.random.default_rng(seed)
    weights, image = generator.random((2, 12, 16)).astype(np.float32)
    target = Target((3.0, 3.0, 8.0, 9.0), 0)

    def score(seen: FloatArray) -> float:
        return float((weights * seen).sum())

    background = np.zeros_like(image)
    areas = [
        (faithfulness.deletion(score, image, heat, target, background).area,
         faithfulness.insertion(score, image, heat, target, background).area)
        for heat in (weights * image, generator.random((12, 16)).astype(np.float32))
    ]  # fmt: skip
    assert areas[0][0] <= areas[1][0] + 1e-4 and areas[0][1] >= areas[1][1] - 1e-4


def test_a_perfect_map_of_a_black_box_is_measured_as_perfect_and_a_map_beside_the_object_as_worthless() -> None:
    image = np.pad(spot_image(), ((160, 160), (160, 160)))
    target = Target((200.0, 184.0, 212.0, 196.0), 0)

    def network(seen: FloatArray) -> Detections:
        rows, columns = np.nonzero(seen > 0.5)
        if not len(rows):
            return Detections(classes=("animal",))
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        return Detections(np.array([box], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64), ("animal",))

    good = faithfulness.measure(network, image, image, target)
    assert good.insertion is not None and good.deletion is not None
    assert good.insertion > 0.9 > 0.25 > good.deletion
    assert good.pointing and good.energy == 1 and good.gain == pytest.approx(image.size / 144)
    bad = faithfulness.measure(network, image, np.roll(image, 60, axis=0), target)
    assert bad.insertion == 0 and bad.deletion == 1 and not bad.pointing and bad.energy == 0
    nothing = faithfulness.measure(lambda seen: Detections(classes=("animal",)), image, image, target)
    assert nothing.insertion is None and nothing.deletion is None


def test_a_flat_map_is_chance_and_points_nowhere() -> None:
    heat = np.ones((64, 96), np.float32)
    assert faithfulness.energy_in_box(heat, SPOT)[1] == pytest.approx(1)
    assert faithfulness.energy_in_box(0 * heat, SPOT)[1] == pytest.approx(1)
    assert not faithfulness.points_at(heat, SPOT)


def test_the_background_loses_the_object_and_keeps_the_slope_of_the_ground() -> None:
    ground = np.linspace(0, 4, 96, dtype=np.float32)[None].repeat(64, axis=0)
    calm = faithfulness.background_of(ground + 3 * spot_image(), SPOT)
    assert np.abs(calm - ground)[8:-8, 20:-20].max() < 0.5
    assert calm.shape == ground.shape and calm.dtype == np.float32


@settings(max_examples=50, deadline=None)
@given(st.tuples(*[st.floats(-200, 400)] * 4), st.integers(1, 100), st.integers(1, 100))
def test_the_pixels_of_any_box_are_some_pixels_of_the_image(
    box: tuple[float, float, float, float], height: int, width: int
) -> None:
    rows, columns = pixels_of(box, height, width)
    assert 0 <= rows.start < rows.stop <= height and 0 <= columns.start < columns.stop <= width


@pytest.mark.parametrize("name", METHODS)
def test_a_method_that_takes_gradients_says_what_to_install_and_the_others_need_no_torch(name: str) -> None:
    subject = Subject(spot_finder)
    if METHODS[name].needs_gradients:
        with pytest.raises(MissingExtraError, match=r"nightherd\[train\]"):
            explainer(name, subject)
    else:
        assert explainer(name, subject, masks=3)(spot_image(), [SPOT]).shape == (1, 64, 96)


def test_an_unknown_method_is_named_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="no saliency method 'cam'; there are odam, "):
        explainer("cam", Subject(spot_finder))
