"""Pictures of the images with the most errors, for the report: what was found, a false alarm, or missed."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageColor, ImageDraw, ImageFont

from nightherd.datasets.types import LabelledImage
from nightherd.errors import NightherdError
from nightherd.evaluation.measurement import Measurement
from nightherd.evaluation.outcomes import Outcome
from nightherd.report.evaluation import ReportPicture
from nightherd.report.fonts import drawable, families, font_file
from nightherd.report.pictures import to_grey
from nightherd.types import FloatArray

SHOWN = 8
"""Images that are shown, at most."""

WIDTH = 960
"""Pixels of the width of a picture."""

LEAST = 240
"""Pixels of the frame that a picture is wide, at least."""

Corners = tuple[float, float, float, float]

GROUND = "#101418"
FOUND, FALSE, MISSED, CONFUSED = "#ffffff", "#ffb000", "#56b4e9", "#ff6db6"


@dataclass(frozen=True, slots=True)
class WorstImage:
    """One of the images with the most errors.

    Attributes:
        number: its place among the images that were measured.
        image: its record.
        outcome: what became of its boxes.
        caption: its errors, in words.
    """

    number: int
    image: LabelledImage
    outcome: Outcome
    caption: str


def worst_images(images: Sequence[LabelledImage], measured: Measurement, most: int = SHOWN) -> list[WorstImage]:
    """The images with the most errors at the thresholds; of equals the one with the most confident error.

    Args:
        images: as they were measured.
        measured: with outcomes; none where the truth is a count.
        most: how many.
    """
    ranked = []
    for number, outcome in enumerate(measured.outcomes):
        confused = (outcome.taken >= 0) & ~outcome.right
        errors = int((outcome.false_alarm | confused).sum()) + len(outcome.missed)
        if errors:
            scores = measured.detections[number].scores[outcome.place[outcome.false_alarm | confused]]
            ranked.append((-errors, -float(scores.max(initial=0.0)), number))
    return [
        WorstImage(number, images[number], measured.outcomes[number], _caption(measured, number))
        for _, _, number in sorted(ranked)[:most]
    ]


def _caption(measured: Measurement, number: int) -> str:
    outcome, labels = measured.outcomes[number], measured.truth[number].labels
    name = measured.classes
    alarms = Counter(name[label] for label in outcome.label[outcome.false_alarm])
    missed = Counter(name[label] for label in labels[outcome.missed])
    confused = [(labels[t], p) for t, p, r in zip(outcome.taken, outcome.label, outcome.right, strict=True)
                if t >= 0 and not r]  # fmt: skip
    parts = [f"{int(outcome.right.sum())} of {len(labels)} found"]
    for counts, what in ((missed, "missed"), (alarms, "false alarms")):
        if counts:
            parts.append(f"{what}: " + ", ".join(f"{n} {label}" for label, n in counts.most_common()))
    if confused:
        pairs = Counter(f"{name[true]} as {name[said]}" for true, said in confused)
        parts.append("taken for another class: " + ", ".join(f"{n} {pair}" for pair, n in pairs.most_common()))
    return "; ".join(parts)


def worst_pictures(worst: Sequence[WorstImage], measured: Measurement) -> tuple[list[ReportPicture], int]:
    """Draws the worst images; those that cannot be read (results need no images) are left out and counted."""
    pictures, left_out = [], 0
    for one in worst:
        try:
            pixels = _pixels(one.image)
        except NightherdError:
            left_out += 1
            continue
        pictures.append(ReportPicture(one.image.file_name, one.caption, _draw(pixels, one, measured)))
    return pictures, left_out


def _pixels(image: LabelledImage) -> FloatArray:
    """The frame at the size that its labels are for."""
    from nightherd.frames.readers import read_frame

    frame = read_frame(image.path)
    if not image.width or (frame.width, frame.height) == (image.width, image.height):
        return frame.pixels
    values = np.nan_to_num(frame.pixels, nan=float(np.nanmin(frame.pixels)) if np.isfinite(frame.pixels).any() else 0.0)
    return np.asarray(Image.fromarray(values).resize((image.width, image.height)), np.float32)


def _draw(pixels: FloatArray, one: WorstImage, measured: Measurement) -> bytes:
    truth, found = measured.truth[one.number], measured.detections[one.number]
    outcome = one.outcome
    confused = (outcome.taken >= 0) & ~outcome.right
    reach = truth.radius or 0.0
    missed = truth.boxes[outcome.missed] + np.array([-reach, -reach, reach, reach], np.float32)
    wrong = found.boxes[outcome.place[outcome.false_alarm | confused]]
    left, top, right, bottom = _crop(np.concatenate([missed, wrong]), pixels.shape)
    zoom = WIDTH / (right - left)
    grey = Image.fromarray(to_grey(pixels[top:bottom, left:right], gamma=0.8))
    picture = grey.resize((WIDTH, round((bottom - top) * zoom)), Image.Resampling.BICUBIC).convert("RGB")
    draw = ImageDraw.Draw(picture)
    fonts = families(measured.classes)
    font = ImageFont.truetype(str(font_file(measured.classes)), 17)
    origin = np.array([left, top, left, top], np.float32)

    def corners(box: FloatArray) -> Corners:
        x1, y1, x2, y2 = ((box - origin) * zoom).tolist()
        return x1 - 2, y1 - 2, x2 + 2, y2 + 2

    def written(label: int, score: float | None = None) -> str:
        name = drawable(measured.classes[label], fonts)
        return name if score is None else f"{name} {score:.2f}"

    for place in outcome.place[outcome.right]:
        draw.rectangle(corners(found.boxes[place]), outline=FOUND, width=1)
    texts: list[tuple[Corners, str, str, bool]] = []
    for box, label in zip(missed, truth.labels[outcome.missed], strict=True):
        (draw.ellipse if reach else draw.rectangle)(corners(box), outline=MISSED, width=3)
        texts.append((corners(box), written(int(label)), MISSED, True))
    for which, colour in ((confused, CONFUSED), (outcome.false_alarm, FALSE)):
        for place, label in zip(outcome.place[which], outcome.label[which], strict=True):
            outline = corners(found.boxes[place])
            _dashed(draw, outline, colour) if colour == FALSE else draw.rectangle(outline, outline=colour, width=3)
            texts.append((outline, written(int(label), float(found.scores[place])), colour, False))
    taken: list[Corners] = []
    for outline, text, colour, is_below in reversed(texts):  # false alarms first, for their scores
        _write(draw, outline, text, colour, font, picture.size, taken, is_below)
    buffer = io.BytesIO()
    picture.quantize(palette=_palette(), dither=Image.Dither.NONE).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _palette() -> Image.Image:
    """Greys, and each colour of a label at eight strengths over its dark ground: a quarter of the size of RGB."""
    greys = [(level, level, level) for level in np.linspace(0, 255, 200).round().astype(int).tolist()]
    ground = np.array(ImageColor.getrgb(GROUND))
    inks = [np.array(ImageColor.getrgb(colour)) for colour in (FALSE, MISSED, CONFUSED)]
    mixed = [tuple((ground + (ink - ground) * part).astype(int).tolist())
             for ink in inks for part in np.linspace(1 / 8, 1, 8)]  # fmt: skip
    image = Image.new("P", (1, 1))
    image.putpalette([value for colour in (*greys, ImageColor.getrgb(GROUND), *mixed) for value in colour])
    return image


def _crop(errors: npt.NDArray[np.float32], shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """The part of the frame, in its own proportions, that holds all errors with a margin."""
    height, width = shape[:2]
    low, high = errors[:, :2].min(axis=0) - 24, errors[:, 2:].max(axis=0) + 24
    share = max(float((high - low)[0]) / width, float((high - low)[1]) / height, min(LEAST / width, 1.0))
    across, down = min(width, round(share * width)), min(height, max(1, round(share * height)))
    middle = (low + high) / 2
    left = int(np.clip(middle[0] - across / 2, 0, width - across))
    top = int(np.clip(middle[1] - down / 2, 0, height - down))
    return left, top, left + across, top + down


def _dashed(draw: ImageDraw.ImageDraw, outline: Corners, colour: str) -> None:
    x1, y1, x2, y2 = outline
    for start, end in (((x1, y1), (x2, y1)), ((x2, y1), (x2, y2)), ((x2, y2), (x1, y2)), ((x1, y2), (x1, y1))):
        length = float(np.hypot(end[0] - start[0], end[1] - start[1]))
        for at in np.arange(0.0, length, 11.0):
            ends = [min(one / max(length, 1e-9), 1.0) for one in (at, at + 6.5)]
            line = [(start[0] + t * (end[0] - start[0]), start[1] + t * (end[1] - start[1])) for t in ends]
            draw.line(line, fill=colour, width=3)


def _write(
    draw: ImageDraw.ImageDraw,
    outline: Corners,
    text: str,
    colour: str,
    font: ImageFont.FreeTypeFont,
    size: tuple[int, int],
    taken: list[Corners],
    below: bool,
) -> None:
    """The label of a box on a dark ground, above or below it and inside the picture; none where one is already."""
    width, height = draw.textlength(text, font) + 6, 21
    x = float(np.clip(outline[0], 0, max(size[0] - width, 0)))
    y = outline[3] + 2 if below else outline[1] - height - 1
    y = float(np.clip(y, 0, size[1] - height))
    if any(x < right and left < x + width and y < bottom and top < y + height for left, top, right, bottom in taken):
        return
    taken.append((x, y, x + width, y + height))
    draw.rectangle((x, y, x + width, y + height - 2), fill=GROUND)
    draw.text((x + 3, y + height / 2 - 1), text, fill=colour, font=font, anchor="lm")
