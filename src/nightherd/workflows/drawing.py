"""Pictures of what was found: the frame as the network saw it, in grey, with a labelled box around each detection."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from nightherd.frames.normalise import normalise
from nightherd.types import Detections, FloatArray

BLACK, WHITE = (-2.2, -1.0), (1.5, 3.2)
"""Normalised values drawn black and white lie between these, as low and as high as the frame goes."""

PICTURE_WIDTH = 1280
"""A frame is enlarged by the whole number that brings it to at least this many pixels, at most by 4."""

COLOURS = ("#ffb000", "#56b4e9", "#2fd39a", "#ff6db6", "#f0e442", "#ff7f50", "#b79bff", "#ffffff")
"""One a class, told apart by colour-blind readers too and readable on grey."""

INK, PAPER, CAPTION_INK = "#101418", "#101418", "#e8ecef"


def draw_detections(pixels: FloatArray, detections: Detections, caption: str = "") -> Image.Image:
    """Draws detections over a frame.

    Args:
        pixels: (H, W), raw pixels of the frame in any unit.
        detections: boxes in pixels of the frame.
        caption: what the strip below the picture says, besides the count of each class.

    Returns:
        An RGB picture, the frame enlarged by a whole number so that an animal of 20 pixels is easily seen.
    """
    zoom = int(np.clip(-(-PICTURE_WIDTH // pixels.shape[1]), 1, 4))
    picture = _grey(pixels, zoom)
    draw = ImageDraw.Draw(picture)
    font = label_font(int(np.clip(picture.width / 85, 12, 26)))
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(detections.classes)}
    corners = [_outline(box, zoom, picture.size) for box in detections.boxes]
    for outline, (_, _, name) in zip(corners, detections, strict=True):
        draw.rectangle(outline, outline=INK, width=4)
        draw.rectangle(tuple(np.add(outline, (1, 1, -1, -1)).tolist()), outline=colours[name], width=2)
    taken: list[tuple[int, int, int, int]] = []
    for outline, (_, score, name) in zip(corners, detections, strict=True):
        _label(draw, outline, f"{name} {score:.2f}", colours[name], font, picture.size, taken, corners)
    return _with_caption(picture, detections, caption, colours, font)


def _grey(pixels: FloatArray, zoom: int) -> Image.Image:
    values = normalise(pixels)
    low, high = np.clip(values.min(), *BLACK), np.clip(values.max(), *WHITE)
    image = Image.fromarray(np.clip((values - low) * (255 / (high - low)), 0, 255).astype(np.uint8))
    if zoom > 1:
        image = image.resize((image.width * zoom, image.height * zoom), Image.Resampling.BICUBIC)
    return image.convert("RGB")


def _outline(box: FloatArray, zoom: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The rectangle drawn around a box, a little outside so that the animal stays to be seen."""
    x1, y1, x2, y2 = (round(float(v) * zoom) for v in box)
    left, top = max(0, min(x1 - 4, size[0] - 11)), max(0, min(y1 - 4, size[1] - 11))
    return left, top, max(left + 10, min(x2 + 4, size[0] - 1)), max(top + 10, min(y2 + 4, size[1] - 1))


def _label(
    draw: ImageDraw.ImageDraw,
    outline: tuple[int, int, int, int],
    text: str,
    colour: str,
    font: ImageFont.FreeTypeFont,
    size: tuple[int, int],
    taken: list[tuple[int, int, int, int]],
    corners: list[tuple[int, int, int, int]],
) -> None:
    """Writes a label at the side of its box that covers the fewest other labels and boxes."""
    width, height = round(draw.textlength(text, font)) + 8, round(font.size * 1.35) + 2
    x1, y1, x2, y2 = outline
    places = [
        (x1, y1 - height),
        (x1, y2 + 1),
        (x2 - width, y1 - height),
        (x2 - width, y2 + 1),
        (x2 + 1, y1),
        (x1 - width, y1),
        (x2 + 1, y2 - height),
        (x1 - width, y2 - height),
    ]

    def cost(place: tuple[int, int]) -> float:
        x, y = place
        inside = 0 <= x <= size[0] - width and 0 <= y <= size[1] - height
        here = (x, y, x + width, y + height)
        return (
            (0 if inside else 1e9) + sum(4 * _shared(here, t) for t in taken) + sum(_shared(here, c) for c in corners)
        )

    x, y = min(places, key=cost)
    x, y = max(0, min(x, size[0] - width)), max(0, min(y, size[1] - height))
    taken.append((x, y, x + width, y + height))
    draw.rectangle((x, y, x + width - 1, y + height - 1), fill=colour)
    draw.text((x + 4, y + height / 2), text, fill=INK, font=font, anchor="lm")


def _shared(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> int:
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


def _with_caption(
    picture: Image.Image,
    detections: Detections,
    caption: str,
    colours: dict[str, str],
    font: ImageFont.FreeTypeFont,
) -> Image.Image:
    """Adds a strip below: a swatch and the count of each class that was found, then the caption."""
    strip = round(font.size * 2.2)
    whole = Image.new("RGB", (picture.width, picture.height + strip), PAPER)
    whole.paste(picture, (0, 0))
    draw = ImageDraw.Draw(whole)
    x, middle, side = 10.0, picture.height + strip / 2, font.size * 0.8
    counts = Counter(name for _, _, name in detections)
    for name in detections.classes:
        if not counts[name]:
            continue
        draw.rectangle((x, middle - side / 2, x + side, middle + side / 2), fill=colours[name])
        text = f"{counts[name]} {name}"
        draw.text((x + side + 6, middle), text, fill=CAPTION_INK, font=font, anchor="lm")
        x += side + 6 + draw.textlength(text, font) + 18
    if not counts:
        draw.text((x, middle), "nothing found", fill=CAPTION_INK, font=font, anchor="lm")
        x += draw.textlength("nothing found", font) + 18
    room = whole.width - x - 10
    while caption and draw.textlength(caption, font) > room:
        caption = f"…{caption[2:]}" if len(caption) > 2 else ""
    draw.text((whole.width - 10, middle), caption, fill="#9aa5ad", font=font, anchor="rm")
    return whole


def label_font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib and knows most alphabets."""
    import matplotlib

    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)
