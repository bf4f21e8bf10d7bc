"""The bundled model explained with gradients and scored, and the maps that an evaluation shows of its worst images."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="gradients need the train extra")
pytest.importorskip("timm", reason="gradients need the train extra")

from nightherd.datasets import open_dataset
from nightherd.frames.readers import read_frame
from nightherd.report.evaluation import ReportPicture
from nightherd.workflows.evaluate import evaluate
from nightherd.workflows.explain import explain
from nightherd.workflows.explain_mistakes import with_maps
from nightherd.workflows.explain_model import Scene, explain_by_tile, open_model


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A part of the bundled flight with an animal in it, small enough to be explained in a second."""
    image = next(one for one in open_dataset("example").images if len(one.boxes))
    pixels = read_frame(image.path).pixels
    x, y = (int(edge) for edge in image.boxes[0][:2])
    left, top = np.clip(x - 96, 0, pixels.shape[1] - 224), np.clip(y - 96, 0, pixels.shape[0] - 192)
    part = pixels[top : top + 192, left : left + 224]
    low, high = np.percentile(part, (0.5, 99.9))
    path = tmp_path_factory.mktemp("frame") / "part.png"
    Image.fromarray((np.clip((part - low) / (high - low), 0, 1) * 255).astype(np.uint8)).save(path)
    return path


def test_scores_every_method_and_checks_those_that_take_gradients(picture: Path, tmp_path: Path) -> None:
    index = explain(
        "nightherd-small", [picture], methods=("odam", "eigencam"), out=tmp_path, score=True, limit=2, threshold=0.05,
        threads=1,
    )  # fmt: skip
    assert index["counts"]["detection"] >= len(index["objects"]) > 0
    assert [(row["method"], row["objects"]) for row in index["faithfulness"]] == [
        ("odam", "detections"), ("eigencam", "detections"),
    ]  # fmt: skip
    for row in index["faithfulness"]:
        assert 0 <= row["energy"] <= 1 and row["insertion"] >= 0 and row["deletion"] >= 0 and row["intervals"] == {}
    assert index["faithfulness"][0]["energy"] > index["faithfulness"][1]["energy"]
    checks = {row["method"]: row for row in index["randomisation"]}
    assert set(checks) == {"odam", "eigencam"}
    assert not checks["eigencam"]["passes"]  # a control: it knows nothing of the class
    assert checks["odam"]["stages"][0]["part"] == "head.box_predictor"
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Do the maps depend on what was learned?" in page and "insertion" in page
    assert json.loads((tmp_path / "explanations.json").read_text(encoding="utf-8"))["objects"] == index["objects"]


def test_a_large_frame_is_explained_in_the_tile_where_the_object_lies_best() -> None:
    model, names, word = open_model("nightherd-small", threads=1)
    assert names == ("odam",) and word == ""
    pixels = np.random.default_rng(0).normal(20, 1, (1024, 1280)).astype(np.float32)
    scene = Scene(pixels, model.predictor)
    box = (600.0, 480.0, 620.0, 500.0)
    tile = scene.tile_of(box)
    assert min(600 - tile.x0, 480 - tile.y0, tile.x1 - 620, tile.y1 - 500) >= 40
    target = scene.target(box, 0, tile)
    assert target.box == (600 - tile.x0, 480 - tile.y0, 620 - tile.x0, 500 - tile.y0)

    def centre(image: np.ndarray, targets: object) -> np.ndarray:
        heat = np.zeros((1, *image.shape), np.float32)
        heat[0, int(target.box[1]) + 10, int(target.box[0]) + 10] = 1
        return heat

    [(_, _, [heat])] = explain_by_tile(scene, [(box, 0)], [centre])
    whole = scene.on_frame(heat, tile)
    assert whole.shape == pixels.shape
    assert np.unravel_index(whole.argmax(), whole.shape) == (490, 610)
    half = Scene(pixels, model.predictor, scale=0.5)
    assert half.target(box, 0, half.tile_of(box)).box == (300, 240, 310, 250)
    assert half.on_frame(np.zeros(half.input_of(half.tiles[0]).shape, np.float32), half.tiles[0]).shape == pixels.shape


def test_an_evaluation_shows_what_the_model_looked_at_in_its_worst_images(picture: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "part.png").write_bytes(picture.read_bytes())
    labels = {
        "images": [{"id": 1, "file_name": "part.png", "width": 224, "height": 192}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [4, 4, 20, 20], "area": 400, "iscrowd": 0}],
        "categories": [{"id": 1, "name": "animal"}],
    }
    (folder / "annotations.json").write_text(json.dumps(labels))
    evaluate("nightherd-small", folder, out=tmp_path / "out", replicates=0, threads=1)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.count('<b class="name">part.png</b>') == 2 and "What the model looked at" in page


def test_maps_follow_the_picture_of_their_image() -> None:
    data = io.BytesIO(b"x").getvalue()
    first, second, maps = (ReportPicture(title, "", data) for title in ("a", "b", "b"))
    assert with_maps([first, second], [maps]) == [first, second, maps]
