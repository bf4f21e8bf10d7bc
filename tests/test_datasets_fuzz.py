"""Any bytes, and any damage to good labels, are read or refused in one line: no other error, from any reader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataset_toys import coco_folder, coco_record, picture
from nightherd.datasets import open_dataset
from nightherd.datasets.coco import coco_value, read_coco
from nightherd.datasets.results import read_results
from nightherd.datasets.types import Dataset
from nightherd.datasets.voc import read_voc
from nightherd.datasets.yolo import read_yolo
from nightherd.errors import DatasetError, ResultsError

FUZZ = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ODD: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from([10**400, "../x", "nan", "1e999", "\x00", "a.png", [], {}]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=6,
)


def check(dataset: Dataset) -> None:
    """What every data set that was read at all keeps to."""
    for image in dataset.images:
        assert image.boxes.shape == (len(image.labels), 4) and image.boxes.dtype == np.float32
        for boxes in (image.boxes, image.ignore):
            assert np.isfinite(boxes).all()
            assert (boxes[:, 2:] > boxes[:, :2]).all()
            assert (boxes >= 0).all() and (boxes[:, [0, 2]] <= image.width).all()
            assert (boxes[:, [1, 3]] <= image.height).all()
        assert ((image.labels >= 0) & (image.labels < len(dataset.classes))).all()
        assert image.individuals is None or len(image.individuals) == len(image.labels)
        assert len(image.box_attributes) in (0, len(image.labels))
        assert ".." not in Path(image.file_name).parts
    assert len({image.id for image in dataset.images}) == len(dataset.images)
    json.dumps(coco_value(dataset), allow_nan=False).encode("utf-8")


def refused(error: DatasetError | ResultsError) -> None:
    assert "\n" not in str(error)
    assert str(error).isprintable() or not str(error).isascii()


@st.composite
def mutated(draw: st.DrawFn, value: Any) -> Any:
    """A JSON value with one to three of its parts replaced, removed or repeated."""
    value = json.loads(json.dumps(value))
    for _ in range(draw(st.integers(1, 3))):
        place, path = value, []
        while isinstance(place, dict | list) and place and (not path or draw(st.booleans())):
            keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
            path.append(draw(st.sampled_from(keys)))
            place = place[path[-1]]
        if not path:
            return draw(ODD)
        parent = value
        for key in path[:-1]:
            parent = parent[key]
        how = draw(st.sampled_from(["replace", "remove", "repeat"]))
        if how == "replace":
            parent[path[-1]] = draw(ODD)
        elif how == "remove":
            del parent[path[-1]]
        elif isinstance(parent, list):
            parent.append(parent[path[-1]])
    return value


@FUZZ
@given(value=mutated(coco_record()))
def test_damaged_coco(tmp_path: Path, value: Any) -> None:
    path = coco_folder(tmp_path)
    path.write_text(json.dumps(value))
    for missing in ("error", "skip", "allow"):
        try:
            check(read_coco(path, missing=missing))  # type: ignore[arg-type]
        except DatasetError as error:
            refused(error)


ROWS = [
    {"image_id": 1, "file_name": "a.png", "category_id": 7, "category": "boar", "bbox": [2, 3, 4, 5], "score": 0.5},
    {"image_id": 2, "category_id": 3, "bbox": [2, 3, 4, 5], "score": 1},
]


@FUZZ
@given(value=mutated(ROWS))
def test_damaged_results(tmp_path: Path, value: Any) -> None:
    dataset = read_coco(coco_folder(tmp_path))
    (tmp_path / "r.json").write_text(json.dumps(value))
    try:
        found = read_results(tmp_path / "r.json", dataset)
    except ResultsError as error:
        refused(error)
    else:
        assert set(found) == {1, 2}
        assert all(np.isfinite(d.boxes).all() and np.isfinite(d.scores).all() for d in found.values())


def yolo_folder(root: Path) -> Path:
    picture(root / "images" / "train" / "a.png")
    (root / "labels" / "train").mkdir(parents=True, exist_ok=True)
    (root / "labels" / "train" / "a.txt").write_text("0 0.5 0.5 0.5 0.5\n1 0.1 0.1 0.1 0.1\n")
    return root


@FUZZ
@given(value=mutated({"path": ".", "train": "images/train", "val": ["images/train"], "names": {"0": "a", "1": "b"}}))
def test_damaged_data_yaml(tmp_path: Path, value: Any) -> None:
    root = yolo_folder(tmp_path)
    (root / "data.yaml").write_text(yaml.safe_dump(value))
    try:
        check(read_yolo(root / "data.yaml"))
    except DatasetError as error:
        refused(error)


@FUZZ
@given(text=st.text(st.sampled_from("0123456789.-einfa \n\t#,"), max_size=60) | st.text(max_size=20))
def test_any_yolo_labels(tmp_path: Path, text: str) -> None:
    root = yolo_folder(tmp_path)
    (root / "data.yaml").write_text("train: images/train\nnames: [a, b]\n")
    (root / "labels" / "train" / "a.txt").write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        check(read_yolo(root))
    except DatasetError as error:
        refused(error)


VOC = (
    "<annotation><filename>a.png</filename><size><width>64</width><height>48</height></size><object><name>deer</name>"
    "<difficult>0</difficult><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>"
)
PIECES = st.sampled_from(["<object>", "</object>", "<name/>", "&amp;", "&x;", "nan", "-1", "1e400", "9" * 400, "../b"])


@FUZZ
@given(at=st.integers(0, len(VOC)), cut=st.integers(0, 40), piece=PIECES | st.text(max_size=10))
def test_damaged_voc(tmp_path: Path, at: int, cut: int, piece: str) -> None:
    picture(tmp_path / "JPEGImages" / "a.png")
    (tmp_path / "Annotations").mkdir(exist_ok=True)
    text = VOC[:at] + piece + VOC[at + cut :]
    (tmp_path / "Annotations" / "a.xml").write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        check(read_voc(tmp_path))
    except DatasetError as error:
        refused(error)


@FUZZ
@given(data=st.binary(max_size=120), name=st.sampled_from(["annotations.json", "data.yaml", "Annotations/a.xml"]))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str) -> None:
    root = tmp_path_factory.mktemp("fuzz")
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_bytes(data)
    with pytest.raises(DatasetError) as caught:
        open_dataset(root)
    refused(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nnames: [*c]\ntrain: images",
        "names: &n [*n]\ntrain: images",
        "names: 2020-13-45\ntrain: images",
        "names: !!binary 5\ntrain: images",
        "names: !!int '0x'\ntrain: images",
        "? [a]\n: b\nnames: [a]",
        "names: " + "[" * 3_000,
        "{" * 500,
        "names: [a]\ntrain: " + "../" * 200 + "etc",
    ],
)
def test_yaml_tricks(tmp_path: Path, text: str) -> None:
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(DatasetError):
        read_yolo(tmp_path)


def test_a_label_file_of_a_gigabyte_is_not_even_opened(tmp_path: Path) -> None:
    path = tmp_path / "annotations.json"
    with path.open("wb") as file:
        file.truncate(1_000_000_001)
    with pytest.raises(DatasetError, match="larger than 1000 MB"):
        read_coco(path)
