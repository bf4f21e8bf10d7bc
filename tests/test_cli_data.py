"""`nightherd data`: what it prints, where it writes, its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dataset_toys import coco_folder, coco_record, many, picture
from nightherd.cli.app import run
from nightherd.datasets import open_dataset
from nightherd.datasets.coco import write_coco


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A COCO set of 24 images in 6 flights, with the working directory beside it."""
    dataset = many(tmp_path / "set", 24, flights=6)
    write_coco(dataset, tmp_path / "set" / "annotations.json")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "set"


def test_inspect_prints_a_table_and_writes_a_picture(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "inspect", str(folder)]) == 0
    printed = capsys.readouterr()
    for text in ("images", "24", "deer", "boar", "√area", "near-duplicates among 24 images", "no problems"):
        assert text in printed.out
    written = Path("nightherd-results") / "set"
    assert (written / "inspect.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((written / "inspect.json").read_text())["splits"]["all"]["images"] == 24
    assert "inspect.png" in printed.err


def test_inspect_shows_problems_and_speaks_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    value = coco_record()
    value["annotations"][0]["bbox"] = [60, 40, 30, 30]
    coco_folder(tmp_path / "set", value)
    assert run(["data", "inspect", "set", "--out", "out"]) == 0
    assert "1 x box over the edge: a.png, annotation 1: clipped to 64 x 48" in capsys.readouterr().out
    assert run(["data", "inspect", "set", "--out", "out", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["problems"] == {"box over the edge": 1}
    assert printed["picture"].endswith("inspect.png")


def test_inspect_of_labels_alone_needs_no_images(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for image in folder.rglob("*.png"):
        image.unlink()
    assert run(["data", "inspect", str(folder), "--labels-only"]) == 0
    assert "near-duplicates" not in capsys.readouterr().out
    assert run(["data", "inspect", str(folder)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "0000.png is not there" in error and "--skip-missing" in error


def test_inspect_does_not_write_over_another_sets(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    coco_folder(folder.parent / "other")
    assert run(["data", "inspect", str(folder), "--out", "out"]) == 0
    assert run(["data", "inspect", str(folder), "--out", "out"]) == 0
    assert run(["data", "inspect", "other", "--out", "out"]) == 1
    assert "--force" in capsys.readouterr().err
    assert run(["data", "inspect", "other", "--out", "out", "--force"]) == 0


def test_convert_writes_and_says_what_is_lost(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "convert", str(folder), "yolo-set", "--to", "yolo"]) == 0
    printed = capsys.readouterr()
    assert "24 images" in printed.out
    assert "lost: what is known of each image (flight)" in printed.err
    assert open_dataset(Path("yolo-set")).n_boxes == open_dataset(folder).n_boxes
    assert run(["data", "convert", str(folder), "yolo-set", "--to", "yolo"]) == 0
    assert "already there" in capsys.readouterr().err
    assert run(["data", "convert", str(folder), "voc-set", "--to", "voc", "--images", "link", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 24


def test_convert_never_mends_in_silence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "images" / "0003.png").unlink()
    assert run(["data", "convert", str(folder), "out", "--to", "coco", "--skip-missing"]) == 0
    assert "missing image: 1" in capsys.readouterr().err


def test_split_writes_a_set_that_opens_split_by_split(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "split", str(folder), "--out", "parts", "--fractions", "0.5", "0.3", "0.2"]) == 0
    printed = capsys.readouterr().out
    assert "grouped by attribute flight" in printed
    parts = {name: open_dataset(Path("parts"), name) for name in ("train", "val", "test")}
    assert sum(len(part) for part in parts.values()) == 24
    flights = [{i.attributes["flight"] for i in part.images} for part in parts.values()]
    assert not flights[0] & flights[1] and not flights[0] & flights[2] and not flights[1] & flights[2]


def test_split_into_a_file_beside_the_images(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "split.json"
    command = ["data", "split", str(folder / "annotations.json"), "--out", str(out), "--fractions", "0.8", "0.2", "0"]
    assert run([*command, "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["images"]) == {"train", "val"}
    assert len(open_dataset(out, "val")) + len(open_dataset(out, "train")) == 24
    assert run(command) == 0
    assert "already there" in capsys.readouterr().err
    assert run([*command, "--seed", "1", "--group-by", "none"]) == 1
    assert "--force" in capsys.readouterr().err
    assert run(["data", "split", str(folder / "annotations.json"), "--out", "elsewhere/split.json"]) == 1
    assert "does not lie below" in capsys.readouterr().err


def test_get_lists_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "get"]) == 0
    assert "hit-uav" in capsys.readouterr().out
    assert run(["data", "get", "--json"]) == 0
    assert {entry["name"] for entry in json.loads(capsys.readouterr().out)} >= {"hit-uav", "bambi", "birdsai"}


def test_get_finds_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("NIGHTHERD_DATA", str(tmp_path))
    coco_folder(tmp_path / "hit-uav")
    assert run(["data", "get", "hit-uav"]) == 0
    printed = capsys.readouterr()
    assert str(tmp_path / "hit-uav") in printed.out
    assert "CC-BY-4.0" in printed.out
    assert "already there" in printed.err


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["data", "inspect", "nowhere"], 1),
        (["data", "get", "elephants"], 1),
        (["data", "convert", "nowhere", "out", "--to", "coco"], 1),
        (["data", "convert", "set", "out", "--to", "pascal"], 2),
        (["data", "convert", "set", "out", "--to", "coco", "--images", "move"], 2),
        (["data", "convert", "set", "out"], 2),
        (["data", "split", "set"], 2),
        (["data", "split", "set", "--out", "o", "--fractions", "a", "b", "c"], 2),
        (["data", "split", "set", "--out", "o", "--fractions", "0", "1", "1"], 1),
        (["data", "split", "set", "--out", "o", "--group-by", "site"], 1),
        (["data", "inspect", "set", "--split", "val"], 1),
    ],
)
def test_what_cannot_be_done_is_one_line_and_an_exit_code(
    folder: Path, capsys: pytest.CaptureFixture[str], command: list[str], code: int
) -> None:
    assert run(command) == code
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    if code == 1:
        assert printed.err.startswith("error: ") and printed.err.count("\n") == 1


def test_ctrl_c_is_130_and_the_next_run_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from nightherd.datasets import converting

    def interrupted(*_: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(converting, "write_json", interrupted)
        assert run(["data", "convert", str(folder), "out", "--to", "coco"]) == 130
    assert "run the same command again" in capsys.readouterr().err
    assert run(["data", "convert", str(folder), "out", "--to", "coco"]) == 0


def test_holiday_photos_are_no_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture(tmp_path / "photos" / "beach.png")
    assert run(["data", "inspect", str(tmp_path / "photos")]) == 1
    assert "no labels found" in capsys.readouterr().err
