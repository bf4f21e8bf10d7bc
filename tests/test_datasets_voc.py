"""Pascal VOC labels: pixels counted from 1 or from 0, splits, difficult objects, and what is written reads back."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from dataset_toys import datasets, picture, same_boxes
from nightherd.datasets.mending import count_problems
from nightherd.datasets.voc import read_voc, voc_name, write_voc
from nightherd.errors import DatasetError


def voc_xml(objects: str, *, name: str = "a.png", size: str = "<width>64</width><height>48</height>") -> str:
    return f"<annotation><filename>{name}</filename><size>{size}</size>{objects}</annotation>"


def voc_object(x1: object, y1: object, x2: object, y2: object, *, name: str = "deer", more: str = "") -> str:
    corners = f"<xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
    return f"<object><name>{name}</name>{more}<bndbox>{corners}</bndbox></object>"


def voc_folder(root: Path, text: str) -> Path:
    picture(root / "JPEGImages" / "a.png")
    (root / "Annotations").mkdir(parents=True)
    (root / "Annotations" / "a.xml").write_text(text, encoding="utf-8")
    return root


def test_pixels_count_from_one_and_include_the_last(tmp_path: Path) -> None:
    dataset = read_voc(voc_folder(tmp_path, voc_xml(voc_object(1, 1, 64, 48))))
    assert dataset.images[0].boxes.tolist() == [[0, 0, 64, 48]]
    assert (dataset.classes, dataset.problems) == (("deer",), ())


def test_a_set_that_counts_from_zero_shows_it_and_is_read_so(tmp_path: Path) -> None:
    text = voc_xml(voc_object(0, 4, 10, 14) + voc_object(5, 5, 9, 9))
    dataset = read_voc(voc_folder(tmp_path, text))
    assert dataset.images[0].boxes.tolist() == [[0, 4, 10, 14], [5, 5, 9, 9]]
    assert count_problems(dataset.problems) == {"pixels counted from 0": 1}


def test_difficult_objects_and_dont_care_are_regions_to_ignore(tmp_path: Path) -> None:
    text = voc_xml(
        voc_object(2, 2, 9, 9, more="<difficult>1</difficult>")
        + voc_object(20, 20, 29, 29, name="DontCare")
        + voc_object(30, 30, 39, 39, more="<difficult>0</difficult><occluded>1</occluded>")
    )
    image = read_voc(voc_folder(tmp_path, text)).images[0]
    assert image.boxes.tolist() == [[29, 29, 39, 39]]
    assert image.box_attributes == ({"occluded": 1},)
    assert len(image.ignore) == 2


def test_image_sets_tell_the_split(tmp_path: Path) -> None:
    root = voc_folder(tmp_path, voc_xml(""))
    picture(root / "JPEGImages" / "b.png")
    (root / "Annotations" / "b.xml").write_text(voc_xml("", name="b.png"))
    (root / "ImageSets" / "Main").mkdir(parents=True)
    (root / "ImageSets" / "Main" / "train.txt").write_text("a\n")
    (root / "ImageSets" / "Main" / "val.txt").write_text("b  1\n")
    assert {image.id: image.split for image in read_voc(root).images} == {"a": "train", "b": "val"}
    assert [image.id for image in read_voc(root, split="val").images] == ["b"]
    with pytest.raises(DatasetError, match="no split 'test' here \\(its splits: train, val\\)"):
        read_voc(root, split="test")


def test_the_image_is_found_by_the_name_of_the_file_where_the_stated_one_is_wrong(tmp_path: Path) -> None:
    dataset = read_voc(voc_folder(tmp_path, voc_xml("", name="IMG_0001.JPG")))
    assert dataset.images[0].path == tmp_path / "JPEGImages" / "a.png"


def test_a_size_that_is_missing_or_zero_comes_from_the_header(tmp_path: Path) -> None:
    text = voc_xml("", size="<width>0</width><height>0</height>")
    assert (read_voc(voc_folder(tmp_path, text)).images[0].width) == 64


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    root = voc_folder(tmp_path, voc_xml(voc_object(2, 2, 9, 9)))
    (root / "JPEGImages" / "a.png").unlink()
    with pytest.raises(DatasetError, match=r"a\.png is not there .*--skip-missing"):
        read_voc(root)
    with pytest.raises(DatasetError, match="none of the images"):
        read_voc(root, missing="skip")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not XML"),
        ("<annotation>", "not XML"),
        ("<kml/>", "not VOC labels"),
        (voc_xml("<object><name>deer</name></object>"), "no bndbox/xmin"),
        (voc_xml(voc_object("left", 1, 2, 3)), "xmin of object 1 is 'left'"),
        (voc_xml(voc_object(1, 1, 9, 9, name="")), "name of object 1"),
        (voc_xml("", name="../../etc/passwd"), "inside the data set"),
        (voc_xml("", size="<width>-4</width><height>48</height>"), "width of the image"),
        (
            '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation><filename>&x;</filename></annotation>',
            "declares entities",
        ),
    ],
)
def test_labels_that_cannot_be_mended_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        read_voc(voc_folder(tmp_path, text))
    assert "a.xml" in str(caught.value)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(dataset=datasets(whole=True))
def test_whole_pixel_boxes_read_back_the_same(tmp_path_factory: pytest.TempPathFactory, dataset) -> None:  # type: ignore[no-untyped-def]
    root = tmp_path_factory.mktemp("voc")
    write_voc(dataset, root)
    for image in dataset.images:
        picture(root / "JPEGImages" / voc_name(image), image.width, image.height)
    back = read_voc(root)
    assert (back.classes, back.problems) == (dataset.classes, ())
    after = {image.file_name: image for image in back.images}
    has_splits = any(image.split for image in dataset.images)
    for before in dataset.images:
        assert same_boxes(before, after[before.file_name], 0)
        assert np.array_equal(before.ignore, after[before.file_name].ignore)
        assert not has_splits or after[before.file_name].split == before.split


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(dataset=datasets())
def test_boxes_move_by_at_most_half_a_pixel(tmp_path_factory: pytest.TempPathFactory, dataset) -> None:  # type: ignore[no-untyped-def]
    root = tmp_path_factory.mktemp("voc")
    write_voc(dataset, root)
    for image in dataset.images:
        tree = ElementTree.parse(root / "Annotations" / f"{Path(image.file_name).stem}.xml")
        found = [[int(b.findtext(k, "")) for k in ("xmin", "ymin", "xmax", "ymax")] for b in tree.iter("bndbox")]
        boxes = np.array(found, float).reshape(-1, 4)[: len(image.boxes)] - [1, 1, 0, 0]
        assert np.all(np.abs(boxes - image.boxes) <= 1.0)
        assert np.all(boxes[:, 2:] - boxes[:, :2] >= 1)
