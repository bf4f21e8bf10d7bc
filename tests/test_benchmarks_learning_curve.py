"""The learning curve: subsets lie within one another, weights have names, and a table and a plot show the runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("torch")

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import learning_curve
from dataset_toys import many
from nightherd.datasets import open_dataset
from nightherd.errors import ConfigError
from nightherd.training.settings import training_settings


def row(frames: int, start: str, ap50: float, seed: int = 0, freeze: str = "stem") -> dict[str, object]:
    points = [
        {"images": 800 * (i + 1), "ap50": ap50 * share, "ap50_by_class": dict.fromkeys(learning_curve.CLASSES, ap50)}
        for i, share in enumerate((0.5, 0.7, 0.9, 1.0))
    ]
    return {"frames": frames, "start": start, "freeze": freeze, "images": 3200, "seed": seed, "points": points}


def test_smaller_subsets_lie_within_larger_ones_and_are_made_once(tmp_path: Path) -> None:
    whole = many(tmp_path / "data", 12)
    few, more = (open_dataset(learning_curve.subset(whole, n, tmp_path / str(n))) for n in (3, 8))
    content = {one.name: [image.path.read_bytes() for image in one.images] for one in (few, more)}
    assert [len(one) for one in (few, more)] == [3, 8]
    assert set(content[few.name]) <= set(content[more.name])
    assert few.n_boxes < more.n_boxes <= whole.n_boxes
    before = (tmp_path / "3" / "annotations.json").stat().st_mtime_ns
    learning_curve.subset(whole, 3, tmp_path / "3")
    assert (tmp_path / "3" / "annotations.json").stat().st_mtime_ns == before
    with pytest.raises(ConfigError, match="13 frames asked for"):
        learning_curve.subset(whole, 13, tmp_path / "13")


def test_the_settings_are_valid_whatever_is_frozen() -> None:
    for freeze in learning_curve.FREEZE.values():
        training_settings({**learning_curve.SETTINGS, "freeze": freeze})


def test_weights_are_named_by_themselves_or_by_a_name_of_their_own() -> None:
    starts = learning_curve.starts_of(["imagenet", "nightherd-small", "simulated=runs/sim"])
    assert starts == {"imagenet": None, "nightherd-small": "nightherd-small", "simulated": "runs/sim"}


def test_the_table_shows_mean_and_spread_and_the_way_there() -> None:
    text = learning_curve.table([row(50, "imagenet", 0.4), row(50, "imagenet", 0.5, 1), row(200, "imagenet", 0.6)])
    assert "| 50 | imagenet | stem | 3,200 | 2 | 0.450 ± 0.071 |" in text
    assert "| 0.225, 0.315, 0.405 |" in text and "| 200 | imagenet | stem | 3,200 | 1 | 0.600 |" in text


def test_the_plot_is_a_picture(tmp_path: Path) -> None:
    learning_curve.plot([row(50, "a", 0.4), row(200, "a", 0.6), row(200, "a", 0.5, freeze="body")], tmp_path / "c.png")
    assert Image.open(tmp_path / "c.png").width > 600
