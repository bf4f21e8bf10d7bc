"""COCO detection labels in and out, and the sets that are almost COCO.

Reads what `Lin et al. 2014` and the COCO web page describe, and without a conversion script what is close to it:
HIT-UAV (a list called `annotation`, the image key `filename`, category ids from 0, DontCare as regions to ignore),
Roboflow's and CVAT's exports, tracks with `track_id` or `individual_id`, videos as flights.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nightherd.datasets.hard_negatives import KEY, focus_value, read_focus
from nightherd.datasets.images import ImageFinder, Missing, image_size
from nightherd.datasets.mending import (
    Problems,
    as_attributes,
    as_id,
    as_number,
    as_side,
    as_text,
    is_ignore_name,
    mend_boxes,
    read_json,
    relative_path,
    shown,
)
from nightherd.datasets.naming import SPLITS, split_of_file, split_of_name, with_name_attributes
from nightherd.datasets.types import Attribute, Dataset, ImageId, LabelledImage
from nightherd.errors import DatasetError
from nightherd.files import write_json

IMAGE_KEYS = frozenset(
    {"id", "file_name", "filename", "width", "height", "split", "license", "coco_url", "flickr_url", "url"}
)
BOX_KEYS = frozenset(
    {"id", "image_id", "category_id", "bbox", "area", "iscrowd", "ignore", "segmentation", "track_id", "individual_id"}
)


def is_coco(value: Any) -> bool:
    """Whether a JSON value looks like COCO labels, whole or nearly."""
    return isinstance(value, dict) and isinstance(value.get("images"), list) and "categories" in value


def read_coco(
    path: Path,
    *,
    images: Path | None = None,
    split: str | None = None,
    missing: Missing = "error",
    name: str | None = None,
) -> Dataset:
    """Reads one COCO file.

    Boxes over the edge are clipped, boxes without area or with NaN left out, boxes of an unknown category kept as
    regions to ignore, each with a line in `Dataset.problems`; crowds are regions to ignore.

    Args:
        path: the JSON file.
        images: the folder of the images; else they are looked for beside the file, in `images/` and where COCO and
            Roboflow keep them.
        split: of images that name none themselves; else told from the file's name.
        missing: what to do about an image that is not there.
        name: of the data set; else the name of its folder.

    Raises:
        DatasetError: not COCO, an image is missing, two images share an id, or a path leads out of the data set.
    """
    path = Path(path)
    value = read_json(path)
    if not is_coco(value):
        raise DatasetError("not COCO labels: it needs the lists images, annotations and categories", path)
    problems = Problems()
    classes, category_ids, label_of, ignored = _categories(value["categories"], path)
    videos = _videos(value.get("videos"))
    finder = ImageFinder(_folders(path, images), missing, path)
    file_split = split or split_of_file(path)

    records: dict[ImageId, LabelledImage | None] = {}
    for entry in value["images"]:
        record = _image(entry, finder, videos, file_split, path, problems)
        if record.id in records:
            first = records[record.id]
            if first is not None and first.file_name != record.file_name:
                raise DatasetError(
                    f"the images {first.file_name} and {record.file_name} share the id {record.id}; "
                    "give every image its own",
                    path,
                )
            problems.add("image listed twice", record.file_name, "read once")
            continue
        found = finder.find(record.file_name)
        if found is None:
            problems.add("missing image", record.file_name, "left out")
            records[record.id] = None
            continue
        sized = _with_size(record, found, missing, path)
        focus = read_focus(entry, sized.file_name, sized.width, sized.height, path, problems)
        records[record.id] = replace(sized, focus=focus)

    annotations = value.get("annotations", value.get("annotation"))
    if not isinstance(annotations, list):
        raise DatasetError("not COCO labels: the list annotations is missing", path)
    by_image = _group(annotations, records, path, problems)
    individuals: dict[str, int] = {}
    filled = [
        _fill(record, by_image.get(record.id, []), label_of, ignored, individuals, path, problems)
        for record in records.values()
        if record is not None
    ]
    return Dataset(
        name=name or _name(path),
        classes=classes,
        images=with_name_attributes(filled),
        category_ids=category_ids,
        problems=problems.lines(),
    )


def _name(path: Path) -> str:
    folder = path.resolve().parent
    return folder.parent.name if folder.name.lower() in ("annotations", "labels") else folder.name


def _folders(path: Path, images: Path | None) -> list[Path]:
    """Where the images of a label file may lie, in order."""
    split = split_of_name(path.stem)
    stem = path.stem.removeprefix("instances_")
    spelt = [s for s, ours in SPLITS.items() if ours == split]
    names = [stem, *([split] if split else []), *spelt]
    if images is not None:
        return [images, *(images / name for name in names)]
    base = path.parent
    roots = [base]
    if base.name.lower() in ("annotations", "annotation", "labels"):
        roots.append(base.parent)
    found = []
    for root in roots:
        found += [root, *(root / "images" / name for name in names), root / "images", *(root / name for name in names)]
    return found


def _categories(value: Any, path: Path) -> tuple[tuple[str, ...], tuple[int, ...], dict[ImageId, int], set[ImageId]]:
    """Class names, their category ids, label by category id, and the category ids that mark regions to ignore."""
    if not isinstance(value, list):
        raise DatasetError("not COCO labels: categories is not a list", path)
    label_of: dict[ImageId, int] = {}
    ignored: set[ImageId] = set()
    names: list[str] = []
    ids: list[int] = []
    for entry in value:
        if not isinstance(entry, dict):
            raise DatasetError(f"categories holds {shown(entry)}, which is no record", path)
        number = as_id(entry.get("id"), "the id of a category", path)
        name = as_text(entry.get("name"), f"the name of category {shown(number)}", path)
        if not isinstance(number, int):
            raise DatasetError(f"category {name} has the id {shown(number)}; it must be a whole number", path)
        if number in label_of or number in ignored:
            raise DatasetError(f"two categories share the id {number}; give every category its own", path)
        if is_ignore_name(name):
            ignored.add(number)
        elif name in names:
            label_of[number] = names.index(name)
        else:
            label_of[number] = len(names)
            names.append(name)
            ids.append(number)
    return tuple(names), tuple(ids), label_of, ignored


def _videos(value: Any) -> dict[object, str]:
    """Names of the videos by id: each is a flight."""
    found: dict[object, str] = {}
    for entry in value if isinstance(value, list) else []:
        if isinstance(entry, dict) and isinstance(entry.get("id"), int | str):
            label = entry.get("file_name", entry.get("name", entry["id"]))
            if isinstance(label, int | str):
                found[entry["id"]] = str(label)
    return found


def _image(
    entry: Any, finder: ImageFinder, videos: dict[object, str], split: str | None, path: Path, problems: Problems
) -> LabelledImage:
    """An image's record without its boxes; sizes that the labels do not give are 0."""
    if not isinstance(entry, dict):
        raise DatasetError(f"images holds {shown(entry)}, which is no record", path)
    file_name = relative_path(entry.get("file_name", entry.get("filename")), "the file name of an image", path)
    number = as_id(entry.get("id"), f"the id of image {file_name}", path)
    sides = [
        0 if entry.get(key) is None else as_side(entry[key], f"the {key} of image {file_name}", path, problems)
        for key in ("width", "height")
    ]
    attributes = as_attributes(entry, IMAGE_KEYS)
    video = entry.get("video_id")
    if isinstance(video, int | str) and video in videos and "flight" not in attributes:
        attributes.update(as_attributes({"flight": videos[video]}, frozenset()))
    own_split = entry.get("split")
    if isinstance(own_split, str) and own_split:
        split = SPLITS.get(own_split.lower(), as_text(own_split, f"the split of image {file_name}", path))
    return LabelledImage(number, file_name, Path(), sides[0], sides[1], split=split, attributes=attributes)


def _with_size(record: LabelledImage, found: Path, missing: Missing, path: Path) -> LabelledImage:
    """The record with its path, and with the size from the header where the labels give none."""
    width, height = record.width, record.height
    if not (width and height):
        try:
            width, height = image_size(found)
        except DatasetError as error:
            if missing == "allow" and not found.exists():
                raise DatasetError(
                    f"the labels give no size for {record.file_name}, and the image is not there", path
                ) from None
            raise error
    return LabelledImage(
        record.id, record.file_name, found, width, height, split=record.split, attributes=record.attributes
    )


def _group(
    annotations: list[Any], records: dict[ImageId, LabelledImage | None], path: Path, problems: Problems
) -> dict[ImageId, list[tuple[str, dict[str, Any]]]]:
    """The annotations of each image, with a name for each."""
    as_written = {str(key): key for key in records}
    seen: set[ImageId] = set()
    grouped: dict[ImageId, list[tuple[str, dict[str, Any]]]] = defaultdict(list)
    for place, entry in enumerate(annotations):
        if not isinstance(entry, dict):
            raise DatasetError(f"annotations holds {shown(entry)}, which is no record", path)
        number = entry.get("id")
        where = f"annotation {shown(number) if isinstance(number, int | str) else f'at place {place}'}"
        if isinstance(number, int | str):
            if number in seen:
                problems.add("annotation id used twice", where, "both kept")
            seen.add(number)
        image = as_id(entry.get("image_id"), f"the image_id of {where}", path)
        if image not in records:
            if str(image) not in as_written:
                problems.add("box of an unknown image", where, f"image_id {shown(image)}; left out")
                continue
            image = as_written[str(image)]
        grouped[image].append((where, entry))
    return grouped


def _corners(entry: dict[str, Any], where: str, path: Path, problems: Problems) -> list[float]:
    """x1 y1 x2 y2 of an annotation, from its bbox or else around its polygons."""
    box = entry.get("bbox")
    if isinstance(box, list) and len(box) == 4:
        x, y, w, h = (as_number(value, f"the bbox of {where}", path, problems) for value in box)
        return [x, y, x + w, y + h]
    polygons = entry.get("segmentation")
    if not box and isinstance(polygons, list) and polygons and all(isinstance(p, list) for p in polygons):
        flat = [[as_number(v, f"the segmentation of {where}", path, problems) for v in p] for p in polygons]
        if all(len(p) >= 6 and len(p) % 2 == 0 for p in flat):
            xs = [v for p in flat for v in p[0::2]]
            ys = [v for p in flat for v in p[1::2]]
            return [min(xs), min(ys), max(xs), max(ys)]
    raise DatasetError(f"{where} has the bbox {shown(box)}; it must be x, y, width, height", path)


def _individual(entry: dict[str, Any], known: dict[str, int]) -> int:
    """The id of the animal in a box, -1 where the labels give none; names are numbered as they come."""
    extra = entry.get("attributes")
    for record in (entry, extra if isinstance(extra, dict) else {}):
        for key in ("individual_id", "track_id"):
            value = record.get(key)
            if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**62:
                return value
            if isinstance(value, str) and value:
                return known.setdefault(value, len(known))
    return -1


def _fill(
    record: LabelledImage,
    entries: list[tuple[str, dict[str, Any]]],
    label_of: dict[ImageId, int],
    ignored: set[ImageId],
    known: dict[str, int],
    path: Path,
    problems: Problems,
) -> LabelledImage:
    """The record with its boxes."""
    boxes = np.zeros((len(entries), 4), np.float64)
    labels = np.zeros(len(entries), np.int64)
    individuals = np.full(len(entries), -1, np.int64)
    attributes: list[dict[str, Attribute]] = []
    where = [f"{record.file_name}, {name}" for name, _ in entries]
    for i, (_, entry) in enumerate(entries):
        boxes[i] = _corners(entry, where[i], path, problems)
        category = as_id(entry.get("category_id"), f"the category_id of {where[i]}", path)
        labels[i] = label_of.get(category, -1)
        is_region = bool(entry.get("iscrowd")) or bool(entry.get("ignore")) or category in ignored
        if labels[i] < 0 and not is_region:
            problems.add("unknown category", where[i], f"category_id {shown(category)}; kept as a region to ignore")
        if is_region:
            labels[i] = -1
        individuals[i] = _individual(entry, known)
        extra = entry.get("attributes")
        nested = as_attributes(extra, BOX_KEYS) if isinstance(extra, dict) else {}
        attributes.append({**as_attributes(entry, BOX_KEYS), **nested})
    mended, kept = mend_boxes(boxes, record.width, record.height, where, problems)
    is_box = labels[kept] >= 0
    own = kept[is_box]
    own_attributes = tuple(attributes[i] for i in own)
    return LabelledImage(
        id=record.id,
        file_name=record.file_name,
        path=record.path,
        width=record.width,
        height=record.height,
        boxes=mended[is_box],
        labels=labels[own],
        ignore=mended[~is_box],
        individuals=individuals[own] if (individuals[own] >= 0).any() else None,
        split=record.split,
        attributes=record.attributes,
        box_attributes=own_attributes if any(own_attributes) else (),
        focus=record.focus,
    )


def coco_value(dataset: Dataset, file_names: Iterable[str] | None = None) -> dict[str, Any]:
    """A data set as a COCO JSON value.

    Regions to ignore become crowds (`iscrowd` 1), which COCO's own evaluation ignores; the attributes of an image
    become fields of its record, individuals `individual_id`, and the split a field `split`.

    Args:
        dataset: what to write.
        file_names: one for each image, in place of its own.
    """
    ids = dataset.category_ids or tuple(range(1, len(dataset.classes) + 1))
    crowd = ids[0] if ids else 1
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    names = list(file_names) if file_names is not None else [image.file_name for image in dataset.images]
    for image, file_name in zip(dataset.images, names, strict=True):
        fixed: dict[str, Any] = {"id": image.id, "file_name": file_name, "width": image.width, "height": image.height}
        if image.split is not None:
            fixed["split"] = image.split
        if len(image.focus):
            fixed[KEY] = focus_value(image.focus)
        images.append({**fixed, **{k: v for k, v in image.attributes.items() if k not in IMAGE_KEYS}})
        for i, (box, label) in enumerate(zip(image.boxes, image.labels, strict=True)):
            entry = _annotation(len(annotations) + 1, image.id, ids[int(label)], box)
            if image.individuals is not None and image.individuals[i] >= 0:
                entry["individual_id"] = int(image.individuals[i])
            if image.box_attributes:
                entry |= {k: v for k, v in image.box_attributes[i].items() if k not in BOX_KEYS}
            annotations.append(entry)
        for box in image.ignore:
            annotations.append(_annotation(len(annotations) + 1, image.id, crowd, box) | {"iscrowd": 1})
    return {
        "info": {"description": dataset.name},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for number, name in zip(ids, dataset.classes, strict=True)],
    }


def _annotation(number: int, image: ImageId, category: int, box: np.ndarray[Any, Any]) -> dict[str, Any]:
    """One annotation; the width is such that x + width gives x2 again to well under a thousandth of a pixel."""
    x1, y1, x2, y2 = (float(value) for value in box.astype(np.float64))
    bbox = [round(v, 4) for v in (x1, y1, x2 - x1, y2 - y1)]
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "bbox": bbox,
        "area": round(bbox[2] * bbox[3], 4),
        "iscrowd": 0,
    }


def write_coco(dataset: Dataset, path: Path, file_names: Iterable[str] | None = None) -> None:
    """Writes a data set's labels as one COCO file, whole or not at all; see `coco_value` for what becomes what."""
    write_json(Path(path), coco_value(dataset, file_names), indent=None)
