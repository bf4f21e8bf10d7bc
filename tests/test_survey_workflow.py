"""A survey from the folder to the results: where animals are placed, and what happens when something goes wrong."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pyogrio
import pytest

from nightherd.datasets.bundled import example_flight
from nightherd.errors import FrameError, PoseError, ResultsError
from nightherd.frames import read_pose
from nightherd.inference.progress import Progress
from nightherd.survey.georeference import ground_to_lonlat, lonlat_to_ground
from nightherd.survey.records import surveyed_frame
from nightherd.types import Detections
from nightherd.workflows.survey import PROGRESS, REPORT, STORE, SUMMARY, SurveyResult, run_survey
from nightherd.workflows.survey_inputs import flight_truth
from nightherd.workflows.survey_report import choose_thumbnails
from survey_flights import ANIMALS, HEIGHT, LAT, LON, HotSpots, write_flight


@pytest.fixture(scope="module")
def flight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flight of 6 frames over a meadow with two animals."""
    return write_flight(tmp_path_factory.mktemp("flights") / "meadow")


@pytest.fixture(scope="module")
def surveyed(flight: Path, tmp_path_factory: pytest.TempPathFactory) -> SurveyResult:
    """The survey of that flight."""
    out = tmp_path_factory.mktemp("results") / "out"
    return run_survey(flight, out=out, detector=HotSpots(), command="nightherd survey meadow")


def placed(folder: Path) -> np.ndarray:
    """Positions of all detections, metres east and north of the first frame."""
    table = pyogrio.read_dataframe(folder / STORE, layer="detections")
    return lonlat_to_ground(LON, LAT, table["longitude"], table["latitude"])


def test_every_view_of_an_animal_is_placed_where_the_animal_stands(surveyed: SurveyResult) -> None:
    places = placed(surveyed.folder)
    assert len(places) == surveyed.summary["detections"] >= 8
    nearest = np.min([np.hypot(*(places - animal).T) for animal in ANIMALS], axis=0)
    assert nearest.max() < 0.3
    table = pyogrio.read_dataframe(surveyed.store, layer="detections")
    assert table["length_m"].max() < 2.0
    assert (table["uncertainty_m"] > 3.0).all()


def test_the_summary_counts_detections_and_claims_no_animals(surveyed: SurveyResult) -> None:
    summary = json.loads((surveyed.folder / SUMMARY).read_bytes())
    assert summary == surveyed.summary
    assert summary["frames"] == 6
    assert summary["frames_failed"] == 0
    assert summary["detections_by_label"] == {"animal": summary["detections"]}
    assert summary["animals"] == {}
    assert summary["estimates"] == []
    assert "truth" not in summary
    assert "Individuals are not yet told apart" in summary["note"]
    gsd = HEIGHT * 12e-6 / 9.1e-3
    one_frame, width = 640 * 512 * gsd**2, 640 * gsd
    assert one_frame < summary["area_m2"] < one_frame * (1 + 2 * 5 * 6.0 / width)
    assert summary["seconds"]["total"] > 0
    page = surveyed.report.read_text(encoding="utf-8")
    assert "detections, not individuals" in page
    assert "nightherd survey meadow" in page


def test_finished_work_is_left_as_it_is(flight: Path, surveyed: SurveyResult) -> None:
    def state() -> dict[str, tuple[bytes, int]]:
        return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in surveyed.folder.iterdir()}

    before, detector = state(), HotSpots()
    second = run_survey(flight, out=surveyed.folder, detector=detector)
    assert second.was_finished
    assert second.summary == surveyed.summary
    assert detector.calls == 0
    assert state() == before


def test_other_work_is_overwritten_only_by_force(flight: Path, surveyed: SurveyResult, tmp_path: Path) -> None:
    out = shutil.copytree(surveyed.folder, tmp_path / "out")
    other = HotSpots(digest="1" * 64)
    with pytest.raises(ResultsError, match=r"another survey.*--force"):
        run_survey(flight, out=out, detector=other)
    assert other.calls == 0
    assert not run_survey(flight, out=out, detector=other, force=True).was_finished
    assert other.calls == 6


def test_a_survey_of_resampled_frames_places_animals_where_they_stand(
    flight: Path, surveyed: SurveyResult, tmp_path: Path
) -> None:
    half = run_survey(flight, out=tmp_path / "out", detector=HotSpots(), scale=0.5)
    assert half.summary["scale"] == 0.5 and surveyed.summary["scale"] == 1
    places = placed(half.folder)
    assert len(places) >= 8
    nearest = np.min([np.hypot(*(places - animal).T) for animal in ANIMALS], axis=0)
    assert nearest.max() < 0.4
    assert "frames resampled by" in half.report.read_text(encoding="utf-8")
    assert "resampled by 0.5" in (half.folder / "METHODS.md").read_text(encoding="utf-8")
    with pytest.raises(ResultsError, match=r"another survey.*--force"):
        run_survey(flight, out=half.folder, detector=HotSpots())


def test_a_report_that_no_survey_made_is_not_overwritten(flight: Path, tmp_path: Path) -> None:
    (tmp_path / REPORT).write_text("mine")
    with pytest.raises(ResultsError, match=r"report\.html that this run did not make"):
        run_survey(flight, out=tmp_path, detector=HotSpots())
    assert (tmp_path / REPORT).read_text() == "mine"


def test_an_interrupted_survey_goes_on_and_ends_the_same(flight: Path, surveyed: SurveyResult, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_survey(flight, out=tmp_path / "broken", detector=HotSpots(stop_after=2))
    assert not (tmp_path / "broken" / SUMMARY).exists()
    rest = HotSpots()
    resumed = run_survey(flight, out=tmp_path / "broken", detector=rest)
    assert rest.calls == 4
    assert resumed.store.read_bytes() == surveyed.store.read_bytes()
    assert resumed.summary["detections"] == surveyed.summary["detections"]


def test_a_run_that_was_killed_while_writing_a_line_goes_on(flight: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_survey(flight, out=tmp_path, detector=HotSpots(stop_after=3))
    with (tmp_path / PROGRESS).open("ab") as file:
        file.write(b'{"frame": "DJI_2025')
    rest = HotSpots()
    assert run_survey(flight, out=tmp_path, detector=rest).summary["frames_failed"] == 0
    assert rest.calls == 3


def test_a_truncated_frame_is_recorded_and_passed_over(tmp_path: Path) -> None:
    folder = write_flight(tmp_path / "flight", frames=4)
    broken = sorted(folder.iterdir())[2]
    broken.write_bytes(broken.read_bytes()[:9000])
    notes: list[str] = []
    result = run_survey(folder, out=tmp_path / "out", detector=HotSpots(), note=notes.append)
    assert result.summary["frames"] == 4
    assert result.summary["frames_failed"] == 1
    assert list(result.summary["failures"]) == [broken.name]
    assert any(broken.name in line for line in notes)
    assert broken.name in result.report.read_text(encoding="utf-8").split("What failed")[1]
    stations = pyogrio.read_dataframe(result.store, layer="frames")
    assert list(stations["status"]) == ["surveyed", "surveyed", "failed", "surveyed"]


def test_a_flight_of_truncated_frames_is_an_error(tmp_path: Path) -> None:
    folder = write_flight(tmp_path / "flight", frames=2)
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(FrameError, match="none of its 2 frames could be searched"):
        run_survey(folder, out=tmp_path / "out", detector=HotSpots())
    assert not (tmp_path / "out" / REPORT).exists()


def test_an_empty_folder_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(FrameError, match="empty"):
        run_survey(tmp_path / "empty", out=tmp_path / "out", detector=HotSpots())
    assert not (tmp_path / "out").exists()


def test_a_frame_without_gps_is_searched_and_has_no_position(tmp_path: Path) -> None:
    folder = write_flight(tmp_path / "flight", frames=3, without_gps=[1])
    result = run_survey(folder, out=tmp_path / "out", detector=HotSpots())
    stations = pyogrio.read_dataframe(result.store, layer="frames")
    assert list(stations["status"]) == ["surveyed", "no position", "surveyed"]
    assert stations["reason"][1] == "no GPS position"
    assert result.summary["detections_without_position"] == stations["detections"][1] > 0
    assert any("no position" in warning for warning in result.summary["warnings"])


def test_a_flight_without_any_gps_names_detect_before_anything_is_searched(tmp_path: Path) -> None:
    folder = write_flight(tmp_path / "flight", frames=2, without_gps=[0, 1])
    detector = HotSpots()
    with pytest.raises(PoseError, match="nightherd detect"):
        run_survey(folder, out=tmp_path / "out", detector=detector)
    assert detector.calls == 0
    assert not (tmp_path / "out").exists()


def test_positions_in_a_table_beside_take_the_place_of_missing_ones(tmp_path: Path) -> None:
    folder = write_flight(tmp_path / "flight", frames=3, without_gps=[0, 1, 2])
    lons, lats = ground_to_lonlat(LON, LAT, [(0, 0), (6, 0), (12, 0)])
    rows = [
        f"{path.name},{lat:.9f},{lon:.9f}" for path, lat, lon in zip(sorted(folder.iterdir()), lats, lons, strict=True)
    ]
    table = tmp_path / "positions.csv"
    table.write_text("\n".join(["file,latitude,longitude", *rows]))
    result = run_survey(folder, out=tmp_path / "out", detector=HotSpots(), positions=table)
    nearest = np.min([np.hypot(*(placed(result.folder) - animal).T) for animal in ANIMALS], axis=0)
    assert nearest.max() < 0.3


def test_a_flight_without_heights_says_so_and_takes_a_height(tmp_path: Path) -> None:
    folder = write_flight(tmp_path / "flight", frames=2, without_height=True)
    bare = run_survey(folder, out=tmp_path / "bare", detector=HotSpots())
    assert bare.summary["area_m2"] is None
    assert any("--height" in warning for warning in bare.summary["warnings"])
    given = run_survey(folder, out=tmp_path / "given", detector=HotSpots(), height=HEIGHT)
    nearest = np.min([np.hypot(*(placed(given.folder) - animal).T) for animal in ANIMALS], axis=0)
    assert nearest.max() < 0.3


def test_a_heading_that_is_recorded_wrong_throughout_is_corrected_and_said(tmp_path: Path) -> None:
    folder = write_flight(tmp_path / "flight", frames=8, yaw=20.0, recorded_yaw=-40.0)
    result = run_survey(folder, out=tmp_path / "out", detector=HotSpots())
    assert result.summary["heading"]["offset"] == pytest.approx(60, abs=3)
    assert result.summary["heading"]["corrected"]
    nearest = np.min([np.hypot(*(placed(result.folder) - animal).T) for animal in ANIMALS], axis=0)
    assert nearest.max() < 1.5
    assert any("60° off" in warning for warning in result.summary["warnings"])
    stations = pyogrio.read_dataframe(result.store, layer="frames")
    assert stations["yaw_deg"][0] == pytest.approx(-40)
    assert stations["yaw_used_deg"][0] == pytest.approx(20, abs=3)


def test_a_full_disk_stops_with_one_line_and_what_was_done_is_kept(
    flight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def full(handle: int) -> None:
        if (tmp_path / PROGRESS).exists() and len((tmp_path / PROGRESS).read_bytes().splitlines()) == 7:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResultsError, match="disk is full") as caught:
        run_survey(flight, out=tmp_path, detector=HotSpots())
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == [PROGRESS]
    monkeypatch.undo()
    rest = HotSpots()
    run_survey(flight, out=tmp_path, detector=rest)
    assert rest.calls == 0


def test_a_failure_is_tried_again_by_the_next_run(flight: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_survey(flight, out=tmp_path, detector=HotSpots(stop_after=1))
    header = json.loads((tmp_path / PROGRESS).read_bytes().splitlines()[0])
    with Progress(tmp_path / PROGRESS, header["fingerprint"]) as progress:
        progress.fail(sorted(flight.iterdir())[1].name, "the card reader hiccupped")
    assert run_survey(flight, out=tmp_path, detector=HotSpots()).summary["frames_failed"] == 0


def test_truth_is_told_of_simulated_flights_only(flight: Path, tmp_path: Path) -> None:
    assert flight_truth(flight) is None
    (tmp_path / "truth.json").write_text('{"individuals": {"animal": 7, "person": -1}, "visible": {"animal": 5}}')
    truth = flight_truth(tmp_path)
    assert truth is not None
    assert truth.individuals == {"animal": 7}
    assert truth.visible == {"animal": 5}
    for damaged in ("[1, 2", "[1, 2]", '{"individuals": [3]}', ""):
        (tmp_path / "truth.json").write_text(damaged)
        assert flight_truth(tmp_path) is None


def test_the_contact_sheet_shows_rare_classes_in_full() -> None:
    def frame(labels: list[int]) -> object:
        n = len(labels)
        found = Detections(
            np.tile(np.array([[1, 1, 9, 9]], np.float32), (n, 1)),
            np.linspace(0.9, 0.1, n).astype(np.float32),
            np.array(labels),
            ("animal", "vehicle"),
        )
        return surveyed_frame("a", 640, 512, None, found)

    frames = [frame([1] * 80), frame([0, 1, 0] + [1] * 80)]
    chosen = choose_thumbnails(frames, ("animal", "vehicle"), limit=20)  # type: ignore[arg-type]
    assert len(chosen) == 20
    assert chosen[:2] == [(1, 0), (1, 2)]
    assert len(set(chosen)) == 20


def test_the_real_flight_is_surveyed_with_plausible_footprints(nightherd_data: Path, tmp_path: Path) -> None:
    result = run_survey(nightherd_data / "flights" / "m2ea-120m", out=tmp_path, detector=HotSpots())
    footprints = pyogrio.read_dataframe(result.store, layer="footprints")
    assert len(footprints) == 13
    assert footprints["area_m2"].between(102.4 * 81.92 * 0.98, 102.4 * 81.92 * 1.03).all()
    assert result.summary["heading"]["offset"] == pytest.approx(55, abs=3)
    assert result.summary["heading"]["corrected"]


def test_the_simulator_and_the_map_agree_on_where_an_animal_stands() -> None:
    folder = example_flight()
    labels = json.loads((folder / "annotations.json").read_bytes())
    views: dict[int, list[np.ndarray]] = {}
    for image in labels["images"]:
        mine = [label for label in labels["annotations"] if label["image_id"] == image["id"]]
        corners = [(x, y, x + w, y + h) for x, y, w, h in (label["bbox"] for label in mine)]
        found = Detections(
            np.array(corners, np.float32).reshape(-1, 4),
            np.ones(len(mine), np.float32),
            np.zeros(len(mine), np.int64),
            ("animal",),
        )
        pose = read_pose(folder / image["file_name"])
        placed = surveyed_frame(image["file_name"], image["width"], image["height"], pose, found).on_ground
        for label, place in zip(mine, lonlat_to_ground(15.0, 47.5, placed.lon, placed.lat), strict=True):
            views.setdefault(label["individual_id"], []).append(place)
    seen_often = [np.array(places) for places in views.values() if len(places) >= 3]
    assert len(seen_often) >= 8
    assert max(np.hypot(*(places - places.mean(axis=0)).T).max() for places in seen_often) < 3.0
