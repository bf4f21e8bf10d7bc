"""Animals painted onto real frames: where they may stand, what they look like there, and that the truth says so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from nightherd.cli.app import build
from nightherd.datasets import open_dataset
from nightherd.datasets.simulate.painted import PaintSettings, paint
from nightherd.datasets.types import Dataset, LabelledImage
from nightherd.errors import DatasetError, ResultsError
from nightherd.workflows.paint import write_painted

NONE = np.zeros((0, 4), np.float32)
ALWAYS = PaintSettings(empty=0.0, hidden=0.0, contrast=(6.0, 10.0))


def ground(seed: int = 0, level: float = 90.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(level, 4.0, (256, 320)).astype(np.float32)


def test_what_is_painted_is_warm_inside_its_boxes_and_nothing_changes_outside_them() -> None:
    painted_any = 0
    for seed in range(8):
        before = ground(seed)
        after = paint(before, NONE, ALWAYS, (seed,), 255.0)
        changed = np.abs(after.pixels - before) > 6
        for truth in after.truth:
            painted_any += 1
            x1, y1, x2, y2 = (round(v) for v in truth.box)
            if truth.visibility > 0.2:
                assert after.pixels[y1:y2, x1:x2].max() > before.mean() + 15
            assert truth.contrast > 0
            changed[max(0, y1 - 1) : y2 + 1, max(0, x1 - 1) : x2 + 1] = False
        assert not changed.any()
        assert after.pixels.max() <= 255
    assert painted_any > 10


def test_nothing_is_painted_over_what_is_labelled_or_where_a_frame_has_no_value() -> None:
    taken = np.array([[0, 0, 320, 160]], np.float32)
    holes = ground(1)
    holes[200:, :] = np.nan
    for seed in range(12):
        after = paint(holes, taken, ALWAYS, (seed,))
        assert np.array_equal(after.pixels[:160], holes[:160])
        assert np.isnan(after.pixels[200:]).mean() > 0.999


def test_the_same_seed_paints_the_same_and_flat_frames_are_no_fault() -> None:
    one, two = (paint(ground(), NONE, ALWAYS, (4, 2)) for _ in range(2))
    np.testing.assert_array_equal(one.pixels, two.pixels)
    assert one.truth == two.truth
    assert paint(np.full((64, 64), np.nan, np.float32), NONE, ALWAYS, (0,)).truth == ()
    assert np.isfinite(paint(np.zeros((64, 64), np.float32), NONE, ALWAYS, (0,)).pixels).all()


@pytest.fixture
def empty_flight(tmp_path: Path) -> Path:
    folder = tmp_path / "empty"
    folder.mkdir()
    images = []
    for i in range(3):
        Image.fromarray(ground(i).astype(np.uint8)).save(folder / f"{i}.png")
        images.append(
            {"id": i, "file_name": f"{i}.png", "width": 320, "height": 256, "split": "val" if i == 2 else "train"}
        )
    labels = {
        "images": images,
        "annotations": [
            {"id": 1, "image_id": 0, "category_id": 7, "bbox": [10, 10, 20, 30], "area": 600, "iscrowd": 0}
        ],
        "categories": [{"id": 7, "name": "Person"}],
    }
    (folder / "annotations.json").write_text(json.dumps(labels), encoding="utf-8")
    return folder


def test_a_painted_data_set_opens_keeps_labels_and_never_uses_validation_frames(empty_flight: Path) -> None:
    out = empty_flight.parent / "painted"
    arguments = ["data", "simulate", "--onto", str(empty_flight), "--map", "Person=person", "--frames", "6"]
    result = CliRunner().invoke(build(), [*arguments, "--seed", "3", "--out", str(out), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["new"]
    dataset = open_dataset(str(out))
    assert dataset.classes == ("animal", "person")
    assert len(dataset) == 6
    assert not any("_2.png" in image.file_name for image in dataset.images)
    people = [image.boxes[image.labels == 1] for image in dataset.images if "_0.png" in image.file_name]
    assert len(people) == 3
    for boxes in people:
        np.testing.assert_allclose(boxes, [[10, 10, 30, 40]])
    assert (
        json.loads(CliRunner().invoke(build(), [*arguments, "--seed", "3", "--out", str(out), "--json"]).stdout)["new"]
        is False
    )
    with pytest.raises(ResultsError, match="another simulation"):
        write_painted(str(empty_flight), 6, 4, out)


def test_frames_with_labelled_animals_or_only_held_out_ones_are_refused(tmp_path: Path) -> None:
    box = np.array([[1, 1, 9, 9]], np.float32)
    image = LabelledImage(1, "a.png", tmp_path / "a.png", 32, 32, box, np.zeros(1, np.int64))
    with pytest.raises(DatasetError, match="labelled animals"):
        write_painted(Dataset("deer", ("Deer",), (image,)), 1, 0, tmp_path / "o", mapping={"Deer": "animal"})
    held = LabelledImage(1, "a.png", tmp_path / "a.png", 32, 32, split="test")
    with pytest.raises(DatasetError, match="val and test"):
        write_painted(Dataset("empty", (), (held,)), 1, 0, tmp_path / "o")


def test_a_folder_without_labels_counts_as_empty_frames(tmp_path: Path) -> None:
    flight = tmp_path / "bare-meadow"
    flight.mkdir()
    for number in range(3):
        grey = np.random.default_rng(number).normal(90, 6, (128, 160)).clip(0, 255).astype(np.uint8)
        Image.fromarray(grey).save(flight / f"{number}.png")
    out = tmp_path / "painted"
    write_painted(str(flight), 4, 1, out)
    painted = open_dataset(str(out))
    assert len(painted) == 4 and painted.classes == ("animal",) and painted.n_boxes
    with pytest.raises(DatasetError):
        write_painted(str(tmp_path / "nowhere"), 4, 1, tmp_path / "other")
