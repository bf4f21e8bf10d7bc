"""Positions beside the frames: MRK, SRT and tables fill what a frame does not tell, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frame_toys import exif, jpeg, png, saved, xmp
from nightherd.errors import PoseError
from nightherd.frames.pose import read_pose
from nightherd.frames.positions import (
    complete_pose,
    parse_mrk,
    parse_srt,
    parse_table,
    positions_beside,
    read_positions,
)
from nightherd.types import Pose

REST = "0.01, 0.01, 0.03\t50,Q\n"
MRK = (
    "1\t374820.123456\t[2293]\t   -12,N\t    35,E\t   193,V\t47.12345678,Lat\t8.12345678,Lon\t612.345,Ellh\t" + REST
    + "2\t374822.500000\t[2293]\t    -9,N\t    31,E\t   190,V\t47.12350000,Lat\t8.12360000,Lon\t612.400,Ellh\t" + REST
)  # fmt: skip

SRT = """1
00:00:00,000 --> 00:00:00,033
<font size="28">SrtCnt : 1, DiffTime : 33ms
2024-05-01 12:00:00.000
[iso : 100] [focal_len : 24.00] [latitude: 47.100000] [longitude: 8.200000] [rel_alt: 60.100 abs_alt: 512.000] </font>

2
00:00:01,000 --> 00:00:01,033
<font size="28">SrtCnt : 2, DiffTime : 33ms
2024-05-01 12:00:01,000
[latitude: 47.100010] [longitude: 8.200020] [rel_alt: 60.200 abs_alt: 512.100] </font>
"""


def test_mrk_gives_position_and_time_in_utc() -> None:
    first, second = parse_mrk(MRK)
    assert (first.number, first.pose.lat, first.pose.lon, first.pose.altitude) == (1, 47.12345678, 8.12345678, 612.345)
    # GPS week 2293 began on Sunday 2023-12-17; 374820 s later is Thursday 08:07:00, less 18 leap seconds.
    assert first.pose.time == datetime(2023, 12, 21, 8, 6, 42, 123456, tzinfo=UTC)
    assert second.number == 2


def test_mrk_finds_a_frame_by_its_number(tmp_path: Path) -> None:
    source = read_positions(saved(tmp_path, "flight_Timestamp.MRK", MRK.encode()))
    frame = saved(tmp_path, "DJI_20231221090642_0002_T.JPG", jpeg())
    pose = complete_pose(read_pose(frame), frame, [source])
    assert pose is not None
    assert (pose.lat, pose.lon) == (47.1235, 8.1236)
    assert complete_pose(None, tmp_path / "DJI_20231221090642_0009_T.JPG", [source]) is None


def test_srt_finds_a_frame_by_the_cameras_clock(tmp_path: Path) -> None:
    source = read_positions(saved(tmp_path, "DJI_0001.SRT", SRT.encode()))
    frame = saved(tmp_path, "frame.jpg", jpeg(made=exif(taken="2024:05:01 12:00:01")))
    pose = complete_pose(read_pose(frame), frame, [source])
    assert pose is not None
    assert (pose.lat, pose.lon, pose.height) == (47.10001, 8.20002, 60.2)
    late = saved(tmp_path, "late.jpg", jpeg(made=exif(taken="2024:05:01 12:00:09")))
    assert complete_pose(read_pose(late), late, [source]) is None


@pytest.mark.parametrize(
    "table",
    [
        "file,lat,lon,height\na.png,47.5,8.5,60\nb.png,47.6,8.6,61\n",
        "Image Name;Latitude;Longitude;Relative Altitude\nsomewhere\\a.png;47.5;8.5;60\nb.png;47.6;8.6;61\n",
        "longitude\tlatitude\tfilename\theight_above_takeoff(feet)\n8.5\t47.5\tA.PNG\t196.8503937\n",
    ],
)
def test_tables_find_a_frame_by_its_name(table: str, tmp_path: Path) -> None:
    source = read_positions(saved(tmp_path, "track.csv", table.encode("utf-8-sig")))
    pose = complete_pose(None, saved(tmp_path, "a.png", png(np.zeros((4, 4), np.uint8))), [source])
    assert pose is not None
    assert (pose.lat, pose.lon) == (47.5, 8.5)
    assert pose.height == pytest.approx(60)


def test_tables_find_a_frame_by_utc(tmp_path: Path) -> None:
    table = "datetime(utc),latitude,longitude\n2024-05-01 10:00:00,47.5,8.5\n2024-05-01 10:00:02,47.6,8.6\n"
    source = read_positions(saved(tmp_path, "airdata.csv", table.encode()))
    frame = saved(tmp_path, "one.jpg", jpeg(packet=xmp(UTCAtExposure="2024-05-01T10:00:01.8")))
    pose = complete_pose(read_pose(frame), frame, [source])
    assert pose is not None
    assert (pose.lat, pose.lon) == (47.6, 8.6)


def test_what_a_frame_tells_itself_is_kept(tmp_path: Path) -> None:
    source = read_positions(saved(tmp_path, "t.csv", b"file,lat,lon,height,yaw\na.jpg,47.5,8.5,60,90\n"))
    own = Pose(lon=1.0, lat=2.0, yaw=10.0)
    pose = complete_pose(own, tmp_path / "a.jpg", [source])
    assert pose == Pose(lon=1.0, lat=2.0, yaw=10.0, height=60.0)


def test_a_table_without_positions_says_what_is_wanted(tmp_path: Path) -> None:
    for data in (b"", b"hello\n", b"a,b\n1,2\n", b"file,lat,lon\na.jpg,north,east\n", b"\xff\xfe\x00"):
        with pytest.raises(PoseError, match="latitude and longitude"):
            read_positions(saved(tmp_path, "t.csv", data))


def test_side_files_without_positions_are_passed_over(tmp_path: Path) -> None:
    good = saved(tmp_path, "a.MRK", MRK.encode())
    bad = saved(tmp_path, "b.MRK", b"nothing")
    nav = saved(tmp_path, "c.nav", b"     3.02           N: GNSS NAV DATA")
    assert [source.path for source in positions_beside([bad, good, nav])] == [good]


@given(st.text(max_size=300))
def test_any_text_is_parsed_without_an_error(text: str) -> None:
    for parse in (parse_mrk, parse_srt, parse_table):
        list(parse(text))
    list(parse_table("file,lat,lon,time,height(feet)\n" + text))


@given(st.sampled_from([MRK, SRT]), st.integers(0, 600), st.integers(0, 600), st.text(max_size=6))
def test_damaged_side_files_give_only_positions_that_can_be(text: str, start: int, end: int, put: str) -> None:
    damaged = text[:start] + put + text[end:]
    for parse in (parse_mrk, parse_srt, parse_table):
        for position in parse(damaged):
            assert position.pose.has_position
            assert abs(position.pose.lat or 0) <= 90
