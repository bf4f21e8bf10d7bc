"""Clumsy and hostile use of the command line: each gives one line that says what is wrong, and nothing is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dataset_toys import coco_folder, coco_record
from nightherd.cli import app
from nightherd.cli.app import VERBS, run
from nightherd.errors import FrameError, printable
from nightherd.files import legible, write_json
from nightherd.models import DEFAULT_MODEL
from nightherd.workflows import survey as survey_workflow
from survey_flights import HotSpots, write_flight

onnx_toys = pytest.importorskip("onnx_toys")

posix = pytest.mark.skipif(os.name != "posix", reason="Windows has no such files")
COMMANDS = [[verb] for verb in VERBS] + [["data", c] for c in ("get", "inspect", "convert", "split", "simulate")]


@pytest.fixture
def model(tmp_path: Path) -> str:
    return str(onnx_toys.write_toy(tmp_path))


@pytest.fixture
def hot_spots(monkeypatch: pytest.MonkeyPatch) -> HotSpots:
    detector = HotSpots()
    monkeypatch.setattr(survey_workflow, "load_detector", lambda model=None, threshold=None: detector)
    return detector


def picture(path: Path) -> Path:
    """A grey picture that reads as a thermal frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.arange(64 * 96, dtype=np.uint8).reshape(64, 96)).save(path, "JPEG")
    return path


def the_error(capsys: pytest.CaptureFixture[str]) -> str:
    """The one error line; standard output must be empty."""
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Traceback" not in printed.err
    [line] = [line for line in printed.err.splitlines() if line.startswith("error: ")]
    return line


@pytest.mark.parametrize("command", [[], *COMMANDS], ids=" ".join)
def test_help_fits_80_columns_and_leaves_no_sentence_half(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run([*command, "--help"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert "..." not in text.partition("Commands:")[2]
    assert "│" not in text


@pytest.mark.parametrize(
    ("command", "default"),
    [
        (["survey"], DEFAULT_MODEL),
        (["detect"], "nightherd-results/NAME/detections.json"),
        (["detect"], "the model's own, one a class"),
        (["evaluate"], "best F1, one a class"),
        (["export"], "RUN/NAME.onnx"),
    ],
)
def test_help_tells_defaults_that_are_worked_out(
    command: list[str], default: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command, "--help"]) == 0
    assert f"[default:({default})".replace(" ", "") in "".join(capsys.readouterr().out.split())


def test_what_the_system_refuses_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_dir", refused)
    assert run(["detect", str(tmp_path / "closed" / "x.jpg")]) == 1
    assert "x.jpg: Permission denied" in the_error(capsys)


def test_a_folder_that_cannot_be_listed_is_not_called_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(path: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refused)
    assert run(["detect", str(tmp_path)]) == 1
    assert "cannot be read: Permission denied" in the_error(capsys)


@posix
@pytest.mark.parametrize("command", [["data", "get", "--json"], ["--help"]], ids=["json", "help"])
def test_a_reader_that_has_left_is_no_error(command: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "nightherd", *command], stdout=write, stderr=subprocess.PIPE, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


@posix
def test_closed_outputs_are_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["nightherd", "data", "get", "--json"])
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with pytest.raises(SystemExit) as stopped:
        app.main()
    assert stopped.value.code == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_full_disk_behind_standard_output_is_one_line() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "nightherd", "--version"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: the disk is full") and done.stderr.count(b"\n") == 1


def test_names_cannot_command_the_terminal_or_break_the_line() -> None:
    assert printable("deer 鹿 🦌 é\u0301") == "deer 鹿 🦌 é\u0301"
    assert printable("a\nb\x1b[31m\udcff\u202e") == r"a\nb\x1b[31m\udcff\u202e"
    assert str(FrameError("is\nno image", Path("a\nb.jpg"))) == r"a\nb.jpg: is no image"


@posix
def test_names_of_any_bytes_come_through(
    tmp_path: Path, model: str, hot_spots: HotSpots, capsys: pytest.CaptureFixture[str]
) -> None:
    flight = write_flight(tmp_path / "flight", frames=2)
    names = [b"new\nline\x1b[31m.JPG", b"no\xfftext.JPG"]
    for path, name in zip(sorted(flight.iterdir()), names, strict=True):
        try:
            path.rename(os.fsdecode(os.fsencode(flight) + b"/" + name))
        except OSError:
            pytest.skip("this file system takes no such names")
    assert run(["survey", str(flight), "--out", str(tmp_path / "out")]) == 0
    assert json.loads((tmp_path / "out" / "summary.json").read_bytes())["frames"] == 2
    capsys.readouterr()
    assert run(["detect", str(flight), "--model", model, "--out", str(tmp_path / "d.json"), "--draw",
                str(tmp_path / "drawn"), "--json"]) == 0  # fmt: skip
    assert json.loads(capsys.readouterr().out)["images"] == 2
    assert len(list((tmp_path / "drawn").glob("*.jpg"))) == 2
    assert legible(os.fsdecode(names[1])) == r"no\xfftext.JPG"
    write_json(tmp_path / "name.json", os.fsdecode(names[1]))
    assert json.loads((tmp_path / "name.json").read_bytes()) == os.fsdecode(names[1])


@posix
def test_pipes_links_in_circles_and_folders_with_names_of_images_are_passed_over(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = picture(tmp_path / "in" / "frame.jpg").parent
    os.mkfifo(folder / "pipe.jpg")
    (folder / "self.jpg").symlink_to("self.jpg")
    (folder / "loop").symlink_to(folder)
    (folder / "folder.jpg").mkdir()
    assert run(["detect", str(folder), "--model", model, "--out", str(tmp_path / "d.json"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 1
    assert run(["detect", str(folder / "pipe.jpg"), "--model", model]) == 1
    assert "neither a file nor a folder" in the_error(capsys)


@pytest.mark.parametrize("inside", ["", "sub"])
def test_a_file_where_results_should_go_is_named(
    inside: str, tmp_path: Path, model: str, hot_spots: HotSpots, capsys: pytest.CaptureFixture[str]
) -> None:
    flight = write_flight(tmp_path / "flight", frames=1)
    frame = next(flight.iterdir())
    before = frame.read_bytes()
    coco_folder(tmp_path / "set")
    out = str(frame / inside)
    for command in (
        ["survey", str(flight), "--out", out],
        ["detect", str(flight), "--model", model, "--out", str(frame / inside / "d.json")],
        ["data", "inspect", str(tmp_path / "set"), "--out", out],
        ["data", "convert", str(tmp_path / "set"), out, "--to", "voc"],
    ):
        assert run(command) == 1, command
        line = the_error(capsys)
        assert str(frame) in line and "is a file" in line
    assert frame.read_bytes() == before


def test_the_bundled_flight_wins_over_a_folder_of_its_name_and_says_so(
    tmp_path: Path, hot_spots: HotSpots, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_flight(tmp_path / "example", frames=1)
    hot_spots.stop_after = 0
    assert run(["survey", "example"]) == 130
    error = capsys.readouterr().err
    assert "24 thermal frames" in error and str(tmp_path / "example") in error


def test_finished_work_is_said_to_machines_too(
    tmp_path: Path, hot_spots: HotSpots, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["survey", str(write_flight(tmp_path / "f", frames=1)), "--out", str(tmp_path / "out"), "--json"]
    assert run(command) == 0
    first = capsys.readouterr().out
    assert run(command) == 0
    second = capsys.readouterr()
    assert second.out == first and "nothing was written" in second.err


def test_an_evaluation_takes_no_other_works_place(
    tmp_path: Path, hot_spots: HotSpots, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    flight = write_flight(tmp_path / "f", frames=1)
    assert run(["survey", str(flight), "--out", str(out)]) == 0
    report = (out / "report.html").read_bytes()
    coco_folder(tmp_path / "set")
    (tmp_path / "r.json").write_text("[]")
    command = ["evaluate", str(tmp_path / "r.json"), str(tmp_path / "set"), "--out", str(out), "--replicates", "0"]
    capsys.readouterr()
    assert run(command) == 1
    assert "report.html of other work" in the_error(capsys)
    assert (out / "report.html").read_bytes() == report
    assert run([*command, "--force"]) == 0
    assert (out / "progress.jsonl").exists(), "the record of the survey is not the evaluation's to remove"


def test_an_evaluation_says_which_labels_were_mended_and_leaves_missing_images_out_when_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    value = coco_record()
    value["annotations"][0]["bbox"] = [500, 500, 5, 5]
    coco_folder(tmp_path / "set", value)
    (tmp_path / "set" / "b.png").unlink()
    (tmp_path / "r.json").write_text("[]")
    command = ["evaluate", str(tmp_path / "r.json"), str(tmp_path / "set"), "--out", str(tmp_path / "out")]
    assert run([*command, "--replicates", "0"]) == 1
    line = the_error(capsys)
    assert "b.png is not there" in line and "--skip-missing" in line
    assert run([*command, "--replicates", "0", "--skip-missing"]) == 0
    assert "missing image 1, box outside its image 1" in capsys.readouterr().err


def test_a_number_is_no_results_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    coco_folder(tmp_path / "set")
    (tmp_path / "r.json").write_text("7")
    assert run(["evaluate", str(tmp_path / "r.json"), str(tmp_path / "set")]) == 1
    assert "r.json: not COCO results" in the_error(capsys)


def test_an_image_that_cannot_be_read_is_not_said_to_be_unwritable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    coco_folder(tmp_path / "set")
    real = Path.open

    def refused(path: Path, mode: str = "r", *rest: object, **more: object) -> object:
        if path.name == "b.png":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, mode, *rest, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refused)
    assert run(["data", "convert", str(tmp_path / "set"), str(tmp_path / "out"), "--to", "coco"]) == 1
    assert f"{tmp_path / 'set' / 'b.png'}: cannot be read: Permission denied" in the_error(capsys)
