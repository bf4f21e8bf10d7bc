"""`nightherd data simulate`: what a simulated flight's folder holds, resume, refusal, the bundled example."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyogrio
import pyproj
import pytest
from PIL import Image

import nightherd.workflows.simulate as workflow
from nightherd.cli.app import run
from nightherd.datasets import open_dataset
from nightherd.datasets.bundled import example_flight
from nightherd.datasets.simulate.files import Placement
from nightherd.datasets.simulate.presets import override, preset
from nightherd.datasets.simulate.settings import SimulationSettings
from nightherd.datasets.simulate.simulation import Simulation
from nightherd.errors import ConfigError, ResultsError
from nightherd.frames.readers import read_frame
from nightherd.survey.georeference import georeference, place
from nightherd.workflows.simulate import write_flight

FULL = ["frames=4", "flight.gps_noise=0", "canopy.cover=0.1"]
SMALL = [*FULL, "camera.width=160", "camera.height=128"]


def small(*changes: str) -> SimulationSettings:
    return override(preset("example"), [*SMALL, *changes])


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flight of the usual size, whose camera readers of poses know."""
    folder = tmp_path_factory.mktemp("simulated") / "flight"
    write_flight(override(preset("example"), FULL), 4, folder)
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flight of few pixels."""
    folder = tmp_path_factory.mktemp("tiny") / "flight"
    write_flight(small(), 4, folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in {".JPG", ".json"}}


def test_a_folder_holds_frames_truth_and_tracks(written: Path) -> None:
    names = sorted(path.name for path in written.iterdir())
    frames = [name for name in names if name.endswith(".JPG")]
    assert [name[18:] for name in frames] == [f"_{number:04d}_T.JPG" for number in range(1, 5)]
    assert all(name.startswith("DJI_202403120648") for name in frames)
    assert {"annotations.json", "truth.json", "tracks.gpkg", "simulation.json"} <= set(names)
    assert len(names) == 8
    truth = json.loads((written / "truth.json").read_text(encoding="utf-8"))
    assert 0 < truth["visible"]["animal"] <= truth["individuals"]["animal"] <= 13


def test_the_folder_opens_as_a_data_set(written: Path) -> None:
    dataset = open_dataset(written)
    assert dataset.classes == ("animal", "person", "vehicle", "bicycle")
    assert len(dataset) == 4 and dataset.n_boxes > 0
    assert dataset.problems == ()
    assert len({image.attributes["flight"] for image in dataset.images}) == 1
    assert any(image.individuals is not None and len(image.individuals) for image in dataset.images)


def test_the_pose_in_a_file_is_the_pose_in_the_truth(written: Path) -> None:
    coco = json.loads((written / "annotations.json").read_text(encoding="utf-8"))
    for image in coco["images"]:
        frame = read_frame(written / image["file_name"])
        assert frame.camera is not None and "M3T" in frame.camera
        pose = frame.pose
        assert pose is not None and pose.time is not None
        assert (pose.lon, pose.lat) == pytest.approx((image["lon"], image["lat"]), abs=1e-8)
        assert pose.height == pytest.approx(image["relative_altitude"])
        assert (pose.yaw, pose.pitch, pose.roll) == pytest.approx((image["yaw"], image["pitch"], image["roll"]))
        assert (pose.focal_length, pose.pixel_pitch) == pytest.approx((9.1, 12.0))
        assert pose.time.isoformat()[:19] == image["date_captured"][:19]


def test_boxes_lie_on_the_map_where_the_animals_walked(written: Path) -> None:
    coco = json.loads((written / "annotations.json").read_text(encoding="utf-8"))
    positions = pyogrio.read_dataframe(written / "tracks.gpkg", layer="positions")
    checked = 0
    for image in coco["images"]:
        pose = read_frame(written / image["file_name"]).pose
        assert pose is not None
        for annotation in coco["annotations"]:
            if annotation["image_id"] != image["id"] or annotation["visibility"] < 0.95:
                continue
            x, y, w, h = annotation["bbox"]
            boxes = np.array([[x, y, x + w, y + h]], np.float32)
            found = georeference(place(pose, image["width"], image["height"]), boxes)
            row = positions[
                (positions.individual_id == annotation["individual_id"]) & (positions.frame == image["id"])
            ].iloc[0]
            distance = pyproj.Geod(ellps="WGS84").inv(found.lon[0], found.lat[0], row.geometry.x, row.geometry.y)[2]
            # Half a body for a head that reaches out, and the shift of what stands above the ground.
            assert distance < 1.2
            checked += 1
    assert checked >= 3


def test_tracks_are_lines_with_species(written: Path) -> None:
    tracks = pyogrio.read_dataframe(written / "tracks.gpkg", layer="tracks")
    assert set(tracks.species) == {"red deer", "roe deer"}
    assert set(tracks.geometry.geom_type) == {"LineString"}
    assert tracks.crs.to_epsg() == 4326


def test_the_same_seed_writes_the_same_bytes(tiny: Path, tmp_path: Path) -> None:
    write_flight(small(), 4, tmp_path / "again")
    assert contents(tmp_path / "again") == contents(tiny)


def test_two_processes_write_what_one_writes(tmp_path: Path) -> None:
    write_flight(small("frames=4", "flight.legs=4"), 4, tmp_path / "one")
    write_flight(small("frames=4", "flight.legs=4"), 4, tmp_path / "two", workers=2)
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def test_an_interrupted_flight_is_finished_and_not_begun_again(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "flight"
    real = workflow.write_frame

    def interrupted(path: Path, *rest: object) -> None:
        if "_0003_" in path.name:
            raise KeyboardInterrupt
        real(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(workflow, "write_frame", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_flight(small(), 4, folder)
    assert not (folder / "annotations.json").exists()
    kept = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.JPG")}
    assert len(kept) == 2

    monkeypatch.setattr(workflow, "write_frame", real)
    assert write_flight(small(), 4, folder).is_new
    assert contents(folder) == contents(tiny)
    assert all((folder / name).stat().st_mtime_ns == before for name, before in kept.items())
    assert not write_flight(small(), 4, folder).is_new


def test_a_frame_that_was_lost_is_made_again(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "flight"

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(workflow, "_finish", stopped)
        write_flight(small(), 4, folder)
    frames = sorted(folder.glob("*.JPG"))
    frames[1].unlink()
    (folder / ".parts" / "000002.json").write_text("{", encoding="utf-8")
    write_flight(small(), 4, folder)
    assert contents(folder) == contents(tiny)


def test_damaged_truth_is_one_clear_line(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "flight"
    write_flight(small(), 4, folder)
    (folder / "truth.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ResultsError, match="--force"):
        write_flight(small(), 4, folder)
    write_flight(small(), 4, folder, force=True)
    assert contents(folder) == contents(tiny)


@pytest.mark.skipif(sys.platform == "win32", reason="sends an interrupt as POSIX terminals do")
def test_ctrl_c_twice_stops_every_process_and_loses_no_frame(tmp_path: Path) -> None:
    folder = tmp_path / "flight"
    command = [sys.executable, "-m", "nightherd", "data", "simulate", "example", "--frames", "400", "--workers", "2"]
    process = subprocess.Popen([*command, "--out", str(folder)], stderr=subprocess.PIPE, text=True)
    while not list(folder.glob("*.JPG")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    # The limit is only there so that a process that hangs does not hang the tests.
    _, printed = process.communicate(timeout=60)
    assert process.returncode == 130
    assert printed == "interrupted; run the same command again to go on\n"
    frames, parts = list(folder.glob("*.JPG")), list((folder / ".parts").glob("*.json"))
    assert 0 < len(parts) <= len(frames) < 400
    for frame in frames:
        assert Image.open(frame).convert("L").size == (640, 512)


def test_other_work_is_left_alone_unless_forced(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "flight"
    write_flight(small(), 4, folder)
    with pytest.raises(ResultsError, match="--force"):
        write_flight(small(), 5, folder)
    assert contents(folder) == contents(tiny)
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    write_flight(small(), 5, folder, force=True)
    assert contents(folder) != contents(tiny)
    assert (folder / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_a_folder_of_something_else_is_never_written_into(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    for force in (False, True):
        with pytest.raises(ResultsError, match="not empty"):
            write_flight(small(), 0, tmp_path, force=force)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


def test_tiffs_keep_degrees_and_pose(tmp_path: Path) -> None:
    write_flight(small("camera.output=tiff16", "frames=1"), 4, tmp_path / "flight")
    path = next((tmp_path / "flight").glob("*.tif"))
    frame = read_frame(path)
    assert frame.unit == "celsius"
    assert -5 < float(np.median(frame.pixels)) < 8
    assert frame.pose is not None and frame.pose.height == pytest.approx(40, abs=2)
    exact = Simulation(small("camera.output=tiff16", "frames=1"), 4).frame(0).reading
    np.testing.assert_allclose(frame.pixels, exact, atol=0.011)


def test_mixed_scenes_become_flights_of_their_own(tmp_path: Path) -> None:
    settings = override(preset("training"), ["frames=4", "camera.width=160", "camera.height=128"])
    write_flight(settings, 3, tmp_path / "set")
    coco = json.loads((tmp_path / "set" / "annotations.json").read_text(encoding="utf-8"))
    assert len({image["flight"] for image in coco["images"]}) == 2
    owner = {image["id"]: image["flight"] for image in coco["images"]}
    flights: dict[int, set[str]] = {}
    for annotation in coco["annotations"]:
        flights.setdefault(annotation["individual_id"], set()).add(owner[annotation["image_id"]])
    assert all(len(names) == 1 for names in flights.values())


def test_the_bundled_flight_is_small_complete_and_made_by_its_command() -> None:
    folder = example_flight()
    frames = sorted(folder.glob("DJI_*_T.JPG"))
    assert 20 <= len(frames) <= 28
    assert sum(path.stat().st_size for path in folder.iterdir()) < 4_000_000
    dataset = open_dataset(folder)
    assert len(dataset) == len(frames)
    # Other builds of the JPEG codec may round differently; what the simulator renders may not.
    number = 9
    again = Simulation(preset("example"), 7).frame(number)
    stored = np.asarray(Image.open(frames[number]).convert("L"), np.float64)
    assert np.abs(stored - again.display).mean() < 3.0
    drawn = {a["individual_id"]: a["bbox"] for a in json.loads((folder / "annotations.json").read_text())["annotations"]
             if a["image_id"] == number + 1}  # fmt: skip
    assert len(again.truth) == len(drawn) > 0
    for one in again.truth:
        x, y, width, height = drawn[one.individual]
        np.testing.assert_allclose((x, y, x + width, y + height), one.box, atol=0.02)
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    assert truth["individuals"] == {"animal": 13}


def test_site_places_turn_with_the_bearing() -> None:
    lon, lat = Placement(15.0, 47.5, 90.0).degrees(0.0, 100.0)
    assert lat == pytest.approx(47.5, abs=1e-6)
    assert (lon - 15.0) * 111_320 * math.cos(math.radians(47.5)) == pytest.approx(100.0, rel=0.005)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("flight.hieght=60", "no setting 'hieght'"),
        ("flight.height=tall", "flight.height"),
        ("flight.height=-3", "greater than 5"),
        ("herds.7.species=chital", "not one of the 2 entries"),
        ("herds.0.species=unicorn", "herds.0.species"),
        ("noequals", "write key=value"),
        ("name: [", "write key=value"),
        ("name=[", "not readable"),
    ],
)
def test_a_setting_that_cannot_be_is_named(change: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        override(preset("example"), [change])


def test_the_command_writes_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes = [part for change in SMALL[1:] for part in ("--set", change)]
    command = ["data", "simulate", "example", "--out", str(tmp_path / "f"), "--frames", "2", "--seed", "4", *changes]
    assert run([*command, "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert (value["frames"], value["new"]) == (2, True)
    assert run(command) == 0
    printed = capsys.readouterr()
    assert "nothing was done" in printed.err and "2 frames" in printed.out


def test_an_unknown_simulation_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "simulate", "moon"]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("error: no simulation is called 'moon'") and printed.err.count("\n") == 1
