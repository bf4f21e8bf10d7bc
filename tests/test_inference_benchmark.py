"""The speed comparison runs with our model and a peer, and prints figures for both."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

onnx_toys = pytest.importorskip("onnx_toys")
SCRIPT = Path(__file__).parent.parent / "benchmarks" / "inference.py"


def test_each_contender_gets_its_milliseconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = onnx_toys.write_toy(tmp_path)
    peer = onnx_toys.write_toy(tmp_path, "peer.onnx")
    arguments = ["--model", str(model), "--peer", f"other={peer}", "--rounds", "2", "--threads", "1", "--json"]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    printed = json.loads(capsys.readouterr().out)
    assert list(printed["ms"]) == ["toy, network", "toy, predictor", "other"]
    assert all(ms > 0 for ms in printed["ms"].values())
    assert (printed["ratio_to"], printed["shape"]) == ("other", [512, 640])


def test_a_peer_that_is_not_there_is_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = onnx_toys.write_toy(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--model", str(model), "--peer", "YOLO11n"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert caught.value.code == 2
    assert "NAME=FILE" in capsys.readouterr().err
