"""Makes `palettes.csv` from real radiometric files, which hold the raw image beside the picture painted from it.

    python -m nightherd.frames.fit_palettes RADIOMETRIC_FOLDER FLIGHT_FOLDER DEER_FOLDER > palettes.csv

DJI's ironred is ordered by brightness, which rises along it; its `medical` by the raw counts. Both are then spaced
evenly by the length of their curve through RGB. FLIR's are read from the files. Only places where the picture is
smooth count, since JPEG blurs colour.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import maximum_filter, minimum_filter

from nightherd.frames import dji, flir
from nightherd.frames.header import read_header
from nightherd.types import FloatArray

POINTS = 64
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def pairs(path: Path, smooth: float) -> tuple[FloatArray, FloatArray]:
    """Colours (N, 3) and raw counts (N,) of pixels around which the picture changes by less than `smooth` levels."""
    header = read_header(path)
    raw = dji.find_raw(header)
    if raw is None:
        raise SystemExit(f"{path}: holds no DJI raw image")
    counts = dji.read_counts(header, raw).astype(np.float32)
    with Image.open(path) as image:
        picture = np.asarray(image.convert("RGB"), np.float32)
    luma = picture @ _LUMA
    flat = maximum_filter(luma, 5) - minimum_filter(luma, 5) < smooth
    return picture[flat], counts[flat]


def medians(colours: FloatArray, key: FloatArray, step: float, fewest: int) -> FloatArray:
    """The median colour of each bin of `key` that holds at least `fewest` pixels, float32 (M, 3)."""
    bins = np.floor(key / step).astype(int)
    kept = [np.median(colours[bins == b], axis=0) for b in np.unique(bins) if (bins == b).sum() >= fewest]
    return np.array(kept, np.float32)


def curve(medians: FloatArray) -> FloatArray:
    """Colours along a palette, lightly smoothed and spaced evenly along its length, float32 (POINTS, 3)."""
    padded = np.concatenate([medians[:1], medians, medians[-1:]])
    smoothed = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    smoothed[0], smoothed[-1] = medians[0], medians[-1]
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(smoothed, axis=0), axis=1))])
    even = np.linspace(0, length[-1], POINTS)
    return np.stack([np.interp(even, length, smoothed[:, c]) for c in range(3)], 1).astype(np.float32)


def by_luma(paths: Iterable[Path]) -> FloatArray:
    """A palette whose brightness rises from cold to hot."""
    colours = np.concatenate([pairs(path, smooth=16)[0] for path in paths])
    return curve(medians(colours, colours @ _LUMA, 3, 12))


def by_counts(path: Path) -> FloatArray:
    """A palette ordered by the raw counts; the few hot pixels, none in a smooth place, are taken in wider bins."""
    colours, counts = pairs(path, smooth=30)
    usual = medians(colours, counts, 4, 8)
    most = np.percentile(counts, 99.9)
    colours, counts = pairs(path, smooth=256)
    hot = counts > most
    return curve(np.concatenate([usual, medians(colours[hot], counts[hot], 32, 12)]))


def carried(path: Path, video_range: bool) -> FloatArray:
    """The palette of a FLIR file; some cameras store it in video range, 16 to 235."""
    found = flir.palette_of(flir.records(read_header(path)).get(flir.PALETTE_RECORD, b""), video_range)
    if found is None:
        raise SystemExit(f"{path}: holds no palette")
    return found[1]


def main(arguments: list[str]) -> None:
    """Writes the table to standard output."""
    radiometric, flight, deer = map(Path, arguments)
    palettes = {
        "dji-ironred": by_luma([radiometric / "DJI_M2EA.jpg", *sorted(flight.glob("*_T.JPG"))[::3]]),
        "dji-ironred-full": by_luma([radiometric / "DJI_H20T.jpg", radiometric / "DJI_M4T.jpg"]),
        "dji-medical": by_counts(deer / "deer_goats_unsure_radiometric.jpg"),
        "flir-iron": carried(radiometric / "FLIR_T640.jpg", video_range=False),
        "flir-rainbow-hc": carried(radiometric / "FLIR_AX8.jpg", video_range=True),
    }
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("palette", "red", "green", "blue"))
    for name, colours in palettes.items():
        writer.writerows((name, *(round(float(value), 1) for value in colour)) for colour in colours)


if __name__ == "__main__":
    main(sys.argv[1:])
