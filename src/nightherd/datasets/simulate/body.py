"""A standing, grazing, walking, lying or curled up animal, or a person or bicycle, as capsules in space.

A capsule is a segment with a radius at either end. Seen from any side it projects to a tapered stroke, which is all
that a frame with 10 to 60 pixels an animal can tell of a neck or a leg.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from nightherd.datasets.simulate.species import Species

Posture = Literal["standing", "grazing", "walking", "alert", "lying", "curled"]
POSTURES: tuple[Posture, ...] = ("standing", "grazing", "walking", "alert", "lying", "curled")
"""`curled` lies with its head laid back along its flank: from above an oval without a head."""

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Capsules:
    """Parts of one body in its own frame: x ahead, y to its left, z up from the ground, metres.

    Attributes:
        start, end: (N, 3) ends of the segments.
        radius: (N, 2) at the start and the end.
        warmth: (N,) of each part, relative to the warmth of the back.
    """

    start: Vector
    end: Vector
    radius: Vector
    warmth: Vector

    def placed(self, x: float, y: float, heading: float) -> Capsules:
        """The body at a place of the site, its head towards `heading` (radians clockwise from the y axis)."""
        c, s = np.cos(heading), np.sin(heading)
        turn = np.array([[s, -c, 0.0], [c, s, 0.0], [0.0, 0.0, 1.0]])
        offset = np.array([x, y, 0.0])
        return Capsules(self.start @ turn.T + offset, self.end @ turn.T + offset, self.radius, self.warmth)


class _Builder:
    def __init__(self) -> None:
        self.parts: list[tuple[Vector, Vector, float, float, float]] = []

    def add(self, start: Vector, end: Vector, r0: float, r1: float, warmth: float) -> None:
        self.parts.append((start, end, r0, r1, warmth))

    def chain(self, points: list[Vector], radii: list[float], warmth: list[float]) -> None:
        for i in range(len(points) - 1):
            self.add(points[i], points[i + 1], radii[i], radii[i + 1], (warmth[i] + warmth[i + 1]) / 2)

    def done(self) -> Capsules:
        starts, ends, r0, r1, warmth = zip(*self.parts, strict=True)
        return Capsules(np.array(starts), np.array(ends), np.stack([r0, r1], axis=1), np.array(warmth))


def _v(x: float, y: float, z: float) -> Vector:
    return np.array([x, y, z], np.float64)


def quadruped(
    species: Species,
    posture: Posture,
    size: float,
    build_rng: np.random.Generator,
    rng: np.random.Generator,
    step: float = 0.0,
) -> Capsules:
    """One animal.

    Args:
        species: its measures.
        posture: what it does.
        size: this individual relative to the species' mean adult.
        build_rng: how stout it is, and whether it has antlers.
        rng: bends its spine and turns its head.
        step: phase of its walk, radians.
    """
    trunk, half = species.trunk * size, species.width * size / 2 * float(np.exp(build_rng.normal(0.06, 0.15)))
    lying, curled = posture in ("lying", "curled"), posture == "curled"
    back = species.shoulder * size
    centre = half * 1.05 if lying else back - half * 1.15
    bend = float(rng.standard_t(4) * (0.5 if lying else 0.24 if posture == "walking" else 0.3))
    bend = float(np.clip(bend, -1.3, 1.3)) if not curled else float(np.copysign(rng.uniform(0.6, 1.6), bend))

    # The spine turns by `bend` radians from rump to shoulder.
    points: list[Vector] = []
    x, y, heading = 0.0, 0.0, -bend / 2
    for i in range(5):
        points.append(_v(x, y, centre))
        heading += bend / 4 if i else 0.0
        x, y = x + trunk / 4 * np.cos(heading), y + trunk / 4 * np.sin(heading)
    middle = points[2] - _v(0, 0, centre)
    points = [p - middle for p in points]
    profile = np.array([0.62, 0.93, 1.0, 0.88, 0.58]) * half
    build = _Builder()
    base = float(np.clip(build_rng.normal(1.0, 0.05), 0.85, 1.15))

    def leg(at: Vector, side: float, fore: bool) -> None:
        ahead = _v(np.cos(heading), np.sin(heading), 0.0) if fore else _v(np.cos(bend / 2), -np.sin(bend / 2), 0.0)
        aside = _v(-ahead[1], ahead[0], 0.0) * side
        if lying:
            knee = at + aside * half * 0.85 + ahead * half * (0.7 if fore else 0.2) - _v(0, 0, centre - 0.08)
            build.add(at + aside * half * 0.5, knee, half * 0.4, half * 0.2, 0.85)
            return
        phase = step + (np.pi if (side > 0) != fore else 0.0)
        swing = (0.30 * np.sin(phase) if posture == "walking" else rng.normal(0, 0.07)) * back
        foot = at + aside * half * 0.55 + ahead * swing
        foot[2] = 0.0
        knee = (at + foot) / 2 + ahead * half * (0.15 if fore else -0.2) + aside * half * 0.1
        build.add(at + aside * half * 0.45, knee, half * 0.42, half * 0.22, 0.95)
        build.add(knee, foot, half * 0.2, half * 0.13, 0.62)

    for fore in (False, True):
        for side in (-1.0, 1.0):
            leg(points[3] if fore else points[0], side, fore)
    belly = [p - _v(0, 0, half * (0.15 if lying else 0.35)) for p in points]
    build.chain(belly, list(profile * 0.92), [base * 1.02] * 5)
    build.chain(points, list(profile), [base * 0.96, base, base, base, base * 1.02])

    tail = points[0] + _v(-np.cos(bend / 2), np.sin(bend / 2), -0.3) * species.tail * size
    build.add(points[0], tail, half * 0.22, half * 0.1, 0.7)

    # Neck and head.
    turn = {"standing": 0.35, "grazing": 0.35, "walking": 0.15, "alert": 0.8, "lying": 0.9, "curled": 0.3}[posture]
    rise = {"standing": 0.6, "grazing": -0.75, "walking": 0.4, "alert": 0.95, "lying": 0.55, "curled": -0.1}[posture]
    rise = float(np.clip(rise + rng.normal(0, 0.2), -1.1, 1.4))
    azimuth = heading + rng.normal(0, turn) + (float(np.copysign(2.3, bend)) if curled else 0.0)
    if species.neck < 0.2 * species.trunk:
        rise *= 0.35
    length = species.neck * size
    neck = _v(np.cos(azimuth) * np.cos(rise), np.sin(azimuth) * np.cos(rise), np.sin(rise))
    root = points[4] + _v(0, 0, half * 0.15)
    nape = root + neck * length
    nape[2] = max(nape[2], 0.12 * back if posture == "grazing" else half * 0.8)
    thick = half * species.thickness
    build.add(root - neck * half * 0.4, nape, min(half * 0.75, thick * 1.45), thick, base)

    look = azimuth + rng.normal(0, 0.3) + (float(np.copysign(0.5, bend)) if curled else 0.0)
    dip = rng.uniform(-1.35, -0.6) if posture == "grazing" else rng.normal(-0.5, 0.3)
    face = _v(np.cos(look) * np.cos(dip), np.sin(look) * np.cos(dip), np.sin(dip))
    muzzle = nape + face * species.head * size
    muzzle[2] = max(muzzle[2], 0.03)
    build.add(nape, nape + (muzzle - nape) * 0.5, thick * 0.85, thick * 0.8, 1.12)
    build.add(nape + (muzzle - nape) * 0.5, muzzle, thick * 0.78, thick * 0.45, 1.05)
    aside = _v(-np.sin(look), np.cos(look), 0.0)
    ear = species.head * size * (1.0 if species.name == "hare" else 0.6)
    spread = 0.25 if species.name == "hare" else 0.9
    for side in (-1.0, 1.0):
        tip = nape + (aside * side * spread + _v(0, 0, 0.45) - face * (1 - spread)) * ear
        build.add(nape + aside * side * thick * 0.5, tip, species.head * size * 0.09, species.head * size * 0.1, 0.95)
    if build_rng.random() < species.antlers:
        beam = species.head * size * build_rng.uniform(0.7, 1.5)
        for side in (-1.0, 1.0):
            tip = nape + (aside * side * 0.7 + _v(0, 0, 0.8) - face * 0.35) * beam
            build.add(nape, tip, 0.02, 0.014, 0.25)
            build.add(
                (nape + tip) / 2, (nape + tip) / 2 + (face * 0.5 + aside * side * 0.3) * beam * 0.5, 0.016, 0.01, 0.22
            )
    return build.done()


def person(rng: np.random.Generator, sitting: bool = False) -> Capsules:
    """A person: head and hands warmest, clothes cooler; 1.6 to 1.9 m tall, or sitting."""
    tall = rng.uniform(1.55, 1.9) * (0.68 if sitting else 1.0)
    build = _Builder()
    hip, shoulder = tall * 0.52, tall * 0.80
    stride = rng.uniform(0.0, 0.32)
    clothes = rng.uniform(0.45, 0.8)
    for side, swing in ((-1.0, stride), (1.0, -stride)):
        build.add(_v(0, side * 0.1, hip), _v(swing, side * 0.11, 0.05), 0.09, 0.065, clothes * 0.95)
    build.add(_v(0, 0, hip), _v(0.02, 0, shoulder - 0.08), 0.15, 0.19, clothes)
    for side, swing in ((-1.0, -stride), (1.0, stride)):
        hand = _v(swing + 0.08, side * 0.27, hip - 0.02)
        build.add(_v(0, side * 0.2, shoulder - 0.05), hand, 0.065, 0.05, clothes * 1.05)
    build.add(_v(0.02, 0, shoulder), _v(0.04, 0, tall - 0.1), 0.08, 0.115, 1.15)
    return build.done()


def bicycle(rng: np.random.Generator) -> Capsules:
    """A bicycle or scooter, with a rider more often than not."""
    build = _Builder()
    metal = rng.uniform(-0.25, 0.15)
    for hub in (-0.52, 0.52):
        angles = np.linspace(0, 2 * np.pi, 9)
        rim = [_v(hub + 0.33 * np.cos(a), 0, 0.34 + 0.33 * np.sin(a)) for a in angles]
        build.chain(rim, [0.03] * 9, [metal] * 9)
    build.chain([_v(-0.52, 0, 0.34), _v(-0.1, 0, 0.8), _v(0.4, 0, 0.85), _v(0.52, 0, 0.34)], [0.04] * 4, [metal] * 4)
    build.add(_v(0.42, -0.3, 1.0), _v(0.42, 0.3, 1.0), 0.03, 0.03, metal)
    if rng.random() < 0.4:
        build.add(_v(-0.5, 0, 0.45), _v(0.3, 0, 0.45), 0.16, 0.14, rng.uniform(0.2, 0.7))
    if rng.random() < 0.65:
        clothes = rng.uniform(0.5, 0.85)
        for side in (-1.0, 1.0):
            build.chain([_v(-0.12, 0, 0.92), _v(0.2, side * 0.12, 0.65), _v(0.05, side * 0.12, 0.2)], [0.1, 0.08, 0.06],
                        [clothes] * 3)  # fmt: skip
            build.add(_v(0.1, side * 0.2, 1.35), _v(0.42, side * 0.24, 1.02), 0.06, 0.05, clothes)
        build.add(_v(-0.12, 0, 0.92), _v(0.1, 0, 1.4), 0.16, 0.19, clothes)
        build.add(_v(0.14, 0, 1.5), _v(0.17, 0, 1.62), 0.1, 0.11, 1.1)
    return build.done()
