"""Herds in space and time: where animals gather, and a correlated random walk for each.

The walk is Kareiva & Shigesada's (1983): every step turns by a wrapped-normal angle from the last; a grazing animal
stands for most of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nightherd.datasets.simulate.body import Posture
from nightherd.datasets.simulate.settings import HerdSettings
from nightherd.datasets.simulate.species import SPECIES

STEP = 1.0
"""Seconds between two knots of a track."""


@dataclass(frozen=True, slots=True)
class Individual:
    """One animal, person, vehicle or bicycle through the flight.

    Attributes:
        id: unique in the simulation, from 1.
        category: `animal`, `person`, `vehicle` or `bicycle`.
        species: common name, or the category again.
        size: relative to the species' mean adult.
        warmth: K above the ground.
        seed: of its shape.
        track: (T, 2) metres in site coordinates, every `STEP` seconds from the first exposure.
        headings: (T,) radians clockwise from the y axis.
        postures: (T,) what it does.
    """

    id: int
    category: str
    species: str
    size: float
    warmth: float
    seed: int
    track: npt.NDArray[np.float64]
    headings: npt.NDArray[np.float64]
    postures: tuple[Posture, ...]

    def at(self, time: float) -> tuple[npt.NDArray[np.float64], float, Posture, int]:
        """Position (2,) m, heading, posture, and the knot at which it took that posture, at a time in seconds."""
        t = min(max(time / STEP, 0.0), len(self.track) - 1.0)
        i = min(int(t), len(self.track) - 1)
        j = min(i + 1, len(self.track) - 1)
        place = self.track[i] + (t - i) * (self.track[j] - self.track[i])
        since = i
        while since > 0 and self.postures[since - 1] == self.postures[i]:
            since -= 1
        return place, float(self.headings[i]), self.postures[i], since


def _posture(rng: np.random.Generator) -> Posture:
    """What an animal on its feet does next."""
    options: tuple[Posture, ...] = ("grazing", "standing", "walking", "alert")
    return options[int(rng.choice(4, p=[0.43, 0.22, 0.26, 0.09]))]


def _walk(
    start: npt.NDArray[np.float64], heading: float, settings: HerdSettings, seconds: float, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], tuple[Posture, ...]]:
    steps = max(1, int(np.ceil(seconds / STEP)) + 1)
    track = np.empty((steps, 2))
    headings = np.empty(steps)
    postures: list[Posture] = []
    place = start.copy()
    species, drawn = SPECIES[settings.species], rng.random()
    lies = drawn < settings.lying
    posture: Posture = _posture(rng) if not lies else "curled" if drawn < settings.lying * settings.curled else "lying"
    for i in range(steps):
        track[i], headings[i] = place, heading
        postures.append(posture)
        if posture == "walking":
            heading += rng.normal(0, 0.18)
            pace = species.speed * STEP * rng.uniform(0.6, 1.1)
            place = place + pace * np.array([np.sin(heading), np.cos(heading)])
        elif posture == "grazing":
            heading += rng.normal(0, 0.05)
            place = place + 0.05 * STEP * np.array([np.sin(heading), np.cos(heading)])
        if not lies and rng.random() < (0.08 if posture == "walking" else 0.03) * STEP:
            posture = _posture(rng)
    return track, headings, tuple(postures)


def _spaced(count: int, gap: float, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Places about the origin, no two nearer than 0.7 of `gap` where that can be had."""
    places: list[npt.NDArray[np.float64]] = []
    radius = gap * np.sqrt(count) * 0.75
    elongation = rng.uniform(1.0, 2.5)
    turn = rng.uniform(0, np.pi)
    axes = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    for _ in range(count):
        best, best_gap = np.zeros(2), -1.0
        for _ in range(6):
            place = (rng.normal(0, radius * 0.6, 2) * (elongation**0.5, elongation**-0.5)) @ axes
            nearest = min((float(np.hypot(*(place - other))) for other in places), default=gap)
            if nearest > best_gap:
                best, best_gap = place, nearest
            if nearest >= 0.7 * gap:
                break
        places.append(best)
    return np.array(places).reshape(-1, 2)


def herd(
    settings: HerdSettings,
    spot: Callable[[np.random.Generator], npt.NDArray[np.float64]],
    seconds: float,
    first_id: int,
    rng: np.random.Generator,
) -> list[Individual]:
    """All groups of one herd setting, each about a place (2,) in metres that `spot` draws."""
    species = SPECIES[settings.species]
    members: list[Individual] = []
    for _ in range(settings.groups):
        centre = spot(rng)
        count = int(rng.integers(settings.size[0], settings.size[1] + 1))
        common = rng.uniform(0, 2 * np.pi)
        aligned = rng.uniform(0.2, 1.6)
        for offset in _spaced(count, settings.spacing * species.trunk, rng):
            size = float(np.clip(rng.normal(1.0, species.variation), 0.5, 1.3))
            heading = float(common + rng.normal(0, aligned))
            track, headings, postures = _walk(centre + offset, heading, settings, seconds, rng)
            members.append(
                Individual(
                    id=first_id + len(members),
                    category="animal",
                    species=species.name,
                    size=size,
                    warmth=float(settings.warmth * species.insulation * np.exp(rng.normal(0, 0.12))),
                    seed=int(rng.integers(2**31)),
                    track=track,
                    headings=headings,
                    postures=postures,
                )
            )
    return members


def bystanders(
    category: str,
    count: int,
    warmth: float,
    spot: Callable[[np.random.Generator], npt.NDArray[np.float64]],
    seconds: float,
    first_id: int,
    rng: np.random.Generator,
) -> list[Individual]:
    """People, vehicles or bicycles, in groups, about places (2,) in metres that `spot` draws."""
    speed = {"person": 1.2, "bicycle": 3.5, "vehicle": 0.0}[category]
    gap = {"person": 1.5, "bicycle": 1.4, "vehicle": 3.2}[category]
    result: list[Individual] = []
    place, heading = np.zeros(2), 0.0
    steps = max(1, int(np.ceil(seconds / STEP)) + 1)
    for index in range(count):
        if index == 0 or rng.random() < (0.6 if category == "vehicle" else 0.45):
            place = spot(rng)
            heading = float(rng.uniform(0, 2 * np.pi))
        else:
            aside = np.array([np.cos(heading), -np.sin(heading)])
            place = place + aside * gap * rng.uniform(0.9, 1.6) + rng.normal(0, 0.3, 2)
            if category != "vehicle":
                heading += rng.normal(0, 0.9)
        if category == "vehicle" and any(float(np.hypot(*(place - other.track[0]))) < 2.6 for other in result):
            continue
        moves = speed * float(rng.random() < 0.5) * rng.uniform(0.5, 1.3)
        headings = heading + np.cumsum(rng.normal(0, 0.03, steps))
        stride = moves * STEP * np.stack([np.sin(headings), np.cos(headings)], axis=1)
        track = place + np.concatenate([np.zeros((1, 2)), np.cumsum(stride[:-1], axis=0)])
        posture: Posture = "walking" if moves else "lying" if rng.random() < 0.2 else "standing"
        result.append(
            Individual(
                id=first_id + len(result),
                category=category,
                species=category,
                size=1.0,
                warmth=float(warmth * np.exp(rng.normal(0, 0.3))),
                seed=int(rng.integers(2**31)),
                track=track,
                headings=headings,
                postures=(posture,) * steps,
            )
        )
    return result
