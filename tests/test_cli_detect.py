"""`nightherd detect`: from images to COCO results and pictures, through bad files, interruptions and other work."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from nightherd.cli.app import run
from nightherd.errors import ResultsError
from nightherd.inference.predictor import Predictor
from nightherd.types import Detections, FloatArray
from nightherd.workflows.detect import default_results, run_detect
from nightherd.workflows.drawing import draw_detections
from nightherd.workflows.images import find_images
from nightherd.workflows.pictures import picture_comment

onnx_toys = pytest.importorskip("onnx_toys")


def celsius(seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).uniform(19, 21, (64, 96)).astype(np.float32)


def write_frame(path: Path, hot: tuple[int, int] | None = (20, 30), seed: int = 0) -> Path:
    """A thermal TIFF in °C; one pixel (row, column) is as hot as an animal."""
    pixels = celsius(seed)
    if hot is not None:
        pixels[hot] = 45
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, pixels)
    return path


@pytest.fixture
def model(tmp_path: Path) -> str:
    return str(onnx_toys.write_toy(tmp_path))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five frames, the animal of frame n in row and column 10 n."""
    for number in range(1, 6):
        write_frame(tmp_path / "night" / f"frame_{number}.tif", (10 * number, 10 * number), number)
    return tmp_path / "night"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "results" / "found.json"


def rows(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_results_are_coco_results_with_names(folder: Path, model: str, out: Path) -> None:
    assert run(["detect", str(folder), "--model", model, "--out", str(out)]) == 0
    found = rows(out)
    assert [row["image_id"] for row in found] == [1, 2, 3, 4, 5]
    assert found[1] == {
        "image_id": 2,
        "file_name": "frame_2.tif",
        "category_id": 2,
        "category": "person",
        "bbox": [14.5, 14.5, 12.0, 12.0],
        "score": pytest.approx(0.9, abs=0.1),
    }


def test_people_read_what_was_found_and_where_it_is(
    folder: Path, model: str, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_frame(folder / "frame_6.tif", hot=None)
    assert run(["detect", str(folder), "--model", model, "--out", str(out)]) == 0
    text = capsys.readouterr().out
    for words in (
        "frame_2.tif: 1 person",
        "frame_6.tif: nothing",
        "6 images",
        "toy found 0 animal, 5 person",
        str(out),
    ):
        assert words in text


def test_machines_read_one_json_value(folder: Path, model: str, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    assert run(["detect", str(folder), "--model", model, "--out", str(out), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["results"] == str(out)
    assert summary["categories"] == [{"id": 1, "name": "animal"}, {"id": 2, "name": "person"}]
    assert summary["detections"] == 5
    assert summary["detections_by_class"] == {"animal": 0, "person": 5}
    assert summary["images"] == 6
    assert list(summary["images_failed"]) == ["broken.jpg"]
    assert summary["was_finished"] is False


def test_a_threshold_holds_for_every_class(folder: Path, model: str, out: Path) -> None:
    assert run(["detect", str(folder), "--model", model, "--out", str(out), "--threshold", "1"]) == 0
    assert rows(out) == []


def test_results_go_where_people_look_without_out(folder: Path, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert run(["detect", "night", "--model", model]) == 0
    assert len(rows(folder.parent / "nightherd-results" / "night" / "detections.json")) == 5
    assert run(["detect", "night/frame_1.tif", "--model", model]) == 0
    assert len(rows(folder.parent / "nightherd-results" / "frame_1" / "detections.json")) == 1


def test_the_folder_itself_names_the_results(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert default_results([Path()]) == Path("nightherd-results/night/detections.json")
    assert default_results([Path("frame_1.tif"), Path("frame_2.tif")]).parent.name == "night"


def test_a_broken_image_is_said_and_skipped_over(
    folder: Path, model: str, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (folder / "frame_3.tif").read_bytes()
    (folder / "frame_3.tif").write_bytes(whole[: len(whole) // 2])
    assert run(["detect", str(folder), "--model", model, "--out", str(out)]) == 0
    captured = capsys.readouterr()
    assert "frame_3.tif" in captured.err
    assert "Traceback" not in captured.err
    assert "1 could not be read" in captured.out
    assert [row["image_id"] for row in rows(out)] == [1, 2, 4, 5]
    (folder / "frame_3.tif").write_bytes(whole)
    assert run(["detect", str(folder), "--model", model, "--out", str(out)]) == 0
    assert [row["image_id"] for row in rows(out)] == [1, 2, 3, 4, 5]


def test_only_broken_images_are_an_error(
    tmp_path: Path, model: str, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.jpg", "b.png"):
        (tmp_path / name).write_bytes(b"no picture")
    assert run(["detect", str(tmp_path / "a.jpg"), str(tmp_path / "b.png"), "--model", model, "--out", str(out)]) == 1
    assert "not one of 2 images could be read" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["gone.tif"], 1, "no such file or folder"),
        (["empty"], 1, "no images here"),
        (["night", "--model", "nonesuch"], 1, "bundled:"),
        (["night", "--model", "weights.pt"], 1, "pickles are refused"),
        (["night", "--threshold", "2"], 2, "threshold"),
        (["night", "--out", "empty"], 1, "is a folder"),
        (["night", "--draw", "weights.pt"], 1, "is a file"),
        (["night", "--draw", "night", "--nonsense"], 2, "nonsense"),
    ],
)
def test_what_is_wrong_is_one_line_and_an_exit_code(
    folder: Path,
    model: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    monkeypatch.chdir(folder.parent)
    (folder.parent / "empty").mkdir()
    (folder.parent / "weights.pt").write_bytes(b"x")
    model_given = [] if "--model" in arguments else ["--model", model]
    assert run(["detect", *arguments, *model_given]) == code
    error = capsys.readouterr().err
    assert words in error
    if code == 1:
        assert error.count("\n") == 1


def interrupt_at(monkeypatch: pytest.MonkeyPatch, count: int) -> list[int]:
    """Ctrl-C while frame `count` is looked at; returns a list that grows by one a frame."""
    seen: list[int] = []
    real = Predictor.predict

    def predict(self: Predictor, pixels: FloatArray, *, scale: float = 1.0) -> Detections:
        seen.append(len(seen))
        if len(seen) == count:
            raise KeyboardInterrupt
        return real(self, pixels, scale=scale)

    monkeypatch.setattr(Predictor, "predict", predict)
    return seen


def test_ctrl_c_half_way_keeps_what_was_done_and_the_next_run_goes_on(
    folder: Path, model: str, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_one_go = tmp_path / "one" / "found.json"
    assert run(["detect", str(folder), "--model", model, "--out", str(in_one_go)]) == 0
    command = ["detect", str(folder), "--model", model, "--out", str(out), "--draw", str(tmp_path / "pictures")]
    with monkeypatch.context() as patched:
        interrupt_at(patched, 3)
        assert run(command) == 130
    assert not out.exists()
    with monkeypatch.context() as patched:
        seen = interrupt_at(patched, 99)
        assert run(command) == 0
        assert len(seen) == 3
    assert out.read_bytes() == in_one_go.read_bytes()
    assert len(list((tmp_path / "pictures").glob("*.jpg"))) == 5


def test_finished_work_is_said_and_not_done_again(
    folder: Path, model: str, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["detect", str(folder), "--model", model, "--out", str(out)]
    assert run(command) == 0
    written = out.stat().st_mtime_ns
    seen = interrupt_at(monkeypatch, 99)
    capsys.readouterr()
    assert run(command) == 0
    assert "earlier run had done all" in capsys.readouterr().out
    assert (seen, out.stat().st_mtime_ns) == ([], written)
    assert run([*command, "--force"]) == 0
    assert len(seen) == 5


def test_a_new_image_in_the_folder_is_all_that_is_looked_at(
    folder: Path, model: str, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["detect", str(folder), "--model", model, "--out", str(out)]
    assert run(command) == 0
    write_frame(folder / "frame_0.tif")
    os.utime(folder / "frame_4.tif", ns=(1, 1))
    seen = interrupt_at(monkeypatch, 99)
    assert run(command) == 0
    assert len(seen) == 2
    assert [row["file_name"] for row in rows(out)] == [f"frame_{n}.tif" for n in range(6)]


def test_other_work_is_never_overwritten_without_force(
    folder: Path, model: str, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["detect", str(folder), "--model", model, "--out", str(out)]
    out.parent.mkdir()
    out.write_text("my own", encoding="utf-8")
    assert run(command) == 1
    assert out.read_text(encoding="utf-8") == "my own"
    assert run([*command, "--force"]) == 0
    assert run([*command, "--threshold", "0.3"]) == 1
    assert "another threshold" in capsys.readouterr().err
    assert run(["detect", str(folder / "frame_1.tif"), "--model", model, "--out", str(out)]) == 1
    edited = out.read_text(encoding="utf-8").replace("person", "deer")
    out.write_text(edited, encoding="utf-8")
    assert run(command) == 1
    assert "was changed" in capsys.readouterr().err
    assert out.read_text(encoding="utf-8") == edited
    assert run([*command, "--force", "--threshold", "0.3"]) == 0


def test_images_are_never_overwritten_even_with_force(tmp_path: Path, model: str) -> None:
    Image.fromarray(np.zeros((64, 96), np.uint8)).save(tmp_path / "frame.jpg")
    before = (tmp_path / "frame.jpg").read_bytes()
    with pytest.raises(ResultsError, match="is one of the images"):
        run_detect([tmp_path / "frame.jpg"], model=model, out=tmp_path / "x.json", draw=tmp_path, force=True)
    with pytest.raises(ResultsError, match="is one of the images"):
        run_detect([tmp_path / "frame.jpg"], model=model, out=tmp_path / "frame.jpg", force=True)
    assert (tmp_path / "frame.jpg").read_bytes() == before


def test_pictures_of_another_run_are_never_overwritten_without_force(
    folder: Path, model: str, out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = tmp_path / "pictures"
    other = ["detect", str(folder), "--model", model, "--draw", str(pictures), "--out"]
    assert run([*other, str(out)]) == 0
    changed = [*other, str(tmp_path / "second.json"), "--threshold", "0.3"]
    assert run(changed) == 1
    assert "is of another run" in capsys.readouterr().err
    assert run([*changed, "--force"]) == 0


def test_a_picture_that_is_lost_is_drawn_again_without_detecting(
    folder: Path, model: str, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["detect", str(folder), "--model", model, "--out", str(out), "--draw", str(tmp_path / "pictures")]
    assert run(command) == 0
    (tmp_path / "pictures" / "frame_2.jpg").unlink()
    seen = interrupt_at(monkeypatch, 99)
    assert run(command) == 0
    assert seen == []
    assert (picture_comment(tmp_path / "pictures" / "frame_2.jpg") or "").startswith("nightherd detect")


def test_pictures_in_the_folder_of_images_are_not_looked_at_by_the_next_run(
    folder: Path, model: str, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["detect", str(folder), "--model", model, "--out", str(out), "--draw", str(folder / "pictures")]
    assert run(command) == 0
    assert run(command) == 0
    assert run(command[:-2]) == 0
    assert len(rows(out)) == 5
    assert run([*command[:-1], str(folder), "--force"]) == 1
    assert "holds the images" in capsys.readouterr().err


def test_visual_twins_hidden_files_and_earlier_results_are_left_out(tmp_path: Path) -> None:
    for name in (
        "a/DJI_0001_T.JPG", "a/DJI_0001_W.JPG", "a/DJI_0001_V.JPG", "b/other_W.jpg", "b/notes.txt", "b/x.PNG",
        "b/.hidden.jpg", ".cache/x.jpg", "nightherd-results/x.jpg", "a/x.tiff",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    images, left_out = find_images([tmp_path])
    assert [image.file_name for image in images] == ["a/DJI_0001_T.JPG", "a/x.tiff", "b/other_W.jpg", "b/x.PNG"]
    assert left_out == 2
    (named,), _ = find_images([tmp_path / "a" / "DJI_0001_W.JPG"])
    assert named.file_name == "DJI_0001_W.JPG"


def test_an_image_that_is_named_twice_is_looked_at_once(folder: Path) -> None:
    images, _ = find_images([folder, folder / "frame_1.tif", folder / ".." / "night" / "frame_2.tif"])
    assert [image.file_name for image in images] == [f"frame_{n}.tif" for n in range(1, 6)]


def test_images_that_differ_in_their_suffix_alone_have_pictures_of_their_own(
    tmp_path: Path, model: str, out: Path
) -> None:
    write_frame(tmp_path / "in" / "frame.tif")
    Image.fromarray(np.arange(96 * 64, dtype=np.uint8).reshape(64, 96)).save(tmp_path / "in" / "frame.png")
    run_detect([tmp_path / "in"], model=model, out=out, draw=tmp_path / "pictures")
    assert sorted(path.name for path in (tmp_path / "pictures").glob("*.*g")) == ["frame_png.jpg", "frame_tif.jpg"]


def test_a_full_disk_is_one_line_and_the_next_run_goes_on(
    folder: Path, model: str, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["detect", str(folder), "--model", model, "--out", str(out)]
    with monkeypatch.context() as patched:

        def full(source: object, target: object) -> None:
            raise OSError(28, "No space left on device")

        patched.setattr(Path, "replace", full)
        assert run(command) == 1
    error = capsys.readouterr().err
    assert "the disk is full" in error and error.count("\n") == 1
    assert run(command) == 0


def test_a_picture_shows_each_box_in_the_colour_of_its_class_and_counts_them() -> None:
    boxes = np.array([[10, 10, 20, 20], [60, 30, 80, 50]], np.float32)
    found = Detections(boxes, np.array([0.9, 0.8], np.float32), np.array([0, 1]), ("animal", "person"))
    with_boxes = np.asarray(draw_detections(celsius(), found, "frame.tif"))
    zoom = with_boxes.shape[1] // 96
    assert with_boxes.shape[1] == 96 * zoom and with_boxes.shape[0] > 64 * zoom
    for colour in ((255, 176, 0), (86, 180, 233)):
        assert (with_boxes[: 64 * zoom] == colour).all(axis=2).any()
    middle = with_boxes[15 * zoom, 15 * zoom]
    assert middle.max() - middle.min() == 0


def test_a_picture_of_a_crowd_or_of_nothing_can_be_drawn() -> None:
    rng = np.random.default_rng(0)
    corner = rng.uniform(-2, 90, (300, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(0.1, 30, (300, 2))], axis=1).astype(np.float32)
    crowd = Detections(boxes, np.linspace(1, 0, 300).astype(np.float32), rng.integers(0, 9, 300), tuple("abcdefghi"))
    for pixels in (celsius(), np.full((64, 96), np.nan, np.float32), np.zeros((1, 1), np.float32)):
        for found in (crowd, Detections(classes=("animal",))):
            assert draw_detections(pixels, found, "long name " * 40).mode == "RGB"


def test_real_frames_of_every_kind_are_looked_at(nightherd_data: Path, model: str, out: Path) -> None:
    result = run_detect([nightherd_data / name for name in ("deer", "bambi", "radiometric")], model=model, out=out)
    assert len(result.detections) == 18
    assert not result.failures


def test_black_hot_pictures_are_turned_when_told(tmp_path: Path, model: str, out: Path) -> None:
    pixels = np.random.default_rng(0).integers(148, 152, (64, 96)).astype(np.uint8)
    pixels[20, 30] = 5
    (tmp_path / "pictures").mkdir()
    Image.fromarray(pixels).save(tmp_path / "pictures" / "dark.png")
    assert run(["detect", str(tmp_path / "pictures"), "--model", model, "--out", str(out)]) == 0
    assert rows(out) == []
    turned = ["--polarity", "black-hot", "--force"]
    assert run(["detect", str(tmp_path / "pictures"), "--model", model, "--out", str(out), *turned]) == 0
    x, y, width, height = rows(out)[0]["bbox"]
    assert x <= 30 < x + width and y <= 20 < y + height
    assert run(["detect", str(tmp_path / "pictures"), "--model", model, "--polarity", "green"]) == 2
