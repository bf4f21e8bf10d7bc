"""`nightherd survey` from the command line: what it prints and how it exits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nightherd.cli.app import run
from nightherd.workflows import survey as workflow
from survey_flights import HotSpots, write_flight


@pytest.fixture(scope="module")
def flight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short flight."""
    return write_flight(tmp_path_factory.mktemp("flights") / "meadow", frames=3)


@pytest.fixture
def detector(monkeypatch: pytest.MonkeyPatch) -> HotSpots:
    """Takes the place of the bundled model."""
    hot_spots = HotSpots()
    monkeypatch.setattr(workflow, "load_detector", lambda model=None, threshold=None: hot_spots)
    return hot_spots


def test_it_says_what_was_found_and_where_the_report_is(
    flight: Path,
    detector: HotSpots,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["survey", str(flight)]) == 0
    out, err = capsys.readouterr()
    report = Path("nightherd-results") / "meadow" / "report.html"
    assert out.splitlines()[-1] == f"report: {report}"
    assert report.exists()
    assert "3 of 3 frames searched with hot-spots" in out
    assert "detections, not individuals" in out
    assert len(out.splitlines()) <= 6
    assert err.splitlines() == ["3 thermal frames (DJI M3T)"]


def test_json_is_the_summary_and_nothing_else(
    flight: Path, detector: HotSpots, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["survey", str(flight), "--out", str(tmp_path / "out"), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "out" / "summary.json").read_bytes())


def test_a_second_run_says_that_it_is_done(
    flight: Path, detector: HotSpots, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["survey", str(flight), "--out", str(tmp_path / "out")]
    assert run(arguments) == 0
    capsys.readouterr()
    assert run(arguments) == 0
    assert "nothing was written" in capsys.readouterr().out
    assert detector.calls == 3


def test_an_interrupt_exits_with_130_and_the_next_run_goes_on(
    flight: Path, detector: HotSpots, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["survey", str(flight), "--out", str(tmp_path / "out")]
    detector.stop_after = 1
    assert run(arguments) == 130
    assert "run the same command again to go on" in capsys.readouterr().err
    detector.stop_after, detector.calls = None, 0
    assert run(arguments) == 0
    assert detector.calls == 2


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda folder: folder.mkdir(), "holds no images"),
        (lambda folder: None, "no such folder"),
        (lambda folder: write_flight(folder, frames=1, without_gps=[0]), "nightherd detect"),
    ],
    ids=["empty", "missing", "without GPS"],
)
def test_bad_input_is_one_line_that_names_the_folder(
    make: object, says: str, detector: HotSpots, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "bad"
    make(folder)  # type: ignore[operator]
    assert run(["survey", str(folder), "--out", str(tmp_path / "out")]) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert says in lines[0]
    assert str(folder) in lines[0]


def test_results_of_another_survey_are_in_the_way(
    flight: Path, detector: HotSpots, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["survey", str(flight), "--out", str(tmp_path / "out")]
    assert run(arguments) == 0
    detector.digest = "1" * 64
    assert run(arguments) == 1
    assert "--force" in capsys.readouterr().err
    assert run([*arguments, "--force"]) == 0


def test_a_model_that_is_none_is_named(flight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["survey", str(flight), "--model", "no-such-model", "--out", str(tmp_path / "out")]) == 1
    assert "no-such-model" in capsys.readouterr().err


def test_the_scale_reaches_the_search(flight: Path, detector: HotSpots, tmp_path: Path) -> None:
    assert run(["survey", str(flight), "--out", str(tmp_path / "out"), "--scale", "0.5"]) == 0
    assert json.loads((tmp_path / "out" / "summary.json").read_bytes())["scale"] == 0.5
    assert run(["survey", str(flight), "--scale", "0"]) == 2


def test_a_threshold_out_of_range_is_wrong_usage(flight: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["survey", str(flight), "--threshold", "1.5"]) == 2
    assert "threshold" in capsys.readouterr().err.lower()
