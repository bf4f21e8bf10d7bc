"""The folder of a mined set: copies of the frames, a thumbnail of each false alarm, one sheet of them, the labels."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from nightherd.datasets.coco import coco_value
from nightherd.datasets.hard_negatives import KEY
from nightherd.datasets.mending import relative_path
from nightherd.datasets.types import Dataset, LabelledImage
from nightherd.errors import FrameError
from nightherd.files import atomic_path, write_json
from nightherd.workflows.drawing import BLACK, CAPTION_INK, PAPER, WHITE, label_font
from nightherd.workflows.mine_alarms import Alarm
from nightherd.workflows.telling import Track

ON_SHEET = 120
COLUMNS = 10
ZOOM = 2
BOX_INK = "#ffb000"


def write_mined(
    folder: Path, sets: Sequence[Dataset], alarms: Sequence[Alarm], model: str, track: Track
) -> dict[str, Any]:
    """Writes the images, the thumbnails and the labels of a mined set, the labels last.

    Args:
        folder: of the set.
        sets: the data sets that were looked at, as the alarms number them.
        alarms: at least one, highest score first.
        model: whose false alarms they are.
        track: shows progress.

    Returns:
        `images`, `bytes` of their copies, and `files`: the name, origin and SHA-256 of each.
    """
    thumbnails = [f"thumbnails/{k:05d}-{_plain_name(alarm.kind)}.png" for k, alarm in enumerate(alarms, 1)]
    for alarm, name in zip(alarms, thumbnails, strict=True):
        with atomic_path(folder / name) as temporary:
            _grey(alarm).save(temporary, "PNG")
    with atomic_path(folder / "thumbnails.png") as temporary:
        contact_sheet(alarms, model).save(temporary, "PNG")

    by_image: dict[tuple[int, Any], list[int]] = defaultdict(list)
    for k, alarm in enumerate(alarms):
        by_image[alarm.number, alarm.image.id].append(k)
    classes = tuple(dict.fromkeys([*(name for one in sets for name in one.classes)] or [a.label for a in alarms]))
    prefixes = _prefixes(sets)
    files: list[dict[str, str]] = []
    images: list[LabelledImage] = []
    taken: set[str] = set()
    extra: list[list[dict[str, Any]]] = []
    for number, one in enumerate(sets):
        index = np.array([classes.index(name) for name in one.classes] or [-1], np.int64)
        holding = [image for image in one.images if (number, image.id) in by_image]
        for image in track(holding, "copying frames", len(holding)):
            name = f"{prefixes[number]}/{relative_path(image.file_name, 'the file name of an image', image.path)}"
            if name.lower() in taken:  # file names are told apart by their case on some systems only
                place, _, last = name.rpartition("/")
                name = f"{place}/{len(images) + 1}-{last}"
            taken.add(name.lower())
            target = folder / "images" / name
            _copy(image.path, target)
            files.append({"file_name": name, "from": f"{one.name}/{image.file_name}", "sha256": file_digest(target)})
            own = by_image[number, image.id]
            extra.append([_entry(alarms[k], thumbnails[k]) for k in own])
            images.append(_record(image, len(images) + 1, name, index, one.name))
    value = coco_value(Dataset(folder.resolve().name, classes, tuple(images)))
    value["info"] = {"description": f"hard negatives of {model}"}
    for entry, found in zip(value["images"], extra, strict=True):
        entry[KEY] = found
    write_json(folder / "annotations.json", value, indent=None)
    size = sum((folder / "images" / one["file_name"]).stat().st_size for one in files)
    return {"images": len(images), "bytes": size, "files": files}


def _record(image: LabelledImage, number: int, name: str, index: np.ndarray[Any, Any], source: str) -> LabelledImage:
    labels = index[image.labels] if len(image.labels) else image.labels
    attributes = {**image.attributes, "source": source, "source_id": image.id}
    return replace(image, id=number, file_name=name, labels=labels, split="train", attributes=attributes)


def _entry(alarm: Alarm, thumbnail: str) -> dict[str, Any]:
    x1, y1, x2, y2 = (float(value) for value in alarm.box)
    return {
        "bbox": [round(value, 3) for value in (x1, y1, x2 - x1, y2 - y1)],
        "score": round(alarm.score, 4),
        "category": alarm.label,
        "kind": alarm.kind,
        "thumbnail": thumbnail,
    }


def _prefixes(sets: Sequence[Dataset]) -> list[str]:
    """A folder name for the frames of each data set."""
    names: list[str] = []
    for one in sets:
        name = base = _plain_name(one.name) or "set"
        while name.lower() in {other.lower() for other in names}:
            name = f"{base}-{len(names) + 1}"
        names.append(name)
    return names


def _plain_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_+-]+", "-", text).strip("-")[:60]


def _copy(source: Path, target: Path) -> None:
    """A copy, not a link: the set can be moved, and changing it leaves the original as it is."""
    with atomic_path(target) as temporary:
        try:
            data = source.open("rb")
        except OSError as error:
            raise FrameError(f"cannot be read: {error.strerror or error}", source) from error
        with data, temporary.open("wb") as out:
            shutil.copyfileobj(data, out, 1 << 20)


def file_digest(path: Path) -> str:
    """SHA-256 of a frame's file.

    Raises:
        FrameError: it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise FrameError(f"cannot be read: {error.strerror or error}", path) from error


def _grey(alarm: Alarm) -> Image.Image:
    values = alarm.view.astype(np.float32)
    low, high = np.clip(values.min(), *BLACK), np.clip(values.max(), *WHITE)
    return Image.fromarray(np.clip((values - low) * (255 / (high - low)), 0, 255).astype(np.uint8))


def contact_sheet(alarms: Sequence[Alarm], model: str) -> Image.Image:
    """The false alarms with the highest scores side by side, each with its box, its score, what it was taken for, and
    its kind.

    Args:
        alarms: highest score first.
        model: its name, for the heading.
    """
    shown = alarms[:ON_SHEET]
    side = alarms[0].view.shape[0] * ZOOM
    small, large = label_font(12), label_font(18)
    columns = min(COLUMNS, max(4, len(shown)))
    cell_width, cell_height, head = side + 12, side + 44, 44
    rows = -(-len(shown) // columns)
    sheet = Image.new("RGB", (columns * cell_width + 12, head + rows * cell_height + 6), PAPER)
    draw = ImageDraw.Draw(sheet)
    more = f", the {len(shown)} with the highest scores" if len(shown) < len(alarms) else ""
    heading = f"{len(alarms)} false alarms of {model}{more}"
    draw.text(
        (12, head / 2), _fitted(heading, large, sheet.width - 24, draw), fill=CAPTION_INK, font=large, anchor="lm"
    )
    for k, alarm in enumerate(shown):
        x, y = 12 + k % columns * cell_width, head + k // columns * cell_height
        picture = _grey(alarm).resize((side, side), Image.Resampling.BICUBIC)
        sheet.paste(picture, (x, y))
        sides = (alarm.box[2:] - alarm.box[:2]) * alarm.zoom * ZOOM / 2 + 3
        middle = side / 2
        corners = [middle - sides[0], middle - sides[1], middle + sides[0], middle + sides[1]]
        box = [float(np.clip(value, 0, side - 1)) for value in corners]
        draw.rectangle((x + box[0], y + box[1], x + box[2], y + box[3]), outline=BOX_INK, width=1)
        for line, text in enumerate((f"{alarm.score:.2f} {alarm.label}", alarm.kind)):
            draw.text((x, y + side + 3 + 16 * line), _fitted(text, small, side, draw), fill=CAPTION_INK, font=small)
    return sheet


def _fitted(text: str, face: ImageFont.FreeTypeFont, room: float, draw: ImageDraw.ImageDraw) -> str:
    while len(text) > 2 and draw.textlength(text, face) > room:
        text = f"{text[:-2]}…"
    return text
