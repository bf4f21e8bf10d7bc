"""Pascal VOC labels in and out: an XML file an image in `Annotations/`, images in `JPEGImages/`, split lists.

The VOC development kit counts pixels from 1 and includes the last one, so a box from xmin to xmax spans xmin - 1 to
xmax here. Many tools write VOC that counts from 0; a set with a coordinate of 0, or with fractions, is read so.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import defusedxml.ElementTree
import numpy as np
from defusedxml import DefusedXmlException

from nightherd.datasets.images import ImageFinder, Missing, image_size
from nightherd.datasets.mending import (
    Problems,
    as_number,
    as_side,
    as_text,
    is_file,
    is_ignore_name,
    mend_boxes,
    read_text,
    relative_path,
    shown,
)
from nightherd.datasets.naming import SPLITS, with_name_attributes
from nightherd.datasets.types import Attribute, Dataset, LabelledImage
from nightherd.errors import DatasetError
from nightherd.files import write_bytes, write_text
from nightherd.types import FloatArray

LIMIT = 20_000_000
IGNORE_NAME = "DontCare"
SUFFIXES = (".jpg", ".png", ".jpeg", ".JPG", ".tif", ".tiff")


@dataclass(slots=True)
class _Entry:
    """One XML file as it stands: the image's name and size, and its objects."""

    path: Path
    stem: str
    file_name: str | None
    size: tuple[int, int] | None
    names: list[str]
    boxes: list[list[float]]
    is_ignored: list[bool]
    attributes: list[dict[str, Attribute]]


def read_voc(folder: Path, *, split: str | None = None, missing: Missing = "error", name: str | None = None) -> Dataset:
    """Reads a VOC data set.

    Objects marked difficult, which VOC's own evaluation leaves out, become regions to ignore.

    Args:
        folder: holds `Annotations/` (and `JPEGImages/`, `ImageSets/Main/`), or the XML files themselves, or
            folders train, val… of them.
        split: reads only this one.
        missing: what to do about an image that is not there.
        name: of the data set; else the name of the folder.

    Raises:
        DatasetError: no such set, XML that cannot be read, or a path that leads out of the data set.
    """
    folder = Path(folder)
    problems = Problems()
    files = _files(folder)
    if not files:
        raise DatasetError("no VOC labels here; VOC keeps XML files in Annotations/", folder)
    splits = _image_sets(folder)
    entries: list[tuple[_Entry, Path, str | None]] = []
    for path, root in files:
        own = splits.get(path.stem) if splits else SPLITS.get(root.name.lower())
        if split is None or own == split:
            entries.append((_read_xml(path, path.relative_to(root), problems), root, own))
    if not entries:
        known = sorted(set(splits.values()) | {SPLITS[r.name.lower()] for _, r in files if r.name.lower() in SPLITS})
        raise DatasetError(f"no split '{split}' here (its splits: {', '.join(known) or 'none'})", folder)
    offset = _offset([entry for entry, _, _ in entries])
    if offset == 0 and any(entry.boxes for entry, _, _ in entries):
        problems.add("pixels counted from 0", folder.name, "boxes were read so; VOC itself counts from 1")
    classes = sorted(
        {
            name
            for entry, _, _ in entries
            for name, is_ignored in zip(entry.names, entry.is_ignored, strict=True)
            if not is_ignored
        }
    )
    listed = [path for path in (folder / "classes.txt", folder / "labels.txt") if is_file(path)]
    if listed:
        lines = [
            as_text(line, "a class", listed[0]) for line in read_text(listed[0], LIMIT).splitlines() if line.strip()
        ]
        classes = [*dict.fromkeys(lines), *(c for c in classes if c not in lines)]
    images = []
    for entry, root, own in entries:
        image = _image(entry, folder, root, own, classes, offset, missing, problems)
        if image is not None:
            images.append(image)
    if not images:
        raise DatasetError("none of the images that the labels name is there", folder)
    return Dataset(
        name or folder.resolve().name,
        tuple(classes),
        with_name_attributes(images),
        tuple(range(1, len(classes) + 1)),
        problems.lines(),
    )


def _files(folder: Path) -> list[tuple[Path, Path]]:
    """The XML files with the folder each belongs to, by name."""
    roots = [folder / "Annotations", folder / "annotations", folder]
    for root in roots:
        found = sorted(root.rglob("*.xml") if root != folder else root.glob("*.xml"))
        if found:
            return [(path, root) for path in found if not path.name.startswith(".")]
    return [
        (path, sub)
        for sub in sorted(folder.iterdir())
        if sub.is_dir() and sub.name.lower() in SPLITS
        for path in sorted(sub.glob("*.xml"))
    ]


def _image_sets(folder: Path) -> dict[str, str]:
    """The split of each image, by the stem of its name, as ImageSets/Main says."""
    found: dict[str, str] = {}
    for spelt, ours in SPLITS.items():
        path = folder / "ImageSets" / "Main" / f"{spelt}.txt"
        if is_file(path):
            for line in read_text(path, LIMIT).splitlines():
                if line.strip():
                    found.setdefault(PurePosixPath(line.split()[0]).name, ours)
    return found


def _read_xml(path: Path, inside: Path, problems: Problems) -> _Entry:
    try:
        root = defusedxml.ElementTree.fromstring(read_text(path, LIMIT).encode("utf-8"))
    except ElementTree.ParseError as error:
        raise DatasetError(f"not XML: {error}", path) from None
    except DefusedXmlException:
        raise DatasetError("refused: it declares entities, which labels have no use for", path) from None
    except (ValueError, LookupError) as error:
        raise DatasetError(f"not XML: {error}", path) from None
    if root.tag != "annotation":
        raise DatasetError(f"not VOC labels: its root is {shown(root.tag)} and not annotation", path)
    sides = [root.findtext("size/width"), root.findtext("size/height")]
    size = None
    if all(side and side.strip() not in ("", "0") for side in sides):
        quiet = Problems()
        width, height = (
            as_side((side or "").strip(), f"the {what} of the image", path, quiet)
            for side, what in zip(sides, ("width", "height"), strict=True)
        )
        size = (width, height)
    stated = (root.findtext("filename") or "").strip()
    entry = _Entry(path, inside.with_suffix("").as_posix(), stated or None, size, [], [], [], [])
    for place, item in enumerate(root.iter("object"), 1):
        what = f"object {place}"
        name = as_text(item.findtext("name"), f"the name of {what}", path)
        entry.names.append(name)
        entry.boxes.append(_corners(item, what, path))
        difficult = (item.findtext("difficult") or "0").strip() == "1"
        entry.is_ignored.append(difficult or is_ignore_name(name))
        known: dict[str, Attribute] = {}
        for key in ("truncated", "occluded"):
            if (item.findtext(key) or "").strip() == "1":
                known[key] = 1
        entry.attributes.append(known)
    return entry


def _corners(item: Any, what: str, path: Path) -> list[float]:
    quiet = Problems()
    values = []
    for key in ("xmin", "ymin", "xmax", "ymax"):
        text = item.findtext(f"bndbox/{key}")
        if text is None:
            raise DatasetError(f"{what} has no bndbox/{key}; VOC boxes have xmin, ymin, xmax and ymax", path)
        values.append(as_number(text.strip(), f"{key} of {what}", path, quiet))
    return values


def _offset(entries: list[_Entry]) -> float:
    """What to take from xmin and ymin: 1 as VOC counts, 0 where the set shows that it counts from 0 or in fractions."""
    boxes = np.array([box for entry in entries for box in entry.boxes], np.float64).reshape(-1, 4)
    boxes = boxes[np.isfinite(boxes).all(axis=1)]
    if len(boxes) and ((boxes[:, :2] == 0).any() or (boxes != np.round(boxes)).any()):
        return 0.0
    return 1.0


def _image(
    entry: _Entry,
    folder: Path,
    root: Path,
    split: str | None,
    classes: list[str],
    offset: float,
    missing: Missing,
    problems: Problems,
) -> LabelledImage | None:
    places = [
        root.parent / "JPEGImages",
        root.parent / "images",
        root,
        folder / "JPEGImages",
        folder / "images",
        folder,
    ]
    if split:
        places += [folder / "images" / split, folder / split]
    finder = ImageFinder(places, "skip", entry.path)
    names = [] if entry.file_name is None else [relative_path(entry.file_name, "filename", entry.path)]
    names += [entry.stem + suffix for suffix in SUFFIXES]
    path = next((found for found in map(finder.find, names) if found is not None), None)
    file_name = names[0]
    if path is None:
        if missing == "skip":
            problems.add("missing image", file_name, "left out")
            return None
        path = ImageFinder(places, missing, entry.path).find(file_name)
        assert path is not None
    size = entry.size or image_size(path)
    where = [f"{entry.path.name}, object {i + 1}" for i in range(len(entry.boxes))]
    raw = np.array(entry.boxes, np.float64).reshape(-1, 4) - np.array([offset, offset, 0, 0])
    mended, kept = mend_boxes(raw, *size, where, problems)
    regions = np.array(entry.is_ignored, bool)[kept] if entry.boxes else np.zeros(0, bool)
    labels = np.array([-1 if entry.is_ignored[i] else classes.index(entry.names[i]) for i in kept], np.int64)
    attributes = tuple(entry.attributes[i] for i in kept[~regions])
    return LabelledImage(
        id=entry.stem,
        file_name=file_name,
        path=path,
        width=size[0],
        height=size[1],
        boxes=mended[~regions],
        labels=labels[~regions],
        ignore=mended[regions],
        split=split,
        box_attributes=attributes if any(attributes) else (),
    )


def write_voc(dataset: Dataset, folder: Path, file_names: Iterable[str] | None = None) -> None:
    """Writes `Annotations/*.xml`, `ImageSets/Main/{split}.txt` and classes.txt; the images are the caller's to place.

    Boxes are rounded to whole pixels, as VOC's own readers expect; regions to ignore become difficult objects named
    DontCare. Individuals and other attributes are left out.

    Args:
        dataset: what to write.
        folder: the root of the new data set.
        file_names: one for each image, relative to `JPEGImages/`; else `voc_name(image)`.

    Raises:
        DatasetError: two images would share an XML file.
    """
    folder = Path(folder)
    names = list(file_names) if file_names is not None else [voc_name(image) for image in dataset.images]
    stems = [str(PurePosixPath(name).with_suffix("")) for name in names]
    if len({stem.lower() for stem in stems}) < len(stems):
        raise DatasetError("two images would share an XML file; give them different names", folder)
    lists: dict[str, list[str]] = {}
    for image, name, stem in zip(dataset.images, names, stems, strict=True):
        write_bytes(folder / "Annotations" / f"{stem}.xml", _xml(dataset, image, name))
        if image.split:
            lists.setdefault(image.split, []).append(stem)
    for split, members in lists.items():
        write_text(folder / "ImageSets" / "Main" / f"{split}.txt", "".join(f"{stem}\n" for stem in members))
    write_text(folder / "classes.txt", "".join(f"{name}\n" for name in dataset.classes))


def voc_name(image: LabelledImage) -> str:
    """The name of an image in JPEGImages/: its own, the folders before it joined to it by `_`."""
    return "_".join(PurePosixPath(image.file_name).parts)


def _xml(dataset: Dataset, image: LabelledImage, name: str) -> bytes:
    root = ElementTree.Element("annotation")
    ElementTree.SubElement(root, "folder").text = "JPEGImages"
    ElementTree.SubElement(root, "filename").text = name
    size = ElementTree.SubElement(root, "size")
    for key, side in (("width", image.width), ("height", image.height), ("depth", 1)):
        ElementTree.SubElement(size, key).text = str(side)
    marked = [(dataset.classes[int(label)], box, False) for label, box in zip(image.labels, image.boxes, strict=True)]
    marked += [(IGNORE_NAME, box, True) for box in image.ignore]
    for place, (class_name, box, is_region) in enumerate(marked):
        item = ElementTree.SubElement(root, "object")
        ElementTree.SubElement(item, "name").text = class_name
        known = image.box_attributes[place] if image.box_attributes and not is_region else {}
        for key in ("truncated", "occluded"):
            ElementTree.SubElement(item, key).text = "1" if known.get(key) == 1 else "0"
        ElementTree.SubElement(item, "difficult").text = "1" if is_region else "0"
        corners = ElementTree.SubElement(item, "bndbox")
        for key, value in zip(("xmin", "ymin", "xmax", "ymax"), _whole_pixels(box, image), strict=True):
            ElementTree.SubElement(corners, key).text = str(value)
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8")) + b"\n"


def _whole_pixels(box: FloatArray, image: LabelledImage) -> tuple[int, int, int, int]:
    """The box in whole pixels counted from 1, the last one included; at least one pixel large."""
    x1, y1, x2, y2 = (round(float(v)) for v in box)
    x1, y1 = min(x1, image.width - 1), min(y1, image.height - 1)
    return x1 + 1, y1 + 1, max(x2, x1 + 1), max(y2, y1 + 1)
