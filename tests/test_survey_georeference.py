"""Where a pixel lies on the ground: signs of the angles, hand-computed cases, round trips, uncertainty."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from nightherd.errors import PoseError
from nightherd.survey.camera import MIN_DEPRESSION, View, camera_axes, footprint, ground_to_pixels, pixels_to_ground
from nightherd.survey.georeference import (
    PoseSigma,
    covered_area,
    footprint_lonlat,
    georeference,
    ground_to_lonlat,
    lonlat_to_ground,
    place,
    ring_area,
)
from nightherd.types import Pose

M2EA = Pose(
    lon=113.3363588, lat=23.0639916, height=120.0, yaw=0.0, pitch=-90.0, roll=0.0, focal_length=9.0, pixel_pitch=12.0
)
NADIR = View(height=100.0, yaw=0.0, pitch=-90.0, roll=0.0, focal=750.0, columns=640, rows=512)

CENTRE = (320.0, 256.0)
TOP = (320.0, 0.0)
RIGHT = (640.0, 256.0)

angles = st.floats(-180, 180)
views = st.builds(
    View,
    height=st.floats(5, 500),
    yaw=angles,
    pitch=st.floats(-90, -25),
    roll=st.floats(-20, 20),
    focal=st.floats(300, 3000),
    columns=st.integers(64, 1300),
    rows=st.integers(64, 1300),
)


def ground(view: View, pixel: tuple[float, float]) -> tuple[float, float]:
    (east, north), *_ = pixels_to_ground(view, [pixel])[0]
    return east, north


def test_looking_straight_down_with_yaw_0_up_in_the_image_is_north_and_right_is_east() -> None:
    assert ground(NADIR, CENTRE) == pytest.approx((0, 0), abs=1e-9)
    assert ground(NADIR, TOP) == pytest.approx((0, 256 * 100 / 750))
    assert ground(NADIR, RIGHT) == pytest.approx((320 * 100 / 750, 0))


def test_looking_straight_down_with_yaw_90_up_in_the_image_is_east_and_right_is_south() -> None:
    turned = replace(NADIR, yaw=90.0)
    assert ground(turned, TOP) == pytest.approx((256 * 100 / 750, 0))
    assert ground(turned, RIGHT) == pytest.approx((0, -320 * 100 / 750))


@pytest.mark.parametrize(("yaw", "ahead"), [(0, (0, 1)), (90, (1, 0)), (180, (0, -1)), (-90, (-1, 0))])
def test_at_45_degrees_the_middle_of_the_image_lies_one_height_ahead(yaw: float, ahead: tuple[float, float]) -> None:
    east, north = ground(replace(NADIR, yaw=yaw, pitch=-45.0), CENTRE)
    assert (east, north) == pytest.approx((100 * ahead[0], 100 * ahead[1]), abs=1e-9)


def test_an_oblique_camera_sees_farther_at_the_top_of_the_image_than_at_the_bottom() -> None:
    oblique = replace(NADIR, pitch=-60.0)
    half = math.degrees(math.atan(256 / 750))
    assert ground(oblique, TOP)[1] == pytest.approx(100 / math.tan(math.radians(60 - half)))
    assert ground(oblique, (320, 512))[1] == pytest.approx(100 / math.tan(math.radians(60 + half)))


def test_a_camera_rolled_clockwise_looks_to_its_left_at_the_bottom_of_the_image() -> None:
    level = replace(NADIR, pitch=0.0)
    right, down, forward = camera_axes(0.0, 0.0, 30.0)
    assert right == pytest.approx((math.cos(math.radians(30)), 0, -0.5))
    assert down == pytest.approx((-0.5, 0, -math.cos(math.radians(30))))
    assert forward == pytest.approx((0, 1, 0))
    assert np.isnan(ground(level, CENTRE)).all()


def test_a_gimbal_that_writes_half_a_turn_as_roll_shows_the_same_ground_as_one_that_writes_it_as_yaw() -> None:
    by_roll, by_yaw = replace(NADIR, roll=180.0), replace(NADIR, yaw=180.0)
    assert ground(by_roll, (100, 30)) == pytest.approx(ground(by_yaw, (100, 30)))


@given(views, st.floats(0, 1), st.floats(0, 1))
def test_a_pixel_placed_on_the_ground_projects_back_to_itself(view: View, x: float, y: float) -> None:
    pixel = np.array([[x * view.columns, y * view.rows]])
    place, depth = pixels_to_ground(view, pixel)
    if np.isfinite(place).all():
        assert depth[0] > 0
        assert ground_to_pixels(view, place) == pytest.approx(pixel, abs=1e-5)


@given(angles, st.floats(-90, 30), angles)
def test_camera_axes_are_a_right_handed_frame(yaw: float, pitch: float, roll: float) -> None:
    axes = camera_axes(yaw, pitch, roll)
    assert axes @ axes.T == pytest.approx(np.eye(3), abs=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1)


def test_rays_at_and_above_the_horizon_have_no_place() -> None:
    flat = replace(NADIR, pitch=-5.0)
    places, depth = pixels_to_ground(flat, [TOP, CENTRE, (320, 512)])
    assert np.isnan(places[:2]).all()
    assert np.isnan(depth[:2]).all()
    assert np.isfinite(places[2]).all()
    assert np.isnan(ground_to_pixels(replace(NADIR, pitch=-45.0), [(0.0, -500.0)])).all()


def test_the_footprint_of_the_m2ea_at_120_m_is_102_by_82_m() -> None:
    ring = footprint(place(M2EA, 640, 512).view)
    assert np.ptp(ring[:, 0]) == pytest.approx(102.4)
    assert np.ptp(ring[:, 1]) == pytest.approx(81.92)


@given(views)
def test_a_footprint_is_valid_and_holds_the_places_of_the_pixels_inside_it(view: View) -> None:
    polygon = shapely.Polygon(footprint(view))
    assert polygon.is_valid
    inner = np.array([(0.5, 0.5), (0.1, 0.9), (0.9, 0.1)]) * (view.columns, view.rows)
    places, _ = pixels_to_ground(view, inner)
    tolerance = 0.01 * view.height
    for east, north in places[np.isfinite(places).all(axis=1)]:
        assert polygon.buffer(tolerance).contains(shapely.Point(east, north))


@given(st.floats(-30, 20), st.floats(-60, 60))
def test_a_footprint_never_reaches_beyond_the_lowest_useful_ray(pitch: float, roll: float) -> None:
    ring = footprint(replace(NADIR, pitch=pitch, roll=roll))
    reach = 100 / math.tan(math.radians(MIN_DEPRESSION))
    assert (np.linalg.norm(ring, axis=1) <= reach * (1 + 1e-9)).all()


def test_a_frame_of_the_sky_has_no_footprint() -> None:
    assert footprint(replace(NADIR, pitch=40.0)).shape == (0, 2)


@given(st.floats(-179, 179), st.floats(-80, 80), st.floats(-3000, 3000), st.floats(-3000, 3000))
def test_metres_to_degrees_and_back(lon: float, lat: float, east: float, north: float) -> None:
    lons, lats = ground_to_lonlat(lon, lat, [(east, north)])
    assert lonlat_to_ground(lon, lat, lons, lats)[0] == pytest.approx((east, north), abs=1e-3)


def test_metres_to_degrees_agrees_with_utm() -> None:
    lons, lats = ground_to_lonlat(15.0, 47.0, [(0.0, 0.0), (0.0, 200.0), (200.0, 0.0)])
    utm = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:32633", always_xy=True)
    east, north = utm.transform(lons, lats)
    assert np.diff(north[:2])[0] / 0.9996 == pytest.approx(200, abs=0.01)
    assert (east[2] - east[0]) / 0.9996 == pytest.approx(200, abs=0.01)


def test_a_box_gets_its_size_from_the_ground_sample_distance() -> None:
    placed = georeference(place(M2EA, 640, 512), np.array([[310, 251, 330, 261]], np.float32))
    assert placed.lon[0] == pytest.approx(M2EA.lon, abs=1e-9)
    assert placed.lat[0] == pytest.approx(M2EA.lat, abs=1e-9)
    assert placed.length[0] == pytest.approx(20 * 0.16)
    assert placed.width[0] == pytest.approx(10 * 0.16)


def test_uncertainty_of_a_box_below_the_camera_is_that_of_position_pitch_and_box() -> None:
    sigma = PoseSigma(position=3.0, height=50.0, yaw=50.0, pitch=1.0, roll=0.0)
    placed = georeference(place(M2EA, 640, 512), np.array([[300, 246, 340, 266]], np.float32), sigma)
    along = math.sqrt(9 + (120 * math.radians(1)) ** 2 + (0.25 * 20 * 0.16) ** 2)
    across = math.sqrt(9 + (0.25 * 40 * 0.16) ** 2)
    assert placed.uncertainty[0] == pytest.approx(max(along, across), rel=1e-3)


def test_uncertainty_agrees_with_poses_drawn_at_random() -> None:
    sigma = PoseSigma(position=2.0, height=3.0, yaw=3.0, pitch=0.7, roll=0.7)
    pose = replace(M2EA, pitch=-65.0, yaw=30.0)
    box = np.array([[500, 80, 520, 100]], np.float32)
    stated = georeference(place(pose, 640, 512), box, sigma).uncertainty[0]
    rng = np.random.default_rng(4)
    places = []
    for _ in range(3000):
        view = View(
            height=120 + rng.normal(0, 3),
            yaw=30 + rng.normal(0, 3),
            pitch=-65 + rng.normal(0, 0.7),
            roll=rng.normal(0, 0.7),
            focal=750,
            columns=640,
            rows=512,
        )
        pixel = (510 + rng.normal(0, 5), 90 + rng.normal(0, 5))
        places.append(np.add(ground(view, pixel), rng.normal(0, 2, 2)))
    drawn = math.sqrt(np.linalg.eigvalsh(np.cov(np.array(places).T))[-1])
    assert stated == pytest.approx(drawn, rel=0.06)


def test_without_a_yaw_everything_is_below_the_camera_as_unsure_as_it_is_far() -> None:
    placement = place(replace(M2EA, yaw=None), 640, 512)
    near, far = georeference(placement, np.array([[318, 254, 322, 258], [600, 250, 620, 262]], np.float32)).uncertainty
    placed = georeference(placement, np.array([[600, 250, 620, 262]], np.float32))
    assert (placed.lon[0], placed.lat[0]) == pytest.approx((M2EA.lon, M2EA.lat))
    assert far > 290 * 0.16 / math.sqrt(2) > near
    assert footprint_lonlat(placement) is None
    assert any("no yaw" in text for text in placement.assumptions)


def test_a_missing_pitch_is_taken_as_straight_down_and_said() -> None:
    placement = place(replace(M2EA, pitch=None, roll=None), 640, 512)
    assert placement.view.pitch == -90.0
    assert any("straight down" in text for text in placement.assumptions)


def test_a_box_at_the_horizon_has_no_position_and_the_others_keep_theirs() -> None:
    boxes = np.array([[300, 0, 320, 10], [300, 490, 320, 510]], np.float32)
    placed = georeference(place(replace(M2EA, pitch=-20.0), 640, 512), boxes)
    assert np.isnan(placed.lon[0])
    assert np.isnan(placed.uncertainty[0])
    assert np.isfinite([placed.lon[1], placed.lat[1], placed.uncertainty[1], placed.length[1]]).all()


def test_a_box_just_below_the_limit_still_has_an_uncertainty() -> None:
    pose = replace(M2EA, pitch=-MIN_DEPRESSION - 0.01)
    placed = georeference(place(pose, 640, 512), np.array([[318, 255, 322, 257]], np.float32))
    assert np.isfinite(placed.uncertainty[0])


def test_no_boxes_give_no_places() -> None:
    assert len(georeference(place(M2EA, 640, 512), np.zeros((0, 4), np.float32)).lon) == 0


@pytest.mark.parametrize(
    ("pose", "why"),
    [
        (None, "GPS"),
        (replace(M2EA, lat=None), "GPS"),
        (replace(M2EA, lat=91.0), "cannot be"),
        (replace(M2EA, lon=float("nan")), "cannot be"),
        (replace(M2EA, height=None), "height"),
        (replace(M2EA, height=-3.0), "cannot be"),
        (replace(M2EA, focal_length=None), "focal length"),
        (replace(M2EA, pixel_pitch=0.0), "focal length"),
    ],
)
def test_a_pose_that_cannot_place_anything_says_why(pose: Pose | None, why: str) -> None:
    with pytest.raises(PoseError, match=why):
        place(pose, 640, 512)


def test_ground_seen_twice_counts_once() -> None:
    one = footprint_lonlat(place(M2EA, 640, 512))
    assert one is not None
    area = 102.4 * 81.92
    assert covered_area([one]) == pytest.approx(area, rel=1e-3)
    assert ring_area(one) == pytest.approx(area, rel=1e-3)
    assert ring_area(one[::-1]) == pytest.approx(area, rel=1e-3)
    assert covered_area([one, one]) == pytest.approx(area, rel=1e-3)
    lons, lats = ground_to_lonlat(M2EA.lon or 0, M2EA.lat or 0, [(51.2, 0.0)])
    half = footprint_lonlat(place(replace(M2EA, lon=lons[0], lat=lats[0]), 640, 512))
    assert half is not None
    assert covered_area([one, half]) == pytest.approx(1.5 * area, rel=1e-3)
    assert covered_area([]) == 0
