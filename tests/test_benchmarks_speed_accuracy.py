"""Speed against accuracy: what is timed is what is measured, and what cannot be measured is refused before it is."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import speed_accuracy
from dataset_toys import many
from nightherd.datasets.converting import convert
from nightherd.errors import ConfigError
from nightherd.inference.predictor import Predictor
from onnx_toys import write_toy
from speed_accuracy import Variant


def test_without_a_box_of_a_known_class_nothing_is_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = many(tmp_path / "frames", 3, seed=5)
    convert(data.subset(replace(image, split="val") for image in data.images), tmp_path / "set", "coco")
    model = write_toy(tmp_path)
    monkeypatch.setattr(speed_accuracy, "metrics_on", lambda *_: pytest.fail("frames were evaluated"))
    monkeypatch.setattr(sys, "argv", ["speed_accuracy.py", str(model), "--data", str(tmp_path / "set")])
    with pytest.raises(SystemExit, match=r"error: no box of .* \(deer, boar\) .* \(animal, person\); give --map deer="):
        speed_accuracy.main()
    with pytest.raises(ConfigError, match="give --map deer=animal"):
        speed_accuracy.measured([Variant("a", model)], data, {}, 1)


def test_contenders_have_names_of_their_own(tmp_path: Path) -> None:
    model, data = write_toy(tmp_path), many(tmp_path / "frames", 2)
    with pytest.raises(ConfigError, match=r"two contenders are called scale 0\.5"):
        speed_accuracy.measured([Variant("scale 0.5", model, 0.5)] * 2, data, {"deer": "animal"}, 1)


def test_all_tiles_of_a_frame_that_is_cut_are_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = many(tmp_path / "frames", 6, seed=5)
    model = write_toy(tmp_path, tile=[64, 48])
    evaluated: list[tuple[int, ...]] = []
    predict = Predictor._run

    def watched(self: Predictor, image: np.ndarray, tile: object) -> object:
        found = predict(self, image, tile)  # type: ignore[arg-type]
        evaluated.append(image.shape)
        return found

    monkeypatch.setattr(Predictor, "_run", watched)
    predictor = Predictor(model)
    frame = np.random.default_rng(0).normal(size=(48, 64)).astype(np.float32)
    for scale in (1.0, 2.0):
        evaluated.clear()
        predictor.predict(frame, scale=scale)
        tiles = speed_accuracy.tiles_of(predictor, speed_accuracy.resample(frame, scale))
        assert len(tiles) == len(evaluated)
        assert (len(tiles) > 1) == (scale > 1.3)
        assert all(side % 32 == 0 for tile in tiles for side in tile.shape)
    timed: list[int] = []
    monkeypatch.setattr(speed_accuracy, "_run_all", lambda _, tiles: timed.append(len(tiles)))
    speed_accuracy.measured([Variant("twice", model, 2.0)], data, {"deer": "animal"}, 1)
    assert set(timed) == {len(tiles)}
