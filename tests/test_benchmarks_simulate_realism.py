"""Simulated frames beside real ones: sources that are not there are left out and named."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import simulate_realism
from dataset_toys import picture


def test_sources_that_are_not_there_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    picture(tmp_path / "flights" / "one" / "0001.JPG", 640, 512)
    real = simulate_realism.real_frames(tmp_path)
    assert {name: len(frames) for name, frames in real.items()} == {"m2ea-120m": 1}
    said = capsys.readouterr().err
    for name in ("bambi", "chitwan", "goats, °C", "hit-uav val"):
        assert f"{name}: no frames in {tmp_path}; left out" in said
    monkeypatch.setenv("NIGHTHERD_DATA", str(tmp_path))
    for place in ("HOME", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(place, str(tmp_path / "home"))
    picture_to = tmp_path / "side.png"
    monkeypatch.setattr(sys, "argv", ["simulate_realism.py", "--frames", "2", "--picture", str(picture_to)])
    simulate_realism.main()
    told = capsys.readouterr()
    assert "m2ea-120m" in told.out and "people, drawn by hand none" in told.out
    assert "people, drawn by hand: " in told.err
    assert picture_to.is_file()


def test_where_the_real_frames_are_must_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NIGHTHERD_DATA", raising=False)
    monkeypatch.setattr(sys, "argv", ["simulate_realism.py"])
    with pytest.raises(SystemExit, match="error: NIGHTHERD_DATA is not set"):
        simulate_realism.main()
