"""Evaluating a detector or a results file against a data set on disk: names, splits, resuming, what is written."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from evaluation_scenes import SIDE, by_pycocotools, make_dataset, quick_pictures  # noqa: F401
from nightherd.datasets import open_dataset
from nightherd.errors import ConfigError, DatasetError, FrameError, ResultsError
from nightherd.evaluation.coco import coco_metrics
from nightherd.evaluation.types import Truth
from nightherd.types import Detections, FloatArray
from nightherd.workflows.class_names import common_classes
from nightherd.workflows.evaluate import evaluate
from nightherd.workflows.evaluate_source import Source, dataset_digest, open_source

pytestmark = pytest.mark.usefixtures("quick_pictures")


@dataclass
class WarmSquares:
    """Finds the squares by their brightness, at the size of the frame it is given; counts its calls."""

    classes: tuple[str, ...] = ("animal", "person", "vehicle")
    name: str = "squares"
    digest: str = "0" * 64
    stop_after: int | None = None
    calls: int = field(default=0)

    def predict(self, pixels: FloatArray) -> Detections:
        if self.calls == self.stop_after:
            raise KeyboardInterrupt
        self.calls += 1
        boxes, scores, labels = [], [], []
        for low, high, name in ((180, 220, "animal"), (240, 256, "vehicle")):
            rows, columns = np.nonzero((pixels >= low) & (pixels < high))
            if len(rows):
                boxes.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
                scores.append(0.9)
                labels.append(self.classes.index(name))
        boxes.append([0, 0, 6, 6])
        scores.append(0.2)
        labels.append(self.classes.index("animal"))
        return Detections(
            np.array(boxes, np.float32), np.array(scores, np.float32), np.array(labels, np.int64), self.classes
        )


MAP = {"Rotwild": "animal", "Auto": "vehicle"}


def test_a_detector_is_run_measured_and_written(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data")
    metrics = evaluate(WarmSquares(), data, mapping=MAP, out=tmp_path / "out", replicates=20)
    assert metrics["ap50"] == pytest.approx(1)
    assert metrics["per_class"]["animal"]["threshold"] == pytest.approx(0.9)
    assert metrics["per_class"]["animal"]["precision"] == 1
    assert metrics["confusion"]["matrix"] == [[6, 0, 0], [0, 6, 0], [0, 0, 0]]
    assert metrics["confusion"]["labels"] == ["animal", "vehicle", "background"]
    assert metrics["count"] == {"mae": 0, "rmse": 0, "bias": 0}
    assert metrics["intervals"]["ap50"] == pytest.approx([1, 1])
    assert any("does not label person" in note for note in metrics["notes"])
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert {**written, "out": str(tmp_path / "out"), "was_finished": False} == metrics
    rows = list(csv.reader((tmp_path / "out" / "confusion.csv").read_text().splitlines()))
    assert rows[1] == ["animal", "6", "0", "0"]
    names = sorted(path.name for path in (tmp_path / "out").iterdir() if path.suffix in (".png", ".csv"))
    figures = ["calibration.png", "confidence.png", "confusion.png", "curves.png", "error_types.png"]
    assert names == sorted([*figures, "confusion.csv", "curves.csv"]), "the images differ in nothing: no slices"
    page = (tmp_path / "out" / "report.html").read_text()
    assert "http" not in page.replace("http-equiv", "") and "<script" not in page


def test_a_models_own_thresholds_are_those_that_its_detections_count_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_dataset(tmp_path / "data")
    detector = WarmSquares()
    with pytest.raises(ConfigError, match="has no thresholds of its own; give --confidence"):
        evaluate(detector, data, mapping=MAP, own_thresholds=True, out=tmp_path / "none", replicates=0)
    assert not detector.calls and not (tmp_path / "none").exists(), "said before a frame is searched"
    with pytest.raises(ConfigError, match="exclude each other"):
        evaluate(WarmSquares(), data, mapping=MAP, own_thresholds=True, confidence=0.5, out=tmp_path / "none")

    def opened(*arguments: Any) -> Source:
        return replace(open_source(*arguments), thresholds={"animal": 0.95, "person": 0.3, "vehicle": 0.2})

    monkeypatch.setattr("nightherd.workflows.evaluate.open_source", opened)
    metrics = evaluate(WarmSquares(), data, mapping=MAP, own_thresholds=True, out=tmp_path / "own", replicates=0)
    told = {name: (one["threshold"], one["recall"]) for name, one in metrics["per_class"].items()}
    assert told == {"animal": (0.95, 0), "vehicle": (0.2, 1)}, "no animal is as sure as that"
    assert "--own-thresholds" in metrics["command"]
    joined = {"Rotwild": "thing", "Auto": "thing", "animal": "thing", "vehicle": "thing"}
    with pytest.raises(ConfigError, match="joined as thing from different scores"):
        evaluate(WarmSquares(), data, mapping=joined, own_thresholds=True, out=tmp_path / "joined", replicates=0)


def test_the_written_detections_are_results_under_the_data_sets_own_ids(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data")
    first = evaluate(WarmSquares(), data, mapping=MAP, out=tmp_path / "a", replicates=0)
    rows = json.loads((tmp_path / "a" / "detections.json").read_text())
    assert {row["image_id"] for row in rows} == {100, 101, 102, 103, 104, 105}
    assert {(row["category_id"], row["category"]) for row in rows} == {(3, "Rotwild"), (7, "Auto")}
    again = evaluate(tmp_path / "a" / "detections.json", data, mapping=MAP, out=tmp_path / "b", replicates=0)
    for part in ("ap", "ap50", "ar100", "per_class", "confusion", "count"):
        assert again[part] == first[part], part


def test_a_joined_class_is_written_as_the_first_that_it_joins(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data")
    joined = {"Rotwild": "thing", "Auto": "thing", "animal": "thing", "vehicle": "thing"}
    metrics = evaluate(WarmSquares(), data, mapping=joined, out=tmp_path / "out", replicates=0)
    assert metrics["per_class"]["thing"]["n_boxes"] == 12 and metrics["per_class"]["thing"]["recall"] == 1
    rows = json.loads((tmp_path / "out" / "detections.json").read_text())
    assert {(row["category_id"], row["category"]) for row in rows} == {(3, "Rotwild")}


def test_plain_coco_results_need_no_mapping(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data")
    truth = open_dataset(data)
    rows = [
        {"image_id": image.id, "category_id": 3, "bbox": [float(b[0]), float(b[1]), SIDE, SIDE], "score": 0.5}
        for image in truth.images
        for b in image.boxes[:1]
    ]
    (tmp_path / "r.json").write_text(json.dumps(rows))
    metrics = evaluate(tmp_path / "r.json", data, out=tmp_path / "out", replicates=0)
    assert metrics["per_class"]["Rotwild"]["ap"] == pytest.approx(1)
    assert metrics["per_class"]["Auto"]["ap"] == 0
    assert any("Auto is never predicted" in note for note in metrics["notes"])


def test_results_that_name_their_classes_are_joined_by_name(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data")
    rows = [
        {"image_id": 1, "file_name": f"{n:02}.png", "category_id": 1, "category_name": "animal", "score": 0.5,
         "bbox": [5 + n, 8, SIDE, SIDE]}
        for n in range(6)
    ]  # fmt: skip
    rows.append({**rows[0], "category_name": "person"})
    (tmp_path / "r.json").write_text(json.dumps(rows))
    with pytest.raises(DatasetError, match="no class in common"):
        evaluate(tmp_path / "r.json", data, out=tmp_path / "out", replicates=0)
    metrics = evaluate(tmp_path / "r.json", data, mapping={"Rotwild": "animal"}, out=tmp_path / "out", replicates=0)
    assert metrics["per_class"]["animal"]["ap"] == pytest.approx(1)
    assert any("does not label person" in note for note in metrics["notes"])


def test_an_interrupted_run_goes_on_and_a_finished_one_does_nothing(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data")
    options: dict[str, Any] = {"mapping": MAP, "out": tmp_path / "out", "replicates": 0}
    with pytest.raises(KeyboardInterrupt):
        evaluate(WarmSquares(stop_after=4), data, **options)
    assert not (tmp_path / "out" / "metrics.json").exists()
    rest = WarmSquares()
    notes: list[str] = []
    metrics = evaluate(rest, data, note=notes.append, **options)
    assert rest.calls == 2 and notes == ["going on: 4 of 6 images were done before"]
    assert metrics["ap50"] == pytest.approx(1)
    idle = WarmSquares()
    again = evaluate(idle, data, **options)
    assert idle.calls == 0 and again["was_finished"] and again["ap50"] == metrics["ap50"]


def test_another_evaluation_is_not_overwritten_without_force(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data")
    options: dict[str, Any] = {"mapping": MAP, "out": tmp_path / "out", "replicates": 0}
    evaluate(WarmSquares(), data, **options)
    before = (tmp_path / "out" / "metrics.json").read_bytes()
    with pytest.raises(ResultsError, match=r"another evaluation \(iou\).*--force"):
        evaluate(WarmSquares(), data, iou=0.75, **options)
    assert (tmp_path / "out" / "metrics.json").read_bytes() == before
    assert evaluate(WarmSquares(), data, iou=0.75, force=True, **options)["settings"]["iou"] == 0.75
    (tmp_path / "out" / "metrics.json").write_text("[]")
    with pytest.raises(ResultsError, match="is no evaluation"):
        evaluate(WarmSquares(), data, **options)


def test_an_image_that_cannot_be_read_is_left_out_and_said(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data")
    broken = data / "images" / "02.png"
    broken.write_bytes(broken.read_bytes()[:60])
    notes: list[str] = []
    metrics = evaluate(WarmSquares(), data, mapping=MAP, out=tmp_path / "out", replicates=0, note=notes.append)
    assert (metrics["n_images"], metrics["n_boxes"]) == (5, 10)
    assert [one["file_name"] for one in metrics["images_failed"]] == ["02.png"]
    assert len(notes) == 1 and "02.png" in notes[0]
    assert metrics["notes"][0] == "1 of 6 images could not be read and are left out."
    for image in (data / "images").iterdir():
        image.write_bytes(b"\x89PNG")
    with pytest.raises(FrameError, match="not one of the 6 images could be read"):
        evaluate(WarmSquares(), data, mapping=MAP, out=tmp_path / "other", replicates=0)


def test_boxes_found_in_a_frame_of_another_size_are_scaled_to_the_labels(tmp_path: Path) -> None:
    """Radiometric files hold fewer pixels than the picture that people label."""
    data = make_dataset(tmp_path / "data")
    for path in (data / "images").iterdir():
        with Image.open(path) as image:
            image.resize((32, 32), Image.Resampling.NEAREST).save(path)
    metrics = evaluate(WarmSquares(), data, mapping=MAP, out=tmp_path / "out", replicates=0)
    assert metrics["ap50"] == pytest.approx(1)
    for path in (data / "images").iterdir():
        with Image.open(path) as image:
            image.resize((32, 20)).save(path)
    with pytest.raises(FrameError, match="labels are for 64 x 64"):
        evaluate(WarmSquares(), data, mapping=MAP, out=tmp_path / "other", replicates=0)


def test_val_is_evaluated_where_there_are_splits_and_never_train_unasked(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data", split="val")
    (data / "annotations" / "train.json").write_text((data / "annotations" / "val.json").read_text())
    options: dict[str, Any] = {"mapping": MAP, "replicates": 0}
    assert evaluate(WarmSquares(), data, out=tmp_path / "a", **options)["settings"]["split"] == "val"
    assert evaluate(WarmSquares(), data, split="train", out=tmp_path / "b", **options)["settings"]["split"] == "train"
    (data / "annotations" / "val.json").unlink()
    with pytest.raises(DatasetError, match="--split"):
        evaluate(WarmSquares(), data, out=tmp_path / "c", **options)


def test_flights_are_resampled_where_they_are_known(tmp_path: Path) -> None:
    metrics = evaluate(
        WarmSquares(), make_dataset(tmp_path / "data", flights=True), mapping=MAP, out=tmp_path / "out", replicates=5
    )
    assert any("bootstrap over 3 flights" in note for note in metrics["notes"])


def test_no_class_in_common_shows_how_to_join_them(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data")
    with pytest.raises(
        DatasetError, match=r"labels Rotwild, Auto, the model finds animal, person.*--map Rotwild=animal"
    ):
        evaluate(WarmSquares(), data, out=tmp_path / "out")
    with pytest.raises(ConfigError, match="neither side has a class Rehwild"):
        evaluate(WarmSquares(), data, mapping={"Rehwild": "animal"}, out=tmp_path / "out")
    similar = common_classes(("person",), open_dataset(data), {"Rotwild": "Person", "person": "Person"})
    assert similar.names == ("Person",)


def test_a_data_set_without_boxes_has_no_ap_and_says_why(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data")
    labels = json.loads((data / "annotations.json").read_text())
    (data / "annotations.json").write_text(json.dumps({**labels, "annotations": []}))
    metrics = evaluate(WarmSquares(), data, mapping=MAP, out=tmp_path / "out", replicates=10)
    assert metrics["ap"] is None and metrics["reasons"]["ap"]
    assert metrics["count"]["bias"] == 2, "false alarms are counted all the same"
    assert "ap" not in metrics["intervals"] and metrics["intervals"]["count.bias"] == [2, 2]
    assert "NaN" not in (tmp_path / "out" / "metrics.json").read_text()


def test_results_for_other_images_are_refused(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data")
    (tmp_path / "r.json").write_text(json.dumps([{"image_id": 1, "category_id": 3, "bbox": [0, 0, 5, 5], "score": 1}]))
    with pytest.raises(ResultsError, match=r"r\.json.*not among the 6 images"):
        evaluate(tmp_path / "r.json", data, out=tmp_path / "out")
    with pytest.raises(ResultsError, match="no such results file"):
        evaluate(tmp_path / "none.json", data, out=tmp_path / "out")


def test_the_digest_of_a_data_set_changes_with_a_box_and_not_with_its_place(tmp_path: Path) -> None:
    one, other = (open_dataset(make_dataset(tmp_path / name / "data")) for name in ("a", "b"))
    assert dataset_digest(one) == dataset_digest(other)
    places = (replace(one.images[0], focus=np.array([[1, 2, 3, x]], np.float32)) for x in (4, 5))
    mined = [one.subset([image, *one.images[1:]]) for image in places]
    assert len({dataset_digest(data) for data in (one, *mined)}) == 3
    other.images[0].boxes[0, 0] += 1
    assert dataset_digest(one) != dataset_digest(other)


def test_a_class_name_cannot_break_the_report(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data")
    text = (data / "annotations.json").read_text().replace("Rotwild", "<script>$x_1$</script>.f1")
    (data / "annotations.json").write_text(text)
    detector = WarmSquares(classes=("animal", "vehicle"))
    name = "<script>$x_1$</script>.f1"
    metrics = evaluate(detector, data, mapping={"animal": name, "Auto": "vehicle"}, out=tmp_path / "out", replicates=3)
    assert metrics["per_class"][name]["f1"] == 1
    assert "<script" not in (tmp_path / "out" / "report.html").read_text()


def test_hit_uav_agrees_with_pycocotools_on_its_own_labels(nightherd_data: Path) -> None:
    """Boxes near the true ones, ours against the data set as we read it, the reference against the published rows."""
    folder = nightherd_data / "hit-uav"
    if not (folder / "annotations" / "val.json").is_file():
        pytest.skip("hit-uav is not under NIGHTHERD_DATA")
    data = open_dataset(folder, "val")
    generator = np.random.default_rng(0)
    found = []
    for image in data.images:
        again = generator.integers(0, max(len(image.boxes), 1), 2 * len(image.boxes))
        boxes = image.boxes[again] + generator.integers(-4, 5, (len(again), 4)).astype(np.float32)
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        scores = generator.random(len(again)).astype(np.float32)
        found.append(Detections(boxes, scores, image.labels[again], data.classes))
    truth = [Truth(image.boxes, image.labels, image.ignore) for image in data.images]
    ours = coco_metrics(truth, found, data.classes).to_dict()
    published = json.loads((folder / "annotations" / "val.json").read_text())["annotation"]
    rows: dict[Any, list[Any]] = {image.id: [] for image in data.images}
    for row in published:
        x, y, width, height = row["bbox"]
        rows[row["image_id"]].append(([x, y, x + width, y + height], row["category_id"]))
    as_published = [
        Truth(
            np.array([box for box, label in rows[image.id] if label != 4], np.float32).reshape(-1, 4),
            np.array([label for _, label in rows[image.id] if label != 4], np.int64),
            np.array([box for box, label in rows[image.id] if label == 4], np.float32).reshape(-1, 4),
        )
        for image in data.images
    ]
    expected = by_pycocotools(as_published, found, data.classes)
    assert ours["n_boxes"] == sum(len(one.labels) for one in as_published) > 2000
    for name in ("ap", "ap50", "ap75", "ar100", "ar500", "ap_small", "ap_medium", "ap_large"):
        assert ours[name] == pytest.approx(expected[name], abs=1e-6), name
    for name in data.classes:
        assert ours["per_class"][name]["ap"] == pytest.approx(expected[f"per_class.{name}.ap"], abs=1e-6)
