"""The recorded heading against the pictures: frames rendered from one texture with a known yaw."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from nightherd.survey.camera import View, pixels_to_ground
from nightherd.survey.georeference import Placement, ground_to_lonlat
from nightherd.survey.heading import are_comparable, check_heading, measured_yaw, turn
from nightherd.types import FloatArray

VIEW = View(height=100.0, yaw=0.0, pitch=-90.0, roll=0.0, focal=250.0, columns=200, rows=160)


def photograph(view: View, east: float, north: float) -> FloatArray:
    """What a camera sees of a fixed texture with 0.4 m to a sample, from a place in metres."""
    rng = np.random.default_rng(1)
    ground = ndimage.gaussian_filter(rng.normal(size=(700, 700)), 1.5)
    y, x = np.mgrid[: view.rows, : view.columns] + 0.5
    places, _ = pixels_to_ground(view, np.stack([x.ravel(), y.ravel()], axis=1))
    at = (places + np.array([east, north])) / 0.4 + 350
    noise = rng.normal(scale=0.02, size=view.rows * view.columns)
    seen = ndimage.map_coordinates(ground, at[:, ::-1].T, order=1, mode="wrap") + noise
    return seen.reshape(view.rows, view.columns).astype(np.float32)


@pytest.mark.parametrize("yaw", [0.0, 37.7, 90.0, -142.4, 180.0])
def test_the_yaw_of_overlapping_frames_is_measured(yaw: float) -> None:
    view = replace(VIEW, yaw=yaw)
    moved = (14.0, -9.0)
    found = measured_yaw(photograph(view, 0, 0), photograph(view, *moved), moved, view.ground_sample_distance)
    assert found is not None
    assert abs(turn(found - yaw)) < 3


def test_frames_of_different_places_are_not_registered() -> None:
    found = measured_yaw(photograph(VIEW, 0, 0), photograph(VIEW, 0, 120), (14.0, -9.0), VIEW.ground_sample_distance)
    assert found is None


def test_flat_frames_and_frames_without_values_are_not_registered() -> None:
    flat = np.zeros((160, 200), np.float32)
    assert measured_yaw(flat, flat, (14.0, -9.0), 0.4) is None
    assert measured_yaw(flat * np.nan, flat, (14.0, -9.0), 0.4) is None


def test_only_frames_that_look_down_and_overlap_are_compared() -> None:
    def at(east: float, **changes: float) -> Placement:
        lon, lat = ground_to_lonlat(10.0, 50.0, [(east, 0.0)])
        return Placement(float(lon[0]), float(lat[0]), replace(VIEW, **changes))

    assert are_comparable(at(0), at(20))
    assert not are_comparable(at(0), at(1))
    assert not are_comparable(at(0), at(60))
    assert not are_comparable(at(0), at(20, pitch=-45.0))
    assert not are_comparable(at(0), at(20, yaw=40.0))
    assert not are_comparable(at(0), at(20, height=150.0))
    assert not are_comparable(at(0), replace(at(20), is_yaw_known=False))


def test_a_heading_that_is_off_by_one_angle_throughout_is_corrected() -> None:
    check = check_heading([52.0, 54.0, 53.0, 55.5, 51.0])
    assert check is not None
    assert check.offset == pytest.approx(53, abs=1)
    assert not check.agrees
    assert check.corrects


def test_a_heading_that_is_off_by_different_angles_is_not_corrected_and_its_sigma_grows() -> None:
    check = check_heading([52.0, 54.0, 53.0, -170.0, 53.0, -169.0])
    assert check is not None
    assert not check.agrees
    assert not check.corrects
    assert check.sigma > 50


def test_a_heading_that_fits_agrees_and_two_pairs_say_nothing() -> None:
    right = check_heading([1.0, -2.0, 0.5])
    assert right is not None
    assert right.agrees
    assert check_heading([1.0, 2.0]) is None


def test_offsets_on_both_sides_of_half_a_turn_are_close_to_each_other() -> None:
    check = check_heading([179.0, -179.0, 180.0])
    assert check is not None
    assert abs(check.offset) > 178
    assert check.spread <= 2


@given(st.floats(-1e4, 1e4))
def test_turn_brings_an_angle_into_one_circle(degrees: float) -> None:
    turned = turn(degrees)
    assert -180 <= turned <= 180
    assert np.cos(np.radians(turned)) == pytest.approx(np.cos(np.radians(degrees)), abs=1e-6)
    assert np.sin(np.radians(turned)) == pytest.approx(np.sin(np.radians(degrees)), abs=1e-6)
