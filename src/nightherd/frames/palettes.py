"""Colour palettes of thermal pictures, recognised and turned back into the one intensity they were painted from.

The table `palettes.csv` holds each palette as a curve through RGB from cold to hot; `fit_palettes.py` makes it:
DJI's are learned from pairs of raw and displayed image in real files, FLIR's are those its files carry.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from nightherd.types import FloatArray

Colours = npt.NDArray[np.uint8]

GREY_CHROMA = 14.0
"""Up to this difference between channels (98 % of the pixels) a picture is grey; JPEG leaves a few levels of colour."""

MEDIAN_DISTANCE, MOST_DISTANCE = 14.0, 40.0
"""A palette is recognised where half of the colours lie within the first of these (RGB levels), 85 % in the second."""

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_STEPS = 1024


@dataclass(frozen=True, slots=True)
class Palette:
    """A palette.

    Attributes:
        name: e.g. `dji-ironred`.
        colours: float32 (N, 3) RGB, 0 to 255, cold to hot, evenly spaced in intensity.
    """

    name: str
    colours: FloatArray

    @property
    def is_luma_monotone(self) -> bool:
        """Whether brightness alone tells the intensity, which JPEG keeps at full resolution while it blurs colour."""
        luma = self.colours @ _LUMA
        return bool(np.all(np.diff(luma) > -1.5) and luma[-1] - luma[0] > 100)


@dataclass(frozen=True, slots=True)
class Match:
    """A recognised palette and how far the picture's colours lie from it (RGB levels, median and 85th percentile)."""

    palette: Palette
    median: float
    most: float


@cache
def known_palettes() -> tuple[Palette, ...]:
    """The palettes of the table."""
    rows: dict[str, list[list[float]]] = {}
    with files("nightherd.frames").joinpath("palettes.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            rows.setdefault(row["palette"], []).append([float(row[c]) for c in ("red", "green", "blue")])
    return tuple(Palette(name, np.array(colours, np.float32)) for name, colours in rows.items())


def is_grey(picture: Colours) -> bool:
    """Whether an RGB picture (H, W, 3) holds no colour beyond what compression leaves."""
    sample = _sample(picture).astype(np.int16)
    return bool(np.percentile(sample.max(1) - sample.min(1), 98) <= GREY_CHROMA)


def recognise(picture: Colours, carried: tuple[Palette, ...] = ()) -> Match | None:
    """Finds the palette a picture was painted with.

    Args:
        picture: uint8 (H, W, 3), RGB.
        carried: palettes that the file itself carries, tried beside the known ones.

    Returns:
        The closest palette, or None where none fits, as for a photograph in natural colours.
    """
    sample = _sample(picture).astype(np.float32)
    best: Match | None = None
    for palette in (*carried, *known_palettes()):
        distance, _ = _tree(palette).query(sample)
        match = Match(palette, float(np.median(distance)), float(np.percentile(distance, 85)))
        if best is None or match.median + match.most < best.median + best.most:
            best = match
    return best if best and best.median <= MEDIAN_DISTANCE and best.most <= MOST_DISTANCE else None


def to_intensity(picture: Colours, palette: Palette) -> FloatArray:
    """Turns a picture back into the intensity it was painted from.

    Args:
        picture: uint8 (H, W, 3), RGB.
        palette: as recognised.

    Returns:
        float32 (H, W), 0 cold to 255 hot, finer than whole levels.
    """
    scale = 255.0 / (len(palette.colours) - 1)
    if palette.is_luma_monotone:
        luma = np.maximum.accumulate(palette.colours @ _LUMA)
        shown = picture.astype(np.float32) @ _LUMA
        by_luma: FloatArray = np.interp(shown, luma, np.arange(len(luma)) * scale).astype(np.float32)
        return by_luma
    # Few distinct colours make up a picture: each cell of 4 levels is looked up once.
    cells = picture >> 2
    key = (cells[..., 0].astype(np.int32) << 12) | (cells[..., 1].astype(np.int32) << 6) | cells[..., 2]
    distinct, where = np.unique(key, return_inverse=True)
    colours = np.stack([distinct >> 12, (distinct >> 6) & 63, distinct & 63], 1) * 4.0 + 1.5
    _, nearest = _tree(palette).query(colours)
    values: FloatArray = (nearest * (255.0 / (_STEPS - 1))).astype(np.float32)
    undone: FloatArray = values[where.reshape(picture.shape[:2])]
    return undone


def _tree(palette: Palette) -> cKDTree:
    position = np.linspace(0, len(palette.colours) - 1, _STEPS)
    index = np.arange(len(palette.colours))
    return cKDTree(np.stack([np.interp(position, index, palette.colours[:, c]) for c in range(3)], 1))


def _sample(picture: Colours) -> Colours:
    """Some 4,000 pixels, spread evenly."""
    flat = picture.reshape(-1, 3)
    return flat[:: max(1, len(flat) // 4_000)]
