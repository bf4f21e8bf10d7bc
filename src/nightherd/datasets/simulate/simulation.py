"""A simulation as a sequence of frames that can be asked for in any order, each by its number alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import numpy as np

from nightherd.datasets.simulate.geometry import Shot
from nightherd.datasets.simulate.plan import footprint, lawnmower
from nightherd.datasets.simulate.scene import Rendered, Scene
from nightherd.datasets.simulate.settings import SimulationSettings
from nightherd.datasets.simulate.variety import scene_settings


class Simulation:
    """All frames of a simulation.

    The same settings and seed give the same frames, whichever are asked for and in whatever order.

    Args:
        settings: what to simulate.
        seed: 0 or more.
    """

    def __init__(self, settings: SimulationSettings, seed: int) -> None:
        self.settings = settings
        self.seed = seed
        self._scene: tuple[int, Scene] | None = None

    def __len__(self) -> int:
        return self.settings.frames

    @property
    def scenes(self) -> int:
        """How many worlds the frames are views of."""
        if self.settings.kind == "flight":
            return 1
        return -(-self.settings.frames // self.settings.frames_per_scene)

    def scene_of(self, frame: int) -> tuple[int, int]:
        """The scene that a frame belongs to, and its number within that scene."""
        if self.settings.kind == "flight":
            return 0, frame
        return divmod(frame, self.settings.frames_per_scene)

    def scene(self, number: int) -> Scene:
        """A world, made when first asked for; one is kept at a time."""
        if self._scene is None or self._scene[0] != number:
            self._scene = (number, self._make(number))
        return self._scene[1]

    def _make(self, number: int) -> Scene:
        rng = np.random.default_rng([self.seed, number, 1])
        if self.settings.kind == "flight":
            shots = lawnmower(self.settings.flight, self.settings.camera, self.settings.frames, rng)
            return Scene(self.settings, shots, (self.seed, 0))
        settings = scene_settings(self.settings, rng)
        first = number * self.settings.frames_per_scene
        count = min(self.settings.frames_per_scene, self.settings.frames - first)
        return Scene(settings, _scattered(settings, count, rng), (self.seed, number), keep=False)

    def frame(self, number: int) -> Rendered:
        """Renders one frame, counted from 0."""
        scene, shot = self.scene_of(number)
        return self.scene(scene).render(shot)

    def __iter__(self) -> Iterator[Rendered]:
        for number in range(len(self)):
            yield self.frame(number)


def _scattered(settings: SimulationSettings, count: int, rng: np.random.Generator) -> list[Shot]:
    """A few exposures of one small world: half a frame apart, turned any way, a minute between them."""
    flight = settings.flight
    across, along = footprint(flight, settings.camera)
    shots = []
    for k in range(count):
        start: datetime = flight.start
        shots.append(
            Shot(
                x=k * 0.5 * across + rng.normal(0, 0.1 * across),
                y=rng.normal(0, 0.2 * along),
                z=flight.height * float(np.exp(rng.normal(0, 0.06))),
                yaw=float(rng.choice([0, 0, 90, 180])) + rng.normal(0, 6.0),
                pitch=max(-90.0, min(-45.0, flight.pitch + rng.normal(0, flight.tilt_noise))),
                roll=rng.normal(0, flight.tilt_noise),
                time=40.0 * k,
                moment=start,
                speed=flight.speed,
            )
        )
    from datetime import timedelta

    return [replace(shot, moment=shot.moment + timedelta(seconds=shot.time)) for shot in shots]


def simulate(settings: SimulationSettings, seed: int) -> Iterator[Rendered]:
    """Renders a simulation frame by frame.

    Args:
        settings: see `nightherd.datasets.simulate.presets`.
        seed: 0 or more; the same gives the same frames.

    Yields:
        Every frame: its view, temperatures, display pixels and truth.
    """
    yield from Simulation(settings, seed)
