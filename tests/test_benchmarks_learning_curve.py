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
from nightherd.errors import ConfigError, DatasetError
from nightherd.training.settings import training_settings


def row(
    frames: int, start: str, ap50: float, seed: int = 0, freeze: str = "stem", images: int = 3200
) -> dict[str, object]:
    points = [
        {
            "images": images // 4 * (i + 1),
            "ap50": ap50 * share,
            "ap50_by_class": dict.fromkeys(learning_curve.CLASSES, ap50),
        }
        for i, share in enumerate((0.5, 0.7, 0.9, 1.0))
    ]
    return {"frames": frames, "start": start, "freeze": freeze, "images": images, "seed": seed, "points": points}


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


def test_frames_of_another_data_set_are_refused(tmp_path: Path) -> None:
    folder = learning_curve.subset(many(tmp_path / "data", 12), 3, tmp_path / "3")
    with pytest.raises(DatasetError, match="was not made from these frames of toy; choose another --out"):
        learning_curve.subset(many(tmp_path / "other", 12, seed=1), 3, folder)


def test_the_settings_are_valid_whatever_is_frozen() -> None:
    for freeze in learning_curve.FREEZE.values():
        training_settings({**learning_curve.SETTINGS, "freeze": freeze})


def test_weights_are_named_by_themselves_or_by_a_name_of_their_own() -> None:
    starts = learning_curve.starts_of(["imagenet", "nightherd-small", "simulated=runs/sim"])
    assert starts == {"imagenet": None, "nightherd-small": "nightherd-small", "simulated": "runs/sim"}


@pytest.mark.parametrize("given", [["imagenet=runs/sim"], ["a=runs/one", "a=runs/two"], ["one/run", "two/run"]])
def test_a_name_stands_for_one_start(given: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"the preset's own weights; choose another|two starts are called (a|run)"):
        learning_curve.starts_of(given)


def test_a_line_of_the_plot_is_of_one_start_freeze_and_number_of_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.axes import Axes

    labels: list[str] = []
    legend = Axes.legend

    def watched(axes: Axes, **options: object) -> object:
        labels.extend(axes.get_legend_handles_labels()[1])
        return legend(axes, **options)

    monkeypatch.setattr(Axes, "legend", watched)
    rows = [row(50, "a", 0.4), row(50, "a", 0.6, images=6400), row(50, "a", 0.5, freeze="body")]
    learning_curve.plot(rows, tmp_path / "curve.png")
    assert labels == ["from a, 3,200 images", "from a, 6,400 images", "from a, backbone frozen, 3,200 images"]


def test_the_table_shows_mean_and_spread_and_the_way_there() -> None:
    text = learning_curve.table([row(50, "imagenet", 0.4), row(50, "imagenet", 0.5, 1), row(200, "imagenet", 0.6)])
    assert "| 50 | imagenet | stem | 3,200 | 2 | 0.450 ± 0.071 |" in text
    assert "| 0.225, 0.315, 0.405 |" in text and "| 200 | imagenet | stem | 3,200 | 1 | 0.600 |" in text


def test_the_plot_is_a_picture(tmp_path: Path) -> None:
    learning_curve.plot([row(50, "a", 0.4), row(200, "a", 0.6), row(200, "a", 0.5, freeze="body")], tmp_path / "c.png")
    assert Image.open(tmp_path / "c.png").width > 600
