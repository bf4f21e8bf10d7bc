"""COCO labels: what is read as it stands, what is mended and counted, what is refused with one clear line."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from dataset_toys import coco_folder, coco_record, datasets, picture, same_boxes
from nightherd.datasets.coco import read_coco, write_coco
from nightherd.datasets.mending import count_problems
from nightherd.errors import DatasetError


def changed(**changes: object) -> dict[str, object]:
    """One annotation of a.png with these fields."""
    annotation = {"id": 1, "image_id": 1, "category_id": 3, "bbox": [2, 3, 10, 12]} | changes
    return coco_record(annotations=[annotation])


def test_boxes_come_as_corners_under_class_names_with_their_own_category_ids(tmp_path: Path) -> None:
    dataset = read_coco(coco_folder(tmp_path))
    assert dataset.classes == ("deer", "boar")
    assert dataset.category_ids == (3, 7)
    first, second = dataset.images
    assert first.path == tmp_path / "a.png"
    assert first.boxes.tolist() == [[2, 3, 12, 15], [20.5, 4.25, 28.5, 12.25]]
    assert first.boxes.dtype == np.float32
    assert first.labels.tolist() == [0, 1]
    assert second.labels.tolist() == [0]
    assert dataset.problems == ()


def test_hit_uav_reads_as_it_is(tmp_path: Path) -> None:
    name = "1_80_60_0_01343.jpg"
    value = {
        "images": [{"filename": name, "height": 48, "width": 64, "id": 2029, "date_captured": "20210114"}],
        "annotation": [
            {"image_id": 2029, "bbox": [1, 2, 3, 4], "category_id": 0, "id": 9, "segmentation": [[1, 2, 4, 2, 4, 6]]},
            {"image_id": 2029, "bbox": [10, 10, 20, 20], "category_id": 4, "id": 10},
        ],
        "categories": [{"id": 0, "name": "Person"}, {"id": 4, "name": "DontCare"}],
    }
    picture(tmp_path / "images" / "val" / name)
    (tmp_path / "annotations").mkdir()
    path = tmp_path / "annotations" / "val.json"
    path.write_text(json.dumps(value))
    dataset = read_coco(path)
    assert dataset.classes == ("Person",)
    assert dataset.category_ids == (0,)
    image = dataset.images[0]
    assert (image.id, image.split, image.file_name) == (2029, "val", name)
    assert image.boxes.tolist() == [[1, 2, 4, 6]]
    assert image.ignore.tolist() == [[10, 10, 30, 30]]
    assert image.attributes == {
        "time_of_day": "night",
        "altitude": 80,
        "camera_angle": 60,
        "weather": 0,
        "frame_number": 1343,
        "date_captured": "20210114",
    }


def test_the_real_hit_uav_has_the_published_counts(nightherd_data: Path) -> None:
    dataset = read_coco(nightherd_data / "hit-uav" / "annotations" / "train.json")
    counts = np.bincount(np.concatenate([image.labels for image in dataset.images]))
    assert len(dataset) == 2029
    assert dict(zip(dataset.classes, counts.tolist(), strict=True)) == {
        "Person": 8533,
        "Car": 5253,
        "Bicycle": 3630,
        "OtherVehicle": 102,
    }
    assert sum(len(image.ignore) for image in dataset.images) == 110
    assert dataset.problems == ()


def test_bambi_frames_and_tracks_read(nightherd_data: Path) -> None:
    frames = read_coco(nightherd_data / "bambi" / "annotations.json")
    assert (len(frames), frames.n_boxes, frames.classes) == (2, 19, ("Rotwild",))
    tracks = read_coco(nightherd_data / "bambi" / "tracks_val.json", missing="allow")
    assert (len(tracks), tracks.n_boxes) == (2621, 6297)
    assert len({image.attributes["flight"] for image in tracks.images}) == 35
    assert all(image.individuals is not None for image in tracks.images)


def test_crowds_and_ignored_boxes_are_regions_to_ignore(tmp_path: Path) -> None:
    for field in ("iscrowd", "ignore"):
        image = read_coco(coco_folder(tmp_path / field, changed(**{field: 1}))).images[0]
        assert len(image.boxes) == 0
        assert image.ignore.tolist() == [[2, 3, 12, 15]]


def test_individuals_come_from_either_name_and_names_of_animals_are_numbered(tmp_path: Path) -> None:
    annotations = [
        {"id": 1, "image_id": 1, "category_id": 3, "bbox": [2, 3, 4, 4], "track_id": 17},
        {"id": 2, "image_id": 1, "category_id": 3, "bbox": [9, 3, 4, 4], "individual_id": "hind"},
        {"id": 3, "image_id": 1, "category_id": 3, "bbox": [19, 3, 4, 4]},
        {"id": 4, "image_id": 2, "category_id": 3, "bbox": [19, 3, 4, 4], "attributes": {"track_id": "hind"}},
    ]
    first, second = read_coco(coco_folder(tmp_path, coco_record(annotations=annotations))).images
    assert first.individuals is not None and first.individuals.tolist() == [17, 0, -1]
    assert second.individuals is not None and second.individuals.tolist() == [0]


def test_what_is_known_of_a_box_comes_along(tmp_path: Path) -> None:
    value = changed(species="red deer", visibility=0.4, attributes={"occluded": True})
    image = read_coco(coco_folder(tmp_path, value)).images[0]
    assert image.box_attributes == ({"species": "red deer", "visibility": 0.4, "occluded": 1},)


@pytest.mark.parametrize(
    ("change", "kind", "boxes", "regions"),
    [
        ({"bbox": [60, 40, 10, 20]}, "box over the edge", [[60, 40, 64, 48]], 0),
        ({"bbox": [-5, -5, 10, 10]}, "box over the edge", [[0, 0, 5, 5]], 0),
        ({"bbox": [100, 100, 5, 5]}, "box outside its image", [], 0),
        ({"bbox": [5, 5, 0, 9]}, "box without area", [], 0),
        ({"bbox": [5, 5, -3, 9]}, "box without area", [], 0),
        ({"bbox": [5, 5, math.nan, 9]}, "not a number in a box", [], 0),
        ({"bbox": [5, 5, math.inf, 9]}, "not a number in a box", [], 0),
        ({"bbox": ["5", 5, "2.5", 9]}, "number as text", [[5, 5, 7.5, 14]], 0),
        ({"category_id": 99}, "unknown category", [], 1),
        ({"image_id": 99}, "box of an unknown image", [], 0),
    ],
)
def test_broken_boxes_are_mended_or_left_out_and_counted(
    tmp_path: Path, change: dict[str, object], kind: str, boxes: list[list[float]], regions: int
) -> None:
    dataset = read_coco(coco_folder(tmp_path, changed(**change)))
    assert dataset.images[0].boxes.tolist() == boxes
    assert len(dataset.images[0].ignore) == regions
    assert kind in count_problems(dataset.problems)


def test_annotation_ids_used_twice_are_counted_and_both_kept(tmp_path: Path) -> None:
    value = coco_record()
    value["annotations"][1]["id"] = 1
    dataset = read_coco(coco_folder(tmp_path, value))
    assert dataset.n_boxes == 3
    assert count_problems(dataset.problems) == {"annotation id used twice": 1}


def test_an_image_listed_twice_is_read_once(tmp_path: Path) -> None:
    value = coco_record()
    value["images"].append(dict(value["images"][0]))
    dataset = read_coco(coco_folder(tmp_path, value))
    assert len(dataset) == 2
    assert count_problems(dataset.problems) == {"image listed twice": 1}


def test_sizes_that_the_labels_lack_come_from_the_headers(tmp_path: Path) -> None:
    value = coco_record()
    for image in value["images"]:
        del image["width"], image["height"]
    assert {(i.width, i.height) for i in read_coco(coco_folder(tmp_path, value)).images} == {(64, 48)}


def test_labels_are_read_without_opening_images(tmp_path: Path) -> None:
    path = coco_folder(tmp_path)
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"not an image")
    assert len(read_coco(path)) == 2


def test_a_missing_image_is_one_line_that_names_it_and_the_remedy(tmp_path: Path) -> None:
    path = coco_folder(tmp_path)
    (tmp_path / "b.png").unlink()
    with pytest.raises(DatasetError, match=r"b\.png is not there .*--skip-missing") as caught:
        read_coco(path)
    assert caught.value.path == path
    skipped = read_coco(path, missing="skip")
    assert [image.file_name for image in skipped.images] == ["a.png"]
    assert count_problems(skipped.problems) == {"missing image": 1}
    assert len(read_coco(path, missing="allow")) == 2


@pytest.mark.parametrize(
    "name",
    ["../outside.png", "/etc/passwd", "C:\\x.png", "a/../../b.png", "..\\b.png", "", "a\nb.png", "\ud800.png", 5],
)
def test_paths_out_of_the_data_set_are_refused(tmp_path: Path, name: object) -> None:
    picture(tmp_path / "outside.png")
    value = coco_record(images=[{"id": 1, "file_name": name, "width": 64, "height": 48}])
    with pytest.raises(DatasetError, match="file name of an image"):
        read_coco(coco_folder(tmp_path / "inside", value))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "not COCO labels"),
        ({"images": [], "categories": []}, "annotations is missing"),
        (coco_record(categories={}), "categories is not a list"),
        (coco_record(categories=[{"id": 1}]), "name of category 1"),
        (coco_record(categories=[{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]), "share the id 1"),
        (coco_record(images=[{"id": 1, "file_name": "a.png", "width": 0, "height": 4}]), "width of image a.png is 0"),
        (coco_record(images=[{"file_name": "a.png", "width": 1, "height": 4}]), "id of image a.png"),
        (coco_record(annotations=[{"id": 1, "image_id": 1, "category_id": 3}]), "x, y, width, height"),
        (coco_record(annotations=[{"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 2, 3, "w"]}]), "not a number"),
    ],
)
def test_labels_that_cannot_be_mended_are_refused(tmp_path: Path, value: object, message: str) -> None:
    path = tmp_path / "annotations.json"
    coco_folder(tmp_path)
    path.write_text(json.dumps(value))
    with pytest.raises(DatasetError, match=message) as caught:
        read_coco(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_images_with_one_id_are_refused(tmp_path: Path) -> None:
    value = coco_record()
    value["images"][1]["id"] = 1
    with pytest.raises(DatasetError, match=r"a\.png and b\.png share the id 1"):
        read_coco(coco_folder(tmp_path, value))


@pytest.mark.parametrize(
    "text", [b"", b"{", b"\xff\xfe\x00", b'{"images": [' + b"[" * 100_000, b'{"images": ' + b"9" * 6_000 + b"}"]
)
def test_files_that_are_no_json_are_refused(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "annotations.json"
    path.write_bytes(text)
    with pytest.raises(DatasetError):
        read_coco(path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(dataset=datasets())
def test_a_written_data_set_reads_back_the_same(tmp_path: Path, dataset) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "annotations.json"
    write_coco(dataset, path)
    back = read_coco(path, missing="allow")
    assert (back.classes, back.category_ids, back.problems) == (dataset.classes, dataset.category_ids, ())
    for before, after in zip(dataset.images, back.images, strict=True):
        assert same_boxes(before, after, 1e-3)
        assert np.allclose(before.ignore, after.ignore, atol=1e-3)
        assert (before.id, before.file_name, before.split) == (after.id, after.file_name, after.split)
        assert dict(before.attributes) == dict(after.attributes)
        assert before.box_attributes == after.box_attributes
        assert (before.individuals is None) == (after.individuals is None)
        if before.individuals is not None and after.individuals is not None:
            assert before.individuals.tolist() == after.individuals.tolist()


def test_pycocotools_reads_what_is_written(tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    dataset = read_coco(coco_folder(tmp_path))
    write_coco(dataset, tmp_path / "out.json")
    oracle = coco.COCO(str(tmp_path / "out.json"))
    assert oracle.getImgIds() == [1, 2]
    boxes = [a["bbox"] for a in oracle.loadAnns(oracle.getAnnIds(imgIds=[1]))]
    assert boxes == [[2, 3, 10, 12], [20.5, 4.25, 8, 8]]
