"""`nightherd train` and `nightherd export` from the command line: a small run, and what is refused before it starts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from dataset_toys import coco_folder, coco_record, picture
from nightherd.cli.app import run
from nightherd.detector.export import tensors_of_onnx
from nightherd.errors import DatasetError
from nightherd.inference.predictor import Predictor
from nightherd.workflows.train import open_training_data

TINY = [
    f"--set={setting}"
    for setting in (
        "images=4", "batch=2", "warmup_steps=1", "precision=f32", "augmentation.crop=64", "freeze=[]",
        "detector.backbone.pretrained=none", "detector.pyramid.channels=8", "detector.head.width=16",
        "detector.proposals.samples=16", "detector.head.samples=8", "detector.proposals.keep_before_nms=[20,20]",
        "detector.proposals.keep_after_nms=[20,20]",
    )
]  # fmt: skip


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    return coco_folder(tmp_path / "set")


def test_a_run_is_trained_exported_and_both_say_when_they_are_done(
    tmp_path: Path, labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    command = ["train", "--data", str(labels), "--out", str(out), *TINY]
    assert run([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "steps": 2,
        "best": {"ap": None, "images": 4, "step": 2},
        "weights": str(out / "best.safetensors"),
    }
    assert run(command) == 0
    printed = capsys.readouterr().out
    assert "finished already, after 2 steps" in printed
    assert "last weights: " in printed and "not validated" in printed
    assert run([*command, "--set=seed=1"]) == 1
    assert "another training run" in capsys.readouterr().err

    export = ["export", str(out), "--json"]
    assert run(export) == 0
    assert json.loads(capsys.readouterr().out)["classes"] == ["deer", "boar"]
    assert Predictor(out / "run.onnx").classes == ("deer", "boar")
    before = (out / "run.onnx").stat().st_mtime_ns
    assert run(export) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["was_there"] is True and "already there" in printed.err
    assert run([*export, "--threshold", "0.3"]) == 1
    assert "is another model" in capsys.readouterr().err
    assert (out / "run.onnx").stat().st_mtime_ns == before
    larger = [*export, "--out", str(out / "larger.onnx"), "--enlarge"]
    assert run([*larger, "deer=1.2"]) == 0
    capsys.readouterr()
    name = "head.box_predictor.bbox_pred.bias"
    plain, grown = (tensors_of_onnx(out / f"{file}.onnx")[name] for file in ("run", "larger"))
    grew = (grown - plain).numpy().reshape(-1, 4)
    np.testing.assert_allclose(grew[1], [0, 0, 5 * np.log(1.2), 5 * np.log(1.2)], atol=1e-5)
    np.testing.assert_array_equal(grew[[0, 2]], 0)
    assert run([*larger, "deer=0"]) == 1
    assert "--enlarge deer: give a factor" in capsys.readouterr().err
    assert run([*larger, "wolf=1.2"]) == 1
    assert "no class 'wolf' to enlarge; it knows deer, boar" in capsys.readouterr().err
    assert run([*larger, "C. ibex=1.2"]) == 1
    assert "no class 'C. ibex' to enlarge" in capsys.readouterr().err
    for option, pair, says in (
        ("--enlarge", "deer", "--enlarge deer: write it as CLASS=FACTOR, for example --enlarge animal=1.15"),
        ("--class-threshold", "deer", "--class-threshold deer: write it as CLASS=SCORE"),
        ("--class-threshold", "deer=high", "--class-threshold deer=high: write it as CLASS=SCORE"),
        ("--class-threshold", "deer=2", "--class-threshold deer: give a score from 0 to 1"),
        ("--class-threshold", "Capra sp.=0.4", "thresholds for Capra sp., which this run does not know"),
    ):
        assert run([*export, option, pair]) == 1
        assert says in capsys.readouterr().err


def test_a_run_goes_by_the_labels_it_began_with(
    tmp_path: Path, labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    command = ["train", "--data", str(labels), "--out", str(out), *TINY]
    assert run(command) == 0
    value = coco_record()
    value["annotations"][0]["bbox"] = [3, 3, 10, 12]
    labels.write_text(json.dumps(value), encoding="utf-8")
    capsys.readouterr()
    assert run(command) == 1
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert f"the labels or frames of {labels} have changed since it began" in line
    assert "choose another --out, or --force" in line

    # A run of before the digests were kept is the same one still.
    for path, place in ((out / "config.json", ("run",)), (out / "state" / "state.json", ("facts", "run"))):
        whole = json.loads(path.read_text(encoding="utf-8"))
        facts = whole
        for name in place:
            facts = facts[name]
        del facts["digests"], facts["frame"]
        path.write_text(json.dumps(whole), encoding="utf-8")
    assert run(command) == 0
    assert "finished already, after 2 steps" in capsys.readouterr().out
    assert run(["export", str(out)]) == 0
    assert Predictor(out / "run.onnx").info.tile == (640, 512), "what models had before frames were recorded"
    assert "tile" not in capsys.readouterr().err


def test_a_model_takes_frames_like_those_it_was_trained_on_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    value = coco_record()
    for record, (width, height) in zip(value["images"], ((300, 700), (1000, 740)), strict=True):
        record |= {"width": width, "height": height}
        picture(tmp_path / "set" / record["file_name"], width, height)
    (tmp_path / "set" / "annotations.json").write_text(json.dumps(value), encoding="utf-8")
    out = tmp_path / "run"
    assert run(["train", "--data", str(tmp_path / "set"), "--out", str(out), *TINY]) == 0
    assert json.loads((out / "config.json").read_text(encoding="utf-8"))["run"]["frame"] == [650, 720]
    export = ["export", str(out), "--json"]
    capsys.readouterr()
    assert run(export) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["tile"] == [672, 736]
    assert "tile 672 x 736 instead of 640 x 512, after the median of the training frames" in printed.err
    assert Predictor(out / "run.onnx").info.tile == (672, 736)
    assert run([*export, "--force", "--tile", "1000x768"]) == 0
    assert json.loads(capsys.readouterr().out)["tile"] == [1024, 768]
    for wrong, says in (("64x64", "give sides from 256 to 2048"), ("4000x3000", "256 to 2048"), ("big", "1024x768")):
        assert run([*export, "--tile", wrong]) == 1
        assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--set=detector.head.assignment.positive_iou=0.4"], "negative_iou 0.5 is above positive_iou 0.4; give both"),
        (["--set=detector.head.pooled_size=[0,0]"], "detector setting head.pooled_size.0: Input should be greater"),
        (["--set=detector.backbone.name=hf-hub:someone/something"], "detector setting backbone.name"),
        (["--preset", "nope"], "no preset 'nope'"),
        (["--from", "gone.onnx"], "no such file or run"),
        (["--from", "set"], "no such file or run"),
        (["--from", "weights.pt"], "pickles are refused"),
        (["--from", "weights.safetensors"], "not a whole safetensors file"),
        (["--weight", "-1"], "above 0"),
        (["--weight", "nan"], "above 0"),
        (["--weight", "1", "--weight", "1"], "one --weight for each --data"),
        (["--config", "gone.yaml"], "cannot be read: No such file"),
        (["--config", "weights.pt"], "settings are a YAML file"),
        (["--set", "nonsense=1"], "no setting 'nonsense'; there are preset, detector, classes, images"),
        (["--set", "augmentation.nonsense=1"], "no setting 'augmentation.nonsense'"),
        (["--set=classes=[wolf]"], "nothing to learn"),
        (["--data", "nowhere"], "nowhere"),
    ],
)
def test_a_run_that_cannot_start_is_one_line_and_claims_no_folder(
    arguments: list[str],
    says: str,
    tmp_path: Path,
    labels: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("weights.pt").write_bytes(b"\x80\x04\xff")
    Path("weights.safetensors").write_bytes(b"\xff" * 40)
    assert run(["train", "--data", str(labels), "--out", "run", *TINY[:6], *arguments]) == 1
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert says in line
    assert not Path("run").exists()


def test_missing_images_are_left_out_when_asked_and_mended_labels_are_said(tmp_path: Path) -> None:
    value = coco_record()
    value["annotations"][0]["bbox"] = [60, 40, 30, 30]
    labels = str(coco_folder(tmp_path / "set", value))
    (tmp_path / "set" / "b.png").unlink()
    with pytest.raises(DatasetError, match="--skip-missing"):
        open_training_data([labels])
    opened = open_training_data([labels], missing="skip")
    assert len(opened.train[0]) == 1
    assert any("missing image 1, box over the edge 1" in note for note in opened.notes)


def test_a_run_starts_from_a_bundled_model_by_name_and_says_what_it_knows(
    tmp_path: Path, labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = [one for one in TINY if "detector." not in one] + ["--set=detector.backbone.pretrained=none"]
    command = ["train", "--data", str(labels), "--map", "animal=deer", *small, "--set=augmentation.even_classes=true"]
    first = [*command, "--from", "nightherd-small", "--out", str(tmp_path / "one"), "--set=repeat_factor=0.5"]
    assert run(first) == 0
    assert "starting from nightherd-small: deer from there; boar anew" in capsys.readouterr().err
    assert run(first) == 0
    printed = capsys.readouterr()
    assert "finished already" in printed.out and "starting from" not in printed.err
    second = [*command, "--from", str(tmp_path / "one"), "--out", str(tmp_path / "two")]
    assert run(second) == 0
    assert "starting from one: deer, boar from there" in capsys.readouterr().err
    second[second.index("--from") + 1] += "/"
    assert run(second) == 0, "the same folder spelt otherwise is the same start"
    assert run([*command, "--from", "nightherd-huge", "--out", str(tmp_path / "three")]) == 1
    assert "a bundled model (nightherd-small, hituav-small)" in capsys.readouterr().err
