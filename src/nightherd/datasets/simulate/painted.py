"""Simulated animals painted onto real frames: true ground, true camera, and still a truth that is known.

Frames that are known to be free of animals are easy to come by (a campus, an empty flight of one's own); frames with
labelled animals are not. Bodies are those of the simulator, drawn at the scale of a height that shows them well, as
warm against the ground about them as the frame's own contrast allows, softened and made noisy as the frame is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from nightherd.datasets.simulate.body import quadruped
from nightherd.datasets.simulate.draw import Sprite, draw_body
from nightherd.datasets.simulate.geometry import Shot, View
from nightherd.datasets.simulate.movement import Individual, herd
from nightherd.datasets.simulate.scene import Truth, loosened
from nightherd.datasets.simulate.settings import HerdSettings
from nightherd.datasets.simulate.species import SPECIES
from nightherd.types import FloatArray

FOCAL = 1100.0
"""Focal length in pixels of the camera that sees the bodies; only the ratio to the height matters."""


@dataclass(frozen=True, slots=True)
class PaintSettings:
    """What is painted.

    Attributes:
        species: names to draw from.
        empty: share of the frames that stay as they are.
        extent: least and greatest size of a body in pixels (√area of its box), drawn evenly in its logarithm.
        contrast: least and greatest warmth of a back above the ground about it, in robust standard deviations of the
            whole frame, likewise.
        hidden: chance that leaves and twigs hide parts of a body.
        most: greatest number of animals in a frame.
    """

    species: tuple[str, ...] = tuple(SPECIES)
    empty: float = 0.25
    extent: tuple[float, float] = (9.0, 46.0)
    contrast: tuple[float, float] = (1.5, 16.0)
    hidden: float = 0.35
    most: int = 14


@dataclass(frozen=True, slots=True)
class Painted:
    """A frame with animals in it: float32 (H, W) in the frame's own unit, and the truth of each animal."""

    pixels: FloatArray
    truth: tuple[Truth, ...]


def paint(
    pixels: FloatArray, taken: FloatArray, settings: PaintSettings, seed: tuple[int, ...], ceiling: float | None = None
) -> Painted:
    """Paints a few animals onto a frame.

    Args:
        pixels: (H, W), warm is high, NaN where there is no value.
        taken: (N, 4) boxes xyxy, pixels, where nothing may be painted: what is labelled, and regions to ignore.
        settings: what is painted.
        seed: the same gives the same animals.
        ceiling: the highest value that the frame's unit has (255 for 8 bits); None where there is none.
    """
    rng = np.random.default_rng(seed)
    height, width = pixels.shape
    finite = pixels[np.isfinite(pixels)]
    if finite.size == 0 or rng.random() < settings.empty:
        return Painted(pixels, ())
    low, high = np.percentile(finite[:: max(1, finite.size // 20_000)], (25, 75))
    sigma = float(max((high - low) / 1.349, 1e-3 * max(1.0, abs(float(high)))))
    image = np.where(np.isfinite(pixels), pixels, np.float32(np.median(finite))).astype(np.float32)
    is_empty = ~np.isfinite(pixels) | _border(pixels)
    noise = _noise(image)
    blur = float(rng.uniform(0.5, 1.1))
    claimed = [tuple(map(float, box)) for box in taken]
    truth: list[Truth] = []
    view, animals = _animals(width, height, settings, rng)
    contrast = _log_uniform(rng, *settings.contrast)
    for individual in animals[: settings.most]:
        sprite = _sprite(view, individual)
        place = None if sprite is None else sprite.on(width, height)
        if sprite is None or place is None or is_empty[place[0]].mean() > 0.02:
            continue
        there, here = place
        around = (there[1].start - 3.0, there[0].start - 3.0, there[1].stop + 3.0, there[0].stop + 3.0)
        if any(_overlap(around, box) for box in claimed):
            continue
        whole = float(sprite.cover.sum())
        alpha = sprite.cover[here]
        if rng.random() < settings.hidden:
            alpha = alpha * _twigs(alpha.shape, rng)
        ground = _ring(image, there)
        warmth = sprite.warmth[here] * np.float32(contrast * sigma * individual.warmth)
        coat = Image.fromarray(
            rng.standard_normal((alpha.shape[0] // 3 + 1, alpha.shape[1] // 3 + 1), dtype=np.float32)
        )
        mottle = np.asarray(coat.resize(alpha.shape[::-1], Image.Resampling.BILINEAR))
        body = np.float32(np.median(ground)) + warmth * (1 + np.float32(0.09) * mottle)
        soft = ndimage.gaussian_filter(alpha, blur, mode="constant")
        value = ndimage.gaussian_filter(body * alpha, blur, mode="constant") / np.maximum(soft, 1e-3)
        value = value + rng.standard_normal(alpha.shape, np.float32) * np.float32(noise)
        before = image[there].copy()
        image[there] = before * (1 - soft) + value * soft
        if ceiling is not None:
            np.clip(image[there], 0, ceiling, out=image[there])
        entry = _truth(individual, whole, alpha, there, image[there], ground, (height, width), noise)
        if entry is None:
            image[there] = before
            continue
        truth.append(entry)
        claimed.append(entry.box)
    result: FloatArray = np.where(np.isfinite(pixels), image, pixels).astype(np.float32)
    return Painted(result, tuple(truth))


def _animals(
    width: int, height: int, settings: PaintSettings, rng: np.random.Generator
) -> tuple[View, list[Individual]]:
    """A camera over the frame, and one or two groups of one species under it; their warmth is relative to 1."""
    species = SPECIES[settings.species[int(rng.integers(len(settings.species)))]]
    # √area of a box about a body of random heading is near 0.75 of its length with neck.
    length = 0.75 * (species.trunk + 0.6 * (species.neck + species.head))
    metres = length / _log_uniform(rng, *settings.extent)
    pitch = -90.0 if rng.random() < 0.6 else float(rng.uniform(-88, -60))
    shot = Shot(0.0, 0.0, metres * FOCAL, float(rng.uniform(-180, 180)), pitch, 0.0, 0.0, datetime(2024, 1, 1))
    view = View(shot, FOCAL, width, height)

    def spot(generator: np.random.Generator) -> npt.NDArray[np.float64]:
        place: npt.NDArray[np.float64] = view.ground(generator.uniform(0, 1, (1, 2)) * (width, height))[0]
        return place

    animals: list[Individual] = []
    for _ in range(int(rng.integers(1, 4))):
        size = (1, 2) if rng.random() < 0.6 else (2, 10)
        spacing = _log_uniform(rng, 1.2, 6.0)
        group = HerdSettings(species=species.name, groups=1, size=size, spacing=spacing, warmth=1.0,
                             lying=0.9 if rng.random() < 0.25 else 0.15)  # fmt: skip
        animals += herd(group, spot, 1.0, len(animals) + 1, rng)
    return view, animals


def _sprite(view: View, individual: Individual) -> Sprite | None:
    place, heading, posture, since = individual.at(0.0)
    build, pose = np.random.default_rng(individual.seed), np.random.default_rng([individual.seed, since])
    body = quadruped(SPECIES[individual.species], posture, individual.size, build, pose)
    return draw_body(view, body.placed(float(place[0]), float(place[1]), heading), 1.0)


def _truth(
    individual: Individual,
    whole: float,
    shown: FloatArray,
    there: tuple[slice, slice],
    painted: FloatArray,
    ground: FloatArray,
    frame: tuple[int, int],
    noise: float,
) -> Truth | None:
    """The box about what is shown of a body, or None where nothing is."""
    mask = shown > 0.4
    if not mask.any():
        return None
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    y0, x0 = there[0].start, there[1].start
    box = (float(x0 + columns[0]), float(y0 + rows[0]), float(x0 + columns[-1] + 1), float(y0 + rows[-1] + 1))
    contrast = (float(painted[mask].mean()) - float(np.median(ground))) / (float(ground.std()) + noise + 1e-6)
    return Truth(
        individual.id,
        "animal",
        individual.species,
        loosened(box, frame),
        float(mask.sum()),
        float(np.clip(shown.sum() / max(whole, 1e-6), 0, 1)),
        contrast,
    )


def _ring(image: FloatArray, there: tuple[slice, slice], pad: int = 6) -> FloatArray:
    """The pixels of the ground in and about a place, before anything is painted there, (N,)."""
    rows = slice(max(0, there[0].start - pad), there[0].stop + pad)
    columns = slice(max(0, there[1].start - pad), there[1].stop + pad)
    return image[rows, columns].copy().ravel()


def _twigs(shape: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    """What leaves and twigs let through, 0 to 1 (h, w): ragged gaps of a few pixels, of an openness of its own."""
    h, w = shape
    grain = float(rng.uniform(1.2, 5.0))
    field = ndimage.gaussian_filter(rng.standard_normal((h + 16, w + 16), dtype=np.float32), grain)[
        8 : 8 + h, 8 : 8 + w
    ]
    field = (field - field.mean()) / max(float(field.std()), 1e-6)
    openness = float(rng.uniform(-0.6, 1.6))
    passed: FloatArray = np.clip(np.float32(0.5) + np.float32(3.0) * (np.float32(openness) - field), 0, 1)
    return passed


def _noise(image: FloatArray) -> float:
    """The frame's own noise: what a step between neighbours twice as far apart than needed cannot explain."""
    residual = image[1:-1, 1:-1] - (image[1:-1, :-2] + image[1:-1, 2:]) / 2
    return float(np.median(np.abs(residual)) / 0.6745 / np.sqrt(1.5)) * 0.7


def _border(pixels: FloatArray) -> npt.NDArray[np.bool_]:
    """Where an undistorted frame has nothing: exact zeros that touch the frame's edge."""
    zero = pixels == 0
    if zero.mean() < 0.01:
        return np.zeros(pixels.shape, np.bool_)
    marked, count = ndimage.label(zero)
    edge = np.unique(np.concatenate([marked[0], marked[-1], marked[:, 0], marked[:, -1]]))
    sizes = np.bincount(marked.ravel(), minlength=count + 1)
    return np.isin(marked, [i for i in edge if i and sizes[i] > 0.003 * zero.size])


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
