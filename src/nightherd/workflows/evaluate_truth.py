"""Truth that is simpler than boxes: a table of points, or of how many animals each image holds, as CSV.

    file,x,y,label            file,count,label
    0001.jpg,312,88,deer      0001.jpg,3,deer
    0002.jpg,,,               0002.jpg,0,deer

`file` is the image (relative to the table, its `images` folder or `--images`), `x` and `y` pixels from its left upper
corner; a line with neither says that the image was looked at and holds nothing. `label` may be left out. Only images in
the table are measured. Any other column (`flight`, `altitude`, `ground_sample_distance`…) describes the image.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from nightherd.datasets.images import ImageFinder, Missing, image_size
from nightherd.datasets.mending import as_text, is_file, read_text, relative_path, shown
from nightherd.datasets.naming import with_name_attributes
from nightherd.datasets.types import Attribute, Dataset, ImageId, LabelledImage
from nightherd.errors import ConfigError, DatasetError

FILE, LABEL = ("file", "file_name", "filename", "image"), ("label", "class", "category", "species")
ONE_CLASS = "animal"
"""The class of everything in a table without labels."""

MOST_BYTES, MOST_COUNT, MOST_PIXELS = 200_000_000, 1_000_000, 1_000_000
GSD = "ground_sample_distance"


@dataclass(frozen=True, slots=True)
class Table:
    """Truth that is points or counts.

    Attributes:
        kind: which of the two.
        data: the images and the names of the classes; a point is a box with both corners on it.
        counts: float64 (C,) of each image, how many of each class; zeros for points.
        digest: SHA-256 of what the table says.
    """

    kind: Literal["points", "counts"]
    data: Dataset
    counts: Mapping[ImageId, npt.NDArray[np.float64]]
    digest: str


@dataclass(slots=True)
class _Image:
    points: list[tuple[float, float, str]] = field(default_factory=list)
    counts: dict[str, float] = field(default_factory=dict)
    attributes: dict[str, Attribute] = field(default_factory=dict)


def is_table(spec: object) -> bool:
    """Whether a data set is named that is a table of points or counts."""
    return isinstance(spec, str | Path) and Path(spec).suffix.lower() == ".csv"


def read_table(path: Path, images: Path | None = None, missing: Missing = "allow") -> Table:
    """Reads a table of points or counts.

    Args:
        path: the CSV file, comma, semicolon or tab between its columns.
        images: the folder of the images; None looks beside the table and in `images`.
        missing: what to do about an image that is not there; `allow` keeps its truth, which is enough for results.

    Raises:
        DatasetError: not such a table; the message names the line.
    """
    rows, header = _rows(path)
    kind: Literal["points", "counts"] = "points" if "x" in header else "counts"
    found: dict[str, _Image] = {}
    classes: dict[str, None] = {}
    for line, row in rows:
        where = f"line {line}"
        name = relative_path(row[_column(header, FILE)], f"{where}: the file", path)
        image = found.setdefault(name, _Image())
        label_column = _column(header, LABEL)
        given = row[label_column].strip() if label_column else ONE_CLASS
        label = as_text(given, f"{where}: the label", path) if given else ""
        if kind == "points":
            _add_point(image, row, label, where, path)
        else:
            _add_count(image, row, label, where, path)
        if label and (kind == "counts" or row["x"].strip()):
            classes[label] = None
        used = {_column(header, FILE), label_column, "x", "y", "count"}
        for key, value in row.items():
            if key not in used and value.strip():
                image.attributes[key] = _attribute(value.strip())
    return _table(path, kind, found, tuple(classes), images, missing)


def _rows(path: Path) -> tuple[list[tuple[int, dict[str, str]]], list[str]]:
    """The lines with their numbers, as text by column, and the columns in lower case."""
    text = read_text(path, MOST_BYTES)
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    expected = "its first line must name the columns: file,x,y,label for points, or file,count,label"
    try:
        header = [cell.strip().lower() for cell in next(reader, [])]
        if (
            not _column(header, FILE)
            or len(set(header)) != len(header)
            or not ({"x", "y"} <= set(header)) ^ ("count" in header)
        ):
            raise DatasetError(f"no table of points or counts; {expected}", path)
        rows = []
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise DatasetError(
                    f"line {reader.line_num} has {len(cells)} cells, the first line {len(header)}; {expected}", path
                )
            rows.append((reader.line_num, dict(zip(header, cells, strict=True))))
    except csv.Error as error:
        raise DatasetError(f"line {reader.line_num} is not CSV: {error}", path) from None
    if not rows:
        raise DatasetError("names no image", path)
    return rows, header


def _column(header: Sequence[str], names: Sequence[str]) -> str:
    return next((name for name in names if name in header), "")


def _add_point(image: _Image, row: Mapping[str, str], label: str, where: str, path: Path) -> None:
    x, y = row["x"].strip(), row["y"].strip()
    if not x and not y:
        return
    if not label:
        raise DatasetError(f"{where} has a point without a label", path)
    place = [_number(value, f"{where}: {axis}", path, MOST_PIXELS) for axis, value in (("x", x), ("y", y))]
    image.points.append((place[0], place[1], label))


def _add_count(image: _Image, row: Mapping[str, str], label: str, where: str, path: Path) -> None:
    count = _number(row["count"].strip(), f"{where}: the count", path, MOST_COUNT)
    if count != int(count):
        raise DatasetError(f"{where}: the count is {shown(row['count'])}; it must be a whole number", path)
    if not label:
        if count:
            raise DatasetError(f"{where} has a count without a label", path)
        return
    if label in image.counts:
        raise DatasetError(f"{where} counts {shown(label)} in this image again", path)
    image.counts[label] = count


def _number(text: str, what: str, path: Path, limit: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= limit:
        raise DatasetError(f"{what} is {shown(text)}; it must be a number from 0 to {limit:,}", path)
    return number


def _attribute(text: str) -> Attribute:
    """A cell as a whole number, a number or text, in that order."""
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        return value if math.isfinite(value) and abs(value) < 2**63 else text
    return text


def _table(
    path: Path,
    kind: Literal["points", "counts"],
    found: Mapping[str, _Image],
    classes: tuple[str, ...],
    folder: Path | None,
    missing: Missing,
) -> Table:
    classes = classes or (ONE_CLASS,)
    folders = [folder] if folder is not None else [path.parent, path.parent / "images"]
    finder = ImageFinder(folders, missing, path)
    images: list[LabelledImage] = []
    counts: dict[ImageId, npt.NDArray[np.float64]] = {}
    digest = hashlib.sha256(json.dumps([kind, classes]).encode())
    for name, one in found.items():
        place = finder.find(name)
        if place is None:
            continue
        width, height = image_size(place) if is_file(place) else (0, 0)
        points = np.array([(x, y, x, y) for x, y, _ in one.points], np.float32).reshape(-1, 4)
        labels = np.array([classes.index(label) for _, _, label in one.points], np.int64)
        images.append(LabelledImage(name, name, place, width, height, points, labels, attributes=one.attributes))
        counts[name] = np.array([one.counts.get(label, 0.0) for label in classes], np.float64)
        digest.update(json.dumps([name, one.points, one.counts]).encode())
    if not images:
        raise DatasetError("not one of its images is there", path)
    data = Dataset(path.stem, classes, with_name_attributes(images))
    return Table(kind, data, counts, digest.hexdigest())


def parse_radius(text: str) -> tuple[float, Literal["px", "m"]]:
    """A radius and its unit: `12`, `12px` or `2m`.

    Raises:
        ConfigError: it is none.
    """
    spec = text.strip().lower().replace(" ", "")
    unit: Literal["px", "m"] = "m" if spec.endswith("m") else "px"
    try:
        radius = float(spec.removesuffix("px").removesuffix("m"))
    except ValueError:
        radius = math.nan
    if not 0 < radius < MOST_PIXELS:
        raise ConfigError(f"--radius {text}: give pixels as 12px, or metres on the ground as 2m")
    return radius, unit


def radius_in_pixels(image: LabelledImage, radius: float, unit: Literal["px", "m"]) -> float:
    """The radius in pixels of one image.

    Raises:
        ConfigError: it is in metres, and neither the table nor the image file tells how many a pixel covers.
    """
    if unit == "px":
        return radius
    known = image.attributes.get(GSD)
    if known is None and is_file(image.path):
        from nightherd.frames.header import read_header
        from nightherd.frames.pose import frame_size, read_pose

        pose = read_pose(image.path)
        known = None if pose is None else pose.ground_sample_distance
        if known is not None and image.width:  # the labels may be for a picture that is larger than the raw frame
            known *= frame_size(read_header(image.path))[0] / image.width
    if not isinstance(known, int | float) or not known > 0:
        raise ConfigError(
            f"--radius in metres needs the ground sample distance of {image.file_name}, which neither a column "
            f"'{GSD}' nor the file tells; give it in pixels"
        )
    return radius / float(known)
