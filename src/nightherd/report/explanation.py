"""Pictures of why: an object as the camera saw it beside the same with heat over it, contact sheets, and their page.

Heat is drawn with matplotlib's `plasma`, perceptually ordered and readable without red or green, the more opaque the
hotter, so that what is cold stays grey and an animal shows through.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jinja2
import matplotlib
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from nightherd.report.content import Box
from nightherd.report.fonts import drawable, families, font_file
from nightherd.report.pictures import data_uri, scale_bar, to_grey
from nightherd.types import FloatArray

PANEL = 264
"""Pixels of the side of a panel."""

GAP, HEAD, FOOT = 4, 26, 42
"""Pixels between panels, above them for the title, and below them for two lines."""

AROUND, LEAST = 4.0, 40.0
"""A crop is this many times as long as the box, and at least so many pixels of the frame."""

FOUND, LABELLED = "#ffb000", "#56b4e9"
"""Colours of a box that was found and of one that was labelled (Okabe and Ito 2008)."""

INK, PAPER, SOFT = "#e8ecef", "#101418", "#9aa5ad"
OPAQUE = 0.8
"""Opacity of the hottest pixel."""

FAINT = 0.05
"""Heat under this share of the hottest is not drawn."""

MAX_SHOWN = 60
"""Objects of a kind inside the page; all have a picture in the folder."""


@dataclass(frozen=True, slots=True)
class ExplainedObject:
    """One object with its pictures, ready to be shown.

    Attributes:
        kind: `miss`, `false alarm`, `hit` or `detection`.
        title: class and score in a few words.
        caption: what happened, a sentence.
        frame: name of the frame.
        panels: RGB, the grey crop and one panel a method side by side.
        file: of its picture, relative to the page.
    """

    kind: str
    title: str
    caption: str
    frame: str
    panels: Image.Image
    file: str = ""


@dataclass(frozen=True, slots=True)
class ExplanationContent:
    """Everything a report of explanations says.

    Attributes:
        model: its name.
        subject: what was looked at, in a few words.
        methods: name → what its map shows, in the order of the panels.
        counts: kind → number of objects that were explained.
        objects: in the order they are shown, by kind.
        scores: rows of the table of faithfulness, each with `method`, `objects` and figures with intervals.
        checks: rows of the randomisation check: `method`, `passes`, `verdict`, `stages` of (part, similarity).
        notes: what a reader must know, one sentence each.
        settings: name and value of each.
        command: the command line.
    """

    model: str
    subject: str
    methods: Mapping[str, str]
    counts: Mapping[str, int]
    objects: Sequence[ExplainedObject]
    scores: Sequence[Mapping[str, Any]] = ()
    checks: Sequence[Mapping[str, Any]] = ()
    notes: Sequence[str] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    command: str = ""


KINDS = {
    "miss": (
        "Misses",
        "Labelled and not found; those that the model was surest to leave out come first. "
        "The heat is what little speaks for the class that is missing.",
    ),
    "false alarm": ("False alarms", "Found and not labelled; the most confident come first."),
    "hit": ("Found and labelled", "The most confident come first."),
    "detection": ("Detections", "There are no labels to compare with; the most confident come first."),
}
"""Kind → heading and what it means, in the order of the page."""


def object_panels(
    pixels: FloatArray,
    heats: Sequence[tuple[str, FloatArray]],
    centre: Box,
    found: Box | None = None,
    labelled: Box | None = None,
    metres_per_pixel: float | None = None,
) -> Image.Image:
    """The surroundings of an object in grey, and beside it the same under the heat of each method.

    Args:
        pixels: (H, W), the whole frame in any unit.
        heats: name and saliency map (H, W) of each method, at least 0.
        centre: the box that is explained, which gives the crop its scale.
        found, labelled: boxes (x1, y1, x2, y2 in pixels of the frame) that were found and labelled.
        metres_per_pixel: on the ground there, for the scale bar; None where unknown.

    Returns:
        RGB, panels of `PANEL` pixels with the names of the methods in their corners.
    """
    window = _window(centre, pixels.shape)
    zoom = PANEL / (window[2] - window[0])
    grey = _resized(to_grey(_cut(pixels, window), 1, 99.9).astype(np.float32))
    base = np.repeat(grey[..., None], 3, axis=2)
    boxes = [
        (box, colour, dashed) for box, colour, dashed in ((labelled, LABELLED, True), (found, FOUND, False)) if box
    ]
    drawn = [(base, "")] + [(_with_heat(base, heat, window), name) for name, heat in heats]
    whole = Image.new("RGB", (len(drawn) * (PANEL + GAP) - GAP, PANEL), PAPER)
    for place, (panel, name) in enumerate(drawn):
        picture = Image.fromarray(np.clip(panel, 0, 255).astype(np.uint8))
        for box, colour, dashed in boxes:
            _outline(picture, box, window, zoom, colour, dashed)
        if name and len(heats) > 1:
            _text(picture, (6, 5), name, 13)
        if place == 0:
            _bar(picture, metres_per_pixel / zoom if metres_per_pixel else None)
        whole.paste(picture, (place * (PANEL + GAP), 0))
    return whole


def captioned(panels: Image.Image, title: str, caption: str, frame: str) -> Image.Image:
    """Panels with a title above, and below what happened and the frame, if given; cut where they do not fit."""
    foot = FOOT if caption or frame else 2 * GAP
    whole = Image.new("RGB", (panels.width + 2 * GAP, HEAD + panels.height + foot), PAPER)
    whole.paste(panels, (GAP, HEAD))
    bottom = HEAD + panels.height
    for text, size, colour, middle in (
        (title, 14, INK, HEAD / 2),
        (caption, 11, SOFT, bottom + 13),
        (frame, 11, SOFT, bottom + 30),
    ):
        font, shown = _fitting(text, size, panels.width - 4)
        ImageDraw.Draw(whole).text((GAP + 2, middle), shown, fill=colour, font=font, anchor="lm")
    return whole


def panels_of(picture: Image.Image) -> Image.Image:
    """The panels of a picture that `captioned` made."""
    return picture.crop((GAP, HEAD, picture.width - GAP, picture.height - FOOT)).convert("RGB")


def contact_sheet(groups: Sequence[tuple[str, Sequence[Image.Image]]], columns: int = 3) -> Image.Image:
    """Pictures in rows under headings, e.g. the most confident mistakes.

    Args:
        groups: heading (empty for none) and pictures of each; a group without pictures says so.
        columns: most pictures in a row.
    """
    heading, pad = 34, 10
    width = max([one.width for _, pictures in groups for one in pictures] or [2 * PANEL])
    rows: list[tuple[str, list[Image.Image]]] = []
    for title, pictures in groups:
        if title:
            rows.append((title if pictures else f"{title}: none", []))
        rows += [("", list(pictures[start : start + columns])) for start in range(0, len(pictures), columns)]
    columns = max([len(row) for _, row in rows] or [1]) or 1
    heights = [heading if title else max(one.height for one in row) + pad for title, row in rows]
    sheet = Image.new("RGB", (columns * (width + pad) + pad, sum(heights) + pad), PAPER)
    draw = ImageDraw.Draw(sheet)
    top = pad // 2
    for (title, row), height in zip(rows, heights, strict=True):
        if title:
            font, shown = _fitting(title, 17, sheet.width - 2 * pad)
            draw.text((pad, top + heading / 2), shown, fill=INK, font=font, anchor="lm")
        for column, one in enumerate(row):
            sheet.paste(one, (pad + column * (width + pad), top))
        top += height
    return sheet


def png(picture: Image.Image) -> bytes:
    """The bytes of a PNG."""
    data = io.BytesIO()
    picture.save(data, "PNG")
    return data.getvalue()


def explanation_page(content: ExplanationContent) -> str:
    """The report as a page of HTML; it loads nothing, and every text in it is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("nightherd.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(figure=_figure)
    groups = [(kind, *KINDS[kind], [one for one in content.objects if one.kind == kind]) for kind in KINDS]
    shown = [
        (kind, heading, meaning, [(one, _webp(one.panels)) for one in objects[:MAX_SHOWN]], len(objects))
        for kind, heading, meaning, objects in groups
        if objects
    ]
    stops = ", ".join("#{:02x}{:02x}{:02x}".format(*(int(255 * c) for c in _colours()(x)[:3])) for x in _RAMP)
    return environment.get_template("explanation.html.j2").render(
        content=content, shown=shown, kinds=KINDS, found=FOUND, labelled=LABELLED, stops=stops
    )


def _figure(value: float | None, digits: int = 2) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:,.{digits}f}"


def _webp(image: Image.Image) -> str:
    data = io.BytesIO()
    image.save(data, "WEBP", quality=80, method=4)
    return data_uri("image/webp", data.getvalue())


def _window(box: Box, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """x1, y1, x2, y2 of a square around a box, moved inside the frame where it can be."""
    height, width = shape
    side = int(min(max(round(AROUND * max(box[2] - box[0], box[3] - box[1])), LEAST), height, width))
    left = int(np.clip(round((box[0] + box[2] - side) / 2), 0, width - side))
    top = int(np.clip(round((box[1] + box[3] - side) / 2), 0, height - side))
    return left, top, left + side, top + side


def _cut(image: FloatArray, window: tuple[int, int, int, int]) -> FloatArray:
    return image[window[1] : window[3], window[0] : window[2]]


def _resized(part: FloatArray) -> npt.NDArray[np.float32]:
    image = Image.fromarray(np.ascontiguousarray(part, np.float32))
    return np.asarray(image.resize((PANEL, PANEL), Image.Resampling.BICUBIC), np.float32)


_RAMP = np.linspace(0, 1, 9)


@cache
def _colours() -> Any:
    return matplotlib.colormaps["plasma"]


def _with_heat(base: npt.NDArray[np.float32], heat: FloatArray, window: tuple[int, int, int, int]) -> FloatArray:
    """Heat over grey: the hottest value of the whole map is yellow, zero is nothing."""
    top = float(heat.max())
    strength = np.clip(_resized(_cut(heat, window)) / top, 0, 1) if top > 0 else np.zeros(base.shape[:2], np.float32)
    colour = _colours()(strength)[..., :3] * 255
    alpha = (OPAQUE * np.sqrt(np.clip((strength - FAINT) / (1 - FAINT), 0, 1)))[..., None]
    mixed: FloatArray = (base * (1 - alpha) + colour * alpha).astype(np.float32)
    return mixed


def _outline(
    picture: Image.Image, box: Box, window: tuple[int, int, int, int], zoom: float, colour: str, dashed: bool
) -> None:
    draw = ImageDraw.Draw(picture)
    x1, y1 = (box[0] - window[0]) * zoom, (box[1] - window[1]) * zoom
    x2, y2 = (box[2] - window[0]) * zoom, (box[3] - window[1]) * zoom
    if not dashed:
        draw.rectangle((x1 - 1, y1 - 1, x2 + 1, y2 + 1), outline=PAPER, width=4)
        draw.rectangle((x1, y1, x2, y2), outline=colour, width=2)
        return
    dash = 7
    for start, end in (((x1, y1), (x2, y1)), ((x2, y1), (x2, y2)), ((x2, y2), (x1, y2)), ((x1, y2), (x1, y1))):
        length = max(math.hypot(end[0] - start[0], end[1] - start[1]), 1e-6)
        step = ((end[0] - start[0]) / length, (end[1] - start[1]) / length)
        for width, ink in ((4, PAPER), (2, colour)):
            for along in np.arange(0, length, 2 * dash):
                stop = min(along + dash, length)
                line = [start[0] + step[0] * along, start[1] + step[1] * along,
                        start[0] + step[0] * stop, start[1] + step[1] * stop]  # fmt: skip
                draw.line(line, fill=ink, width=width)


def _bar(picture: Image.Image, metres_per_pixel: float | None) -> None:
    pixels, metres = scale_bar(metres_per_pixel, PANEL)
    if pixels is None or metres is None:
        return
    draw = ImageDraw.Draw(picture)
    y = PANEL - 10
    draw.line((9, y, 11 + pixels, y), fill=PAPER, width=6)
    draw.line((10, y, 10 + pixels, y), fill="#ffffff", width=3)
    _text(picture, (10, y - 20), f"{metres:g} m", 13)


def _text(picture: Image.Image, place: tuple[float, float], text: str, size: int) -> None:
    ImageDraw.Draw(picture).text(place, text, fill="#ffffff", font=_font(size), stroke_width=2, stroke_fill=PAPER)


def _fitting(text: str, size: int, width: float) -> tuple[ImageFont.FreeTypeFont, str]:
    """A font that knows the text's characters, and as much of the text as fits."""
    font = ImageFont.truetype(str(font_file([text])), size)
    text = drawable(text, families([text]))
    if font.getlength(text) <= width:
        return font, text
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return font, f"{text}…"


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(font_file([])), size)
