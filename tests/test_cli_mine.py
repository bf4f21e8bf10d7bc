"""`nightherd mine` from the command line: mine, train on what was mined, prove; and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")

from mining_toys import mining_set
from nightherd.cli.app import run
from onnx_toys import write_toy

TINY = [
    f"--set={setting}"
    for setting in (
        "images=4", "batch=2", "warmup_steps=1", "precision=f32", "augmentation.crop=64", "freeze=[]",
        "detector.backbone.pretrained=none", "detector.pyramid.channels=8", "detector.head.width=16",
        "detector.proposals.samples=16", "detector.head.samples=8", "detector.proposals.keep_before_nms=[20,20]",
        "detector.proposals.keep_after_nms=[20,20]",
    )
]  # fmt: skip


def test_the_whole_loop_runs_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    mining_set(tmp_path / "toy", n=3)
    # Hot pixels are what the toy model finds: deer and stones alike.
    model = str(write_toy(tmp_path))
    mine = ["mine", model, "--data", "toy", "--map", "deer=animal,person=animal", "--out", "mined"]
    assert run([*mine, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["hard_negatives"] >= 2 and record["frames_looked_at"] == 3
    assert run(mine) == 0
    assert "mined before, nothing to do" in capsys.readouterr().out

    train = ["train", "--data", "toy", *TINY]
    assert run([*train, "--out", "control"]) == 0
    assert run([*train, "--out", "with", "--hard-negatives", "mined"]) == 0
    assert "hard negatives in" in capsys.readouterr().err
    config = json.loads(Path("with/config.json").read_text(encoding="utf-8"))["run"]
    assert config["hard_negatives"] == ["mined"] and config["weights"] == pytest.approx([1.0, 1 / 3])
    weights = [Path(name, "best.safetensors").read_bytes() for name in ("control", "with")]
    assert weights[0] != weights[1]

    next(Path("mined/thumbnails").iterdir()).unlink()
    again = [*train, "--out", "with", "--hard-negatives", "mined"]
    assert run(again) == 1
    told = capsys.readouterr().err
    assert "the labels or frames of mined have changed since it began" in told and "--force" in told
    assert run([*again, "--force"]) == 0

    # A run is mined by its best weights, and stays as it was.
    assert run(["mine", "control", "--data", "toy", "--confidence", "0.01", "--limit", "3"]) == 0
    assert "frames looked at with control" in capsys.readouterr().out
    assert Path("nightherd-results/mined-control/mined.json").is_file()
    assert not list(Path("control").glob("*.onnx"))

    # The tiny runs find nothing yet, so there is no recall to compare at: that is said, not hidden.
    assert run(["mine", "control", "--against", "with", "--data", "toy", "--out", "proof"]) == 1
    assert "recall" in capsys.readouterr().err
    prove = ["mine", model, "--against", model, "--data", "toy", "--map", "deer=animal,person=animal", "--out", "same"]
    assert run([*prove, "--replicates", "20"]) == 0
    printed = capsys.readouterr()
    assert "It does not pay here" in printed.out and "at equal recall" in printed.out
    assert "not known" in printed.err
    assert run([*prove, "--replicates", "20", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["was_finished"] is True


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["toy.onnx"], "nothing to look at"),
        (["toy.onnx", "toy.onnx", "--data", "toy"], "mine one at a time"),
        (["toy.onnx", "--data", "nowhere"], "nowhere"),
        (["gone.onnx", "--data", "toy"], "no bundled model and no file"),
        (["toy", "--data", "toy"], "no training run"),
        (["toy.onnx", "--data", "toy"], "--map deer=animal"),
        (["toy.onnx", "--data", "toy", "--iou", "0.6", "0.5"], "low <= high"),
        (["toy.onnx", "--empty", "empty"], "no images here"),
        (["toy.onnx", "--against", "toy.onnx"], "give one --data"),
        (["toy.onnx", "--against", "toy.onnx", "--data", "toy", "--limit", "5"], "--limit means nothing with"),
        (["toy.onnx", "--data", "toy", "--recall", "0.5"], "--recall means nothing without"),
        (["toy.onnx", "--against", "gone.onnx", "--data", "toy"], "no bundled model and no file"),
        (["toy.onnx", "--against", "toy.onnx", "--data", "toy", "--split", "day"], "no split 'day'"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    arguments: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    mining_set(tmp_path / "toy", n=1)
    write_toy(tmp_path)
    Path("empty").mkdir()
    assert run(["mine", *arguments, "--out", "mined"]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and says in line
