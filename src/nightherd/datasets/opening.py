"""Opens a data set from whatever names it: a folder, a label file, a public set's name, the bundled flight's name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nightherd.datasets import catalogue
from nightherd.datasets.coco import is_coco, read_coco
from nightherd.datasets.images import Missing
from nightherd.datasets.joining import join
from nightherd.datasets.mending import is_file, read_json
from nightherd.datasets.naming import SPLITS, split_of_file, split_of_name
from nightherd.datasets.types import Dataset
from nightherd.datasets.voc import read_voc
from nightherd.datasets.yolo import find_yaml, read_yolo
from nightherd.errors import DatasetError

COCO_NAMES = ("annotations.json", "_annotations.coco.json", "instances.json", "labels.json", "coco.json")

OTHER_TASKS = ("captions_", "person_keypoints_", "image_info_", "panoptic_", "stuff_")
"""How COCO's own files for other tasks begin."""


class NoLabelsError(DatasetError):
    """A folder that holds no labels of any format."""


def open_dataset(
    spec: str | Path, split: str | None = None, *, missing: Missing = "error", images: Path | None = None
) -> Dataset:
    """Opens a labelled data set.

    Args:
        spec: a folder (COCO, YOLO, VOC or a simulated flight), a label file (COCO JSON, YOLO data.yaml), or a name:
            `example`, or one of the catalogue that `nightherd data get` has fetched or NIGHTHERD_DATA holds.
        split: opens only this one; label files of other splits are not read.
        missing: what to do about an image that the labels name and that is not there.
        images: the folder of the images of a COCO file, where it is not one of the usual.

    Raises:
        DatasetError: there is nothing of that name, or it is no data set that can be read.
    """
    path = Path(spec)
    try:
        if not path.exists():
            path = catalogue.local_path(str(spec))
        name = catalogue.name_of(str(spec))
        if is_file(path):
            dataset = _open_file(path, split, missing, images, name)
        else:
            dataset = _open_folder(path, split, missing, images, name or path.resolve().name)
    except OSError as error:
        raise DatasetError(f"cannot be read: {error.strerror or error}", error.filename or path) from None
    if not dataset.images:
        raise DatasetError("the labels name no image", path)
    return dataset if split is None else dataset.split(split)


def _open_file(path: Path, split: str | None, missing: Missing, images: Path | None, name: str | None) -> Dataset:
    suffix = path.suffix.lower()
    if suffix == ".json":
        return read_coco(path, missing=missing, images=images, name=name)
    if suffix in (".yaml", ".yml"):
        return read_yolo(path, split=split, missing=missing, name=name)
    if suffix == ".xml":
        folder = path.parent.parent if path.parent.name.lower() == "annotations" else path.parent
        raise DatasetError(f"one VOC file is no data set; give the folder {folder}", path)
    raise DatasetError("no label file: give COCO JSON, a YOLO data.yaml, or the folder of the data set", path)


def _open_folder(
    path: Path, split: str | None, missing: Missing, images: Path | None, name: str, depth: int = 0
) -> Dataset:
    labels = find_coco(path)
    if labels:
        if split is not None:
            known = {file: split_of_file(file) for file in labels}
            if len(labels) > 1 and all(known.values()):
                labels = [file for file in labels if known[file] == split]
                if not labels:
                    has = ", ".join(sorted({s for s in known.values() if s}))
                    raise DatasetError(f"no split '{split}' here (its splits: {has})", path)
        parts = [read_coco(file, missing=missing, images=images, name=name) for file in labels]
        return parts[0] if len(parts) == 1 else join(parts, name)
    if find_yaml(path) is not None or (path / "labels").is_dir():
        return read_yolo(path, split=split, missing=missing, name=name)
    if (
        (path / "Annotations").is_dir()
        or any(path.glob("*.xml"))
        or any(any((path / s).glob("*.xml")) for s in SPLITS if (path / s).is_dir())
    ):
        return read_voc(path, split=split, missing=missing, name=name)
    inner = [folder for folder in sorted(path.iterdir()) if folder.is_dir() and not folder.name.startswith(".")]
    if len(inner) == 1 and depth < 3:
        return _open_folder(inner[0], split, missing, images, name, depth + 1)
    raise NoLabelsError(
        "no labels found; expected COCO (annotations.json or annotations/*.json), YOLO (data.yaml, or images/ beside "
        "labels/) or VOC (Annotations/*.xml)",
        path,
    )


def find_coco(folder: Path) -> Sequence[Path]:
    """The COCO files of a folder: one, or one for each split; empty where there are none."""
    for name in COCO_NAMES:
        if is_file(folder / name):
            return [folder / name]
    for place in (folder / "annotations", folder / "Annotations"):
        found = _coco_in(place)
        if found:
            return found
    by_split = [
        folder / spelt / file_name
        for spelt in SPLITS
        for file_name in COCO_NAMES
        if is_file(folder / spelt / file_name)
    ]
    return by_split or _coco_in(folder)


def _coco_in(folder: Path) -> list[Path]:
    """The COCO files right in a folder: those of the splits where any name says so, else the only one.

    Raises:
        DatasetError: there are several, and their names do not tell which is meant.
    """
    if not folder.is_dir():
        return []
    found = [path for path in sorted(folder.glob("*.json")) if not path.name.startswith((".", *OTHER_TASKS))]
    splits = [path for path in found if split_of_name(path.stem)]
    if splits:
        return splits
    looks = [path for path in found if is_coco(read_json(path))]
    if len(looks) > 1:
        names = ", ".join(path.name for path in looks[:5])
        raise DatasetError(f"several label files ({names}); give the one that is meant", folder)
    return looks
