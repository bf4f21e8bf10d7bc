"""The GeoPackage of a survey, read back with GDAL and with plain SQLite."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyogrio
import pytest

from nightherd.errors import ResultsError
from nightherd.survey.records import (
    SurveyedFrame,
    count_by_label,
    count_unplaced,
    failed_frame,
    surveyed_frame,
)
from nightherd.survey.store import write_survey
from nightherd.types import Detections, Pose

START = datetime(2025, 1, 17, 3, 14, 15, tzinfo=UTC)
POSE = Pose(
    lon=15.5, lat=47.1, height=80.0, yaw=30.0, pitch=-90.0, roll=0.0, focal_length=9.1, pixel_pitch=12.0, time=START
)


def found(*boxes: tuple[float, float, float, float], label: int = 0) -> Detections:
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.linspace(0.9, 0.5, len(boxes)).astype(np.float32),
        np.full(len(boxes), label),
        ("animal", "person"),
    )


@pytest.fixture
def frames() -> list[SurveyedFrame]:
    later = replace(POSE, lon=15.5002, time=START + timedelta(seconds=2))
    return [
        surveyed_frame("a_T.JPG", 640, 512, POSE, found((10, 20, 30, 40), (300, 250, 320, 262)), unit="celsius"),
        surveyed_frame("b_T.JPG", 640, 512, later, found((1, 2, 21, 22), label=1)),
        surveyed_frame("c_T.JPG", 640, 512, replace(POSE, lon=None), found((5, 5, 9, 9))),
        failed_frame("d_T.JPG", "the file ends early", later),
        surveyed_frame("e_T.JPG", 640, 512, None, found()),
    ]


def test_layers_read_back_with_what_was_written(tmp_path: Path, frames: list[SurveyedFrame]) -> None:
    path = tmp_path / "survey.gpkg"
    write_survey(path, frames)
    assert {name for name, _ in pyogrio.list_layers(path)} == {"frames", "footprints", "detections"}

    detections = pyogrio.read_dataframe(path, layer="detections")
    assert detections.crs.to_epsg() == 4326
    assert list(detections["label"]) == ["animal", "animal", "person", "animal"]
    assert list(detections["frame"]) == ["a_T.JPG", "a_T.JPG", "b_T.JPG", "c_T.JPG"]
    assert detections["length_m"][0] == pytest.approx(20 * 80 * 12e-6 / 9.1e-3, abs=0.01)
    assert list(detections.geometry.isna()) == [False, False, False, True]
    near = detections.geometry[1]
    assert (near.x, near.y) == pytest.approx((15.5, 47.1), abs=1e-4)
    assert detections["x1_px"][0] == 10

    stations = pyogrio.read_dataframe(path, layer="frames")
    assert list(stations["status"]) == ["surveyed", "surveyed", "no position", "failed", "no position"]
    assert stations["reason"][3] == "the file ends early"
    assert stations["time_utc"][0].to_pydatetime() == START
    assert list(stations.geometry.isna()) == [False, False, True, False, True]

    footprints = pyogrio.read_dataframe(path, layer="footprints")
    gsd = 80 * 12e-6 / 9.1e-3
    assert list(footprints["frame"]) == ["a_T.JPG", "b_T.JPG"]
    assert footprints["area_m2"][0] == pytest.approx(640 * 512 * gsd**2, rel=1e-3)
    projected = footprints.to_crs("EPSG:32633").geometry.area
    assert projected[0] == pytest.approx(640 * 512 * gsd**2, rel=2e-3)


def test_it_is_a_geopackage_to_plain_sqlite_with_lower_case_names(tmp_path: Path, frames: list[SurveyedFrame]) -> None:
    path = tmp_path / "survey.gpkg"
    write_survey(path, frames)
    base = sqlite3.connect(path)
    try:
        assert base.execute("pragma application_id").fetchone()[0] == 0x47504B47
        assert base.execute("pragma integrity_check").fetchone()[0] == "ok"
        contents = base.execute("select table_name, data_type, srs_id from gpkg_contents order by 1").fetchall()
        assert contents == [(layer, "features", 4326) for layer in ("detections", "footprints", "frames")]
        for layer, _, _ in contents:
            names = [row[1] for row in base.execute(f"pragma table_info({layer})")]
            assert names == [name.lower() for name in names]
    finally:
        base.close()


def test_the_same_survey_gives_the_same_bytes(tmp_path: Path, frames: list[SurveyedFrame]) -> None:
    first, second = tmp_path / "one" / "survey.gpkg", tmp_path / "two" / "survey.gpkg"
    write_survey(first, frames)
    write_survey(second, frames)
    assert first.read_bytes() == second.read_bytes()


def test_a_survey_that_found_nothing_still_has_all_layers(tmp_path: Path) -> None:
    path = tmp_path / "survey.gpkg"
    write_survey(path, [surveyed_frame("e_T.JPG", 640, 512, None, found())])
    for layer, kind, rows in (("frames", "Point", 1), ("footprints", "Polygon", 0), ("detections", "Point", 0)):
        info = pyogrio.read_info(path, layer=layer)
        assert info["geometry_type"] == kind
        assert info["features"] == rows
        assert "EPSG:4326" in info["crs"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, frames: list[SurveyedFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "survey.gpkg"
    write_survey(path, frames)
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise pyogrio.errors.DataLayerError("sqlite3_exec(COMMIT) failed: database or disk is full")

    monkeypatch.setattr(pyogrio, "write_dataframe", full)
    with pytest.raises(ResultsError, match="disk is full"):
        write_survey(path, frames[:1])
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["survey.gpkg"]


def test_counts_by_label_put_the_most_frequent_first(frames: list[SurveyedFrame]) -> None:
    assert list(count_by_label(frames).items()) == [("animal", 3), ("person", 1)]
    assert count_unplaced(frames) == 1


def test_what_is_longer_on_the_ground_than_its_class_can_be_is_left_out_and_said() -> None:
    gsd = 80 * 12e-6 / 9.1e-3
    long_box, fine_box = (100, 100, 100 + 4.0 / gsd, 110), (300, 250, 320, 262)
    frame = surveyed_frame("a", 640, 512, POSE, found(long_box, fine_box), longest={"animal": 3.5})
    assert frame.too_long == 1
    assert len(frame.detections) == len(frame.on_ground.lon) == 1
    np.testing.assert_allclose(frame.detections.boxes[0], fine_box)
    assert "4.1 m from corner to corner, above 3.5 m" in frame.notes[-1]
    askew = (100, 100, 100 + 3.0 / gsd, 100 + 3.0 / gsd)
    assert surveyed_frame("a", 640, 512, POSE, found(askew), longest={"animal": 3.5}).too_long == 1
    people = surveyed_frame("a", 640, 512, POSE, found(long_box, label=1), longest={"animal": 3.5})
    nowhere = surveyed_frame("a", 640, 512, None, found(long_box), longest={"animal": 3.5})
    assert (people.too_long, nowhere.too_long) == (0, 0)
    assert len(people.detections) == len(nowhere.detections) == 1
