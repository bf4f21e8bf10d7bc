"""Opening a data set by folder, file or name, and class names under other names."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dataset_toys import coco_folder, coco_record, many, picture
from nightherd.datasets import catalogue, open_dataset
from nightherd.datasets.coco import read_coco, write_coco
from nightherd.datasets.mapping import parse_mapping
from nightherd.datasets.mending import count_problems
from nightherd.errors import ConfigError, DatasetError


def test_a_flight_with_annotations_beside_its_frames_opens(tmp_path: Path) -> None:
    coco_folder(tmp_path / "flight")
    (tmp_path / "flight" / "truth.json").write_text('{"deer": 3}')
    dataset = open_dataset(tmp_path / "flight")
    assert (dataset.name, len(dataset)) == ("flight", 2)


def test_the_bundled_flight_opens_by_its_name() -> None:
    dataset = open_dataset("example")
    assert dataset.n_boxes > 0
    assert any(image.individuals is not None for image in dataset.images)
    assert all(image.path.is_file() and "flight" in image.attributes for image in dataset.images)
    assert dataset.problems == ()


def split_set(root: Path) -> Path:
    """HIT-UAV's layout: annotations/{train,val}.json and images/{train,val}/."""
    for first, split in ((1, "train"), (10, "val")):
        picture(root / "images" / split / f"{split}.png")
        record = coco_record(
            images=[{"id": first, "file_name": f"{split}.png", "width": 64, "height": 48}],
            annotations=[{"id": 1, "image_id": first, "category_id": 3, "bbox": [2, 3, 4, 5]}],
        )
        (root / "annotations").mkdir(exist_ok=True)
        (root / "annotations" / f"{split}.json").write_text(json.dumps(record))
    return root


def test_one_file_a_split_opens_as_one_set_and_each_split_alone(tmp_path: Path) -> None:
    root = split_set(tmp_path / "set")
    dataset = open_dataset(root)
    assert [(image.id, image.split) for image in dataset.images] == [(1, "train"), (10, "val")]
    assert dataset.category_ids == (3, 7)
    assert [image.id for image in open_dataset(root, "val").images] == [10]


def test_labels_of_another_split_are_not_even_read(tmp_path: Path) -> None:
    root = split_set(tmp_path / "set")
    (root / "annotations" / "train.json").write_text("broken")
    (root / "annotations" / "test.json").write_text("held out")
    assert len(open_dataset(root, "val")) == 1
    with pytest.raises(DatasetError, match="no split 'dev' here \\(its splits: test, train, val\\)"):
        open_dataset(root, "dev")


def test_ids_that_two_splits_share_are_kept_apart(tmp_path: Path) -> None:
    root = split_set(tmp_path / "set")
    text = (root / "annotations" / "val.json").read_text().replace('"id": 10', '"id": 1')
    (root / "annotations" / "val.json").write_text(text.replace('"image_id": 10', '"image_id": 1'))
    dataset = open_dataset(root)
    assert [image.id for image in dataset.images] == ["train/1", "val/1"]
    assert "image id in two splits" in count_problems(dataset.problems)
    assert [image.id for image in open_dataset(root, "val").images] == [1]


def test_classes_of_several_files_are_joined_by_name(tmp_path: Path) -> None:
    root = split_set(tmp_path / "set")
    path = root / "annotations" / "val.json"
    value = json.loads(path.read_text())
    value["categories"] = [{"id": 3, "name": "fox"}, {"id": 9, "name": "deer"}]
    path.write_text(json.dumps(value))
    dataset = open_dataset(root)
    assert dataset.classes == ("deer", "boar", "fox")
    assert [dataset.classes[int(image.labels[0])] for image in dataset.images] == ["deer", "fox"]
    assert len(set(dataset.category_ids)) == 3


def test_a_download_that_nests_its_folder_opens(tmp_path: Path) -> None:
    coco_folder(tmp_path / "set" / "set-main" / "inner")
    assert len(open_dataset(tmp_path / "set")) == 2


def test_a_split_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no split 'val' in set \\(its splits: none\\)"):
        open_dataset(coco_folder(tmp_path / "set").parent, "val")


@pytest.mark.parametrize("name", ["", "empty", "photos"])
def test_what_is_no_data_set_is_refused_with_what_is_expected(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    picture(tmp_path / "photos" / "a.png")
    with pytest.raises(DatasetError, match=r"annotations\.json.*data\.yaml.*Annotations"):
        open_dataset(tmp_path / name)


def test_several_label_files_are_named(tmp_path: Path) -> None:
    path = coco_folder(tmp_path)
    path.rename(tmp_path / "one.json")
    shutil.copy(tmp_path / "one.json", tmp_path / "two.json")
    with pytest.raises(DatasetError, match=r"several label files \(one\.json, two\.json\)"):
        open_dataset(tmp_path)


def test_a_single_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    for name in ("a.xml", "a.csv"):
        (tmp_path / name).write_text("x")
        with pytest.raises(DatasetError, match="give"):
            open_dataset(tmp_path / name)


def test_a_folder_that_may_not_be_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "glob", refused)
    with pytest.raises(DatasetError, match="cannot be read: Permission denied"):
        open_dataset(tmp_path)


def test_a_name_is_found_where_nightherd_data_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTHERD_DATA", str(tmp_path))
    split_set(tmp_path / "hit-uav")
    for spelt in ("hit-uav", "HIT-UAV", "hit_uav"):
        assert open_dataset(spelt).name == "hit-uav"


def test_a_download_is_found_below_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NIGHTHERD_DATA", raising=False)
    monkeypatch.setattr(catalogue, "download_folder", lambda: tmp_path)
    split_set(tmp_path / "hit-uav" / catalogue.catalogue()["hit-uav"].root)
    assert len(open_dataset("hit-uav")) == 2


def test_a_public_set_that_is_not_here_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NIGHTHERD_DATA", raising=False)
    monkeypatch.setattr(catalogue, "download_folder", lambda: tmp_path)
    with pytest.raises(DatasetError, match="nightherd data get hit-uav"):
        open_dataset("hit-uav")
    with pytest.raises(DatasetError, match=r"known: example, hit-uav, bambi"):
        open_dataset("elephants")


def test_the_catalogue_states_licence_address_and_citation_of_every_set() -> None:
    for entry in catalogue.catalogue().values():
        assert entry.licence and entry.citation and entry.homepage
        assert bool(entry.files) != (entry.zenodo is not None)
        assert all(file.url.startswith("https://") for file in entry.files)


def test_classes_are_renamed_joined_and_left_to_be_ignored(tmp_path: Path) -> None:
    value = coco_record()
    value["annotations"][0]["species"] = "red deer"
    dataset = read_coco(coco_folder(tmp_path, value))
    joined = dataset.with_classes(("animal",), parse_mapping(["deer=animal"]))
    first = joined.images[0]
    assert first.labels.tolist() == [0]
    assert first.ignore.tolist() == [[20.5, 4.25, 28.5, 12.25]]
    assert first.box_attributes == ({"species": "red deer"},)


def test_pairs_of_names_are_read() -> None:
    assert parse_mapping(["a=b, c = d", "e=b"]) == {"a": "b", "c": "d", "e": "b"}
    for wrong in ("a", "=b", "a="):
        with pytest.raises(ConfigError, match="from=to"):
            parse_mapping([wrong])
    with pytest.raises(ConfigError, match="two names"):
        parse_mapping(["a=b", "a=c"])


def test_thousands_of_images_open_in_one_pass(tmp_path: Path) -> None:
    dataset = many(tmp_path, 3_000, files=False)
    (tmp_path / "images").mkdir()
    for image in dataset.images:
        image.path.touch()
    write_coco(dataset, tmp_path / "annotations.json")
    back = open_dataset(tmp_path)
    assert np.sum([len(image.boxes) for image in back.images]) == dataset.n_boxes


def test_importing_the_package_reads_no_library() -> None:
    code = "import sys, nightherd.datasets; print([m for m in ('numpy', 'PIL', 'scipy', 'yaml') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
