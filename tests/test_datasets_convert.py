"""Conversion: any format to any other and back, images placed, losses said, interrupted work gone on with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dataset_toys import coco_folder, many, same_boxes
from nightherd.datasets import converting, open_dataset
from nightherd.datasets.converting import FORMATS, Format, convert
from nightherd.datasets.types import Dataset
from nightherd.errors import DatasetError, ResultsError


def whole_pixels(dataset: Dataset) -> Dataset:
    images = []
    for k, image in enumerate(dataset.images):
        boxes = np.stack([np.floor(image.boxes[:, :2]), np.floor(image.boxes[:, :2]) + 5], axis=1).reshape(-1, 4)
        images.append(replace(image, boxes=boxes.astype(np.float32), split=("train", "val", "test")[k % 3]))
    return dataset.subset(images)


@pytest.mark.parametrize("first", FORMATS)
@pytest.mark.parametrize("second", FORMATS)
def test_labels_survive_two_conversions(tmp_path: Path, first: Format, second: Format) -> None:
    dataset = whole_pixels(many(tmp_path / "in", 9))
    convert(dataset, tmp_path / "one", first)
    convert(open_dataset(tmp_path / "one"), tmp_path / "two", second, images="link")
    back = open_dataset(tmp_path / "two")
    after = {Path(image.file_name).name.split("_")[-1]: image for image in back.images}
    used = {c for i in dataset.images for c in i.labels.tolist()}
    assert set(back.classes) >= {dataset.classes[c] for c in used}
    for before in dataset.images:
        found = after[before.file_name]
        names = [back.classes[k] for k in found.labels]
        assert names == [dataset.classes[k] for k in before.labels]
        assert np.allclose(found.boxes, before.boxes, atol=1e-3)
        assert found.split == before.split
        assert found.path.read_bytes() == before.path.read_bytes()


def test_coco_keeps_everything(tmp_path: Path) -> None:
    dataset = many(tmp_path / "in", 5)
    full = dataset.subset(
        replace(i, individuals=np.arange(len(i.boxes)), ignore=np.array([[1, 1, 9, 9]], np.float32))
        for i in dataset.images
    )
    done = convert(full, tmp_path / "out", "coco")
    assert (done.lost, done.copied) == ((), 5)
    back = open_dataset(tmp_path / "out")
    for before, after in zip(full.images, back.images, strict=True):
        assert same_boxes(before, after, 1e-3)
        assert after.ignore.tolist() == [[1, 1, 9, 9]]
        assert dict(after.attributes) == dict(before.attributes)


def test_what_a_format_has_no_place_for_is_said(tmp_path: Path) -> None:
    dataset = many(tmp_path / "in", 3)
    full = dataset.subset(
        replace(i, individuals=np.arange(len(i.boxes)), ignore=np.array([[1, 1, 9, 9]], np.float32))
        for i in dataset.images
    )
    lost = " ".join(convert(full, tmp_path / "yolo", "yolo").lost)
    for word in ("3 regions to ignore", "which animal", "flight", "no split"):
        assert word in lost
    assert "whole pixels" in " ".join(convert(full, tmp_path / "voc", "voc").lost)


def test_linked_images_are_the_same_file_and_none_are_placed_where_not_asked(tmp_path: Path) -> None:
    dataset = many(tmp_path / "in", 3)
    linked = convert(dataset, tmp_path / "link", "coco", images="link")
    assert linked.linked + linked.copied == 3
    assert (tmp_path / "link" / "images" / "0000.png").samefile(dataset.images[0].path)
    convert(dataset, tmp_path / "none", "coco", images="none")
    assert not (tmp_path / "none" / "images").exists()


def test_finished_work_is_not_done_again_and_other_work_is_not_touched(tmp_path: Path) -> None:
    dataset = many(tmp_path / "in", 3)
    assert not convert(dataset, tmp_path / "out", "yolo").was_done
    assert convert(dataset, tmp_path / "out", "yolo").was_done
    with pytest.raises(ResultsError, match=r"other work lies here.*--force"):
        convert(dataset, tmp_path / "out", "coco")
    assert not (tmp_path / "out" / "annotations.json").exists()
    convert(dataset, tmp_path / "out", "coco", force=True)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("keep")
    with pytest.raises(ResultsError, match="other work"):
        convert(dataset, tmp_path / "notes", "coco")
    with pytest.raises(ResultsError, match="this is a file"):
        convert(dataset, tmp_path / "notes" / "mine.txt", "coco")


def test_force_replaces_images_of_the_same_name_and_size(tmp_path: Path) -> None:
    for seed in (1, 2):
        dataset = many(tmp_path / str(seed), 2, seed=seed)
        for image in dataset.images:
            image.path.write_bytes(bytes([seed]) * 100)
        convert(dataset, tmp_path / "out", "coco", force=True)
    assert {path.read_bytes() for path in (tmp_path / "out").rglob("*.png")} == {bytes([2]) * 100}


def test_an_interrupted_conversion_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = many(tmp_path / "in", 6)
    place = converting._place
    placed: list[Path] = []

    def interrupted(source: Path, target: Path, mode: converting.ImageMode, goes_on: bool) -> str:
        if len(placed) == 4:
            raise KeyboardInterrupt
        placed.append(target)
        return place(source, target, mode, goes_on)

    monkeypatch.setattr(converting, "_place", interrupted)
    with pytest.raises(KeyboardInterrupt):
        convert(dataset, tmp_path / "out", "coco")
    monkeypatch.setattr(converting, "_place", place)
    done = convert(dataset, tmp_path / "out", "coco")
    assert (done.present, done.copied) == (4, 2)
    assert len(open_dataset(tmp_path / "out")) == 6


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno
    import shutil

    def full(source: object, target: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(ResultsError, match="the disk is full"):
        convert(many(tmp_path / "in", 2), tmp_path / "out", "coco")


def test_two_images_that_would_share_labels_are_refused(tmp_path: Path) -> None:
    dataset = many(tmp_path / "in", 2)
    twins = dataset.subset(
        [replace(dataset.images[0], file_name="a.png"), replace(dataset.images[1], file_name="a.jpg")]
    )
    for to in ("yolo", "voc"):
        with pytest.raises(DatasetError, match="different names"):
            convert(twins, tmp_path / to, to)  # type: ignore[arg-type]


def test_a_set_that_names_paths_keeps_them(tmp_path: Path) -> None:
    path = coco_folder(tmp_path / "in")
    (tmp_path / "in" / "images" / "north").mkdir(parents=True)
    (tmp_path / "in" / "a.png").rename(tmp_path / "in" / "images" / "north" / "a.png")
    path.write_text(path.read_text().replace('"a.png"', '"images/north/a.png"'))
    convert(open_dataset(path), tmp_path / "out", "yolo")
    assert (tmp_path / "out" / "images" / "north" / "a.png").is_file()
    assert (tmp_path / "out" / "labels" / "north" / "a.txt").is_file()
