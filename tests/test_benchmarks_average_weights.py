"""The mean of weights: tensors by share, and the head's rows by class, not by place."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import average_weights
from average_weights import mean
from nightherd.training.start import BOXES, SCORES


def weights(level: float, n: int) -> dict[str, torch.Tensor]:
    """A layer of one level, a counter, and rows of the head that say which class they are of."""
    rows = torch.arange(n + 1.0) + level
    return {
        "layer": torch.full((2,), float(level)),
        "seen": torch.tensor(7),
        SCORES + "bias": rows,
        BOXES + "bias": rows.repeat_interleave(4),
    }


def run_folder(folder: Path, tensors: dict[str, torch.Tensor], classes: list[str]) -> Path:
    """What `average_weights.py` reads of a run."""
    folder.mkdir()
    save_file(tensors, folder / "best.safetensors")
    config = {"run": {"settings": {}, "classes": classes}}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def average(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["average_weights.py", *map(str, arguments)])
    average_weights.main()


def test_the_mean_is_a_run_of_the_first_ones_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a = run_folder(tmp_path / "a", weights(0, 2), ["animal", "person"])
    b = run_folder(tmp_path / "b", weights(10, 1), ["Person"])
    average(monkeypatch, f"1={a}", f"1={b}", "--map", "Person=person", "--out", tmp_path / "mean")
    assert (tmp_path / "mean" / "config.json").read_bytes() == (a / "config.json").read_bytes()
    assert load_file(tmp_path / "mean" / "best.safetensors")["layer"].tolist() == [5, 5]


def test_a_folder_that_holds_something_is_not_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a = run_folder(tmp_path / "a", weights(0, 2), ["animal", "person"])
    before = (a / "best.safetensors").read_bytes()
    with pytest.raises(SystemExit, match=r"error: .*a: is there already; choose another --out"):
        average(monkeypatch, f"1={a}", "--out", a)
    assert (a / "best.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"layer": torch.zeros(3)}, r"layer has the shape \(3,\), not \(2,\)"),
        ({"more": torch.zeros(1)}, "more is in one only"),
        ({SCORES + "bias": torch.zeros(2)}, r".*cls_score\.bias has the shape \(2,\), not \(3,\)"),
    ],
)
def test_weights_of_another_model_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: dict[str, torch.Tensor], message: str
) -> None:
    a = run_folder(tmp_path / "a", weights(0, 2), ["animal", "person"])
    b = run_folder(tmp_path / "b", {**weights(0, 2), **other}, ["animal", "person"])
    with pytest.raises(SystemExit, match=f"error: .*b.*holds weights of another model than the first run: {message}"):
        average(monkeypatch, f"1={a}", f"1={b}", "--out", tmp_path / "mean")
    assert not (tmp_path / "mean").exists()


@pytest.mark.parametrize("given", ["runs/four", "0=runs/four", "half=runs/four", "0.5="])
def test_a_share_is_a_number_above_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    with pytest.raises(SystemExit, match="give SHARE=RUN"):
        average(monkeypatch, given, "--out", tmp_path / "mean")


def test_rows_are_averaged_by_class_and_those_that_only_the_first_knows_stay() -> None:
    both = mean([(1, weights(0, 3), ["animal", "person", "vehicle"]), (3, weights(100, 2), ["vehicle", "person"])])
    assert both["layer"].tolist() == [75, 75] and both["seen"] == 7
    # background 0 and 100; animal stays 1; person 2 and 102; vehicle 3 and 101
    expected = [75, 1, 0.25 * 2 + 0.75 * 102, 0.25 * 3 + 0.75 * 101]
    assert both[SCORES + "bias"].tolist() == pytest.approx(expected)
    assert both[BOXES + "bias"].reshape(4, 4)[:, 3].tolist() == pytest.approx(expected)
