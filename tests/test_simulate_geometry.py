"""The simulator's camera, held to the survey's own, which was written apart from it; and its flight plan."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pyproj
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightherd.datasets.simulate.files import Placement
from nightherd.datasets.simulate.geometry import Raster, Shot, View
from nightherd.datasets.simulate.plan import count_legs, footprint, lawnmower
from nightherd.datasets.simulate.settings import CameraSettings, FlightSettings
from nightherd.survey import camera as survey_camera

MOMENT = datetime(2024, 3, 12, 6, tzinfo=UTC)


def view(yaw: float = 0.0, pitch: float = -90.0, roll: float = 0.0, height: float = 40.0) -> View:
    return View(Shot(3.0, -7.0, height, yaw, pitch, roll, 0.0, MOMENT), 9.1 / 12e-3, 640, 512)


angles = {
    "yaw": st.floats(-180, 180),
    "pitch": st.floats(-90, -50),
    "roll": st.floats(-8, 8),
    "height": st.floats(10, 150),
}


def test_the_top_of_a_frame_that_looks_straight_down_points_along_its_yaw() -> None:
    ahead = view(yaw=90.0).ground(np.array([[320.0, 0.0]]))[0]
    assert ahead == pytest.approx([3.0 + 256 * 40 * 12e-3 / 9.1, -7.0])


def test_the_middle_of_a_frame_at_45_degrees_lies_a_height_ahead() -> None:
    middle = view(pitch=-45.0).ground(np.array([[320.0, 256.0]]))[0]
    assert middle == pytest.approx([3.0, -7.0 + 40.0])


@given(**angles, u=st.floats(0, 640), v=st.floats(0, 512))
def test_pixels_meet_the_ground_where_the_survey_says(
    yaw: float, pitch: float, roll: float, height: float, u: float, v: float
) -> None:
    mine = view(yaw, pitch, roll, height)
    other = survey_camera.View(height, yaw, pitch, roll, mine.focal, 640, 512)
    ground, is_placed = survey_camera.pixels_to_ground(other, [[u, v]])
    if bool(np.all(is_placed)):
        assert mine.ground(np.array([[u, v]]))[0] - (3.0, -7.0) == pytest.approx(ground[0], abs=1e-6 * height)


@given(**angles, x=st.floats(-20, 20), y=st.floats(-20, 20), z=st.floats(0, 5))
def test_a_point_projects_to_the_pixel_that_sees_it(
    yaw: float, pitch: float, roll: float, height: float, x: float, y: float, z: float
) -> None:
    mine = view(yaw, pitch, roll, height)
    pixels, depth = mine.project(np.array([[x, y, z]]))
    if depth[0] > 1:
        assert mine.ground(pixels, z)[0] == pytest.approx([x, y], abs=1e-6)


def test_a_raster_counts_rows_downwards() -> None:
    raster = Raster(left=10.0, top=50.0, gsd=0.5)
    assert raster.pixels(np.array([[11.0, 49.0]]))[0] == pytest.approx([2.0, 2.0])
    assert (raster.matrix() @ [11.0, 49.0, 1.0])[:2] == pytest.approx([2.0, 2.0])


@given(front=st.floats(0.1, 0.9), side=st.floats(0.0, 0.8), height=st.floats(20, 120))
def test_legs_overlap_as_asked(front: float, side: float, height: float) -> None:
    calm = {"gps_noise": 0.0, "yaw_noise": 0.0, "tilt_noise": 0.0, "height_noise": 0.0}
    flight = FlightSettings(front_overlap=front, side_overlap=side, height=height, legs=2, **calm)
    camera = CameraSettings()
    shots = lawnmower(flight, camera, 12, np.random.default_rng(0))
    across, along = footprint(flight, camera)
    ys = np.array([shot.y for shot in shots[:6]])
    # The drone strays from its line by decimetres; the plan is in the mean.
    assert (ys[-1] - ys[0]) / 5 == pytest.approx(along * (1 - front), abs=0.6)
    assert np.mean([s.x for s in shots[6:]]) - np.mean([s.x for s in shots[:6]]) == pytest.approx(
        across * (1 - side), abs=1.5
    )
    assert [round(abs(shot.yaw)) for shot in shots] == [0] * 6 + [180] * 6
    assert all(a.time < b.time for a, b in pairwise(shots))


def test_a_plan_never_has_more_legs_than_frames() -> None:
    assert count_legs(FlightSettings(legs=9), CameraSettings(), 4) == 4
    assert len(lawnmower(FlightSettings(legs=9), CameraSettings(), 4, np.random.default_rng(0))) == 4


@given(x=st.floats(-500, 500), y=st.floats(-500, 500), bearing=st.floats(-180, 180), lat=st.floats(-70, 70))
def test_places_of_the_site_are_as_far_apart_on_earth(x: float, y: float, bearing: float, lat: float) -> None:
    lon1, lat1 = Placement(15.0, lat, bearing).degrees(x, y)
    azimuth, _, distance = pyproj.Geod(ellps="WGS84").inv(15.0, lat, lon1, lat1)
    assert distance == pytest.approx(np.hypot(x, y), abs=1e-3)
    if distance > 1:
        expected = np.degrees(np.arctan2(x, y)) + bearing
        assert (azimuth - expected + 180) % 360 - 180 == pytest.approx(0.0, abs=0.01)
