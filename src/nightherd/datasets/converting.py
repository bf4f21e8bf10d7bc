"""Writes a data set in another format, with its images copied or linked beside the labels."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from nightherd.datasets.coco import coco_value, write_coco
from nightherd.datasets.duplicates import Track, plainly
from nightherd.datasets.mending import is_file, read_json
from nightherd.datasets.types import Dataset
from nightherd.datasets.voc import voc_name, write_voc
from nightherd.datasets.yolo import image_name, write_yolo, yolo_names
from nightherd.errors import DatasetError, ResultsError
from nightherd.files import atomic_path, write_json

Format = Literal["coco", "yolo", "voc"]
FORMATS: tuple[Format, ...] = ("coco", "yolo", "voc")
ImageMode = Literal["copy", "link", "none"]
IMAGE_MODES: tuple[ImageMode, ...] = ("copy", "link", "none")
Claim = Literal["new", "begun", "done"]
MARK = "nightherd-conversion.json"
"""Written into the folder first and last, so that a run can tell its own work from other work, and done from not."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """What `convert` did.

    Attributes:
        folder: of the new data set.
        images: how many it has.
        boxes: how many labels.
        copied, linked, present: images copied, hard-linked, and already there.
        lost: what the format has no place for, one line each.
        was_done: whether an earlier run had done all of it.
    """

    folder: Path
    images: int
    boxes: int
    copied: int
    linked: int
    present: int
    lost: tuple[str, ...]
    was_done: bool


def fingerprint(dataset: Dataset, *more: str) -> str:
    """A hash of the labels, the images' names and splits, and whatever else decides what is written."""
    digest = hashlib.sha256(repr((dataset.classes, dataset.category_ids, more)).encode())
    for image in dataset.images:
        digest.update(repr((image.id, image.file_name, image.split, image.width, image.height)).encode())
        digest.update(image.boxes.tobytes() + image.labels.tobytes() + image.ignore.tobytes())
    return digest.hexdigest()


def claim(folder: Path, mark: str, what: str, force: bool) -> Claim:
    """Claims a folder for a piece of work, before anything is written into it.

    Args:
        folder: need not exist.
        mark: the fingerprint of the work.
        what: what writes there, for the message.
        force: take the folder even where other work lies in it; nothing is deleted.

    Returns:
        `done` where the same work is already finished there, `begun` where it was interrupted, else `new`.

    Raises:
        ResultsError: other work lies there.
    """
    if folder.exists() and not folder.is_dir():
        raise ResultsError("this is a file; give a folder", folder)
    found: Any = None
    if is_file(folder / MARK):
        try:
            found = read_json(folder / MARK, 1_000_000)
        except DatasetError:
            found = None
    is_own = isinstance(found, dict) and found.get("fingerprint") == mark
    if is_own and found.get("done") is True:
        return "done"
    if not is_own and not force and folder.is_dir() and any(folder.iterdir()):
        raise ResultsError("other work lies here; give another folder, or --force to write over it", folder)
    write_json(folder / MARK, {"what": what, "fingerprint": mark, "done": False})
    return "begun" if is_own else "new"


def convert(
    dataset: Dataset,
    folder: Path,
    to: Format,
    *,
    images: ImageMode = "copy",
    force: bool = False,
    track: Track = plainly,
) -> Conversion:
    """Writes a data set as COCO, YOLO or VOC. Run again, it goes on where it was interrupted.

    COCO: `annotations/{split}.json` (or `annotations.json`) and `images/{split}/`. YOLO: data.yaml, `images/` and
    `labels/`. VOC: `Annotations/`, `JPEGImages/` and `ImageSets/Main/`.

    Args:
        dataset: what to write.
        folder: where to.
        to: the format.
        images: `copy` them, `link` them (hard links, copies where the disk has none), or `none`.
        force: write into a folder where other work lies.
        track: shows progress over the images.

    Raises:
        ResultsError: other work lies there, or it cannot be written.
        DatasetError: two images would share a label file, or an image is not there.
    """
    folder = Path(folder)
    mark = fingerprint(dataset, to, images)
    lost = losses(dataset, to)
    n_boxes = dataset.n_boxes
    claimed = claim(folder, mark, f"converted to {to}", force)
    if claimed == "done":
        return Conversion(folder, len(dataset), n_boxes, 0, 0, len(dataset), lost, True)
    names = targets(dataset, to)
    if len({name.lower() for name in names}) < len(names):
        raise DatasetError("two images would have the same name; give them different names", folder)
    done = {"copied": 0, "linked": 0, "present": 0}
    if images != "none":
        pairs = list(zip(dataset.images, names, strict=True))
        for image, name in track(pairs, "placing images", len(pairs)):
            done[_place(image.path, folder / name, images, claimed == "begun")] += 1
    if to == "yolo":
        write_yolo(dataset, folder, names)
    elif to == "voc":
        write_voc(dataset, folder, [str(PurePosixPath(name).relative_to("JPEGImages")) for name in names])
    else:
        _write_coco(dataset, folder, names)
    write_json(folder / MARK, {"what": f"converted to {to}", "fingerprint": mark, "done": True})
    return Conversion(folder, len(dataset), n_boxes, done["copied"], done["linked"], done["present"], lost, False)


def targets(dataset: Dataset, to: Format) -> list[str]:
    """Where each image goes, relative to the new data set's folder."""
    if to == "voc":
        return [f"JPEGImages/{voc_name(image)}" for image in dataset.images]
    return yolo_names(dataset) if to == "yolo" else [image_name(image) for image in dataset.images]


def losses(dataset: Dataset, to: Format) -> tuple[str, ...]:
    """What of a data set a format has no place for, one line each."""
    lost = []
    regions = sum(len(image.ignore) for image in dataset.images)
    if to == "yolo" and regions:
        lost.append(f"{regions} regions to ignore: YOLO has none; what is in them counts as background there")
    if to in ("yolo", "voc"):
        if any(image.individuals is not None for image in dataset.images):
            lost.append(f"which animal is which across frames: {to.upper()} has no place for it")
        if any(image.attributes for image in dataset.images):
            known = sorted({key for image in dataset.images for key in image.attributes})
            lost.append(f"what is known of each image ({', '.join(known[:6])}): {to.upper()} has no place for it")
        if any(image.box_attributes for image in dataset.images) and to == "yolo":
            lost.append("what is known of each box: YOLO has no place for it")
    if to == "yolo" and any(image.split is None for image in dataset.images):
        lost.append("that images belong to no split: YOLO calls them train; see 'nightherd data split'")
    if to == "voc" and any((image.boxes != image.boxes.round()).any() for image in dataset.images):
        lost.append("fractions of a pixel: VOC boxes are whole pixels, so they moved by up to half of one")
    return tuple(lost)


def _place(source: Path, target: Path, mode: ImageMode, goes_on: bool) -> str:
    """Puts one image in place; says how. Only where work goes on is an image of the same size taken for the same."""
    try:
        size = source.stat().st_size
    except OSError:
        raise DatasetError("the image is not there; leave missing images out with --skip-missing", source) from None
    if goes_on and is_file(target) and target.stat().st_size == size:
        return "present"
    if mode == "link":
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            os.link(source, target)
        except OSError:
            mode = "copy"
        else:
            return "linked"
    try:
        source.open("rb").close()
    except OSError as error:
        raise DatasetError(f"cannot be read: {error.strerror or error}", source) from None
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)
    return "copied"


def _write_coco(dataset: Dataset, folder: Path, names: Sequence[str]) -> None:
    """One file for each split beside its folder of images, or one for all."""
    splits = sorted({image.split or "" for image in dataset.images})
    if "" in splits or any("/" in s or s.startswith(".") for s in splits):
        write_coco(dataset, folder / "annotations.json", names)
        return
    for split in splits:
        chosen = [(i, n) for i, n in zip(dataset.images, names, strict=True) if i.split == split]
        part = dataset.subset(image for image, _ in chosen)
        inside = [str(PurePosixPath(name).relative_to(f"images/{split}")) for _, name in chosen]
        write_json(folder / "annotations" / f"{split}.json", coco_value(part, inside), indent=None)
