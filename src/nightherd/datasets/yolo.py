"""YOLO labels in and out: a text file an image with `class cx cy width height` in fractions, and a data.yaml.

The layout is the one that Ultralytics documents: `images/…/name.jpg` beside `labels/…/name.txt`. It holds boxes and
classes and nothing else: no regions to ignore, no individuals, no attributes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import yaml

from nightherd.datasets.images import ImageFinder, Missing, image_size, list_images
from nightherd.datasets.mending import (
    Problems,
    as_text,
    is_file,
    is_ignore_name,
    mend_boxes,
    read_text,
    relative_path,
    shown,
)
from nightherd.datasets.naming import SPLITS, with_name_attributes
from nightherd.datasets.types import Dataset, LabelledImage
from nightherd.errors import DatasetError
from nightherd.files import write_text

YAML_LIMIT = 2_000_000
TEXT_LIMIT = 20_000_000
MOST_CLASSES = 10_000


def find_yaml(folder: Path) -> Path | None:
    """The data.yaml of a YOLO folder: that name, or the only YAML file whose text names classes."""
    named = [folder / name for name in ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")]
    for path in named:
        if is_file(path):
            return path
    others = [p for p in sorted(folder.glob("*.y*ml")) if is_file(p) and p.stat().st_size <= YAML_LIMIT]
    others = [p for p in others if "names:" in read_text(p, YAML_LIMIT)]
    return others[0] if len(others) == 1 else None


def read_yolo(path: Path, *, split: str | None = None, missing: Missing = "error", name: str | None = None) -> Dataset:
    """Reads a YOLO data set.

    Args:
        path: its data.yaml, or a folder with one, or a folder with `images/` and `labels/` (and `classes.txt`).
        split: reads only this one.
        missing: what to do about a label file without its image, and about a listed image that is not there.
        name: of the data set; else the name of its folder.

    Raises:
        DatasetError: no such set, a label that cannot be read, or a path that leads out of the data set.
    """
    path = Path(path)
    source = find_yaml(path) if path.is_dir() else path
    root = path if path.is_dir() else path.parent
    problems = Problems()
    places: list[tuple[Path, str | None]]
    if source is None:
        classes: list[str] | None = _classes_beside(root)
        images = root / "images" if (root / "images").is_dir() else root
        subfolders = [(f, SPLITS[f.name.lower()]) for f in sorted(images.iterdir()) if f.name.lower() in SPLITS]
        places = [(folder, own) for folder, own in subfolders if folder.is_dir()] or [(images, None)]
    else:
        config = _config(source)
        root = _root(config, root, source)
        classes = _names(config, source)
        places = _places(config, root, source)
    known = sorted({own for _, own in places if own})
    if split is not None:
        places = [(place, own) for place, own in places if own == split]
        if not places:
            raise DatasetError(f"no split '{split}' here (its splits: {', '.join(known) or 'none'})", path)
    found: list[LabelledImage] = []
    seen: set[Path] = set()
    seen_classes: set[int] = set()
    for place, own in places:
        for image in _images(place, root, missing, problems):
            if image not in seen:
                seen.add(image)
                found.append(_read_image(image, root, own, classes, seen_classes, problems))
        _orphans(place, seen, missing, problems)
    if not found:
        raise DatasetError("no images here; YOLO keeps them in images/ beside labels/", path)
    if classes is None:
        classes = [str(i) for i in range(max(seen_classes, default=-1) + 1)]
    ignored = [i for i, c in enumerate(classes) if is_ignore_name(c)]
    dataset = Dataset(
        name or root.resolve().name,
        tuple(classes),
        with_name_attributes(found),
        tuple(range(len(classes))),
        problems.lines(),
    )
    if not ignored:
        return dataset
    kept = [i for i in range(len(classes)) if i not in ignored]
    renamed = dataset.with_classes([classes[i] for i in kept])
    return Dataset(renamed.name, renamed.classes, renamed.images, tuple(kept), renamed.problems)


def _config(source: Path) -> dict[str, Any]:
    try:
        config = yaml.safe_load(read_text(source, YAML_LIMIT))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        raise DatasetError(f"not YAML{line}: {getattr(error, 'problem', None) or 'cannot be read'}", source) from None
    except RecursionError:
        raise DatasetError("not a data set: nested too deeply", source) from None
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        # PyYAML lets errors of its value constructors out: a date of month 13, a number of no digits.
        raise DatasetError(f"not YAML: {error}", source) from None
    if not isinstance(config, dict) or "names" not in config:
        raise DatasetError("not a YOLO data set: it needs names, train and val", source)
    return config


def _names(config: dict[str, Any], source: Path) -> list[str]:
    """Class names in order; `names` is a list, or a mapping from 0, 1, …"""
    names = config["names"]
    if isinstance(names, dict):
        if set(names) != set(range(len(names))):
            raise DatasetError("the keys of names must be 0, 1, 2, … without a gap", source)
        names = [names[i] for i in range(len(names))]
    if not isinstance(names, list):
        raise DatasetError(f"names is {shown(names)}; it must be a list of class names", source)
    found = [as_text(str(n) if isinstance(n, int | float) else n, "a class in names", source) for n in names]
    if len(set(found)) != len(found):
        raise DatasetError("names holds a class twice", source)
    return found


def _root(config: dict[str, Any], root: Path, source: Path) -> Path:
    """The folder that `path` names, if it lies inside the folder of the file."""
    stated = config.get("path")
    if stated in (None, "", "."):
        return root
    if isinstance(stated, str) and Path(stated).is_absolute():
        if Path(stated).resolve() == root.resolve():
            return root
        raise DatasetError(
            f"path is {shown(stated)}, outside the folder of this file; remove that line if the images lie beside it",
            source,
        )
    inside = _inside(stated, "path", root, source)
    return inside if inside.is_dir() else root


def _inside(value: object, what: str, root: Path, source: Path) -> Path:
    """A path inside the root; for Roboflow's `../train/images`, which means `train/images`, that."""
    text = as_text(value, what, source).replace("\\", "/")
    stripped = text
    while stripped.startswith("../"):
        stripped = stripped[3:]
    if stripped != text and stripped and (root / relative_path(stripped, what, source)).exists():
        return root / relative_path(stripped, what, source)
    if text in (".", "./"):
        return root
    return root / relative_path(text, what, source)


def _places(config: dict[str, Any], root: Path, source: Path) -> list[tuple[Path, str | None]]:
    """The folders or lists of images that the file names, each with its split."""
    places: list[tuple[Path, str | None]] = []
    for key, own in (("train", "train"), ("val", "val"), ("valid", "val"), ("test", "test")):
        value = config.get(key)
        for entry in value if isinstance(value, list) else [value]:
            if entry is None or entry == "":
                continue
            place = _inside(entry, key, root, source)
            if not place.exists():
                if own == "test":
                    continue
                raise DatasetError(f"{key} names {shown(entry)}, which is not there (looked for {place})", source)
            places.append((place, own))
    if not places:
        raise DatasetError("not a YOLO data set: it names no images under train or val", source)
    return places


def _classes_beside(root: Path) -> list[str] | None:
    """Class names in a classes.txt or obj.names beside the labels; None where there is none."""
    for folder in (root, root / "labels"):
        for file_name in ("classes.txt", "obj.names", "labels.txt"):
            path = folder / file_name
            if is_file(path):
                lines = [line for line in read_text(path, YAML_LIMIT).splitlines() if line.strip()]
                return [as_text(line, "a class name", path) for line in lines]
    return None


def _images(place: Path, root: Path, missing: Missing, problems: Problems) -> list[Path]:
    """The images of a folder, a list of images in a text file, or one image."""
    if place.is_dir():
        return list_images(place)
    if place.suffix.lower() != ".txt":
        return [place]
    finder = ImageFinder([root, place.parent], missing, place)
    found = []
    for line in read_text(place, TEXT_LIMIT).splitlines():
        if not line.strip():
            continue
        image = finder.find(relative_path(line.strip(), "a line", place))
        if image is None:
            problems.add("missing image", line.strip(), "left out")
        else:
            found.append(image)
    return found


def _label_path(image: Path) -> Path:
    """Where the labels of an image lie: its last folder called `images` becomes `labels`; else beside it."""
    parts = list(image.parts)
    for i in range(len(parts) - 2, -1, -1):
        if parts[i] == "images":
            parts[i] = "labels"
            return Path(*parts).with_suffix(".txt")
    return image.with_suffix(".txt")


def _orphans(place: Path, images: set[Path], missing: Missing, problems: Problems) -> None:
    """Deals with label files that have no image."""
    labels = _label_path(place / "x.jpg").parent
    if missing == "allow" or not place.is_dir() or labels == place or not labels.is_dir():
        return
    expected = {_label_path(image) for image in images}
    for path in sorted(labels.rglob("*.txt")):
        if path in expected or path.name in ("classes.txt", "labels.txt") or path.name.startswith("."):
            continue
        if missing == "error":
            raise DatasetError(
                f"there is no image for these labels in {place}; put it there, or leave missing images out "
                "with --skip-missing",
                path,
            )
        problems.add("missing image", path.relative_to(labels).as_posix(), "its labels are left out")


def _read_image(
    image: Path, root: Path, split: str | None, classes: list[str] | None, seen: set[int], problems: Problems
) -> LabelledImage:
    width, height = image_size(image)
    labels_path = _label_path(image)
    text = read_text(labels_path, TEXT_LIMIT) if is_file(labels_path) else ""
    boxes: list[list[float]] = []
    labels: list[int] = []
    where: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            label, box = _parse(line, number, labels_path, problems)
            boxes.append(box)
            labels.append(label)
            where.append(f"{labels_path.name}, line {number}")
    raw = np.array(boxes, np.float64).reshape(-1, 4) * np.array([width, height, width, height], np.float64)
    mended, kept = mend_boxes(raw, width, height, where, problems)
    label_array = np.array(labels, np.int64)[kept] if labels else np.zeros(0, np.int64)
    seen.update(int(label) for label in label_array)
    known = label_array < (MOST_CLASSES if classes is None else len(classes))
    for i in np.flatnonzero(~known):
        problems.add("unknown category", where[int(kept[i])], f"class {label_array[i]}; kept as a region to ignore")
    inside = image.relative_to(root) if image.is_relative_to(root) else Path(image.name)
    name = PurePosixPath(*inside.parts)
    return LabelledImage(
        id=name.with_suffix("").as_posix(),
        file_name=name.as_posix(),
        path=image,
        width=width,
        height=height,
        boxes=mended[known],
        labels=label_array[known],
        ignore=mended[~known],
        split=split or SPLITS.get(image.parent.name.lower()),
    )


def _parse(line: str, number: int, path: Path, problems: Problems) -> tuple[int, list[float]]:
    """Class and x1 y1 x2 y2, in fractions, of a line: a box, a box with a confidence, or a polygon (its bounds)."""
    where = f"line {number}"
    try:
        values = [float(word) for word in line.split()]
    except ValueError:
        raise DatasetError(f"{where} is {shown(line)}; it must be: class cx cy width height", path) from None
    if len(values) < 5 or not math.isfinite(values[0]) or values[0] != int(values[0]) or values[0] < 0:
        raise DatasetError(f"{where} is {shown(line)}; it must be: class cx cy width height", path)
    label, rest = min(int(values[0]), MOST_CLASSES), values[1:]
    if any(abs(v) > 2 for v in rest if math.isfinite(v)):
        raise DatasetError(f"{where} is {shown(line)}: pixels, it seems; YOLO wants fractions of the image", path)
    if len(rest) >= 6 and len(rest) % 2 == 0:
        xs, ys = rest[0::2], rest[1::2]
        if all(math.isfinite(v) for v in rest):
            return label, [min(xs), min(ys), max(xs), max(ys)]
        return label, [math.nan] * 4
    if len(rest) > 5:
        raise DatasetError(f"{where} has {len(values)} values; it must be: class cx cy width height", path)
    if len(rest) == 5:
        problems.add("confidence in a label", f"{path.name}, {where}", "not used")
    cx, cy, w, h = rest[:4]
    return label, [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]


def write_yolo(dataset: Dataset, folder: Path, file_names: Iterable[str] | None = None) -> None:
    """Writes `labels/…/name.txt` for each image, and data.yaml last; the images are the caller's to place.

    Regions to ignore, individuals and attributes are left out: the format has no place for them.

    Args:
        dataset: what to write.
        folder: the root of the new data set.
        file_names: one for each image, relative to the root, below `images/`; else `images/{split}/{file name}`.

    Raises:
        DatasetError: two images would share a label file.
    """
    folder = Path(folder)
    names = list(file_names) if file_names is not None else yolo_names(dataset)
    targets = [_label_path(folder / name) for name in names]
    if len({str(target).lower() for target in targets}) < len(targets):
        raise DatasetError("two images would share a label file; give them different names", folder)
    for image, target in zip(dataset.images, targets, strict=True):
        write_text(target, "".join(_line(image, i) for i in range(len(image.boxes))))
    splits = sorted({image.split or "train" for image in dataset.images})
    config: dict[str, Any] = {"path": "."}
    for split in splits:
        folders = {
            PurePosixPath(n).parent for n, i in zip(names, dataset.images, strict=True) if (i.split or "train") == split
        }
        config[split] = _common(folders)
    config["names"] = dict(enumerate(dataset.classes))
    write_text(folder / "data.yaml", yaml.safe_dump(config, sort_keys=False, allow_unicode=True))


def yolo_names(dataset: Dataset) -> list[str]:
    """Where each image goes, relative to the root; beside images with a split, those without count as `train`."""
    has_splits = any(image.split for image in dataset.images)
    return [image_name(replace(i, split=i.split or "train") if has_splits else i) for i in dataset.images]


def image_name(image: LabelledImage) -> str:
    """Where an image goes in a data set that we write: `images/{split}/{file name}`, without repeating either."""
    parts = list(PurePosixPath(image.file_name).parts)
    if parts[0] == "images":
        parts = parts[1:]
    if image.split and len(parts) > 1 and SPLITS.get(parts[0].lower()) == image.split:
        parts = parts[1:]
    return "/".join(["images", *([image.split] if image.split else []), *parts])


def _common(folders: set[PurePosixPath]) -> str:
    """The deepest folder that holds all of these."""
    parts = [folder.parts for folder in folders]
    shared = []
    for level in zip(*parts, strict=False):
        if len(set(level)) > 1:
            break
        shared.append(level[0])
    return "/".join(shared) or "images"


def _line(image: LabelledImage, i: int) -> str:
    x1, y1, x2, y2 = (float(v) for v in image.boxes[i])
    values = (
        (x1 + x2) / 2 / image.width,
        (y1 + y2) / 2 / image.height,
        (x2 - x1) / image.width,
        (y2 - y1) / image.height,
    )
    return f"{int(image.labels[i])} " + " ".join(f"{v:.8f}" for v in values) + "\n"
