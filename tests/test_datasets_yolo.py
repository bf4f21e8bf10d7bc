"""YOLO labels: the layouts people have, broken lines, and what is written reads back."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from dataset_toys import datasets, picture, same_boxes
from nightherd.datasets.mending import count_problems
from nightherd.datasets.yolo import read_yolo, write_yolo, yolo_names
from nightherd.errors import DatasetError


def yolo_folder(root: Path, line: str = "1 0.5 0.5 0.25 0.5\n", config: dict[str, object] | None = None) -> Path:
    """A YOLO set of one training and one validation image, 64 x 48."""
    for split in ("train", "val"):
        picture(root / "images" / split / f"{split}.png")
        (root / "labels" / split).mkdir(parents=True)
        (root / "labels" / split / f"{split}.txt").write_text(line, encoding="utf-8")
    chosen = config or {"path": ".", "train": "images/train", "val": "images/val", "names": ["deer", "boar"]}
    (root / "data.yaml").write_text(yaml.safe_dump(chosen), encoding="utf-8")
    return root


def test_a_folder_with_data_yaml_reads(tmp_path: Path) -> None:
    dataset = read_yolo(yolo_folder(tmp_path))
    assert dataset.classes == ("deer", "boar")
    assert [(image.split, image.file_name) for image in dataset.images] == [
        ("train", "images/train/train.png"),
        ("val", "images/val/val.png"),
    ]
    assert dataset.images[0].boxes.tolist() == [[24, 12, 40, 36]]
    assert dataset.images[0].labels.tolist() == [1]


def test_one_split_alone_is_read(tmp_path: Path) -> None:
    root = yolo_folder(tmp_path)
    (root / "labels" / "train" / "train.txt").write_text("broken", encoding="utf-8")
    assert [image.split for image in read_yolo(root, split="val").images] == ["val"]
    with pytest.raises(DatasetError, match="no split 'test' here \\(its splits: train, val\\)"):
        read_yolo(root, split="test")


def test_names_may_be_numbered(tmp_path: Path) -> None:
    config = {"train": "images/train", "val": "images/val", "names": {1: "boar", 0: "deer"}}
    assert read_yolo(yolo_folder(tmp_path, config=config)).classes == ("deer", "boar")


def test_roboflow_writes_paths_one_folder_too_high(tmp_path: Path) -> None:
    picture(tmp_path / "train" / "images" / "a.png")
    picture(tmp_path / "valid" / "images" / "b.png")
    (tmp_path / "data.yaml").write_text("train: ../train/images\nval: ../valid/images\nnames: [deer]\n")
    assert [image.split for image in read_yolo(tmp_path).images] == ["train", "val"]


def test_folders_without_data_yaml_read_with_classes_beside(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 0.5 0.5")
    assert read_yolo(tmp_path).classes == ("0",)
    (tmp_path / "labels" / "classes.txt").write_text("red deer\n\n")
    dataset = read_yolo(tmp_path)
    assert (dataset.classes, dataset.images[0].split) == (("red deer",), None)


def test_an_image_without_labels_is_empty_and_no_problem(tmp_path: Path) -> None:
    root = yolo_folder(tmp_path)
    (root / "labels" / "train" / "train.txt").unlink()
    dataset = read_yolo(root)
    assert (len(dataset.images[0].boxes), dataset.problems) == (0, ())


def test_labels_without_an_image_are_named(tmp_path: Path) -> None:
    root = yolo_folder(tmp_path)
    (root / "labels" / "train" / "lost.txt").write_text("")
    with pytest.raises(DatasetError, match=r"lost\.txt: there is no image .*--skip-missing"):
        read_yolo(root)
    assert count_problems(read_yolo(root, missing="skip").problems) == {"missing image": 1}


def test_a_polygon_becomes_the_box_around_it(tmp_path: Path) -> None:
    dataset = read_yolo(yolo_folder(tmp_path, "0 0.25 0.25 0.5 0.25 0.5 0.75\n"))
    assert dataset.images[0].boxes.tolist() == [[16, 12, 32, 36]]


@pytest.mark.parametrize(
    ("line", "kind", "regions"),
    [
        ("7 0.5 0.5 0.25 0.5", "unknown category", 1),
        ("0 0.5 0.5 0 0.5", "box without area", 0),
        ("0 nan 0.5 0.1 0.5", "not a number in a box", 0),
        ("0 1.0 0.5 0.5 0.5", "box over the edge", 0),
        ("0 0.5 0.5 0.5 0.5 0.93", "confidence in a label", 0),
    ],
)
def test_broken_boxes_are_mended_or_left_out_and_counted(tmp_path: Path, line: str, kind: str, regions: int) -> None:
    dataset = read_yolo(yolo_folder(tmp_path, line))
    assert count_problems(dataset.problems) == {kind: 2}
    assert [len(image.ignore) for image in dataset.images] == [regions, regions]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("deer 0.5 0.5 0.1 0.1", "class cx cy width height"),
        ("0 0.5 0.5", "class cx cy width height"),
        ("0.5 0.5 0.5 0.1 0.1", "class cx cy width height"),
        ("0 320 240 50 60", "pixels, it seems"),
        ("0 0.1 0.1 0.1 0.1 0.1 0.1 0.1", "has 8 values"),
    ],
)
def test_lines_that_cannot_be_mended_are_refused_with_their_number(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(DatasetError, match=f"line 1 .*{message}"):
        read_yolo(yolo_folder(tmp_path, line))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"train": "images/train"}, "needs names"),
        ({"names": ["a"]}, "no images under train or val"),
        ({"train": "images/train", "names": ["a", "a"]}, "twice"),
        ({"train": "images/train", "names": {0: "a", 2: "b"}}, "without a gap"),
        ({"train": "images/nowhere", "names": ["a"]}, "not there"),
        ({"train": "../../etc", "names": ["a"]}, "inside the data set"),
        ({"train": "/etc", "names": ["a"]}, "inside the data set"),
        ({"path": "/etc", "train": "images/train", "names": ["a"]}, "outside the folder"),
        ({"train": 5, "names": ["a"]}, "must be a name"),
    ],
)
def test_a_data_yaml_that_does_not_fit_is_refused(tmp_path: Path, config: dict[str, object], message: str) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        read_yolo(yolo_folder(tmp_path, config=config))
    assert "data.yaml" in str(caught.value)


def test_yaml_cannot_run_anything(tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text("names: !!python/object/apply:os.system ['touch /tmp/owned']\ntrain: images\n")
    with pytest.raises(DatasetError, match="not YAML"):
        read_yolo(tmp_path)


def test_a_broken_image_without_a_readable_header_is_named(tmp_path: Path) -> None:
    root = yolo_folder(tmp_path)
    (root / "images" / "val" / "val.png").write_bytes(b"\x89PNG")
    with pytest.raises(DatasetError, match=r"val\.png: its size cannot be read"):
        read_yolo(root)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(dataset=datasets())
def test_a_written_data_set_reads_back_the_same(tmp_path_factory: pytest.TempPathFactory, dataset) -> None:  # type: ignore[no-untyped-def]
    root = tmp_path_factory.mktemp("yolo")
    write_yolo(dataset, root)
    for image, name in zip(dataset.images, yolo_names(dataset), strict=True):
        picture(root / name, image.width, image.height)
    back = read_yolo(root)
    assert (back.classes, back.problems) == (dataset.classes, ())
    after = {Path(image.file_name).name: image for image in back.images}
    for before in dataset.images:
        assert same_boxes(before, after[before.file_name], 1e-3)
        assert after[before.file_name].split == (before.split or "train")
