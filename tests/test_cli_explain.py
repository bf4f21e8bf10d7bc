"""The explain command line on a toy model that only ONNX Runtime can run, and on a small detector with gradients."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from evaluation_scenes import make_dataset
from nightherd.cli.app import run
from nightherd.workflows import explain, explain_model

pytest.importorskip("onnx", reason="making toy models needs the onnx package of the train extra")

from onnx_toys import write_toy

SIDE = 12


def make_data(folder: Path) -> Path:
    """Four frames of 96 × 96: a warm spot labelled Rotwild, one that is not labelled, a label on bare ground."""
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for number in range(4):
        generator = np.random.default_rng(number)
        pixels = generator.normal(60, 2, (96, 96))
        for x, y in ((20, 20), (70, 60 + number)):
            pixels[y : y + SIDE, x : x + SIDE] = 90
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / "images" / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": 96, "height": 96})
        for x, y in ((20, 20), (20, 70)):
            annotations.append(
                {"id": len(annotations) + 1, "image_id": number, "category_id": 1, "bbox": [x, y, SIDE, SIDE],
                 "area": SIDE * SIDE, "iscrowd": 0}
            )  # fmt: skip
    labels = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "Rotwild"}]}
    (folder / "annotations.json").write_text(json.dumps(labels))
    return folder


@pytest.fixture
def no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain_model, "has_torch", lambda: False)


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return write_toy(tmp_path, classes=["animal", "person"])


def command(toy: Path, data: Path, out: Path, *more: str) -> list[str]:
    joined = ["--map", "Rotwild=animal,person=animal"]
    return [
        "explain",
        str(toy),
        "--data",
        str(data),
        *joined,
        "--masks",
        "12",
        "--limit",
        "3",
        "--out",
        str(out),
        *more,
    ]


def test_explains_what_was_found_missed_and_falsely_found_by_a_black_box(
    tmp_path: Path, toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = make_data(tmp_path / "data"), tmp_path / "out"
    assert run(command(toy, data, out, "--frames", "2", "--json")) == 0
    printed = capsys.readouterr()
    index: dict[str, Any] = json.loads(printed.out)
    assert "using drise" in printed.err and "without the description" in printed.err
    assert index["settings"]["methods"] == ["drise"] and index["settings"]["frames"] == 2
    assert index["counts"]["miss"] >= 2 and index["counts"]["false alarm"] >= 2
    assert sum(index["explained"].values()) == len(index["objects"]) == 6
    for one in index["objects"]:
        assert set(one["methods"]["drise"]) == {"energy", "gain", "pointing"}
        with Image.open(out / one["picture"]) as picture:
            assert picture.width > 500
        assert (one["labelled_bbox"] if one["kind"] == "miss" else one["bbox"]) is not None
    assert json.loads((out / "explanations.json").read_text()) == {
        key: value for key, value in index.items() if key not in ("out", "was_finished")
    }
    assert sorted(path.name for path in out.iterdir()) == [
        "explanations.json",
        "mistakes.png",
        "objects",
        "report.html",
    ]


def test_goes_on_after_an_interruption_and_says_when_it_is_finished(
    tmp_path: Path, toy: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, no_torch: None
) -> None:
    data, out = make_data(tmp_path / "data"), tmp_path / "out"
    real, calls = explain._Run.explain_frame, []

    def interrupted(self: Any, frame: Any, *rest: Any, **more: Any) -> Any:
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(frame.name)
        return real(self, frame, *rest, **more)

    monkeypatch.setattr(explain._Run, "explain_frame", interrupted)
    line = command(toy, data, out, "--method", "drise")
    assert run(line) == 130
    assert (out / "run.json").exists() and not (out / "explanations.json").exists()
    monkeypatch.setattr(explain._Run, "explain_frame", lambda *a, **k: calls.append("again") or real(*a, **k))
    assert run(line) == 0
    assert len(calls) == 4 and "2 of 4 frames were done before" in capsys.readouterr().err
    first = (out / "explanations.json").read_bytes()
    assert run(line) == 0
    assert "finished before, nothing to do" in capsys.readouterr().out
    assert len(calls) == 4 and (out / "explanations.json").read_bytes() == first
    assert run([*line, "--limit", "1"]) == 1
    assert "holds another explanation (limit)" in capsys.readouterr().err
    before = len(list((out / "objects").iterdir()))
    assert run([*line, "--limit", "1", "--force"]) == 0
    assert len(list((out / "objects").iterdir())) == 4 < before


def test_images_alone_need_no_labels_and_one_that_cannot_be_read_is_named(
    tmp_path: Path, toy: Path, capsys: pytest.CaptureFixture[str], no_torch: None
) -> None:
    data, out = make_data(tmp_path / "data"), tmp_path / "out"
    (data / "images" / "9.png").write_bytes(b"no picture")
    line = ["explain", str(toy), str(data / "images"), "--masks", "5", "--limit", "2", "--out", str(out), "--score"]
    assert run(line) == 0
    printed = capsys.readouterr()
    assert "4 frames: " in printed.out and "detection" in printed.out and "drise on " in printed.out
    assert "skipped: " in printed.err and "9.png" in printed.err
    assert not (out / "mistakes.png").exists()
    index = json.loads((out / "explanations.json").read_text())
    [row] = index["faithfulness"]
    assert row["n"] == len(index["objects"]) and set(row["intervals"]) <= {
        "deletion", "insertion", "pointing", "energy", "gain"}  # fmt: skip
    assert index["randomisation"] == []


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["{toy}"], 1, "give images, or a data set with --data"),
        (["no-such-model", "{images}"], 1, "no bundled model and no file"),
        (["{toy}", "none.png"], 1, "no such file or folder"),
        (["{toy}", "{images}", "--data", "{other}"], 1, "no class in common"),
        (["{toy}", "{images}", "--data", "{other}", "--map", "Rotwild=animal"], 1, "not one of these images is in"),
        (["{toy}", "{images}", "--map", "a=b"], 1, "give them with --data"),
        (["{toy}", "{images}", "--method", "cam"], 1, "no saliency method 'cam'"),
        (["{toy}", "{images}", "--method", "odam"], 1, "without the description"),
        (["{toy}", "--data", "{images}/..", "--split", "night"], 1, "no split 'night'"),
        (["{toy}", "{images}", "--limit", "0"], 2, "--limit"),
        ([], 2, ""),
    ],
)
def test_input_at_fault_is_one_line_and_exit_1_and_wrong_usage_is_2(
    tmp_path: Path, toy: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    data, other = make_data(tmp_path / "data"), make_dataset(tmp_path / "other")
    filled = [one.format(toy=toy, images=data / "images", other=other) for one in arguments]
    out = ["--out", str(tmp_path / "out")] if arguments else []
    assert run(["explain", *filled, *out]) == code
    printed = capfd.readouterr()
    assert message in printed.err and "Traceback" not in printed.err
    if code == 1:
        assert len(printed.err.strip().splitlines()) == 1 and printed.out == ""


def test_without_torch_the_default_is_the_black_box_and_gradients_say_what_to_install(
    tmp_path: Path, toy: Path, capsys: pytest.CaptureFixture[str], no_torch: None
) -> None:
    image = str(make_data(tmp_path / "data") / "images" / "0.png")
    line = ["explain", str(toy), image, "--masks", "3", "--out", str(tmp_path / "out")]
    assert run([*line, "--method", "gradient"]) == 1
    assert "pip install 'nightherd[train]'" in capsys.readouterr().err
    assert run(line) == 0
    assert "using drise, which is slow: odam is faster and needs pip install" in capsys.readouterr().err


def test_other_work_in_the_folder_is_left_alone(
    tmp_path: Path, toy: Path, capsys: pytest.CaptureFixture[str], no_torch: None
) -> None:
    image, out = str(make_data(tmp_path / "data") / "images" / "0.png"), tmp_path / "out"
    (out / "objects").mkdir(parents=True)
    mine = out / "objects" / "mine.png"
    mine.write_bytes(b"mine")
    line = ["explain", str(toy), image, "--masks", "3", "--out", str(out)]
    assert run(line) == 1
    assert "holds objects of other work" in capsys.readouterr().err
    assert run([*line, "--force"]) == 0
    assert run([*line, "--force"]) == 0
    assert mine.exists()
