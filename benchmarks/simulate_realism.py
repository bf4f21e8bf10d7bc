"""Simulated frames beside real ones: simple statistics of both, and a picture to look at.

    NIGHTHERD_DATA=… python benchmarks/simulate_realism.py --frames 80 --seed 9 --picture side.png

Real frames are those of the folders hit-uav, deer, bambi and flights in NIGHTHERD_DATA; a source that is not there is
left out, and named. For every source it prints the median and the 10 % and 90 % quantiles over its frames of: the slope
of the radial power spectrum at 0.01–0.05, 0.05–0.15 and 0.15–0.4 cycles a pixel; the grey levels' robust sigma; the
mean step between neighbours in those sigmas; and the grey levels' 0.1, 1, 99 and 99.9 % quantiles as robust z. For
the simulated animals also number, size, aspect, contrast and visibility; and how loose boxes are, of simulated animals,
and of people as they were drawn by hand in HIT-UAV's training frames: √area of the box over √area of the box about what
is warmer than halfway up.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from nightherd.datasets import open_dataset
from nightherd.datasets.simulate.presets import override, preset
from nightherd.datasets.simulate.scene import Rendered
from nightherd.datasets.simulate.simulation import Simulation
from nightherd.errors import DatasetError
from nightherd.frames.normalise import normalise
from nightherd.frames.readers import read_frame

Array = npt.NDArray[np.float64]
BANDS = ((0.01, 0.05), (0.05, 0.15), (0.15, 0.4))
COLUMNS = ("slope low", "slope mid", "slope high", "sigma", "step", "z 0.1 %", "z 1 %", "z 99 %", "z 99.9 %")


def slopes(pixels: Array) -> list[float]:
    """Exponents of the radial power spectrum in three bands, from the top left 512 pixels."""
    image = pixels[:512, :512]
    image = (image - image.mean()) * np.hanning(image.shape[0])[:, None] * np.hanning(image.shape[1])
    power = np.abs(np.fft.fft2(image)) ** 2
    radius = np.hypot(np.fft.fftfreq(image.shape[0])[:, None], np.fft.fftfreq(image.shape[1]))
    result = []
    for low, high in BANDS:
        edges = np.geomspace(low, high, 8)
        means = [power[(radius >= a) & (radius < b)].mean() for a, b in pairwise(edges)]
        result.append(float(np.polyfit(np.log(np.sqrt(edges[1:] * edges[:-1])), np.log(means), 1)[0]))
    return result


def statistics(pixels: Array) -> list[float]:
    """The row of one frame, as `COLUMNS` names it; a border of zeros is left out of the grey levels."""
    values = pixels[pixels > 0] if (pixels == 0).mean() > 0.03 else pixels.ravel()
    q = np.percentile(values, (0.1, 1, 25, 50, 75, 99, 99.9))
    sigma = (q[4] - q[2]) / 1.349 + 1e-6
    step = np.abs(np.diff(pixels, axis=1)).mean() / sigma
    return [*slopes(pixels), sigma, step, *((q[[0, 1, 5, 6]] - q[3]) / sigma)]


def real_frames(root: Path) -> dict[str, list[Array]]:
    """Real frames by source, of those sources that have any here; BAMBI's without their black borders and at half
    size, as wide as the others.
    """
    chitwan, goats = root / "deer" / "chitwan_7_deer.jpg", root / "deer" / "deer_goats_unsure_radiometric.jpg"
    bambi = [
        np.asarray(Image.open(path).convert("L").crop((12, 112, 1012, 912)).resize((640, 512), Image.Resampling.BOX))
        for path in sorted((root / "bambi").glob("*.jpg"))
    ]
    grey = {
        "bambi": bambi,
        "chitwan": [np.asarray(Image.open(chitwan).convert("L"))] if chitwan.is_file() else [],
        "goats, °C": [10 * read_frame(goats).pixels + 100] if goats.is_file() else [],
        "m2ea-120m": [np.asarray(Image.open(p).convert("L")) for p in sorted((root / "flights").rglob("*.JPG"))],
        "hit-uav val": [np.asarray(Image.open(p)) for p in sorted((root / "hit-uav/images/val").glob("*.jpg"))[::6]],
    }
    for name in (name for name, frames in grey.items() if not frames):
        print(f"{name}: no frames in {root}; left out", file=sys.stderr)
    return {name: [frame.astype(np.float64) for frame in frames] for name, frames in grey.items() if frames}


def people_looseness() -> list[float]:
    """Of people in every third training frame of HIT-UAV; empty where that is not here."""
    try:
        drawn = open_dataset("hit-uav", "train").with_classes(["Person"])
    except DatasetError as error:
        print(f"people, drawn by hand: {error}; left out", file=sys.stderr)
        return []
    return [r for i in drawn.images[::3] for r in looseness(read_frame(i.path).pixels.astype(np.float64), i.boxes)]


def looseness(pixels: Array, boxes: Array) -> list[float]:
    """√area of boxes over that of what in them is warmer than halfway between the ground about it and its warmest.

    Args:
        pixels: (H, W), warm is high.
        boxes: (N, 4), xyxy pixels. Those whose surroundings, twice as wide, reach another box or the frame's edge, that
            stand out little or run on beyond them, or whose shorter side is under 14 pixels, are left out.
    """
    ratios = []
    height, width = pixels.shape
    for x1, y1, x2, y2 in boxes:
        half = np.array([x2 - x1, y2 - y1])
        left, top = (np.array([x1 + x2, y1 + y2]) / 2 - half).astype(int)
        right, bottom = (np.array([x1 + x2, y1 + y2]) / 2 + half).astype(int)
        if half.min() < 14 or left < 0 or top < 0 or right > width or bottom > height:
            continue
        near = (boxes[:, 0] < right) & (boxes[:, 2] > left) & (boxes[:, 1] < bottom) & (boxes[:, 3] > top)
        around = pixels[top:bottom, left:right]
        ground = float(np.median(around))
        warmest = float(np.percentile(pixels[int(y1) : int(y2) + 1, int(x1) : int(x2) + 1], 97))
        if near.sum() > 1 or warmest - ground < 20:
            continue
        warm, _ = ndimage.label(around > (ground + warmest) / 2)
        core = warm[around.shape[0] // 4 : -around.shape[0] // 4, around.shape[1] // 4 : -around.shape[1] // 4]
        if not core.any():
            continue
        rows, columns = np.nonzero(warm == np.bincount(core[core > 0]).argmax())
        body = np.array([columns.max() - columns.min() + 1, rows.max() - rows.min() + 1])
        if (body < 0.97 * np.array(around.shape[::-1])).all():
            ratios.append(float(np.sqrt(half.prod() / body.prod())))
    return ratios


def quartiles(values: list[float]) -> str:
    """Median, quartiles and number."""
    if not values:
        return "none"
    low, middle, high = np.percentile(values, (25, 50, 75))
    return f"{middle:.2f} [{low:.2f}, {high:.2f}], n = {len(values)}"


def animals(frames: list[Rendered]) -> dict[str, Any]:
    """Quantiles (5, 25, 50, 75, 95 %) of what a detector is shown of the simulated animals."""
    shown = [[t for t in f.truth if t.category == "animal" and t.visibility >= 0.2] for f in frames]
    boxes = np.array([t.box for truths in shown for t in truths])
    sides = boxes[:, 2:] - boxes[:, :2]
    scores = []
    for frame, truths in zip(frames, shown, strict=True):
        z = np.sinh(normalise(frame.display.astype(np.float32)))
        for truth in truths:
            x1, y1, x2, y2 = (int(value) for value in truth.box)
            scores.append(float(np.percentile(z[y1 : y2 + 1, x1 : x2 + 1], 75)))

    def quantiles(values: Any) -> list[float]:
        return [round(float(value), 2) for value in np.percentile(values, (5, 25, 50, 75, 95))]

    return {
        "a frame": quantiles([len(truths) for truths in shown]),
        "frames without": round(float(np.mean([not truths for truths in shown])), 2),
        "sqrt area, px": quantiles(np.sqrt(sides.prod(axis=1))),
        "aspect": quantiles(sides.max(axis=1) / sides.min(axis=1)),
        "robust z in the frame": quantiles(scores),
        "contrast to the ground about it": quantiles([t.contrast for truths in shown for t in truths]),
        "partly hidden": round(float(np.mean([t.visibility < 0.9 for truths in shown for t in truths])), 2),
    }


def stretched(pixels: Array) -> npt.NDArray[np.uint8]:
    """The same display stretch for every source: 0.5 to 99.7 % of what is not border."""
    values = pixels[pixels > 0] if (pixels == 0).mean() > 0.02 else pixels
    low, high = np.percentile(values, (0.5, 99.7))
    return np.asarray(np.clip((pixels - low) / max(high - low, 1e-6), 0, 1) * 255, np.uint8)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=80)
    parser.add_argument("--seed", type=int, default=9)
    parser.add_argument("--picture", type=Path, help="PNG of real frames (two rows) above simulated ones")
    arguments = parser.parse_args()
    if not os.environ.get("NIGHTHERD_DATA"):
        sys.exit("error: NIGHTHERD_DATA is not set; give the folder that holds hit-uav, deer, bambi or flights")
    real = real_frames(Path(os.environ["NIGHTHERD_DATA"]))
    settings = override(preset("training"), [f"frames={arguments.frames}", "frames_per_scene=1"])
    rendered = list(Simulation(settings, arguments.seed))
    simulated = [frame.display.astype(np.float64) for frame in rendered]
    print(f"{'':12}" + "".join(f"{name:>22}" for name in COLUMNS))
    for name, frames in {**real, "simulated": simulated}.items():
        low, middle, high = np.percentile([statistics(frame) for frame in frames], (10, 50, 90), axis=0)
        cells = (f"{m:.2f} [{a:.1f}, {b:.1f}]" for a, m, b in zip(low, middle, high, strict=True))
        print(f"{name:12}" + "".join(f"{cell:>22}" for cell in cells))
    print(json.dumps(animals(rendered), indent=2))
    people = people_looseness()
    seen = [np.array([t.box for t in f.truth if t.category == "animal"]).reshape(-1, 4) for f in rendered]
    bodies = [r for f, boxes in zip(simulated, seen, strict=True) for r in looseness(f, boxes)]
    print(f"box over warm body: people, drawn by hand {quartiles(people)}; simulated animals {quartiles(bodies)}")
    if arguments.picture:
        shown = [frame for name in ("bambi", "chitwan", "goats, °C") for frame in real.get(name, [])]
        shown += [*real.get("hit-uav val", [])[::13][:4], *simulated[:12]]
        sheet = Image.new("L", (4 * 644, -(-len(shown) // 4) * 516))
        for place, pixels in enumerate(shown):
            sheet.paste(Image.fromarray(stretched(pixels)), (place % 4 * 644, place // 4 * 516))
        sheet.save(arguments.picture)


if __name__ == "__main__":
    main()
