"""Detections as COCO results: written, read back for a data set, and refused where they do not fit it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataset_toys import boxes_within, coco_folder
from nightherd.datasets.coco import read_coco
from nightherd.datasets.results import read_results, result_rows, write_results
from nightherd.datasets.types import Dataset
from nightherd.errors import ResultsError
from nightherd.types import Detections


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return read_coco(coco_folder(tmp_path / "set"))


def results(folder: Path, *rows: dict[str, Any] | Any) -> Path:
    path = folder / "results.json"
    path.write_text(json.dumps(list(rows)))
    return path


ROW: dict[str, Any] = {"image_id": 1, "category_id": 7, "bbox": [2, 3, 4, 5], "score": 0.5}


def test_every_image_has_detections_highest_score_first(tmp_path: Path, dataset: Dataset) -> None:
    found = read_results(results(tmp_path, ROW, ROW | {"score": 0.9, "category_id": 3}), dataset)
    assert set(found) == {1, 2}
    assert found[1].boxes.tolist() == [[2, 3, 6, 8], [2, 3, 6, 8]]
    assert found[1].scores.tolist() == pytest.approx([0.9, 0.5])
    assert found[1].labels.tolist() == [0, 1]
    assert found[1].classes == ("deer", "boar")
    assert len(found[2]) == 0


def test_an_empty_list_is_no_detections(tmp_path: Path, dataset: Dataset) -> None:
    assert [len(d) for d in read_results(results(tmp_path), dataset).values()] == [0, 0]


def test_rows_are_found_by_file_name_where_ids_are_not_the_data_sets(tmp_path: Path, dataset: Dataset) -> None:
    row = ROW | {"image_id": 1, "file_name": "flight/b.png", "category": "deer", "category_id": 1}
    found = read_results(results(tmp_path, row), dataset)
    assert (len(found[1]), len(found[2])) == (0, 1)
    assert found[2].labels.tolist() == [0]


def test_names_of_classes_can_be_mapped(tmp_path: Path, dataset: Dataset) -> None:
    row = ROW | {"category": "Rotwild"}
    with pytest.raises(ResultsError, match=r"class 'Rotwild'.*--map"):
        read_results(results(tmp_path, row), dataset)
    found = read_results(results(tmp_path, row), dataset, {"Rotwild": "deer"})
    assert found[1].labels.tolist() == [0]


def test_ids_as_text_or_fractions_are_the_same_ids(tmp_path: Path, dataset: Dataset) -> None:
    found = read_results(results(tmp_path, ROW | {"image_id": "1"}, ROW | {"image_id": 2.0}), dataset)
    assert [len(d) for d in found.values()] == [1, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": 99}, "image_id 99, which is not among the 2 images"),
        ({"image_id": None}, "image_id None"),
        ({"image_id": 1, "file_name": "c.png"}, "'c.png', which is not among"),
        ({"category_id": 1}, r"category_id 1, which set does not have \(it has 3 deer, 7 boar\)"),
        ({"category_id": None}, "category_id None"),
        ({"score": float("nan")}, "score nan"),
        ({"score": 1.5}, "score 1.5"),
        ({"score": "high"}, "score 'high'"),
        ({"score": True}, "score True"),
        ({"bbox": [1, 2, 3]}, "four numbers"),
        ({"bbox": [1, 2, 3, float("inf")]}, "four numbers"),
        ({"bbox": [1, 2, -3, 4]}, "negative width"),
        ({"bbox": [1, 2, 3, 10**400]}, "four numbers"),
    ],
)
def test_rows_that_do_not_fit_are_refused_with_their_number(
    tmp_path: Path, dataset: Dataset, change: dict[str, Any], message: str
) -> None:
    path = results(tmp_path, ROW, ROW | change)
    with pytest.raises(ResultsError, match=f"row 2 .*{message}") as caught:
        read_results(path, dataset)
    assert caught.value.path == path


@pytest.mark.parametrize("text", ["", "{}", "5", "[1]", '{"annotations": 5}'])
def test_files_that_are_no_results_are_refused(tmp_path: Path, dataset: Dataset, text: str) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(ResultsError):
        read_results(tmp_path / "r.json", dataset)


def test_corners_in_place_of_widths_are_seen(tmp_path: Path, dataset: Dataset) -> None:
    rows = [ROW | {"bbox": [x, 20, x + 6, 28]} for x in (5, 30, 40, 50)]
    with pytest.raises(ResultsError, match=r"x1, y1, x2, y2.*x, y, width, height"):
        read_results(results(tmp_path, *rows), dataset)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_honest_boxes_are_never_taken_for_corners(tmp_path: Path, dataset: Dataset, data: st.DataObject) -> None:
    boxes = data.draw(boxes_within(64, 48))
    rows = [ROW | {"bbox": [x1, y1, x2 - x1, y2 - y1]} for x1, y1, x2, y2 in boxes.astype(float).tolist()]
    assert len(read_results(results(tmp_path, *rows), dataset)[1]) == len(rows)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_written_results_read_back(tmp_path: Path, dataset: Dataset, data: st.DataObject) -> None:
    boxes = data.draw(boxes_within(64, 48))
    n = len(boxes)
    scores = np.sort(np.array(data.draw(st.lists(st.floats(0, 1, width=32), min_size=n, max_size=n)), np.float32))[::-1]
    labels = np.array(data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)), np.int64)
    before = Detections(boxes, scores, labels, dataset.classes)
    write_results(tmp_path / "r.json", result_rows(2, before, dataset.category_ids, "b.png"))
    for known in (dataset, replace(dataset, category_ids=())):
        after = read_results(tmp_path / "r.json", known)[2]
        assert np.allclose(after.boxes, boxes, atol=2e-3)
        assert np.allclose(after.scores, scores, atol=1e-6)
        assert sorted(after.labels.tolist()) == sorted(labels.tolist())


def test_pycocotools_takes_what_is_written(tmp_path: Path, dataset: Dataset) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    detections = Detections(
        np.array([[1, 2, 5, 8]], np.float32), np.array([0.75], np.float32), np.array([1]), dataset.classes
    )
    write_results(tmp_path / "r.json", result_rows(1, detections, dataset.category_ids))
    oracle = coco.COCO(str(tmp_path / "set" / "annotations.json"))
    oracle.dataset.setdefault("info", {})
    loaded = oracle.loadRes(str(tmp_path / "r.json"))
    assert loaded.anns[1]["bbox"] == [1, 2, 4, 6]
    assert loaded.anns[1]["category_id"] == 7
