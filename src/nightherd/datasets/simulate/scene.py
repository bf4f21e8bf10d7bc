"""A world and what lives in it, photographed: every frame of a scene is a view of the same ground, trees and herds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from nightherd.datasets.simulate.body import bicycle, person, quadruped
from nightherd.datasets.simulate.camera import Camera
from nightherd.datasets.simulate.canopy import Canopy, draw_trunks, plant
from nightherd.datasets.simulate.clutter import Clutter, strew
from nightherd.datasets.simulate.draw import Sprite, draw_body, draw_panels
from nightherd.datasets.simulate.geometry import Raster, Shot, View
from nightherd.datasets.simulate.movement import Individual, bystanders, herd
from nightherd.datasets.simulate.noise import Window
from nightherd.datasets.simulate.settings import SimulationSettings
from nightherd.datasets.simulate.species import SPECIES
from nightherd.datasets.simulate.terrain import Ground
from nightherd.datasets.simulate.vehicles import vehicle
from nightherd.types import FloatArray

CHUNK = 512
"""Pixels across the pieces in which the ground of a flight is made and kept."""
CATEGORIES = ("animal", "person", "vehicle", "bicycle")


@dataclass(frozen=True, slots=True)
class Truth:
    """One individual in one frame.

    Attributes:
        individual: its id.
        category: `animal`, `person`, `vehicle` or `bicycle`.
        species: common name, or the category.
        box: x1, y1, x2, y2 in pixels around what can be seen of it.
        area: pixels that can be seen of it.
        visibility: share of its body, 0 to 1, that neither trees, nor others, nor the frame's edge hide.
        contrast: how far its visible part stands out from the ground around it, in standard deviations of that ground.
    """

    individual: int
    category: str
    species: str
    box: tuple[float, float, float, float]
    area: float
    visibility: float
    contrast: float


@dataclass(frozen=True, slots=True)
class Rendered:
    """One frame with its truth: temperature float32 (H, W) °C as the bolometer reads it, and 8 bits as displayed."""

    view: View
    reading: FloatArray
    display: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
    truth: tuple[Truth, ...]


class Scene:
    """One world.

    Args:
        settings: of this scene, kind `flight` (a `mixed` simulation draws one such settings for every scene).
        shots: its exposures.
        seed: numbers that all randomness follows from.
        keep: whether to make the ground in pieces and keep them, worth it where frames overlap.
    """

    def __init__(
        self, settings: SimulationSettings, shots: list[Shot], seed: tuple[int, ...], keep: bool = True
    ) -> None:
        self.settings = settings
        self.shots = shots
        self.seed = seed
        self.keep = keep
        streams = [np.random.default_rng([*seed, stream]) for stream in range(6)]
        camera, flight = settings.camera, settings.flight
        self.focal = camera.focal_length / camera.pixel_pitch * 1e3
        corners = np.concatenate([self.view(shot).corners() for shot in shots])
        low, high = corners.min(axis=0), corners.max(axis=0)
        self.extent = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
        # Where the view is oblique its far part is coarser; a raster as fine as its middle serves both.
        gsd = flight.height / self.focal / float(np.sin(np.radians(-min(shot.pitch for shot in shots))))
        self.raster = Raster(self.extent[0] - 8, self.extent[3] + 8, gsd)
        terrain, canopy = settings.terrain, settings.canopy
        azimuth = terrain.sun_azimuth - flight.bearing
        ground_settings = terrain.model_copy(update={"sun_azimuth": azimuth})
        self.ground = Ground(ground_settings, self.raster, self.extent, streams[0])
        self.canopy: Canopy | None = None
        if canopy.cover > 0:
            trees = plant(canopy, self.extent, terrain.sun, streams[1])
            if terrain.water > 0:
                trees = trees.select([not self.ground.is_water(float(x), float(y)) for x, y in trees.positions])
            self.canopy = Canopy(canopy, trees, self.raster, terrain.sun, azimuth)
        scale = terrain.spread * settings.clutter.warmth
        items = strew(settings.clutter, self.extent, terrain.sun, streams[2])
        items = [item for item in items if not self.ground.is_water(item.x, item.y)]
        self.clutter = Clutter(items, self.raster, scale,
                               terrain.sun, azimuth, terrain.air)  # fmt: skip
        self.taken = [(i.x, i.y, 0.6 * i.length + 1) for i in self.clutter.items if i.kind == "building"]
        self.azimuth = float(np.radians(azimuth))
        self.camera = Camera(camera, streams[3])
        self.individuals = self._populate(streams[4])
        self.base = self._typical_ground()
        # The ground's own chunks are kept while frames overlap; a method cache would keep the scene alive.
        self._kept = lru_cache(maxsize=36)(self._chunk)

    def view(self, shot: Shot) -> View:
        """A shot through this scene's camera."""
        return View(shot, self.focal, self.settings.camera.width, self.settings.camera.height)

    def _dry_spot(self, rng: np.random.Generator) -> npt.NDArray[np.float64]:
        """A place that some frame sees, not under water nor a building or vehicle where that can be had."""
        place = np.zeros(2)
        for _ in range(12):
            view = self.view(self.shots[int(rng.integers(len(self.shots)))])
            place = view.ground(rng.uniform(0, 1, (1, 2)) * (view.width, view.height))[0]
            x, y = float(place[0]), float(place[1])
            if not self.ground.is_water(x, y) and not any(np.hypot(x - a, y - b) < r for a, b, r in self.taken):
                break
        return place

    def _populate(self, rng: np.random.Generator) -> list[Individual]:
        seconds = max(shot.time for shot in self.shots) + 1
        members: list[Individual] = []
        clutter = self.settings.clutter
        x0, y0, x1, y1 = self.extent
        hectares = (x1 - x0) * (y1 - y0) / 1e4
        spread = self.settings.terrain.spread
        for category, rate, warmth in (
            ("vehicle", clutter.vehicles, 3.5),
            ("person", clutter.people, 5.0),
            ("bicycle", clutter.bicycles, 4.0),
        ):
            count = int(rng.poisson(rate * hectares)) if rate else 0
            members += bystanders(category, count, warmth * spread, self._dry_spot, seconds, len(members) + 1, rng)
            if category == "vehicle":
                self.taken += [(float(m.track[0, 0]), float(m.track[0, 1]), 3.2) for m in members]
        for settings in self.settings.herds:
            members += herd(settings, self._dry_spot, seconds, len(members) + 1, rng)
        return members

    def is_in_strip(self, individual: Individual) -> bool:
        """Whether any exposure had the individual within its frame, hidden or not."""
        for shot in self.shots:
            view = self.view(shot)
            place, *_ = individual.at(shot.time)
            pixels, depth = view.project(np.array([[place[0], place[1], 0.0]]))
            if depth[0] > 0 and np.all((pixels[0] >= 0) & (pixels[0] < (view.width, view.height))):
                return True
        return False

    def _typical_ground(self) -> float:
        x0, y0, x1, y1 = self.extent
        centre = self.raster.pixels(np.array([[(x0 + x1) / 2, (y0 + y1) / 2]]))[0].astype(int)
        return float(np.median(self.ground.window(Window(int(centre[0]) - 96, int(centre[1]) - 96, 192, 192))))

    def _layers(self, window: Window) -> tuple[FloatArray, FloatArray | None, FloatArray | None]:
        """Ground (°C, shaded by trees), cover and warmth of crowns in a window."""
        ground = self.ground.window(window)
        self.clutter.draw(ground, window)
        if self.canopy is None:
            return ground, None, None
        terrain, canopy = self.settings.terrain, self.settings.canopy
        length = canopy.height * (1.8 - 1.2 * terrain.sun) / self.raster.gsd if terrain.sun > 0.1 else 0.0
        # Crowns towards the sun shade what lies away from it; the window grows so that both are in it.
        dx, dy = int(length * np.sin(self.azimuth)), int(-length * np.cos(self.azimuth))
        left, top = max(-dx, 0), max(-dy, 0)
        wide = Window(window.left - left, window.top - top, window.width + abs(dx), window.height + abs(dy))
        all_cover, all_warmth = self.canopy.window(wide)
        here = np.s_[top : top + window.height, left : left + window.width]
        cover, warmth = all_cover[here], all_warmth[here]
        if terrain.sun > 0.1:
            shade = all_cover[top + dy : top + dy + window.height, left + dx : left + dx + window.width]
            ground -= np.float32(1.7 * terrain.sun * terrain.spread) * ndimage.gaussian_filter(shade, 1.5, truncate=2.0)
        else:
            shelter = np.asarray(
                Image.fromarray(np.ascontiguousarray(cover))
                .reduce(8)
                .resize(cover.shape[::-1], Image.Resampling.BILINEAR)
            )
            ground += np.float32(0.5 * terrain.spread) * shelter
        return ground, cover, warmth

    def _chunk(self, column: int, row: int) -> tuple[FloatArray, FloatArray | None, FloatArray | None]:
        return self._layers(Window(column * CHUNK, row * CHUNK, CHUNK, CHUNK))

    def _mosaic(self, window: Window) -> tuple[FloatArray, FloatArray | None, FloatArray | None]:
        if not self.keep:
            return self._layers(window)
        c0, r0 = window.left // CHUNK, window.top // CHUNK
        c1, r1 = (window.left + window.width - 1) // CHUNK, (window.top + window.height - 1) // CHUNK
        grid = [[self._kept(c, r) for c in range(c0, c1 + 1)] for r in range(r0, r1 + 1)]
        top, left = window.top - r0 * CHUNK, window.left - c0 * CHUNK
        part = np.s_[top : top + window.height, left : left + window.width]
        layers: list[FloatArray | None] = []
        for layer in range(3):
            if self.canopy is None and layer:
                layers.append(None)
            else:
                layers.append(np.block([[chunk[layer] for chunk in line] for line in grid])[part])
        ground = layers[0]
        assert ground is not None
        return ground, layers[1], layers[2]

    def _seen(self, view: View) -> tuple[FloatArray, FloatArray | None, FloatArray | None]:
        """Ground, cover and temperature of the crowns as the view sees them, each (H, W)."""
        planes = [0.0] if self.canopy is None else [0.0, self.settings.canopy.height]
        footprints = np.concatenate([self.raster.pixels(view.corners(plane)) for plane in planes])
        low = np.floor(footprints.min(axis=0)).astype(int) - 2
        high = np.ceil(footprints.max(axis=0)).astype(int) + 3
        window = Window(int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1]))
        ground, cover, warmth = self._mosaic(window)

        def warp(layer: FloatArray, plane: float) -> FloatArray:
            matrix = self.raster.matrix() @ view.plane(plane)
            matrix[:2] -= np.outer([window.left, window.top], matrix[2])
            c = (matrix / matrix[2, 2]).ravel()[:8]
            image = Image.fromarray(np.ascontiguousarray(layer)).transform(
                (view.width, view.height), Image.Transform.PERSPECTIVE, tuple(c), Image.Resampling.BILINEAR
            )
            return np.array(image, np.float32)

        seen = warp(ground, 0.0)
        if cover is None or warmth is None:
            return seen, None, None
        height = self.settings.canopy.height
        heat = warp(warmth, height)
        shade = warp(cover, height)
        if self.canopy is not None:
            trunks = draw_trunks(view, self.canopy.trees, height) * (1 - shade)
            bark = np.float32(self.settings.canopy.contrast + 0.6)
            whole = shade + trunks
            heat = np.where(whole > 0.01, (heat * shade + bark * trunks) / np.maximum(whole, 0.01), heat)
            shade = whole
        return seen, shade, np.float32(self.base) + np.float32(self.settings.terrain.spread) * heat

    def _sprites(self, view: View) -> list[tuple[Individual, Sprite]]:
        drawn: list[tuple[float, Individual, Sprite]] = []
        for individual in self.individuals:
            place, heading, posture, since = individual.at(view.shot.time)
            pixels, depth = view.project(np.array([[place[0], place[1], 0.5]]))
            if depth[0] < 2 or not (-300 < pixels[0, 0] < view.width + 300 and -300 < pixels[0, 1] < view.height + 300):
                continue
            x, y = float(place[0]), float(place[1])
            sprite: Sprite | None
            if individual.category == "animal":
                # Its build is its own; how it holds itself is drawn anew whenever it takes another posture.
                build, pose = np.random.default_rng(individual.seed), np.random.default_rng([individual.seed, since])
                species, step = SPECIES[individual.species], 5.2 * view.shot.time
                body = quadruped(species, posture, individual.size, build, pose, step)
                sprite = draw_body(view, body.placed(x, y, heading), individual.warmth)
            elif individual.category == "vehicle":
                _, panels = vehicle(x, y, heading, individual.warmth, np.random.default_rng(individual.seed))
                sprite = draw_panels(view, panels)
            else:
                shape = np.random.default_rng(individual.seed)
                body = bicycle(shape) if individual.category == "bicycle" else person(shape, posture == "lying")
                sprite = draw_body(view, body.placed(x, y, heading), individual.warmth)
            if sprite is not None:
                drawn.append((-float(depth[0]), individual, sprite))
        return [(individual, sprite) for _, individual, sprite in sorted(drawn, key=lambda entry: entry[0])]

    def render(self, index: int) -> Rendered:
        """Photographs the scene: exposure number `index`."""
        shot = self.shots[index]
        view = self.view(shot)
        rng = np.random.default_rng([*self.seed, 100, index])
        image, cover, heat = self._seen(view)
        bare = image.copy()
        sprites = self._sprites(view)
        clear = np.ones_like(image) if cover is None else 1 - cover
        if self.camera.border is not None:
            clear = clear * self.camera.border
        visible: list[tuple[Individual, float, FloatArray, tuple[slice, slice]]] = []
        for individual, sprite in sprites:
            place = sprite.on(view.width, view.height)
            if place is None:
                continue
            there, here = place
            alpha, warmth = sprite.cover[here], sprite.warmth[here]
            coat = rng.standard_normal((alpha.shape[0] // 3 + 1, alpha.shape[1] // 3 + 1), dtype=np.float32)
            mottle = np.asarray(Image.fromarray(coat).resize(alpha.shape[::-1], Image.Resampling.BILINEAR))
            # One flank, or one end, is warmer than the other: sun, wind, wet fur.
            tilt = np.random.default_rng([individual.seed, 1]).normal(0, 0.13, 2)
            slope = tilt[0] * np.linspace(-1, 1, alpha.shape[0])[:, None] + tilt[1] * np.linspace(-1, 1, alpha.shape[1])
            value = np.float32(self.base) + warmth * (1 + np.float32(0.08) * mottle + slope.astype(np.float32))
            image[there] = image[there] * (1 - alpha) + value * alpha
            for _, _, shown, other in visible:
                _hide(shown, other, alpha, there)
            visible.append((individual, float(sprite.cover.sum()), alpha * clear[there], there))
        if cover is not None and heat is not None:
            image = image * (1 - cover) + heat * cover
            bare = bare * (1 - cover) + heat * cover
        gsd = shot.z / self.focal
        smear = shot.speed * self.settings.camera.exposure / gsd
        reading = self.camera.expose(image, smear, rng)
        truth = [
            entry
            for individual, whole, shown, there in visible
            if (entry := _measure(individual, whole, shown, there, image, bare, self.settings.camera.netd)) is not None
        ]
        return Rendered(view, reading, self.camera.develop(reading), tuple(truth))

    def __iter__(self) -> Iterator[Rendered]:
        for index in range(len(self.shots)):
            yield self.render(index)


def _hide(shown: FloatArray, where: tuple[slice, slice], alpha: FloatArray, there: tuple[slice, slice]) -> None:
    """Takes what a nearer sprite covers from what is shown of a farther one, in place."""
    y0, y1 = max(where[0].start, there[0].start), min(where[0].stop, there[0].stop)
    x0, x1 = max(where[1].start, there[1].start), min(where[1].stop, there[1].stop)
    if y1 > y0 and x1 > x0:
        mine = np.s_[y0 - where[0].start : y1 - where[0].start, x0 - where[1].start : x1 - where[1].start]
        other = np.s_[y0 - there[0].start : y1 - there[0].start, x0 - there[1].start : x1 - there[1].start]
        shown[mine] *= 1 - alpha[other]


def _measure(
    individual: Individual,
    whole: float,
    shown: FloatArray,
    there: tuple[slice, slice],
    image: FloatArray,
    bare: FloatArray,
    netd: float,
) -> Truth | None:
    """The truth of one individual: the box around what can be seen of it, or None where nothing can."""
    mask = shown > 0.4
    if not mask.any():
        mask = shown > 0.5 * float(shown.max())
        if float(shown.max()) < 0.15:
            return None
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    y0, x0 = there[0].start, there[1].start
    box = (float(x0 + columns[0]), float(y0 + rows[0]), float(x0 + columns[-1] + 1), float(y0 + rows[-1] + 1))
    pad = 6
    around = np.s_[max(0, int(box[1]) - pad) : int(box[3]) + pad, max(0, int(box[0]) - pad) : int(box[2]) + pad]
    ground = bare[around]
    inside = image[there][mask]
    contrast = (float(inside.mean()) - float(np.median(ground))) / (float(ground.std()) + netd)
    return Truth(
        individual.id,
        individual.category,
        individual.species,
        loosened(box, (image.shape[0], image.shape[1])),
        float(mask.sum()),
        float(np.clip(shown.sum() / max(whole, 1e-6), 0, 1)),
        contrast,
    )


MARGIN = 0.14
"""On each side, as a share of the longer side of the outline."""


def loosened(box: tuple[float, float, float, float], frame: tuple[int, int]) -> tuple[float, float, float, float]:
    """A box with the margin that whoever draws one by hand leaves: what blur spreads beyond the outline is in it.

    Boxes of people drawn by hand in HIT-UAV's training frames are 1.47 times as wide (√area, median of 649) as what in
    them is warmer than halfway up; `benchmarks/simulate_realism.py` measures both.

    Args:
        box: x1, y1, x2, y2 about the outline, pixels.
        frame: height and width of the frame.
    """
    margin = 0.8 + MARGIN * max(box[2] - box[0], box[3] - box[1])
    return (
        max(0.0, box[0] - margin),
        max(0.0, box[1] - margin),
        min(float(frame[1]), box[2] + margin),
        min(float(frame[0]), box[3] + margin),
    )
