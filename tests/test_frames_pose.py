"""Where frames were taken from: EXIF, XMP and maker note, the table of cameras, and time that is UTC or not told."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frame_toys import dji, exif, flir, grey, jpeg, png, saved, scene, xmp
from nightherd.frames.cameras import CAMERAS, camera_of, equivalent_pitch, pixel_pitch_of
from nightherd.frames.header import read_header
from nightherd.frames.pose import camera_name, local_time, parse_moment, read_pose
from nightherd.frames.readers import read_frame
from nightherd.types import Pose

FLOWN = xmp(
    GpsLatitude="+47.1234567", GpsLongitude="-8.7654321", RelativeAltitude="+61.20", AbsoluteAltitude="+512.30",
    GimbalYawDegree="-122.40", GimbalPitchDegree="-89.90", GimbalRollDegree="+0.10", FlightYawDegree="+57.00",
)  # fmt: skip


def pose_of(folder: Path, data: bytes, name: str = "one.jpg") -> Pose:
    pose = read_pose(saved(folder, name, data))
    assert pose is not None
    return pose


def test_pose_of_a_dji_frame(tmp_path: Path) -> None:
    pose = pose_of(tmp_path, dji(model="M3T", packet=FLOWN))
    assert (pose.lat, pose.lon, pose.height, pose.altitude) == (47.1234567, -8.7654321, 61.2, 512.3)
    assert (pose.yaw, pose.pitch, pose.roll) == (-122.4, -89.9, 0.1)
    assert (pose.focal_length, pose.pixel_pitch) == (9.1, None)  # 80 x 64 is no size of that sensor
    assert pose.time is None


def test_read_pose_and_read_frame_agree(tmp_path: Path) -> None:
    for name, data in {"a.jpg": dji(packet=FLOWN), "b.jpg": flir(), "c.jpg": jpeg(packet=FLOWN)}.items():
        path = saved(tmp_path, name, data)
        assert read_pose(path) == read_frame(path).pose


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(lon=st.floats(-180, 180), lat=st.floats(-89.9, 89.9), altitude=st.floats(-400, 8000))
def test_exif_position_comes_back(lon: float, lat: float, altitude: float, tmp_path: Path) -> None:
    pose = pose_of(tmp_path, jpeg(made=exif("DJI", "M3T", lon=lon, lat=lat, altitude=altitude)))
    if round(lon * 3600e6) == 0 and round(lat * 3600e6) == 0:
        assert not pose.has_position
        return
    assert pose.lon == pytest.approx(lon, abs=1e-9 / 3.6)
    assert pose.lat == pytest.approx(lat, abs=1e-9 / 3.6)
    assert pose.altitude == pytest.approx(altitude, abs=1e-3)


def test_xmp_position_goes_before_exif(tmp_path: Path) -> None:
    pose = pose_of(tmp_path, jpeg(made=exif("DJI", "M3T", lon=8.0, lat=46.0), packet=FLOWN))
    assert pose.lat == 47.1234567


@pytest.mark.parametrize(
    "packet", [xmp(GpsLatitude="+0.0", GpsLongitude="+0.0"), xmp(GpsLatitude="95", GpsLongitude="8")]
)
def test_a_position_that_cannot_be_falls_back_to_exif(packet: bytes, tmp_path: Path) -> None:
    pose = pose_of(tmp_path, jpeg(made=exif("DJI", "M3T", lon=8.0, lat=46.0), packet=packet))
    assert (pose.lon, pose.lat) == (8.0, 46.0)


def test_djis_old_spelling_of_longitude_is_read(tmp_path: Path) -> None:
    pose = pose_of(tmp_path, jpeg(packet=xmp(GpsLatitude="+46.5", GpsLongtitude="+7.5")))
    assert (pose.lon, pose.lat) == (7.5, 46.5)


def test_gimbal_of_the_maker_note_serves_where_xmp_is_stripped(tmp_path: Path) -> None:
    note = b"[ae_dbg_info:" + bytes(20) + b"][GimbalDegree(Y,P,R):377,-900,5\0\0][FlightDegree(Y,P,R):900,-91,-22]"
    pose = pose_of(tmp_path, jpeg(made=exif("DJI", "MAVIC2-ENTERPRISE-ADVANCED", photo={37500: note})))
    assert (pose.yaw, pose.pitch, pose.roll) == (37.7, -90.0, 0.5)


def test_a_file_that_says_nothing_has_no_pose(tmp_path: Path) -> None:
    assert read_pose(saved(tmp_path, "one.png", png(np.zeros((8, 8), np.uint8)))) is None


def test_pixels_of_an_upsampled_frame_are_finer(tmp_path: Path) -> None:
    sensor = pose_of(tmp_path, jpeg(grey(scene(512, 640)), exif("DJI", "M4T"), FLOWN))
    twice = pose_of(tmp_path, jpeg(grey(scene(1024, 1280)), exif("DJI", "M4T"), FLOWN))
    assert (sensor.pixel_pitch, twice.pixel_pitch) == (12.0, 6.0)
    assert sensor.ground_sample_distance == pytest.approx(0.0612)
    assert twice.ground_sample_distance == pytest.approx(0.0306)


def test_pixels_of_a_raw_image_are_those_of_the_sensor_however_the_picture_is_enlarged(tmp_path: Path) -> None:
    counts = (np.round(scene(512, 640) * 100) * 4 + 18_000).astype(np.uint16)
    made = exif("DJI", "M4T", photo={41988: 2.0})
    data = dji(counts, picture=grey(scene(1024, 1280)), made=made)
    assert pose_of(tmp_path, data).pixel_pitch == 12.0
    assert pose_of(tmp_path, jpeg(grey(scene(512, 640)), made)).pixel_pitch == 6.0


def test_a_camera_not_in_the_table_is_measured_by_its_35_mm_equivalent(tmp_path: Path) -> None:
    made = exif("Acme", "Thermo 9", photo={37386: 13.0, 41989: 55})
    pose = pose_of(tmp_path, jpeg(grey(scene(512, 640)), made))
    assert pose.focal_length == 13.0
    assert pose.pixel_pitch == pytest.approx(13 / 55 * 43.2666e3 / 819.6, rel=1e-3)


def test_flir_optics_come_from_the_field_of_view(tmp_path: Path) -> None:
    pose = pose_of(tmp_path, flir(made=exif("FLIR Systems AB", "FLIR T640", photo={37386: 24.5}), view=25.0))
    assert pose.focal_length == 24.5
    assert pose.pixel_pitch == pytest.approx(2e3 * 24.5 * np.tan(np.radians(12.5)) / 80)


def test_the_table_of_cameras_is_plausible() -> None:
    for model, camera in CAMERAS.items():
        assert model == model.upper()
        assert 8 <= camera.pixel_pitch <= 50
        for width, height in camera.sensors:
            assert pixel_pitch_of(camera, width, height) == camera.pixel_pitch
            assert pixel_pitch_of(camera, 2 * width, 2 * height) == camera.pixel_pitch / 2
            assert pixel_pitch_of(camera, width + 1, height) is None


@pytest.mark.parametrize(
    ("make", "model", "name"),
    [
        ("DJI", "MAVIC2-ENTERPRISE-ADVANCED", "DJI M2EA"), ("DJI", "ZH20T", "DJI H20T"), ("", "", None),
        ("DJI", "XT S", "DJI XT S"), ("FLIR", "Vue Pro R 640", None), ("FLIR", "FLIR", None),
        ("DJI", "FLIR", "DJI Zenmuse XT"),
        ("FLIR", "FLIR Vue Pro R", "FLIR Vue Pro R"),
    ],
)  # fmt: skip
def test_cameras_are_found_by_what_exif_calls_them(make: str, model: str, name: str | None) -> None:
    found = camera_of(make, model)
    assert (found.name if found else None) == name


def test_the_table_agrees_with_the_35_mm_equivalents_that_real_files_state(nightherd_data: Path) -> None:
    compared = 0
    for path in sorted([*(nightherd_data / "radiometric").glob("*.jpg"), *(nightherd_data / "deer").glob("*.jpg")]):
        header = read_header(path)
        camera = camera_of(header.make, header.model)
        focal, equivalent = header.exif.photo.get(37386), header.exif.photo.get(41989)
        if camera is None or not isinstance(focal, tuple) or not isinstance(equivalent, tuple):
            continue
        pitch = equivalent_pitch(float(focal[0]), float(equivalent[0]), *camera.sensors[0])
        assert pitch == pytest.approx(camera.pixel_pitch, rel=0.05), path.name
        assert camera.focal_length in (None, pytest.approx(float(focal[0]))), path.name
        compared += 1
    assert compared >= 7


def test_poses_of_a_real_flight(nightherd_data: Path) -> None:
    for path in sorted((nightherd_data / "flights" / "m2ea-120m").glob("*_T.JPG")):
        pose = read_pose(path)
        assert pose is not None
        assert pose.lon == pytest.approx(113.3365, abs=1e-3)
        assert pose.lat == pytest.approx(23.0639, abs=1e-3)
        assert pose.height == pytest.approx(120, abs=1)
        assert pose.pitch == pytest.approx(-90, abs=0.5)
        assert pose.ground_sample_distance == pytest.approx(0.16, abs=0.001)


def test_the_published_deer_frame_keeps_the_gimbal_of_its_maker_note(nightherd_data: Path) -> None:
    pose = read_pose(nightherd_data / "deer" / "chitwan_7_deer.jpg")
    assert pose is not None
    assert (pose.pitch, pose.yaw) == (-90.0, 8.5)
    assert (pose.focal_length, pose.pixel_pitch, pose.height) == (9.0, 12.0, None)


CLOCKED = exif("FLIR Systems AB", "FLIR T640", "2024:05:01 12:00:00", photo={37386: 24.5})
UTC_NOON = datetime(2024, 5, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "data",
    [
        jpeg(packet=xmp(UTCAtExposure="2024-05-01T12:00:00")),
        jpeg(made=exif(gps={29: "2024:05:01", 7: (12.0, 0.0, 0.0)})),
        jpeg(made=exif(taken="2024:05:01 20:00:00", photo={36881: "+08:00"})),
        jpeg(made=exif(taken="2024:05:01 07:30:00", photo={36881: "-04:30"})),
        jpeg(packet=b'<x:xmpmeta xmp:CreateDate="2024-05-01T14:00:00+02:00" &'),
        flir(clock=(int(UTC_NOON.timestamp()), 0, 120)),
    ],
    ids=["DJI", "satellite", "zone", "zone west", "XMP", "FLIR"],
)
def test_time_is_utc_where_the_file_tells_a_zone(data: bytes, tmp_path: Path) -> None:
    assert pose_of(tmp_path, data).time == UTC_NOON


@pytest.mark.parametrize(
    "data", [jpeg(made=exif("DJI", "M3T", "2024:05:01 12:00:00")), flir(made=CLOCKED, clock=(1_714_564_800, 0, 0))]
)
def test_local_time_without_a_zone_is_not_passed_off_as_utc(data: bytes, tmp_path: Path) -> None:
    assert pose_of(tmp_path, data).time is None


def test_the_cameras_own_clock_is_there_for_ordering(tmp_path: Path) -> None:
    made = exif("DJI", "ZH20T", "2020-06-23 15:17:15", photo={37521: "25"})
    moment = local_time(read_header(saved(tmp_path, "one.jpg", jpeg(made=made))))
    assert moment == datetime(2020, 6, 23, 15, 17, 15, 250_000)


@given(st.text(max_size=40))
def test_any_text_is_a_moment_or_none(text: str) -> None:
    parse_moment(text)
    parse_moment(f"2024:05:01 12:00:00{text}")


@given(st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)))
def test_moments_come_back(moment: datetime) -> None:
    assert parse_moment(f"{moment:%Y:%m:%d %H:%M:%S.%f}") == moment
    assert parse_moment(f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z") == moment.replace(tzinfo=UTC)


def test_camera_names_for_people(tmp_path: Path) -> None:
    for make, model, name in (
        ("FLIR Systems AB", "FLIR T640", "FLIR T640"),
        ("Acme", "Thermo 9", "Acme Thermo 9"),
        ("DJI", "M3T", "DJI M3T"),
        ("", "", None),
    ):
        assert camera_name(read_header(saved(tmp_path, "one.jpg", jpeg(made=exif(make, model))))) == name
